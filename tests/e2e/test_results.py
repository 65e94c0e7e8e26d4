"""A requester asks for a report of a job, waits for it, downloads it and reads what is in the ZIP."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from .conftest import EMBEDDED, PROJECT, Running, stack

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]

AXE = PROJECT / "node_modules" / "axe-core" / "axe.min.js"
WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
MAKE = """
from jobs_app import services as jobs
from labeling_platform.accounts.models import Team, User
from labeling_platform.accounts.tenancy import team_scope

team, ann = Team.objects.get(slug="e2e"), User.objects.get(email="ann@e2e.example")
with team_scope(team):
    job = jobs.create_job(team=team, actor=None, title="Which shoe is it?", answers=["Boots", "Sneakers"])
    rows = [{"sku": "sku-1", "titel": "Größe 42"}, {"sku": "sku-2", "titel": "=1+1"}, {"sku": "sku-3", "titel": ""}]
    picture = "http://127.0.0.1:9/{sku}.jpg"
    jobs.add_units(job=job, items=[jobs.NewUnit(row["sku"], picture.format(**row), row) for row in rows])
    jobs.launch_job(job=job, actor=None)
    for answer in ("boots", "sneakers"):
        page = jobs.take_page(job=job, user=ann)
        given = {f"u{unit}-category": [answer] for unit in page.unit_ids}
        jobs.submit_page(page=page, user=ann, submitted=given)
    print("job", job.pk)
"""


def make_job(running: Running) -> int:
    """A job with three rows, two of them answered."""
    command = stack("manage", "--data", str(running.data), "shell", "-c", MAKE)
    own = {*EMBEDDED, "DJANGO_SETTINGS_MODULE"}
    env = {name: value for name, value in os.environ.items() if name not in own}
    done = subprocess.run(command, cwd=PROJECT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.rpartition("job ")[2])


def check(page: Page) -> None:
    """No serious finding of axe, nothing wider than the window: light and dark, wide and narrow."""
    for theme, width in (("light", 1280), ("dark", 390)):
        page.emulate_media(color_scheme=theme)
        page.set_viewport_size({"width": width, "height": 900})
        page.reload()
        page.evaluate(AXE.read_text())
        result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        assert [item for item in result["violations"] if item["impact"] in {"serious", "critical"}] == []
        assert page.evaluate(WIDE) <= 0


def test_a_report_of_a_job(running: Running, person, tmp_path: Path) -> None:
    job = make_job(running)
    page: Page = person("owner")
    page.goto(f"{running.base}/t/e2e/jobs/{job}/")
    page.get_by_role("link", name="Results").click()
    expect(page.get_by_text("No report yet")).to_be_visible()
    check(page)

    # Only the options that fit the chosen report are there; the keyboard chooses.
    expect(page.get_by_label("Lowest confidence")).to_be_visible()
    expect(page.get_by_label("Include untrusted judgments")).to_be_hidden()
    page.get_by_role("radio", name="Aggregated").focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("radio", name="Full")).to_be_checked()
    expect(page.get_by_label("Lowest confidence")).to_be_hidden()
    expect(page.get_by_label("Include untrusted judgments")).to_be_visible()

    page.get_by_role("radio", name="Aggregated").check()
    page.get_by_label("Lowest confidence").fill("0.5")
    page.get_by_label("Include unfinished rows").check()
    page.get_by_role("button", name="Make report").click()
    link = page.get_by_role("link", name="Download ZIP")
    expect(link).to_be_visible(timeout=60_000)
    check(page)
    with page.expect_download() as waiting:
        link.click()
    waiting.value.save_as(tmp_path / "report.zip")
    with zipfile.ZipFile(tmp_path / "report.zip") as archive:
        (name,) = archive.namelist()
        lines = list(csv.reader(io.StringIO(archive.read(name).decode())))
    assert name.startswith("which-shoe-is-it-aggregated-")
    assert lines[0] == [
        "_unit_id", "_golden", "_unit_state", "_trusted_judgments", "_last_judgment_at",
        "category", "category:confidence", "image_url", "sku", "titel",
    ]  # fmt: skip
    assert [line[1:4] + line[5:] for line in lines[1:]] == [
        ["false", "finalized", "1", "boots", "1.0", "http://127.0.0.1:9/sku-1.jpg", "sku-1", "Größe 42"],
        ["false", "finalized", "1", "sneakers", "1.0", "http://127.0.0.1:9/sku-2.jpg", "sku-2", "'=1+1"],
        ["false", "judgable", "0", "", "", "http://127.0.0.1:9/sku-3.jpg", "sku-3", ""],
    ]
    page.goto(f"{running.base}/t/e2e/reports/")
    expect(page.get_by_role("link", name="Which shoe is it?")).to_be_visible()
    check(page)
