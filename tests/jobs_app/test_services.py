"""Jobs and what is done with them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs_app.models import Contributor, Job, Judgment, Page, Unit
from jobs_app.services import (
    InvalidAnswers,
    cancel_job,
    check_routing,
    create_routing_job,
    freeze_design,
    launch_job,
    pause_job,
    release_expired_pages,
    release_page,
    resume_job,
    save_design,
    save_settings,
    submit_page,
    take_page,
)
from labeling_platform.lib.errors import Refused

from .conftest import OUTCOMES, fill


def answers(page: Page, value: str) -> dict[str, list[str]]:
    return {f"u{unit_id}-image_category": [value] for unit_id in page.unit_ids}


def state_of(job: Job) -> str:
    return Job.objects.values_list("state", flat=True).get(pk=job.pk)


def test_a_row_is_judged_and_finalized(running_job, contributor) -> None:
    fill(running_job, 1)
    page = take_page(job=running_job, user=contributor)
    done = submit_page(page=page, user=contributor, submitted=answers(page, "boots"))
    unit = Unit.objects.get()
    assert (done.judgments, done.finalized) == (1, 1)
    assert (unit.state, unit.slots, unit.judgments_count, unit.agreement) == ("finalized", 0, 1, 1.0)
    assert unit.shares == {"boots": 1.0, "sneakers": 0.0, "negative_examples": 0.0}
    assert state_of(running_job) == "finished"


def test_shares_are_weighted_by_trust(running_job, contributor, second_contributor) -> None:
    Job.objects.filter(pk=running_job.pk).update(judgments_per_unit=2, minimum_accuracy=50)
    running_job.refresh_from_db()
    fill(running_job, 1)
    for person, missed, value in ((contributor, 1, "boots"), (second_contributor, 4, "sneakers")):
        page = take_page(job=running_job, user=person)
        Contributor.objects.filter(pk=page.contributor_id).update(seen=10, missed=missed)
        submit_page(page=page, user=person, submitted=answers(page, value))
    unit = Unit.objects.get()
    assert {name: round(share, 9) for name, share in unit.shares.items()} == {
        "boots": 0.6,
        "sneakers": 0.4,
        "negative_examples": 0.0,
    }


def test_a_reload_shows_the_same_page(running_job, contributor) -> None:
    fill(running_job, 3)
    assert take_page(job=running_job, user=contributor) == take_page(job=running_job, user=contributor)


def test_nobody_gets_a_row_beyond_the_wanted_number(running_job, contributor, second_contributor) -> None:
    fill(running_job, 1)
    assert take_page(job=running_job, user=contributor) is not None
    assert take_page(job=running_job, user=second_contributor) is None


def test_nobody_judges_a_row_twice(running_job, contributor) -> None:
    Job.objects.filter(pk=running_job.pk).update(judgments_per_unit=2)
    running_job.refresh_from_db()
    fill(running_job, 1)
    page = take_page(job=running_job, user=contributor)
    submit_page(page=page, user=contributor, submitted=answers(page, "boots"))
    assert take_page(job=running_job, user=contributor) is None


def test_a_submit_that_arrives_twice_counts_once(running_job, contributor) -> None:
    fill(running_job, 2)
    page = take_page(job=running_job, user=contributor)
    submit_page(page=page, user=contributor, submitted=answers(page, "boots"))
    assert submit_page(page=page, user=contributor, submitted=answers(page, "boots")).repeated
    assert Judgment.objects.count() == 1


def test_a_missing_answer_keeps_the_page(running_job, contributor) -> None:
    fill(running_job, 1)
    page = take_page(job=running_job, user=contributor)
    with pytest.raises(InvalidAnswers) as caught:
        submit_page(page=page, user=contributor, submitted={})
    assert caught.value.errors == {page.unit_ids[0]: {"image_category": "Choose an answer."}}
    assert Page.objects.get().state == "open"


def test_an_expired_page_goes_to_somebody_else(running_job, contributor, second_contributor) -> None:
    fill(running_job, 1)
    page = take_page(job=running_job, user=contributor)
    Page.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert release_expired_pages() == 1
    assert release_expired_pages() == 0
    other = take_page(job=running_job, user=second_contributor)
    assert other.unit_ids == page.unit_ids
    with pytest.raises(Refused) as caught:
        submit_page(page=page, user=contributor, submitted=answers(page, "boots"))
    assert caught.value.code == "page_expired"
    assert Judgment.objects.count() == 0


def test_a_page_given_back_frees_its_rows_once(running_job, contributor) -> None:
    fill(running_job, 1)
    page = take_page(job=running_job, user=contributor)
    assert [release_page(page=page), release_page(page=page)] == [True, False]
    assert Unit.objects.get().slots == 1


def test_somebody_elses_page_is_refused(running_job, contributor, second_contributor) -> None:
    fill(running_job, 1)
    page = take_page(job=running_job, user=contributor)
    with pytest.raises(Refused) as caught:
        submit_page(page=page, user=second_contributor, submitted=answers(page, "boots"))
    assert caught.value.code == "not_yours"


def test_adding_the_same_rows_again_changes_nothing(running_job) -> None:
    assert fill(running_job, 3) == fill(running_job, 3)
    assert Unit.objects.count() == 3


def test_new_rows_make_a_finished_job_run_again(running_job, contributor) -> None:
    fill(running_job, 1)
    page = take_page(job=running_job, user=contributor)
    submit_page(page=page, user=contributor, submitted=answers(page, "boots"))
    fill(running_job, 1, start=1)
    assert state_of(running_job) == "running"
    assert take_page(job=running_job, user=contributor) is not None


def test_rows_wait_for_a_launch_without_automatic_launching(running_job) -> None:
    Job.objects.filter(pk=running_job.pk).update(auto_launch=False)
    fill(running_job, 2)
    assert set(Unit.objects.values_list("state", "slots")) == {("new", 0)}
    running_job.refresh_from_db()
    assert launch_job(job=running_job, actor=None) == 2
    assert set(Unit.objects.values_list("state", "slots")) == {("judgable", 1)}


def test_pause_resume_cancel(running_job, contributor) -> None:
    fill(running_job, 1)
    pause_job(job=running_job, actor=None)
    with pytest.raises(Refused) as caught:
        take_page(job=running_job, user=contributor)
    assert caught.value.code == "job_paused"
    resume_job(job=running_job, actor=None)
    assert take_page(job=running_job, user=contributor) is not None
    cancel_job(job=running_job, actor=None)
    assert state_of(running_job) == "canceled"


@pytest.mark.parametrize(
    ("action", "says"),
    [
        (pause_job, "You can't pause a job that hasn't been launched."),
        (resume_job, "You can only resume jobs that are paused or complete."),
        (cancel_job, "You can't cancel a job that hasn't been launched."),
    ],
)
def test_moves_of_a_job_that_was_not_launched(job, action, says) -> None:
    with pytest.raises(Refused) as caught:
        action(job=job, actor=None)
    assert caught.value.message == says


def test_an_untrained_model_gets_no_job(model) -> None:
    model.current = None
    with pytest.raises(Refused) as caught:
        create_routing_job(model=model, actor=None)
    assert caught.value.code == "not_trained"


def test_launching_without_rows_is_refused(job) -> None:
    with pytest.raises(Refused) as caught:
        launch_job(job=job, actor=None)
    assert caught.value.code == "no_rows"


def test_a_broken_design_is_not_saved(job) -> None:
    with pytest.raises(Refused) as caught:
        save_design(job=job, actor=None, title="T", instructions="I", cml="<cml:radios label='x'>")
    assert caught.value.code == "design_invalid"
    job.refresh_from_db()
    assert job.title == "Which is it?"


def test_a_frozen_design_stays(job) -> None:
    freeze_design(job=job)
    with pytest.raises(Refused) as caught:
        save_design(job=job, actor=None, title="T", instructions="I", cml=job.cml)
    assert caught.value.code == "frozen"


def test_frozen_settings_stay(running_job) -> None:
    settings = {"units_per_page": 5, "seconds_per_page": 60, "auto_launch": True}
    save_settings(job=running_job, actor=None, judgments_per_unit=1, **settings)
    with pytest.raises(Refused) as caught:
        save_settings(job=running_job, actor=None, judgments_per_unit=2, **settings)
    assert caught.value.code == "frozen"


def test_what_a_job_lacks_for_a_workflow(job) -> None:
    assert [(p.level, p.code) for p in check_routing(job=job, outcomes=OUTCOMES)] == [
        ("warning", "no_test_questions"),
        ("warning", "template_instructions"),
    ]
    job.auto_launch = False
    assert "auto_launch_off" in [p.code for p in check_routing(job=job, outcomes=OUTCOMES)]
    assert "values_differ" in [p.code for p in check_routing(job=job, outcomes=["boots", "clogs"])]


def test_a_page_holds_a_row_once_although_the_row_wants_two_people(running_job, contributor, second_contributor):
    """At the end of the rows the search goes on from the start, and must not find what it has just taken."""
    Job.objects.filter(pk=running_job.pk).update(judgments_per_unit=2, units_per_page=2)
    running_job.refresh_from_db()
    fill(running_job, 3)
    for person in (contributor, second_contributor):
        pages = []
        while (page := take_page(job=running_job, user=person)) is not None:
            submit_page(page=page, user=person, submitted=answers(page, "boots"))
            pages.append(len(page.unit_ids) == len(set(page.unit_ids)))
        assert pages == [True, True]
    assert set(Unit.objects.values_list("state", "slots", "judgments_count")) == {("finalized", 0, 2)}
