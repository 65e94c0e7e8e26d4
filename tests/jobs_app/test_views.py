"""Requesters' pages of jobs."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from jobs_app.models import Contributor, Job
from jobs_app.services import create_routing_job, design_of
from labeling_platform.accounts.models import Feature
from labeling_platform.accounts.services import switch_feature

from .conftest import fill
from .test_golds import golds


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


OWN = {"way": "own", "title": "Pets", "question": "Which pet is it?", "answers": "Cat\nDog\nNo pet"}


def test_a_job_of_its_own_needs_no_model(browser, at, in_team) -> None:
    assert "Which category best describes this image?" in browser.get(at("new")).content.decode()
    answer = browser.post(at("new"), OWN)
    job = Job.objects.get()
    assert answer["Location"] == at("design", job.pk)
    assert (job.title, job.model, job.state, job.auto_launch) == ("Pets", None, "unordered", False)
    assert design_of(job).questions[0].values == ["cat", "dog", "no_pet"]


def test_without_the_feature_there_are_jobs_on_their_own_only(browser, at, model) -> None:
    switch_feature(team=model.team, feature=Feature.ML_ASSISTED_LABELING, on=False, actor=None)
    page = browser.get(at("new"), {"way": "model"}).content.decode()
    assert "For a model" not in page
    browser.post(at("new"), OWN)
    assert [job.title for job in Job.objects.all()] == ["Pets"]


def test_without_a_trained_model_the_page_says_what_to_do(browser, at, in_team) -> None:
    assert "Train a model first" in browser.get(at("new"), {"way": "model"}).content.decode()


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"title": " "}, "title", "Give the job a title."),
        ({"question": ""}, "question", "Write the question that people answer."),
        ({"answers": ""}, "answers", "Write at least two answers, one per line."),
        ({"answers": "Cat\n\n"}, "answers", "Write at least two answers, one per line."),
        ({"answers": "Cat\ncat!"}, "answers", "Two of the answers are too much alike."),
    ],
)
def test_a_job_of_its_own_needs_a_question_and_answers(browser, at, in_team, change, field, says) -> None:
    answer = browser.post(at("new"), OWN | change)
    assert answer.status_code == 422
    assert answer.context["form"].errors[field][0].startswith(says)
    assert Job.objects.count() == 0


def test_a_job_is_copied_with_what_is_wanted(browser, at, running_job) -> None:
    fill(running_job, 3)
    golds(running_job, 2)
    page = browser.get(at("copy", running_job.pk)).content.decode()
    assert "Copy of Which is it?" in page
    answer = browser.post(
        at("copy", running_job.pk), {"title": "Again", "test_questions": "on", "rows": "on"}, follow=True
    )
    copy = Job.objects.get(copied_from=running_job)
    assert answer.redirect_chain == [(at("design", copy.pk), 302)]
    assert "copied with its design and settings, 2 test questions, 3 rows." in answer.content.decode()
    assert (copy.title, copy.state, copy.test_questions.count(), copy.units.filter(state="new").count()) == (
        "Again", "unordered", 2, 3,
    )  # fmt: skip


def test_a_copy_needs_a_title(browser, at, job) -> None:
    answer = browser.post(at("copy", job.pk), {"title": ""})
    assert answer.status_code == 422
    assert answer.context["form"].errors["title"] == ["Give the copy a title."]
    assert Job.objects.count() == 1


def test_the_list_shows_one_state(browser, at, model, running_job) -> None:
    create_routing_job(model=model, actor=None, title="Draft")
    fill(running_job, 1)
    assert [job.title for job in browser.get(at("list"), {"state": "running"}).context["page"]] == ["Which is it?"]
    assert "No job in this state" in browser.get(at("list"), {"state": "canceled"}).content.decode()
    assert len(browser.get(at("list"), {"state": "nonsense"}).context["page"]) == 2


def test_settings_are_saved(browser, at, job) -> None:
    data = {
        "judgments_per_unit": 3, "units_per_page": 4, "seconds_per_page": 90, "auto_launch": "on",
        "minimum_accuracy": 80, "min_seconds_per_page": 0, "auto_launch_threshold": 1,
    }  # fmt: skip
    assert browser.post(at("settings", job.pk), data).status_code == 302
    job.refresh_from_db()
    assert (job.judgments_per_unit, job.units_per_page, job.seconds_per_page) == (3, 4, 90)


SETTINGS = {
    "judgments_per_unit": 3, "units_per_page": 4, "seconds_per_page": 90, "minimum_accuracy": 80,
    "min_seconds_per_page": 0, "auto_launch_threshold": 1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"max_judgments_per_unit": 2}, "max_judgments_per_unit", "must not be less than judgments per row"),
        ({"min_confidence": "0.8"}, "max_judgments_per_unit", "Say the most judgments that a row may get"),
        ({"golds_per_page": 4}, "pages_per_gold", "every page would be test questions only"),
        ({"minimum_accuracy": 101}, "minimum_accuracy", "less than or equal to 100"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused_at_its_field(browser, at, job, change, field, says) -> None:
    answer = browser.post(at("settings", job.pk), SETTINGS | change)
    form = answer.context["form"]
    assert answer.status_code == 422
    assert list(form.errors) == [field]
    assert says in form.errors[field][0]


def test_settings_that_the_launch_locked_say_so_and_stay(browser, at, job) -> None:
    Job.objects.filter(pk=job.pk).update(state="running")
    page = browser.get(at("settings", job.pk)).content.decode()
    assert page.count("Locked: the job was launched.") == 5
    assert browser.post(at("settings", job.pk), SETTINGS).status_code == 302
    job.refresh_from_db()
    assert (job.judgments_per_unit, job.units_per_page) == (1, 4)


def test_the_settings_say_what_the_numbers_come_to(browser, at, job) -> None:
    page = browser.get(at("settings", job.pk), SETTINGS, headers={"HX-Request": "true"}).content.decode()
    assert "with 4 rows on a page they are used from 7 on" in page
    assert "<form" not in page


def test_a_new_minimum_accuracy_asks_for_a_second_look_at_everybody(
    browser, at, job, contributor, django_capture_on_commit_callbacks
) -> None:
    place = Contributor.objects.create(team=job.team, job=job, user=contributor, seen=4, missed=1, trust=0.75)
    with django_capture_on_commit_callbacks() as sent:
        browser.post(at("settings", job.pk), SETTINGS)
    assert len(sent) == 1
    place.refresh_from_db()
    assert place.stale


def test_a_setting_out_of_range_is_refused_at_the_field(browser, at, job) -> None:
    data = {"judgments_per_unit": 0, "units_per_page": 4, "seconds_per_page": 90}
    assert browser.post(at("settings", job.pk), data).status_code == 422


@pytest.mark.parametrize(
    ("action", "says"),
    [
        ("pause", "You can&#x27;t pause a job that hasn&#x27;t been launched."),
        ("resume", "You can only resume jobs that are paused or complete."),
        ("cancel", "You can&#x27;t cancel a job that hasn&#x27;t been launched."),
    ],
)
def test_a_move_that_is_not_legal_is_said(browser, at, job, action, says) -> None:
    page = browser.post(at("action", job.pk, action), follow=True).content.decode()
    assert says in page


def test_pause_resume_and_cancel(browser, at, running_job) -> None:
    for action, says in [
        ("pause", "Your job is being paused."),
        ("resume", "Your job is running again."),
        ("cancel", "Your job was canceled."),
        ("resume", "You can only resume jobs that are paused or complete."),
    ]:
        assert says in browser.post(at("action", running_job.pk, action), follow=True).content.decode()


@pytest.mark.parametrize(
    ("state", "buttons"),
    [
        ("unordered", ["Launch…", "Copy job"]),
        ("running", ["Label rows", "Pause", "Copy job", "Cancel job"]),
        ("paused", ["Resume", "Copy job", "Cancel job"]),
        ("finished", ["Resume", "Copy job", "Cancel job"]),
        ("canceled", ["Copy job"]),
    ],
)
def test_each_state_has_its_buttons(browser, at, job, state, buttons) -> None:
    Job.objects.filter(pk=job.pk).update(state=state)
    page = browser.get(at("settings", job.pk)).content.decode()
    words = ["Label rows", "Launch…", "Pause", "Resume", "Copy job", "Cancel job"]
    head = page.split("page-head-actions")[1].split("page-body")[0]
    assert [word for word in words if f">{word}<" in head] == buttons


def test_rows_page_by_key(browser, at, running_job) -> None:
    fill(running_job, 60)
    first = browser.get(at("data", running_job.pk)).content.decode()
    assert first.count("<figure") == 50
    after = first.split("after=")[1].split('"')[0]
    assert browser.get(at("data", running_job.pk), {"after": after}).content.decode().count("<figure") == 10
    assert browser.get(at("data", running_job.pk), {"state": "finalized"}).content.decode().count("<figure") == 0


def test_a_viewer_sees_no_buttons(client_for, viewer, at, job) -> None:
    page = client_for(viewer).get(at("design", job.pk)).content.decode()
    assert ">Save<" not in page
