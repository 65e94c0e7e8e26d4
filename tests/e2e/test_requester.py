"""A requester takes a job of its own from the design to the launch, and copies it; each page passes axe."""

from __future__ import annotations

import os
import re
import subprocess

import pytest
from playwright.sync_api import Page, expect

from labeling_platform.lib.samples import LABELS, sample_names

from .conftest import EMBEDDED, PROJECT, Running, stack
from .guide import Guide

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]

AXE = PROJECT / "node_modules" / "axe-core" / "axe.min.js"
ROWS = 12


def add_rows(running: Running, job: int) -> None:
    """Rows as an upload makes them."""
    urls = [f"{running.base}/samples/{name}" for label in LABELS for name in sample_names(label, ROWS // len(LABELS))]
    code = (
        "from django_scopes import scopes_disabled\n"
        "from jobs_app.models import Job\nfrom jobs_app.services import NewUnit, add_units\n"
        "with scopes_disabled():\n"
        f"    add_units(job=Job.objects.get(pk={job}), items=[NewUnit(f'row:{{n}}', url, {{'sku': f'sku-{{n}}'}})"
        f" for n, url in enumerate({urls!r})])\n"
    )
    env = {name: value for name, value in os.environ.items() if name not in EMBEDDED}
    env.pop("DJANGO_SETTINGS_MODULE", None)
    subprocess.run(stack("manage", "--data", str(running.data), "shell", "-c", code), env=env, cwd=PROJECT, check=True)


def test_from_the_design_to_the_launch_and_a_copy(running: Running, person) -> None:
    guide = Guide(person("owner"), running.base, "e2e")
    job = make_job(guide)
    add_rows(running, job)
    refuse_a_launch_that_was_not_confirmed(guide, job)
    make_test_questions(guide, job)
    edit_a_test_question(guide, job)
    see_what_settings_come_to(guide, job)
    launch(guide, job)
    copy = make_copy(guide, job)
    others = [f"jobs/{copy}/launch/", f"jobs/{copy}/settings/", "jobs/new/?way=own", "jobs/new/?way=model", "jobs/"]
    assert findings(guide, [*pages_of(guide, job), *others]) == []
    pause_and_cancel(guide, job)


def make_job(guide: Guide) -> int:
    guide.visit("jobs/new/")
    page = guide.page
    page.get_by_role("link", name="On its own").click()
    page.get_by_label("Title").fill("What is drawn?")
    page.get_by_label("Question").fill("What does the drawing show?")
    page.get_by_label("Answers").fill("Boots\nSneakers\nSandals\nNone of these")
    page.get_by_role("button", name="Create job").click()
    page.wait_for_url(re.compile(r"/jobs/\d+/design/"))
    page.get_by_label("Instructions").fill("<p>Choose what the drawing shows. A boot covers the ankle.</p>")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Saved.", exact=True)).to_be_visible()
    return guide.number()


def refuse_a_launch_that_was_not_confirmed(guide: Guide, job: int) -> None:
    guide.visit(f"jobs/{job}/launch/")
    guide.page.get_by_role("button", name="Launch", exact=True).click()
    expect(guide.page.get_by_text("Tick what you have read, then launch.")).to_be_visible()
    expect(guide.page.get_by_text("Not launched", exact=True)).to_be_visible()


def make_test_questions(guide: Guide, job: int) -> None:
    """Four, by keyboard alone: answers by their keys, a row skipped, the last one saved by its button."""
    page = guide.page
    guide.visit(f"jobs/{job}/quality/")
    page.get_by_role("link", name="Make test questions").last.click()
    agreement = page.get_by_label("Minimum agreement")
    agreement.fill("80")
    expect(page.locator("#qualify")).to_have_text("No row qualifies now.")
    page.get_by_role("link", name="Begin with a row").click()
    page.wait_for_url(re.compile(r"unit=\d+"))
    skipped = page.url
    page.keyboard.press("ArrowRight")
    page.wait_for_url(lambda url: url != skipped and "unit=" in url)
    for number in range(4):
        before = page.url
        answer = page.locator(f'[data-key="{number % 2 + 1}"]')
        page.keyboard.press(str(number % 2 + 1))
        expect(answer).to_be_checked()
        if number == 1:
            page.keyboard.press("3")
            page.get_by_label("Reason").fill("The strap is open at the heel.")
            page.get_by_role("button", name="Save and next").click()
        elif number == 3:
            page.get_by_role("button", name="Save", exact=True).click()
        else:
            page.keyboard.press("Enter")
        page.wait_for_url(lambda url, before=before: url != before and ("unit=" in url or url.endswith("/quality/")))
    expect(page.locator(".golds tbody tr")).to_have_count(4)
    expect(page.get_by_text("one page in 5", exact=True)).to_be_visible()
    expect(page.get_by_text("Sneakers or Sandals")).to_be_visible()


def edit_a_test_question(guide: Guide, job: int) -> None:
    page = guide.page
    page.get_by_role("link", name="Sneakers or Sandals").click()
    page.wait_for_url(re.compile(r"/quality/\d+/"))
    expect(page.get_by_label("Reason")).to_have_value("The strap is open at the heel.")
    page.get_by_label("Sandals").uncheck()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Saved. Nobody's accuracy changes by it.")).to_be_visible()
    page.get_by_role("button", name="Switch off").click()
    expect(page.get_by_text("It is served no more")).to_be_visible()
    page.get_by_role("button", name="Switch on").click()
    expect(page.get_by_text("Its misses count again")).to_be_visible()
    guide.visit(f"jobs/{job}/quality/distribution/")
    expect(page.get_by_text("No test question accepts “Sandals”, “None of these” yet")).to_be_visible()


def see_what_settings_come_to(guide: Guide, job: int) -> None:
    """The hint follows what is typed; a refusal stands at its field; the numbers are saved."""
    page = guide.page
    guide.visit(f"jobs/{job}/settings/")
    page.get_by_label("Rows per page").fill("3")
    expect(page.locator("#plan")).to_contain_text("Make 2 more.")
    page.get_by_label("Rows per page").fill("1")
    expect(page.locator("#plan")).to_contain_text("at most 15 pages, 12 rows")
    page.get_by_label("Minimum confidence").fill("0.8")
    page.get_by_role("button", name="Save settings").click()
    expect(page.locator("#id_max_judgments_per_unit_error")).to_contain_text("Say the most judgments")
    page.get_by_label("Most judgments per row").fill("4")
    page.get_by_role("button", name="Save settings").click()
    expect(page.get_by_text("Saved.")).to_be_visible()


def launch(guide: Guide, job: int) -> None:
    page = guide.page
    guide.visit(f"jobs/{job}/launch/")
    page.get_by_label("Rows to launch").fill("10")
    page.get_by_label("Judgments per row").fill("2")
    expect(page.locator("#meaning")).to_contain_text(re.compile(r"Judgments wanted\s*20\s*Pages to fill in\s*25"))
    for box in page.locator("input[name=confirm]").all():
        box.check()
    page.get_by_role("button", name="Launch", exact=True).click()
    expect(page.get_by_text("10 rows launched. Contributors can work on them now.")).to_be_visible()
    expect(page.get_by_label("Address for members of the team")).to_have_value(
        re.compile(rf"/t/e2e/contribute/{job}/$")
    )
    expect(page.get_by_text("Launch more rows")).to_be_visible()
    page.get_by_role("button", name="Make a link for contributors").click()
    expect(page.get_by_text("The link is ready. It is shown only now.")).to_be_visible()


def make_copy(guide: Guide, job: int) -> int:
    page = guide.page
    page.get_by_label("More actions").click()
    page.get_by_role("link", name="Copy job").click()
    page.get_by_label("With its rows").check()
    page.get_by_role("button", name="Copy job").click()
    page.wait_for_url(re.compile(r"/jobs/\d+/design/"))
    expect(page.get_by_text(f"4 test questions, {ROWS} rows.")).to_be_visible()
    copy = guide.number()
    assert copy != job
    return copy


def pause_and_cancel(guide: Guide, job: int) -> None:
    page = guide.page
    page.set_viewport_size({"width": 390, "height": 900})
    guide.visit(f"jobs/{job}/settings/")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("Your job is being paused.")).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("Your job is running again.")).to_be_visible()
    guide.visit(f"jobs/{job}/settings/")
    page.get_by_label("More actions").click()
    page.get_by_role("button", name="Cancel job").click()
    expect(page.get_by_text("Cancel this job for good?")).to_be_visible()
    page.get_by_role("button", name="Cancel the job").click()
    expect(page.get_by_text("Your job was canceled.")).to_be_visible()
    guide.visit(f"jobs/{job}/launch/")
    expect(page.get_by_text("A canceled job cannot be launched.")).to_be_visible()


def pages_of(guide: Guide, job: int) -> list[str]:
    guide.visit(f"jobs/{job}/quality/")
    question = guide.page.locator(".golds tbody a").first.get_attribute("href") or ""
    parts = ["quality/", "quality/make/", "quality/rows/", "quality/distribution/", "launch/", "settings/", "copy/"]
    return [f"jobs/{job}/{part}" for part in [*parts, question.partition(f"/jobs/{job}/")[2]]]


def findings(guide: Guide, paths: list[str]) -> list[str]:
    """Serious findings of axe and pages wider than the window: light and wide, dark and narrow."""
    source, found = AXE.read_text(), []
    for theme, width in (("light", 1280), ("dark", 390)):
        guide.page.emulate_media(color_scheme=theme)
        guide.page.set_viewport_size({"width": width, "height": 900})
        for path in paths:
            guide.visit(path)
            found += [f"{path} {theme}: {text}" for text in wrong_with(guide.page, source)]
    return found


def wrong_with(page: Page, source: str) -> list[str]:
    page.evaluate(source)
    result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    serious = [item for item in result["violations"] if item["impact"] in {"serious", "critical"}]
    found = [f"{item['id']} {item['nodes'][0]['html'][:120]}" for item in serious]
    if page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") > 0:
        found.append("wider than the window")
    return found
