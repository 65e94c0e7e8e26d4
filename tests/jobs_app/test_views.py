"""Requesters' pages of jobs."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from jobs_app.models import Job
from jobs_app.services import create_routing_job

from .conftest import fill


@pytest.fixture
def at(team):
    return lambda name, *args: reverse(f"jobs:{name}", args=[team.slug, *args])


@pytest.fixture
def browser(client_for, mate):
    return client_for(mate)


def test_an_empty_list_says_what_to_do(browser, at, in_team) -> None:
    assert "No jobs yet" in browser.get(at("list")).content.decode()


def test_the_list_costs_the_same_for_one_and_three(browser, at, model, job) -> None:
    browser.get(at("list"))
    with CaptureQueriesContext(connection) as one:
        browser.get(at("list"))
    for title in ("B", "C"):
        create_routing_job(model=model, actor=None, title=title)
    with CaptureQueriesContext(connection) as three:
        browser.get(at("list"))
    assert len(three) == len(one)


def test_a_job_is_made_for_a_model(browser, at, model) -> None:
    answer = browser.post(at("new"), {"model": model.pk, "title": "Which?", "judgments_per_unit": 2})
    job = Job.objects.get()
    assert answer["Location"] == at("design", job.pk)
    assert (job.title, job.judgments_per_unit, job.auto_launch) == ("Which?", 2, True)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model": ""}, "Choose the model that this job is for."),
        ({"title": " "}, "Give the job a title."),
        ({"judgments_per_unit": 21}, "less than or equal to 20"),
    ],
)
def test_a_new_job_needs_everything(browser, at, model, change, says) -> None:
    answer = browser.post(at("new"), {"model": model.pk, "title": "Which?", "judgments_per_unit": 1} | change)
    assert answer.status_code == 422
    assert says in answer.content.decode()
    assert Job.objects.count() == 0


def test_settings_are_saved(browser, at, job) -> None:
    data = {
        "judgments_per_unit": 3, "units_per_page": 4, "seconds_per_page": 90, "auto_launch": "on",
        "minimum_accuracy": 80, "min_seconds_per_page": 0,
    }  # fmt: skip
    assert browser.post(at("settings", job.pk), data).status_code == 302
    job.refresh_from_db()
    assert (job.judgments_per_unit, job.units_per_page, job.seconds_per_page) == (3, 4, 90)


def test_a_setting_out_of_range_is_refused_at_the_field(browser, at, job) -> None:
    data = {"judgments_per_unit": 0, "units_per_page": 4, "seconds_per_page": 90}
    assert browser.post(at("settings", job.pk), data).status_code == 422


@pytest.mark.parametrize(
    ("action", "says"),
    [
        ("pause", "You can&#x27;t pause a job that hasn&#x27;t been launched."),
        ("resume", "You can only resume jobs that are paused or complete."),
        ("cancel", "You can&#x27;t cancel a job that hasn&#x27;t been launched."),
        ("launch", "There is no row to launch."),
    ],
)
def test_a_move_that_is_not_legal_is_said(browser, at, job, action, says) -> None:
    page = browser.post(at("action", job.pk, action), follow=True).content.decode()
    assert says in page


def test_pause_and_resume(browser, at, running_job) -> None:
    assert "Paused" in browser.post(at("action", running_job.pk, "pause"), follow=True).content.decode()
    assert "Running again." in browser.post(at("action", running_job.pk, "resume"), follow=True).content.decode()


def test_rows_page_by_key(browser, at, running_job) -> None:
    fill(running_job, 60)
    first = browser.get(at("data", running_job.pk)).content.decode()
    assert first.count("<figure") == 50
    before = first.split("before=")[1].split('"')[0]
    assert browser.get(at("data", running_job.pk), {"before": before}).content.decode().count("<figure") == 10
    assert browser.get(at("data", running_job.pk), {"state": "finalized"}).content.decode().count("<figure") == 0


def test_a_viewer_sees_no_buttons(client_for, viewer, at, job) -> None:
    page = client_for(viewer).get(at("design", job.pk)).content.decode()
    assert ">Save<" not in page
