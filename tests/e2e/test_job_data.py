"""The Data tab in a real browser: a file goes in by the page, its rows appear, people answer, each row can be read."""

from __future__ import annotations

import os
import subprocess

import pytest
from playwright.sync_api import Browser, Page, expect

from labeling_platform.lib.samples import sample_names

from .conftest import EMBEDDED, PROJECT, Running, stack
from .guide import Guide, label_one, sign_in, to_csv

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]

AXE = PROJECT / "node_modules" / "axe-core" / "axe.min.js"
HEADER = ["image_url", "sku", "_golden", "category_gold", "category_gold_reason"]
MAKE = """
from jobs_app import services
from labeling_platform.accounts.models import Team
from labeling_platform.accounts.tenancy import team_scope
team = Team.objects.get(slug="e2e")
with team_scope(team):
    job = services.create_job(team=team, actor=None, title="Shoes by hand", answers=["Boots", "Sandals"])
    print("job", job.pk)
"""
LAUNCH = """
from jobs_app import services
from jobs_app.models import Job
from labeling_platform.accounts.models import Team
from labeling_platform.accounts.tenancy import team_scope
with team_scope(Team.objects.get(slug="e2e")):
    services.launch_job(job=Job.objects.get(pk={job}), actor=None)
"""


def in_shell(running: Running, code: str) -> str:
    """Run a service on the running platform: the pages that do it have tests of their own."""
    env = {name: value for name, value in os.environ.items() if name not in EMBEDDED}
    env.pop("DJANGO_SETTINGS_MODULE", None)
    command = stack("manage", "--data", str(running.data), "shell", "-v", "0", "-c", code)
    return subprocess.run(command, env=env, cwd=PROJECT, check=True, capture_output=True, text=True).stdout


def check(page: Page, name: str) -> None:
    """No serious finding of axe, nothing wider than the window: light and wide, dark and narrow."""
    found = []
    for theme, width in (("dark", 390), ("light", 1280)):
        page.emulate_media(color_scheme=theme)
        page.set_viewport_size({"width": width, "height": 900})
        page.reload()
        page.evaluate(AXE.read_text())
        result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        serious = [item for item in result["violations"] if item["impact"] in {"serious", "critical"}]
        found += [f"{name} {theme}: {item['id']} {item['nodes'][0]['html'][:160]}" for item in serious]
        if page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") > 0:
            found.append(f"{name} {theme}: wider than the window")
    assert found == []


def test_a_file_becomes_rows_that_people_answer(running: Running, browser: Browser, person) -> None:
    job = int(in_shell(running, MAKE).split("job ")[1].split()[0])
    guide = Guide(person("owner"), running.base, "e2e")
    page = guide.page
    guide.visit(f"jobs/{job}/data/")
    check(page, "empty")

    pictures = [f"{running.base}/samples/{name}" for name in sample_names("boots", 6)]
    lines = [[url, f"SKU-{number}", "", "", ""] for number, url in enumerate(pictures[:4], 1)]
    lines.append([pictures[4], "SKU-5", "true", "boots", "It covers the ankle."])
    lines += [["not an address", "SKU-6", "", "", ""], [pictures[5], "SKU-7", "yes", "shoes", ""]]
    guide.upload("rows.csv", to_csv(HEADER, lines))
    # The page is not loaded again: progress and rows come by themselves.
    expect(page.get_by_text("4 rows added, 1 test question made")).to_be_visible(timeout=60_000)
    expect(page.locator("#rows .picture-card")).to_have_count(4, timeout=20_000)
    check(page, "pictures")

    page.get_by_role("link", name="2 lines left out: see why").click()
    problems = page.get_by_role("region", name="Problems by line")
    expect(problems.get_by_text("Line 7: The URL contains a space")).to_be_visible()
    expect(problems.get_by_text("Line 8: “shoes” is not one of the answers: boots, sandals.")).to_be_visible()
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download all").click()
    assert waiting.value.suggested_filename.startswith("problems-")
    check(page, "upload")
    page.get_by_role("link", name="All data").click()

    hold(page, guide, lines)
    refuse_other_columns(running, browser, job)
    look_through(page, guide, job)

    in_shell(running, LAUNCH.format(job=job))
    ann = person("ann")
    ann.goto(f"{running.base}/t/e2e/contribute/{job}/")
    ann.get_by_role("link", name="Start").click()
    ann.locator("#unit-form").wait_for()
    for _ in range(2):
        assert label_one(ann, lambda text: "boots")
    look_at_a_row(page, guide, job)


def hold(page: Page, guide: Guide, lines: list[list[str]]) -> None:
    """The same file again waits for a decision."""
    page.get_by_text("Add more data").click()
    guide.upload("rows again.csv", to_csv(HEADER, lines))
    expect(page.get_by_text("This is the same file as “rows.csv”")).to_be_visible()
    check(page, "held")
    page.get_by_role("button", name="Throw it away").click()
    expect(page.get_by_text("The repeated file was thrown away.")).to_be_visible()


def refuse_other_columns(running: Running, browser: Browser, job: int) -> None:
    """Other columns are refused where the file was given; on a page of its own, as consoles call a 422 an error."""
    page = sign_in(browser, running.base, "owner@e2e.example", running.password)
    guide = Guide(page, running.base, "e2e")
    guide.visit(f"jobs/{job}/data/")
    page.get_by_text("Add more data").click()
    guide.upload("other.csv", to_csv(["image_url", "price"], [[f"{running.base}/samples/boots-0001.jpg", "9"]]))
    says = "The columns differ from those of the job's rows (missing: sku; new: price)."
    expect(page.get_by_text(says)).to_be_visible()
    expect(page.get_by_label("Add although the columns differ")).to_be_visible()
    page.context.close()


def look_through(page: Page, guide: Guide, job: int) -> None:
    """As a table, filtered, one row by its number; the address remembers all of it."""
    guide.visit(f"jobs/{job}/data/")
    page.get_by_role("radio", name="Table").check(force=True)
    expect(page.locator("#rows table tbody tr")).to_have_count(4)
    assert "view=table" in page.url
    check(page, "table")
    page.get_by_label("State").select_option("finalized")
    expect(page.get_by_text("No row fits the filter")).to_be_visible()
    page.get_by_role("link", name="Show all rows").click()
    number = page.locator("#rows figcaption a").last.inner_text().removeprefix("Row ")
    page.get_by_label("Row number").fill(number)
    page.keyboard.press("Enter")
    expect(page.locator("#rows .picture-card")).to_have_count(1)
    assert f"row={number}" in page.url


def look_at_a_row(page: Page, guide: Guide, job: int) -> None:
    guide.visit(f"jobs/{job}/data/?order=agreement")
    page.locator("#rows figcaption a").first.click()
    expect(page.get_by_text("confidence 100.0%")).to_be_visible()
    expect(page.get_by_role("cell", name="Ann")).to_be_visible()
    check(page, "row")
    for _ in range(2):  # the third row: Ann has it in her hands
        page.get_by_role("link", name="Next").click()
    expect(page.get_by_text("Nobody has answered this row yet.")).to_be_visible()
    expect(page.get_by_role("button", name="Withdraw the row")).to_have_count(0)
    page.get_by_role("link", name="Next").click()
    page.get_by_role("button", name="Withdraw the row").click()
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("The row is withdrawn. Nobody will be asked about it.")).to_be_visible()
