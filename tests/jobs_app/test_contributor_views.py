"""The contributor's place."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from jobs_app.models import Job, Judgment, Page, Unit
from jobs_app.services import pause_job, release_expired_pages

from .conftest import fill


@pytest.fixture
def at(team):
    return lambda name, *args: reverse(f"contribute:{name}", args=[team.slug, *args])


@pytest.fixture
def browser(client_for, contributor):
    return client_for(contributor)


def given(value: str = "boots") -> dict[str, object]:
    page = Page.objects.filter(state="open").get()
    return {"page": page.pk} | {f"u{unit}-image_category": value for unit in page.unit_ids}


def test_a_row_is_answered_and_the_next_one_comes_without_a_reload(browser, at, running_job) -> None:
    fill(running_job, 2)
    page = browser.get(at("work", running_job.pk)).content.decode()
    assert 'data-key="1"' in page
    answer = browser.post(at("work", running_job.pk), given(), headers={"HX-Request": "true"})
    assert answer.status_code == 200
    assert answer.content.decode().lstrip().startswith('<div id="unit"')
    assert Judgment.objects.get().answers == {"image_category": ["boots"]}
    assert Page.objects.filter(state="open").count() == 1


def test_it_works_without_javascript(browser, at, running_job) -> None:
    fill(running_job, 1)
    browser.get(at("work", running_job.pk))
    assert browser.post(at("work", running_job.pk), given())["Location"] == at("work", running_job.pk)
    assert "No more rows right now" in browser.get(at("work", running_job.pk)).content.decode()


def test_a_missing_answer_is_said_at_the_question(browser, at, running_job) -> None:
    fill(running_job, 1)
    browser.get(at("work", running_job.pk))
    answer = browser.post(at("work", running_job.pk), given() | {f"u{Unit.objects.get().pk}-image_category": ""})
    assert answer.status_code == 422
    assert "Choose an answer." in answer.content.decode()
    assert Judgment.objects.count() == 0


def test_the_same_submit_twice_counts_once(browser, at, running_job) -> None:
    fill(running_job, 2)
    browser.get(at("work", running_job.pk))
    data = given()
    for _ in range(2):
        browser.post(at("work", running_job.pk), data, headers={"HX-Request": "true"})
    assert Judgment.objects.count() == 1


def test_a_late_submit_is_refused_kindly(browser, at, running_job) -> None:
    fill(running_job, 1)
    browser.get(at("work", running_job.pk))
    data = given()
    Page.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    release_expired_pages()
    page = browser.post(at("work", running_job.pk), data, headers={"HX-Request": "true"}).content.decode()
    assert "Your time for this page ran out and it was given back." in page
    assert Judgment.objects.count() == 0


@pytest.mark.parametrize("page", ["", "x", "0", "999999999999999999999"])
def test_a_page_that_is_not_there_is_not_found(browser, at, running_job, page) -> None:
    assert browser.post(at("work", running_job.pk), {"page": page}).status_code == 404


def test_giving_back_frees_the_row(browser, at, running_job) -> None:
    fill(running_job, 1)
    browser.get(at("work", running_job.pk))
    assert browser.post(at("give_back", running_job.pk))["Location"] == at("list")
    assert Unit.objects.get().slots == 1


def test_a_paused_job_says_so(browser, at, running_job) -> None:
    pause_job(job=running_job, actor=None)
    assert "This job is paused." in browser.get(at("work", running_job.pk)).content.decode()


def test_instructions_come_first_and_cannot_run_script(browser, at, running_job) -> None:
    Job.objects.update(instructions="<p onclick='x'>Look</p><script>alert(1)</script>")
    page = browser.get(at("job", running_job.pk)).content.decode()
    assert "<p>Look</p>" in page
    assert "alert(1)" not in page


def test_jobs_that_are_not_launched_are_not_found(browser, at, job) -> None:
    assert browser.get(at("job", job.pk)).status_code == 404


def test_the_list_has_cards(browser, at, running_job) -> None:
    fill(running_job, 1)
    page = browser.get(at("list")).content.decode()
    assert "<strong>1</strong> row waiting" in page
    assert ">Start<" in page


def test_no_machine_label_is_shown(browser, at, running_job) -> None:
    fill(running_job, 1)
    page = browser.get(at("work", running_job.pk)).content.decode()
    assert "machine" not in page.split('<div id="unit"')[1].lower()
