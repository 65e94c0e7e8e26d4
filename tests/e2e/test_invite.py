"""People are invited by mail and by link, in a real browser: from the page People to the first page of a new person."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from functools import cache

import pytest
from playwright.sync_api import Browser, Page, expect

from .conftest import PROJECT, Running

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]

AXE = PROJECT / "node_modules" / "axe-core" / "axe.min.js"


@cache
def axe() -> str:
    return AXE.read_text()


def check(page: Page) -> list[str]:
    """Findings of axe and overflow: light and wide, dark and narrow."""
    found = []
    for theme, width in (("light", 1280), ("dark", 390)):
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        page.set_viewport_size({"width": width, "height": 900})
        page.evaluate("Promise.all(document.getAnimations().map(animation => animation.finished))")
        page.evaluate(axe())
        result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        found += [f"{page.url} {theme}: {item['id']} {item['nodes'][0]['html'][:120]}" for item in result["violations"]]
        if page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") > 0:
            found.append(f"{page.url} {theme}: wider than the window")
    return found


@pytest.fixture
def stranger(browser: Browser) -> Iterator[Callable[..., Page]]:
    """A window of somebody who is not signed in; errors of scripts fail the test."""
    pages: list[Page] = []
    errors: list[str] = []

    def enter(**options: object) -> Page:
        page = browser.new_context(**options).new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        pages.append(page)
        return page

    yield enter
    for page in pages:
        page.context.close()
    assert errors == []


def mailed_link(running: Running, address: str) -> str:
    """The link in the mail to this address; mails are printed by the web process."""
    text = (running.data / "logs" / "web.log").read_text()
    return re.search(r"http\S+/invite/\S+", text[text.rindex(f"To: {address}") :]).group(0)


def make_account(page: Page, name: str, password: str) -> None:
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_label("Password again").fill(password)
    page.get_by_label("Your name").fill(name)
    page.keyboard.press("Enter")


def test_people_are_invited_by_mail_and_by_link(running: Running, person, stranger: Callable[..., Page]) -> None:
    password = secrets.token_urlsafe(12)
    owner = person("owner", permissions=["clipboard-read", "clipboard-write"])
    owner.locator(".team-button").click()
    owner.get_by_role("link", name="People").click()
    owner.get_by_label("E-mail addresses").fill("mia@e2e.example\nnils@e2e.example\n")
    owner.get_by_role("button", name="Invite", exact=True).click()
    expect(owner.get_by_text("Invited: mia@e2e.example, nils@e2e.example.")).to_be_visible()

    mia = stranger()
    mia.goto(mailed_link(running, "mia@e2e.example"))
    findings = check(mia)
    expect(mia.get_by_label("E-mail")).to_be_disabled()
    make_account(mia, "Mia Member", "short")
    expect(mia.get_by_text("This password is too short.")).to_be_visible()
    findings += check(mia)
    make_account(mia, "Mia Member", password)
    mia.wait_for_url(f"{running.base}/t/e2e/models/")
    expect(mia.get_by_text("You are in the team E2E now, as member.")).to_be_visible()

    owner.get_by_role("button", name="Make link").click()
    expect(owner.get_by_text("The link is ready.")).to_be_visible()
    findings += check(owner)
    owner.get_by_role("button", name="Copy").click()
    expect(owner.get_by_text("Copied.")).to_be_visible()
    link = owner.evaluate("navigator.clipboard.readText()")
    assert link.startswith(f"{running.base}/invite/")

    zoe = stranger(viewport={"width": 390, "height": 800}, java_script_enabled=False)
    zoe.goto(link)
    zoe.get_by_label("E-mail").fill("mia@e2e.example")
    make_account(zoe, "Zoe", password)
    expect(zoe.get_by_text("There is an account with this address already.")).to_be_visible()
    zoe.get_by_label("E-mail").fill("zoe@e2e.example")
    make_account(zoe, "Zoe", password)
    zoe.wait_for_url(f"{running.base}/t/e2e/contribute/")

    returning = stranger()
    returning.goto(link)
    returning.get_by_role("link", name="Sign in").click()
    returning.get_by_label("Email").fill("mia@e2e.example")
    returning.get_by_label("Password").fill(password)
    returning.get_by_role("button", name="Sign in", exact=True).click()
    expect(returning.get_by_text("You are in this team already, as member.")).to_be_visible()
    findings += check(returning)
    returning.goto(mailed_link(running, "nils@e2e.example"))
    expect(returning.get_by_text("This invitation is for nils@e2e.example")).to_be_visible()
    findings += check(returning)

    change_and_take_back(running, owner)
    unknown = stranger()
    unknown.goto(link)
    expect(unknown.get_by_text("This invitation was taken back.")).to_be_visible()
    assert unknown.goto(f"{running.base}/invite/nothing/").status == 404
    findings += check(unknown)
    assert findings == []


def change_and_take_back(running: Running, owner: Page) -> None:
    """The owner makes Mia a viewer, removes Zoe and takes the link back."""
    owner.goto(f"{running.base}/t/e2e/people/")
    owner.set_viewport_size({"width": 1280, "height": 900})
    owner.get_by_label("Role of Mia Member", exact=True).select_option("viewer")
    owner.get_by_role("button", name="Change the role of Mia Member").click()
    expect(owner.get_by_text("Mia Member is viewer now.")).to_be_visible()
    owner.get_by_role("button", name="Remove Zoe").click()
    owner.get_by_role("button", name="Continue").click()
    expect(owner.get_by_text("Zoe is no longer in the team.")).to_be_visible()
    owner.get_by_role("button", name="Take back the invitation for who has the link").click()
    owner.get_by_role("button", name="Continue").click()
    expect(owner.get_by_text("The invitation is taken back.")).to_be_visible()
