"""The threshold advisor in a real browser: what its script says is what the server would say."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.template.loader import render_to_string
from playwright.sync_api import Browser, Page

from labeling_platform.lib.templatetags.ui import percent
from models_app.advisor import Advisor, Evidence, advisor_of

from .conftest import PROJECT

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]

FORM = """<html lang="en"><body><form id="form">
<label>Field <input id="field" type="number" step="any" value="0.8"></label>
<label>Unlike <input id="switch" type="checkbox" checked></label>{}</form></body></html>"""


def pictures() -> list[Evidence]:
    """1,000 pictures, surer ones more often right, a tenth of the sure ones unlike the training data and wrong."""
    found = []
    for number in range(1000):
        confidence = 0.5 + (number % 500) / 1000
        unlike = number % 10 == 3 and confidence > 0.9
        right = not unlike and (number * 7919) % 1000 < 1000 * min(1.0, confidence + 0.12)
        found.append(Evidence(confidence, right, unlike, number))
    return found


def advisor(*, route_unlike: bool = True) -> Advisor:
    return advisor_of(pictures(), knows_unlike=True, route_unlike=route_unlike)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A form with the advisor in it, started as after a swap by htmx."""
    context = {"advisor": advisor(), "threshold": "0.8", "field": "field", "unlike_switch": "switch"}
    page = browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_content(FORM.format(render_to_string("models/_advisor.html", context)))
    for script in ("vendor/chart.umd.js", "js/advisor.js"):
        page.add_script_tag(path=PROJECT / "static" / script)
    assert page.locator("[data-advisor-table]").get_attribute("open") == ""
    page.evaluate("document.getElementById('form').dispatchEvent(new CustomEvent('htmx:load', {bubbles: true}))")
    page.evaluate("document.getElementById('form').addEventListener('submit', () => { throw new Error('sent') })")
    yield page
    page.close()
    assert errors == []


def said(page: Page, name: str) -> str:
    return page.locator(f"[data-advisor-out={name}]").inner_text()


@pytest.mark.parametrize("route_unlike", [True, False])
def test_the_script_and_the_server_say_the_same_of_every_threshold_of_the_table(page: Page, route_unlike: bool) -> None:
    page.locator("#switch").set_checked(route_unlike)
    for row in advisor(route_unlike=route_unlike).table:
        page.locator("#field").fill(str(row.threshold))
        assert said(page, "share") == percent(row.automated.value)
        assert said(page, "accuracy") == percent(row.accuracy.value)
        assert (
            said(page, "accuracy-note") == f"95% interval {percent(row.accuracy.low)} to {percent(row.accuracy.high)}"
        )
        assert said(page, "bound") == (f"at least {percent(row.bound)}" if row.bound else "nothing at this threshold")
        assert said(page, "people") == str(row.to_people)


def test_the_slider_moves_the_field_by_keyboard_and_the_field_the_slider(page: Page) -> None:
    page.locator("#advisor-slider").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#field").input_value() == "0.805"
    page.locator("#field").fill("0.9")
    assert page.locator("#advisor-slider").input_value() == "0.9"
    assert said(page, "threshold") == "0.900"
    page.locator("#field").fill("0.4")
    assert said(page, "threshold") == "0.900"


@pytest.mark.parametrize("target", [0.9, 0.95])
def test_reach_picks_the_threshold_that_the_server_promises(page: Page, target: float) -> None:
    promise = next(promise for promise in advisor().promises if promise.target == target)
    assert promise.chosen is not None
    page.get_by_role("button", name=f"Reach {percent(target, 0)}").click()
    assert page.locator("#field").input_value() == str(promise.chosen.threshold)
    answer = page.locator("[data-advisor-answer]")
    assert answer.inner_text().startswith(f"{promise.chosen.threshold} is the smallest threshold that keeps")
    page.locator("#switch").uncheck()
    assert answer.inner_text() == ""


def test_a_target_of_ones_own_that_no_threshold_keeps_is_refused_in_words(page: Page) -> None:
    page.get_by_label("Another accuracy in percent").fill("99.9")
    page.keyboard.press("Enter")
    assert page.locator("[data-advisor-answer]").inner_text() == (
        "No threshold can promise 99.9% with 1,000 held-out pictures. It takes 3,218 at least. "
        "Choose a lower target, or train with more pictures."
    )
    assert page.locator("#field").input_value() == "0.8"


def test_judgments_cost_money_when_a_cost_is_given(page: Page) -> None:
    assert said(page, "money") == "–"
    page.locator("#field").fill("1")
    page.get_by_text("Cost of a judgment", exact=True).click()
    page.get_by_label("Cost of one judgment").fill("0.05")
    page.get_by_label("Judgments a row").fill("3")
    page.keyboard.press("Enter")
    assert said(page, "money") == "150 per 1,000 rows"
