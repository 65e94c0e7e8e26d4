"""The Monitor tab in a real browser: counts that follow, figures, the model's rows, a contributor who is rejected."""

from __future__ import annotations

import json
import os
import re
import subprocess

import pytest
from playwright.sync_api import Page, expect

from .conftest import EMBEDDED, PROJECT, Running, stack
from .monitor_seed import DOUBTFUL, LOST, SURE

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]

AXE = PROJECT / "node_modules" / "axe-core" / "axe.min.js"


def call(running: Running, words: str) -> str:
    """Call a function of monitor_seed in the running platform; what it printed."""
    code = f"from tests.e2e import monitor_seed; monitor_seed.{words}"
    env = {name: value for name, value in os.environ.items() if name not in {*EMBEDDED, "DJANGO_SETTINGS_MODULE"}}
    done = subprocess.run(
        stack("manage", "--data", str(running.data), "shell", "-v", "0", "-c", code),
        env=env, cwd=PROJECT, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def jobs(running: Running) -> dict[str, int]:
    out = call(running, f"seed('e2e', {running.base!r})")
    return dict(json.loads(out.strip().splitlines()[-1]))


def visit(page: Page, running: Running, path: str) -> None:
    page.goto(f"{running.base}/t/e2e/jobs/{path}")


def number(page: Page, name: str) -> int:
    return int(page.locator(f"#{name} .stat-value").inner_text().replace(",", ""))


def test_counts_follow_and_figures_come_when_they_are_asked_for(running: Running, jobs: dict[str, int], person) -> None:
    page = person("owner")
    visit(page, running, f"{jobs['job']}/")
    expect(page.get_by_role("heading", name="Throughput")).to_be_visible()
    expect(page.get_by_role("heading", name="Most disputed rows")).to_be_visible()
    expect(page.locator(".monitor-latest .picture-card").first).to_be_visible()
    figures = page.locator(".monitor-pace").inner_text()
    done = number(page, "count-finalized")
    judged = page.get_by_text(re.compile(r"^\d+ of 32$"))
    before = judged.inner_text()
    call(running, f"judge_more('e2e', {jobs['job']})")
    expect(judged).not_to_have_text(before, timeout=15_000)
    assert number(page, "count-finalized") >= done
    assert page.locator(".monitor-pace").inner_text() == figures
    page.get_by_role("button", name="Refresh").click()
    expect(page.locator(".monitor-pace")).not_to_have_text(figures)


def test_the_figures_are_there_without_javascript(running: Running, jobs: dict[str, int], person) -> None:
    page = person("owner")
    state = page.context.storage_state()
    plain = page.context.browser.new_context(java_script_enabled=False, storage_state=state).new_page()
    visit(plain, running, f"{jobs['job']}/")
    plain.get_by_role("link", name="Show the figures").click()
    expect(plain.get_by_role("heading", name="Throughput")).to_be_visible()
    expect(plain.get_by_role("heading", name="Latest answers")).to_be_visible()
    plain.context.close()


def test_a_cell_of_the_matrix_leads_to_its_rows(running: Running, jobs: dict[str, int], person) -> None:
    page = person("owner")
    visit(page, running, f"{jobs['job']}/")
    page.get_by_role("link", name="Model against people").click()
    expect(page.get_by_text("Only the rows that the model was unsure of")).to_be_visible()
    cell = page.locator(".confusion td.heat-wrong a").first
    count = int(cell.inner_text())
    cell.click()
    page.wait_for_url(re.compile(r"against/rows/\?label="))
    expect(page.locator(".picture-card")).to_have_count(count)


def test_a_contributor_is_rejected_and_let_in_again_by_keyboard(running: Running, jobs: dict[str, int], person) -> None:
    page = person("owner")
    visit(page, running, f"{jobs['job']}/contributors/")
    page.get_by_label("Sort by").select_option(label="Lowest trust")
    expect(page.locator("tbody tr").first).to_contain_text(LOST)
    expect(page.locator("tbody tr").last).to_contain_text(SURE)
    page.get_by_role("link", name=DOUBTFUL).click()
    expect(page.get_by_text("Straps and a heel: both would be right.")).to_be_visible()
    page.get_by_role("button", name="Reject").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("will be asked again.")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.get_by_role("button", name="Reject").click()
    asked = re.search(r"(\d+) rows will be asked again", dialog.inner_text())
    assert asked is not None
    dialog.get_by_role("button", name="Reject").click()
    expect(page.get_by_text(f"{DOUBTFUL} is rejected. {asked.group(1)} rows will be asked again.")).to_be_visible()
    expect(page.locator(".picture-card .badge", has_text="Not counted").first).to_be_visible()
    page.get_by_role("button", name="Let in again").click()
    expect(page.get_by_text(f"{DOUBTFUL} may go on.")).to_be_visible()
    expect(page.locator(".picture-card .badge", has_text="Not counted")).to_have_count(0)


def test_every_page_is_accessible_and_fits(running: Running, jobs: dict[str, int], person) -> None:
    page = person("owner")
    visit(page, running, f"{jobs['job']}/contributors/")
    people = [link.get_attribute("href") for link in page.locator("tbody th a").all()]
    paths = [
        f"{pk}/{rest}"
        for pk in jobs.values()
        for rest in ("", "?show=all", "against/", "against/rows/", "contributors/")
    ]
    addresses = [f"{running.base}/t/e2e/jobs/{path}" for path in paths] + [f"{running.base}{path}" for path in people]
    source, found = AXE.read_text(), []
    for theme, width in (("light", 1280), ("dark", 390)):
        page.emulate_media(color_scheme=theme)
        page.set_viewport_size({"width": width, "height": 900})
        for address in addresses:
            page.goto(address)
            expect(page.get_by_text("Loading…")).to_have_count(0, timeout=15_000)
            page.evaluate(source)
            result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
            found += [
                f"{address} {theme}: {item['id']} {item['nodes'][0]['html'][:120]}" for item in result["violations"]
            ]
            if page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") > 0:
                found.append(f"{address} {theme}: wider than the window")
    assert found == []
