"""The design editor in a real browser: built by keyboard, seen, broken, mended, saved; dependent questions live."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, FrameLocator, Page, expect

from jobs_app.design import parse_design, read_answers, render_design

from .conftest import EMBEDDED, PROJECT, Running, stack

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]

AXE = (PROJECT / "node_modules" / "axe-core" / "axe.min.js").read_text
MAKE = """
from django_scopes import scope
from jobs_app.models import Job
from jobs_app.services import NewUnit, add_units
from labeling_platform.accounts.models import Team
team = Team.objects.get(slug="e2e")
with scope(team=team):
    job = Job.objects.create(team=team, title="Look at pictures", instructions="x")
    urls = [f"BASE/samples/boots-000{n}.jpg" for n in (1, 2, 3)]
    add_units(job=job, items=[NewUnit(url[-6:], url, {"sku": url[-6:]}) for url in urls])
print("made job", job.pk)
"""


@pytest.fixture
def address(running: Running) -> str:
    """The design page of a new job with three rows and nothing asked yet."""
    env = {name: value for name, value in os.environ.items() if name not in {*EMBEDDED, "DJANGO_SETTINGS_MODULE"}}
    done = subprocess.run(
        stack("manage", "--data", str(running.data), "shell", "-c", MAKE.replace("BASE", running.base)),
        cwd=PROJECT, env=env, capture_output=True, text=True, check=True,
    )  # fmt: skip
    number = re.search(r"made job (\d+)", done.stdout)
    assert number is not None
    return f"{running.base}/t/e2e/jobs/{number[1]}/design/"


def shown(page: Page) -> FrameLocator:
    return page.frame_locator(".preview-frame:not(.is-loading)")


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.id"))


def tab_to(page: Page, wanted: str, key: str = "Tab") -> None:
    """Go to the element with this id by the Tab key alone."""
    for _ in range(80):
        if focused(page) == wanted:
            return
        page.keyboard.press(key)
    raise AssertionError(f"{wanted} is not reached by {key}; the focus is at {focused(page)}")


def check_looks(page: Page) -> None:
    """No serious finding of axe and nothing wider than the window: light and wide, dark and narrow."""
    for scheme, width in (("light", 1280), ("dark", 390)):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.set_viewport_size({"width": width, "height": 850})
        expect(page.locator("html")).to_have_attribute("data-bs-theme", scheme)
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.evaluate(AXE())
        result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        serious = [found for found in result["violations"] if found["impact"] in {"serious", "critical"}]
        assert [(found["id"], found["nodes"][0]["html"]) for found in serious] == []
    page.set_viewport_size({"width": 1280, "height": 850})


def test_a_design_is_built_seen_broken_mended_and_saved_by_keyboard(person, address: str) -> None:
    page = person("owner")
    page.goto(address)
    expect(page.get_by_text("No questions yet")).to_be_visible()

    # The first question: two answers, Enter goes to the next one and adds a third.
    page.locator("#id_title").focus()
    tab_to(page, "add-radios")
    page.keyboard.press("Enter")
    expect(page.locator("#q0-label")).to_be_focused()
    page.keyboard.type("Is it a boot?")
    tab_to(page, "q0-a0-label")
    page.keyboard.type("Yes")
    page.keyboard.press("Enter")
    assert focused(page) == "q0-a1-label"
    page.keyboard.type("No")
    page.keyboard.press("Enter")
    expect(page.locator("#q0-a2-label")).to_be_focused()
    page.keyboard.type("Can't tell")
    tab_to(page, "q0-a2-up")
    page.keyboard.press("Enter")
    expect(page.locator("#q0-a1-label")).to_have_value("Can't tell")
    expect(page.locator("#q0-a1-up")).to_be_focused()
    expect(page.locator("#editor-status")).to_have_text("Answer moved up.")

    # The second: shown only if the first is answered by No.
    tab_to(page, "add-text")
    page.keyboard.press("Enter")
    expect(page.locator("#q1-label")).to_be_focused()
    page.keyboard.type("What is it then?")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#q1-more")).to_have_attribute("open", "")
    tab_to(page, "q1-if")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#q1-if-mode")).to_be_visible()
    expect(page.locator("#q1-if")).to_be_focused()
    expect(page.locator("#q1-more")).to_have_attribute("open", "")
    page.keyboard.press("Tab")
    for _ in range(3):
        page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.locator("[name=q1-if-value][value=no]")).to_be_checked()
    expect(page.get_by_text("No problems found.")).to_be_visible()
    check_looks(page)

    # The picture, and the page that contributors get.
    page.locator("#picture").select_option("image_url")
    preview = shown(page)
    expect(preview.locator("img.unit-picture")).to_be_visible()
    expect(preview.get_by_label("What is it then?")).to_be_hidden()
    preview.locator("input[value=no]").check()
    expect(preview.get_by_label("What is it then?")).to_be_visible()
    preview.get_by_role("button", name="Check these answers").click()
    expect(preview.get_by_text("Write an answer.")).to_be_visible()
    preview.locator("input[value=yes]").check()
    expect(preview.get_by_label("What is it then?")).to_be_hidden()
    first = page.locator(".preview-row").inner_text()
    page.get_by_role("button", name="Next row").click()
    expect(page.locator(".preview-row")).not_to_have_text(first)
    expect(preview.locator("input:checked")).to_have_count(0)
    page.get_by_text("Phone", exact=True).click()
    expect(page.locator(".preview-frame")).to_have_css("width", "390px")

    # The code: broken, told where, mended.
    page.locator("#id_title").focus()
    tab_to(page, "mode-code")
    page.keyboard.press("Enter")
    code = page.locator("#id_cml")
    expect(code).to_be_focused()
    built = code.input_value()
    page.keyboard.press("Control+End")
    page.keyboard.type("<cml:radio/>")
    line = built.count("\n") + 1
    link = page.get_by_role("link", name=f"Line {line}, column 1", exact=True)
    expect(page.locator("#problems li", has=link)).to_contain_text("<cml:radio> must stand inside <cml:radios>.")
    expect(page.locator(".code-lines .has-error")).to_have_text(str(line))
    check_looks(page)
    link.focus()
    page.keyboard.press("Enter")
    expect(code).to_be_focused()
    assert code.evaluate("area => area.value.slice(area.selectionStart, area.selectionEnd)") == "<cml:radio/"
    page.keyboard.press("Delete")
    page.keyboard.press("Delete")
    expect(page.get_by_text("No problems found.")).to_be_visible()
    assert code.input_value() == built

    # Tab indents; Escape, then Tab leaves.
    page.keyboard.press("Tab")
    assert code.input_value() == built + "  "
    page.keyboard.press("Shift+Tab")
    assert code.input_value() == built
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    assert focused(page) != "id_cml"

    page.get_by_role("button", name="Save", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Saved.")).to_be_visible()
    assert page.locator("#id_cml").input_value() == built
    assert [(question.name, question.values) for question in parse_design(built).questions] == [
        ("is_it_a_boot", ["yes", "cant_tell", "no"]),
        ("what_is_it_then", []),
    ]


# --- dependent questions, without a server -----------------------------------------------------------

NESTED = """<cml:radios label="Is it?" validates="required"><cml:radio label="Yes"/><cml:radio label="No"/></cml:radios>
<cml:group only-if="is_it:[0]">
  <cml:checkbox label="More" value="more"/>
  <cml:group only-if="more"><cml:text label="Inner" validates="required"/></cml:group>
  <cml:select label="Size" only-if="!more"><cml:option label="Small"/><cml:option label="Big"/></cml:select>
</cml:group>
<cml:text label="Last" only-if="size:[big]||inner"/>"""


@pytest.fixture
def form(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    drawn = render_design(parse_design(NESTED), row={}, image_url_for=str, prefix="u1-")
    page.set_content(f"<html><body><form>{drawn}</form></body></html>")
    page.add_script_tag(path=PROJECT / "static" / "js" / "only-if.js")
    yield page
    page.close()


def sent(page: Page) -> dict[str, list[str]]:
    """What the form would send, by question."""
    pairs = page.evaluate("[...new FormData(document.querySelector('form'))]")
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name.removeprefix("u1-"), []).append(value)
    return found


def visible_names(page: Page) -> set[str]:
    names = page.evaluate("[...document.querySelectorAll('[name]')].filter(e => e.checkVisibility()).map(e => e.name)")
    return {name.removeprefix("u1-") for name in names}


def test_the_browser_shows_what_the_server_asks(form: Page) -> None:
    """After each answer the questions in sight are those that the server would ask, and nothing else is sent."""
    design = parse_design(NESTED)
    assert design.problems == []
    assert visible_names(form) == {"is_it"}
    seen = []
    for touch in ("yes", "more", "inner", "more", "big", "no", "yes"):
        if touch == "inner":
            form.get_by_label("Inner").fill("text")
        elif touch == "big":
            form.get_by_label("Size").select_option("big")
        else:
            form.locator(f"input[value={touch}]").click()
        answers, errors = read_answers(design, sent(form))
        shown_names = visible_names(form)
        assert set(answers) | set(errors) <= shown_names
        assert set(sent(form)) <= shown_names
        seen.append(shown_names)
    assert seen == [
        {"is_it", "more", "size"},
        {"is_it", "more", "inner"},
        {"is_it", "more", "inner", "last"},
        {"is_it", "more", "size"},
        {"is_it", "more", "size", "last"},
        {"is_it"},
        {"is_it", "more", "size", "last"},
    ]
