"""The Launch tab of a job."""

from __future__ import annotations

import pytest
from django.urls import reverse

from jobs_app.models import Job, Unit
from jobs_app.services import create_job, launch_warnings, pause_job

from .conftest import fill
from .test_golds import golds


@pytest.fixture
def browser(client_for, mate):
    return client_for(mate)


@pytest.fixture
def own_job(in_team) -> Job:
    """A job on its own with ten rows that wait, and instructions of its own."""
    job = create_job(team=in_team, actor=None, title="Pets", answers=["Cat", "Dog"])
    Job.objects.filter(pk=job.pk).update(instructions="<p>Say what it is.</p>", units_per_page=2)
    job.refresh_from_db()
    fill(job, 10)
    return job


@pytest.fixture
def url(own_job) -> str:
    return reverse("jobs:launch", args=[own_job.team.slug, own_job.pk])


def numbers(job: Job, count: int = 10, **more) -> dict:
    return {"count": count, "judgments_per_unit": 3, "units_per_page": 2, "confirm": launch_warnings(job=job)} | more


def states(job: Job) -> tuple[str, int]:
    job.refresh_from_db()
    return job.state, Unit.objects.filter(job=job, state="judgable").count()


def test_what_a_launch_means_is_said_before(browser, own_job, url) -> None:
    golds(own_job, 6, answer="cat")
    page = browser.get(url, numbers(own_job), headers={"HX-Request": "true"}).content.decode()
    # 30 judgments on pages with one row and one test question each; 6 - 2 test questions are 4 pages of one row.
    assert [page.split(f"<dt>{name}</dt><dd>")[1].split("<")[0] for name in (
        "Judgments wanted", "Pages to fill in", "Contributors needed")] == ["30", "30", "8 or more"]  # fmt: skip
    assert "<form" not in page


def test_a_job_is_launched(browser, own_job, url) -> None:
    answer = browser.post(url, numbers(own_job, 4), follow=True)
    page = answer.content.decode()
    assert states(own_job) == ("running", 4)
    assert (own_job.judgments_per_unit, own_job.units_per_page) == (3, 2)
    assert "4 rows launched. Contributors can work on them now." in page
    assert f"http://testserver/t/footwear/contribute/{own_job.pk}/" in page


def test_the_next_rows_are_launched_later_with_the_same_judgments(browser, own_job, url) -> None:
    browser.post(url, numbers(own_job, 4))
    assert "Launch more rows" in browser.get(url).content.decode()
    browser.post(url, numbers(own_job, 6, judgments_per_unit=9))
    assert states(own_job) == ("running", 10)
    assert own_job.judgments_per_unit == 3
    assert "No row waits to be launched" in browser.get(url).content.decode()


def test_a_warning_that_is_not_confirmed_keeps_it_back(browser, own_job, url) -> None:
    for confirm in ([], ["something else"]):
        answer = browser.post(url, numbers(own_job, confirm=confirm))
        assert answer.status_code == 422
        assert "Tick what you have read, then launch." in answer.content.decode()
    assert states(own_job) == ("unordered", 0)
    assert own_job.judgments_per_unit == 1


def test_template_instructions_are_a_warning_of_their_own(browser, own_job, url) -> None:
    Job.objects.filter(pk=own_job.pk).update(instructions="")
    Job.objects.filter(pk=own_job.pk).update(instructions=create_job(
        team=own_job.team, actor=None, title="x", answers=["a", "b"]).instructions)  # fmt: skip
    own_job.refresh_from_db()
    assert len(browser.get(url).context["warnings"]) == 2
    browser.post(url, numbers(own_job, confirm=launch_warnings(job=own_job)[:1]))
    assert states(own_job) == ("unordered", 0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"count": 0}, "greater than or equal to 1"),
        ({"count": 11}, "Only 10 rows wait to be launched"),
        ({"judgments_per_unit": 21}, "less than or equal to 20"),
        ({"units_per_page": "x"}, "Enter a whole number."),
    ],
)
def test_a_number_that_does_not_fit_is_refused_at_its_field(browser, own_job, url, change, says) -> None:
    answer = browser.post(url, numbers(own_job, **change))
    assert answer.status_code == 422
    assert says in answer.context["form"].errors[next(iter(change))][0]
    assert states(own_job) == ("unordered", 0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"cml": "<p>nothing asked</p>"}, "The design asks nothing"),
        ({"cml": '<cml:text name="a" label="A {{shape}}" validates="required"/>'}, "The rows have no column “shape”."),
        ({"instructions": " "}, "Give the job a title and instructions first."),
        ({"state": "canceled"}, "The job was canceled"),
    ],
)
def test_what_stands_in_the_way_is_said_and_holds(browser, own_job, url, change, says) -> None:
    Job.objects.filter(pk=own_job.pk).update(**change)
    assert says in browser.get(url).content.decode()
    own_job.refresh_from_db()
    assert browser.post(url, numbers(own_job)).status_code == 422
    assert Unit.objects.filter(job=own_job, state="new").count() == 10


def test_a_quiz_that_takes_every_test_question_is_warned_of(browser, own_job, url) -> None:
    golds(own_job, 5, answer="cat")
    Job.objects.filter(pk=own_job.pk).update(quiz_length=5)
    page = browser.get(url).context
    assert page["people"] == 0
    (warning,) = page["warnings"]
    assert warning == (
        "The quiz takes 5 of the 5 test questions, so none is left for the work and nobody can go on after it. "
        "Make more test questions or the quiz shorter."
    )


def test_a_paused_job_stays_paused(browser, own_job, url) -> None:
    browser.post(url, numbers(own_job, 4))
    own_job.refresh_from_db()
    pause_job(job=own_job, actor=None)
    page = browser.post(url, numbers(own_job, 6), follow=True).content.decode()
    assert "6 rows launched. The job is paused: resume it so that contributors get them." in page
    assert states(own_job) == ("paused", 10)


def test_a_viewer_sees_the_page_without_the_form(client_for, viewer, url) -> None:
    page = client_for(viewer).get(url).content.decode()
    assert "Waiting to be launched" in page
    assert "Rows to launch" not in page
