"""The console in a real browser: signing in with a second factor, axe on its pages, the keyboard alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from playwright.sync_api import Browser, Page, expect

from .conftest import EMBEDDED, PROJECT, Running, is_error, stack
from .console_seed import EMAIL, SECRET
from .test_invite import axe

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]

EXCEPTIONS: dict[str, str] = {}
"""Findings of axe that stay, as rule: reason. One that is not found any more fails the test."""
RUN = "axe.run(document, {resultTypes: ['violations']})"
FOCUS = """() => {
  const focused = document.activeElement, style = getComputedStyle(focused);
  const seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  return [focused.tagName, (focused.getAttribute("aria-label") || focused.textContent).trim().slice(0, 40), seen];
}"""


@dataclass
class Console:
    """A member of staff who has signed in, and the addresses of console_seed."""

    page: Page
    base: str
    own: dict[str, str]
    forms: list[str]
    lists: list[str]

    def open(self, path: str, scheme: str = "light", width: int = 1280) -> Page:
        """The page in a theme and width; unfold looks at the theme when a page is loaded."""
        self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        self.page.set_viewport_size({"width": width, "height": 900})
        self.page.goto(self.base + path)
        return self.page


@pytest.fixture(scope="module")
def console(running: Running, browser: Browser) -> Iterator[Console]:
    code = f"from tests.e2e import console_seed; console_seed.seed({running.password!r})"
    env = {name: value for name, value in os.environ.items() if name not in {*EMBEDDED, "DJANGO_SETTINGS_MODULE"}}
    done = subprocess.run(
        stack("manage", "--data", str(running.data), "shell", "-v", "0", "-c", code),
        env=env, cwd=PROJECT, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    addresses = json.loads(done.stdout.strip().splitlines()[-1])
    page = browser.new_context().new_page()
    page.goto(f"{running.base}/admin/")
    page.get_by_label("Email").fill(EMAIL)
    page.get_by_label("Password").fill(running.password)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_label(re.compile("code", re.IGNORECASE)).fill(totp())
    page.locator("main button[type=submit]").first.click()
    page.wait_for_url("**/admin/")
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(f"{page.url}: {error}"))
    page.on("console", lambda message: errors.append(f"{page.url}: {message.text}") if is_error(message) else None)
    yield Console(page, running.base, addresses["own"], addresses["forms"], addresses["lists"])
    page.context.close()
    assert errors == []


def totp() -> str:
    return format_hotp_value(hotp_value(SECRET, next(iter(yield_hotp_counters_from_time()))))


def findings(page: Page, what: str) -> list[tuple[str, str]]:
    """(rule, where) of what axe finds, and of a page that is wider than the window."""
    page.evaluate("Promise.all(document.getAnimations().map(animation => animation.finished))")
    page.evaluate(axe())
    result = page.evaluate(RUN)
    found = [(item["id"], f"{what}: {node['html'][:160]}") for item in result["violations"] for node in item["nodes"]]
    if page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") > 0:
        found.append(("wide", what))
    return found


def test_axe_finds_nothing_on_the_pages_of_the_console(console: Console) -> None:
    """Unfold's lists are all made alike, and are looked at in the theme and width in which more can go wrong."""
    found = []
    for scheme, width in (("light", 1280), ("dark", 390)):
        for path in [*console.own.values(), *console.forms, *(console.lists if width == 390 else [])]:
            page = console.open(path, scheme, width)
            found += findings(page, f"{path} {scheme}")
        assert ("dark" in (page.locator("html").get_attribute("class") or "")) == (scheme == "dark")

        page = console.open(console.own["team"], scheme, width)
        for summary in page.locator(".c summary").all():
            summary.click()
        section = page.locator("#delete")
        section.get_by_label("Reason").fill("a try")
        section.get_by_label(re.compile("^Type")).fill("Another name")
        section.get_by_role("button", name="Delete the team").click()
        expect(page.get_by_role("alert")).to_contain_text("Type the team's name")
        found += findings(page, f"refused {scheme}")

    page = console.open(console.own["team"])
    section = page.locator("#view")
    section.get_by_label("Reason").fill("How it looks")
    section.get_by_role("button", name="Look").click()
    expect(page.get_by_text("You look at")).to_be_visible()
    found += findings(page, "view as, light")
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 900})
    found += findings(page, "view as, dark")
    page.get_by_role("button", name="Stop viewing").click()

    assert [one for one in found if one[0] not in EXCEPTIONS] == []
    assert set(EXCEPTIONS) - {rule for rule, _ in found} == set(), "no longer found: take it out of EXCEPTIONS"


def tab_to(page: Page, role: str, name: str, most: int = 120) -> None:
    """Go there by the Tab key alone; every stop on the way must show that it has the focus."""
    wanted = page.get_by_role(role, name=name).first  # type: ignore[arg-type]
    unseen = []
    for _ in range(most):
        page.keyboard.press("Tab")
        tag, words, seen = page.evaluate(FOCUS)
        if tag != "BODY" and not seen:
            unseen.append((tag, words))
        if wanted.evaluate("one => one === document.activeElement"):
            assert unseen == []
            return
    raise AssertionError(f"{role} {name} is not reached by Tab; without a visible focus: {unseen}")


def test_the_dashboard_and_a_team_are_used_by_keyboard(console: Console) -> None:
    page = console.open(console.own["dashboard"])
    tab_to(page, "searchbox", "Find a team")
    page.keyboard.type("console")
    page.keyboard.press("Enter")
    page.wait_for_url("**" + console.own["team"])

    tab_to(page, "link", "Its activity log")
    page.locator("#quota summary").wait_for()
    while not page.locator("#quota summary").evaluate("one => one === document.activeElement"):
        page.keyboard.press("Tab")
        assert page.evaluate(FOCUS)[2], page.evaluate(FOCUS)
    page.keyboard.press("Enter")
    expect(page.locator("#quota details")).to_have_attribute("open", "")
    page.keyboard.press("Tab")
    page.keyboard.type("5000")
    tab_to(page, "button", "Change")
    page.keyboard.press("Enter")
    expect(page.locator("#quota form input:invalid").first).to_be_focused()
    page.keyboard.type("They asked for less")
    page.keyboard.press("Enter")
    expect(page.locator("#quota").get_by_text("They asked for less")).to_be_visible()
    expect(page.locator("#quota").get_by_text("5,000")).to_be_visible()


def test_the_menu_of_a_narrow_window_opens_by_keyboard(console: Console) -> None:
    page = console.open(console.own["dashboard"], width=390)
    link = page.get_by_role("link", name="Activity log")
    expect(link).to_be_hidden()
    tab_to(page, "button", "Menu")
    page.keyboard.press("Enter")
    expect(link).to_be_visible()
