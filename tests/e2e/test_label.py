"""A contributor labels in a real browser: from the quiz to the end by keyboard, a contact sheet on a phone."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from .conftest import EMBEDDED, PROJECT, Running, stack
from .guide import sign_in

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]

AXE = (PROJECT / "node_modules" / "axe-core" / "axe.min.js").read_text()
PAGE_CHANGED = (
    "before => { const page = document.querySelector('#unit-form input[name=page]');"
    " return !page || page.value !== before; }"
)


@dataclass
class Job:
    """A job of label_jobs.py: its id, and the right answer of every unit."""

    id: int
    truth: dict[int, str]


@pytest.fixture(scope="module")
def jobs(running: Running) -> dict[str, Job]:
    env = {name: value for name, value in os.environ.items() if name not in EMBEDDED}
    env.pop("DJANGO_SETTINGS_MODULE", None)
    code = f"from tests.e2e.label_jobs import make; make('e2e', '{running.base}')"
    done = subprocess.run(
        stack("manage", "--data", str(running.data), "shell", "-c", code),
        env=env, cwd=PROJECT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    found = json.loads(done.stdout.partition("MADE ")[2])
    return {
        name: Job(job["id"], {int(unit): label for unit, label in job["truth"].items()}) for name, job in found.items()
    }


def where(running: Running, path: str = "") -> str:
    return f"{running.base}/t/e2e/contribute/{path}"


def status(page: Page) -> Locator:
    return page.locator("#unit-status")


def check(page: Page, name: str) -> None:
    """No serious finding of axe and nothing wider than the window, in light and dark."""
    page.evaluate(AXE)
    found = []
    for theme in ("dark", "light"):
        page.evaluate("theme => { document.documentElement.dataset.bsTheme = theme; }", theme)
        page.wait_for_timeout(400)  # the colours of buttons fade from one theme to the other
        result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        serious = [item for item in result["violations"] if item["impact"] in {"serious", "critical"}]
        found += [f"{name} {theme}: {item['id']} {item['nodes'][0]['html'][:160]}" for item in serious]
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    if page.evaluate(wide) > 0:
        found.append(f"{name}: wider than the window")
    assert found == []


def units(page: Page) -> list[int]:
    """The units on the page, in their order."""
    names = "[...document.querySelectorAll('#unit-form [data-unit]')].map(row => row.querySelector('input').name)"
    return [int(name[1:].partition("-")[0]) for name in page.evaluate(names)]


def tab_to(page: Page, target: Locator, key: str = "Tab") -> None:
    """Walk to an element by keyboard."""
    for _ in range(80):
        if target.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press(key)
    raise AssertionError(f"{target} cannot be reached by keyboard")


def key_of(page: Page, value: str) -> str:
    return str(page.locator(f'#unit-form input[value="{value}"]').first.get_attribute("data-key"))


def answer_all(page: Page, job: Job, *, wrong: int = 0) -> None:
    """Answer every row by its key; the first `wrong` of them wrong."""
    for place, unit in enumerate(units(page)):
        right = key_of(page, job.truth[unit])
        page.keyboard.press(right if place >= wrong else str(int(right) % 4 + 1))
    expect(page.locator("[data-answered]")).to_have_text(f"All {len(units(page))} answered")


def submit_by_enter(page: Page) -> None:
    before = page.locator("#unit-form input[name=page]").input_value()
    page.keyboard.press("Enter")
    page.wait_for_function(PAGE_CHANGED, arg=before)


def test_from_the_quiz_to_the_end_by_keyboard(running: Running, jobs: dict[str, Job], person) -> None:
    job, page = jobs["quiz"], person("ann")
    page.goto(where(running))
    check(page, "list")
    tab_to(page, page.get_by_role("link", name="Start: Quiz and work"))
    page.keyboard.press("Enter")
    expect(page.get_by_text("A quiz of 4 test questions, on one page.")).to_be_visible()
    check(page, "job")
    tab_to(page, page.get_by_role("link", name="Start the quiz"))
    page.keyboard.press("Enter")
    page.wait_for_selector("#unit-form")
    check(page, "quiz")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    check(page, "keys")
    page.keyboard.press("Escape")
    page.keyboard.press("z")
    expect(page.locator("#zoom")).to_be_visible()
    check(page, "zoom")
    page.keyboard.press("Escape")

    page.keyboard.press("Enter")
    expect(status(page)).to_have_text("Not saved. 4 rows are not complete yet.")
    answer_all(page, job, wrong=1)
    for left in (3, 2):
        page.keyboard.press("Backspace")
        expect(page.locator("[data-answered]")).to_have_text(f"{left} of 4 answered")
    page.keyboard.press("ArrowUp")
    expect(status(page)).to_have_text("Row 2 of 4, answered.")
    page.keyboard.press("j")
    for unit in units(page)[2:]:
        page.keyboard.press(key_of(page, job.truth[unit]))
    submit_by_enter(page)

    expect(page.locator("#unit").get_by_text("You had 3 of 4 test questions right.")).to_be_visible()
    expect(status(page)).to_have_text(
        "You passed the quiz. You had 3 of 4 test questions right. From now on your answers count."
        " A test question was missed: see above the rows."
    )
    check(page, "missed")
    contest(page)
    page.reload()
    expect(page.locator("#misses")).to_have_count(0)

    answer_all(page, job)
    page.locator("[data-answered]").scroll_into_view_if_needed()
    submit_by_enter(page)
    expect(status(page)).to_have_text("Saved. Next page, 4 rows.")
    answer_all(page, job)
    submit_by_enter(page)
    expect(page.locator("#unit").get_by_text("No more rows right now")).to_be_visible()
    expect(page.locator(".own-figures")).to_contain_text("83% (1 of 6 missed)")
    check(page, "no more rows")
    page.goto(where(running))
    card = page.locator("article", has_text="Quiz and work")
    expect(card).to_contain_text("6 rows")
    expect(card).to_contain_text("Nothing is waiting for you just now.")
    check(page, "list, done")


def contest(page: Page) -> None:
    """Object to the missed test question by keyboard, then put it away."""
    summary = page.get_by_text("I think my answer is right")
    tab_to(page, summary, "Shift+Tab")
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_label("Why should your answer count?"))
    page.keyboard.type("The heel is too low.")
    check(page, "contest")
    tab_to(page, page.get_by_role("button", name="Send to the owners"))
    page.keyboard.press("Enter")
    expect(page.locator(".miss-contested")).to_be_focused()
    tab_to(page, page.get_by_role("button", name="Got it"), "Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#misses")).to_have_count(0)
    expect(page.locator("#unit-form input[type=radio]").first).to_be_focused()


def test_a_contact_sheet_on_a_phone_and_by_keyboard(running: Running, jobs: dict[str, Job], person) -> None:
    job = jobs["sheet"]
    page = person("bo", viewport={"width": 390, "height": 844}, has_touch=True)
    page.goto(where(running, f"{job.id}/"))
    check(page, "job on a phone")
    page.get_by_role("link", name="Start", exact=True).tap()
    page.wait_for_selector("[data-sheet]")
    check(page, "sheet")
    tiles, faces = page.locator("[data-tile]"), page.locator("[data-face]")
    marks = page.locator("[data-tile-answer]")
    usual, brush = page.locator("[data-chips=usual]"), page.locator("[data-chips=brush]")
    usual.get_by_text("Boots").tap()
    expect(marks).to_have_text(["Boots"] * 9)
    brush.get_by_text("Other").tap()
    faces.nth(4).tap()
    expect(marks.nth(4)).to_have_text("Other")
    expect(tiles.nth(4)).to_have_attribute("data-mark", "other")
    expect(page.locator("[data-answered]")).to_have_text("8 Boots · 1 Other")
    check(page, "sheet with a mark")
    faces.nth(4).tap()
    expect(marks.nth(4)).to_have_text("Boots")
    # Chromium ends the pressed state of a tap a moment later, and that of a key pressed meanwhile with it.
    expect(page.locator("button:active")).to_have_count(0)

    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    expect(faces.nth(4)).to_be_focused()
    page.keyboard.press("3")
    page.keyboard.press("Space")
    expect(marks.nth(4)).to_have_text("Sneakers")
    page.keyboard.press("Shift+Digit2")
    expect(marks.first).to_have_text("Sandals")
    expect(marks.nth(4)).to_have_text("Sneakers")
    for _ in range(2):
        page.keyboard.press("Backspace")
    expect(marks).to_have_text(["Boots"] * 9)
    page.keyboard.press("z")
    expect(page.locator("#zoom")).to_be_visible()
    page.keyboard.press("Escape")

    right = [job.truth[unit] for unit in units(page)]
    for value, key in (("sandals", "2"), ("sneakers", "3"), ("negative_examples", "4")):
        page.keyboard.press(key)
        for place, label in enumerate(right):
            if label == value:
                faces.nth(place).tap()
    chosen = "[...document.querySelectorAll('.tile-choices input:checked')].map(input => input.value)"
    assert page.evaluate(chosen) == right
    page.get_by_role("button", name="Save and next").tap()
    expect(page.locator("#unit").get_by_text("No more rows right now")).to_be_visible()


def test_questions_that_depend_on_others(running: Running, jobs: dict[str, Job], person) -> None:
    page = person("ann")
    page.goto(where(running, f"{jobs['dependent'].id}/work/"))
    row = page.locator("[data-unit]").first
    expect(row.get_by_text("Colours")).to_be_hidden()
    page.keyboard.press("1")
    expect(row.get_by_text("Colours")).to_be_visible()
    expect(row.get_by_label("Which one?")).to_be_hidden()
    check(page, "dependent questions")
    page.keyboard.press("2")
    expect(row.get_by_label("Which one?")).to_be_visible()
    page.keyboard.press("Enter")
    expect(row.get_by_label("Which one?")).to_be_focused()
    page.keyboard.type("red 1")
    page.keyboard.press("Enter")
    second = page.locator("[data-unit]").nth(1)
    expect(second.locator("input").first).to_be_focused()
    page.keyboard.press("2")
    expect(page.locator("[data-answered]")).to_have_text("All 2 answered")
    submit_by_enter(page)
    expect(page.locator("[data-answered]")).to_have_text("0 of 2 answered")


@pytest.fixture
def alone(running: Running, browser: Browser) -> Iterator[Page]:
    """A contributor whose browser may complain: the network fails on purpose."""
    page = sign_in(browser, running.base, "ann@e2e.example", running.password)
    yield page
    page.context.close()


def test_answers_stay_when_the_network_or_the_session_fails(
    running: Running, jobs: dict[str, Job], alone: Page
) -> None:
    page, trouble = alone, alone.locator("#unit-trouble")
    page.goto(where(running, f"{jobs['dependent'].id}/work/"))
    for _ in range(2):
        page.keyboard.press("2")
    done = page.locator("[data-answered]")
    expect(done).to_have_text("All 2 answered")
    page.context.set_offline(True)
    page.keyboard.press("Enter")
    expect(trouble).to_contain_text("The server could not be reached. Your answers are still here.")
    check(page, "offline")
    page.context.set_offline(False)
    page.context.clear_cookies(name="sessionid")
    page.get_by_role("button", name="Try again").click()
    expect(trouble).to_contain_text("You are signed out.")
    expect(done).to_have_text("All 2 answered")
    sign_in_again(page, running)
    submit_by_enter(page)
    expect(page.locator("#unit").get_by_text("No more rows right now")).to_be_visible()


def sign_in_again(page: Page, running: Running) -> None:
    """In another tab of the same browser, as the message says."""
    tab = page.context.new_page()
    tab.goto(f"{running.base}/accounts/login/")
    tab.get_by_label("Email").fill("ann@e2e.example")
    tab.get_by_label("Password").fill(running.password)
    tab.locator("main button[type=submit], form button[type=submit]").first.click()
    tab.wait_for_url("**/t/e2e/**")
    tab.close()
