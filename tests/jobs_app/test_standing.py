"""How people stand: quiz, trust, removal and what becomes of their judgments (reference/domain.md 3.2-3.5, 4.5)."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.utils import timezone

from jobs_app.models import Contributor, Job, Judgment, Page, TestQuestion, Unit
from jobs_app.services import (
    edit_test_question,
    finish_done_jobs,
    flag_contributor,
    plan_of,
    readmit_contributor,
    reject_contributor,
    release_page,
    save_settings,
    settle_contributor,
    submit_page,
    switch_test_question,
    take_page,
)
from jobs_app.states import ContributorState, PageKind
from labeling_platform.accounts.models import Activity
from labeling_platform.lib.errors import Refused
from workflows_app.models import Workflow, WorkflowRow, WorkflowUpload
from workflows_app.querysets import counts, with_status

from .conftest import OUTCOMES, fill
from .crowd import (
    RIGHT,
    WRONG,
    add_test_questions,
    answers_of,
    assert_exact,
    do_page,
    make_person,
    place_of,
    set_up,
)


@pytest.fixture
def ann(in_team):
    return make_person(in_team, "ann")


@pytest.fixture
def bo(in_team):
    return make_person(in_team, "bo")


@pytest.fixture
def cy(in_team):
    return make_person(in_team, "cy")


def state_of(job: Job) -> str:
    return Job.objects.values_list("state", flat=True).get(pk=job.pk)


def refusal_of(action, **arguments) -> str:
    with pytest.raises(Refused) as caught:
        action(**arguments)
    return caught.value.code


def with_golds(job: Job, *, rows: int = 10, golds: int = 8, **settings: object) -> Job:
    """An open job of two rows a page with test questions: a quiz of two, then one on every page."""
    job = set_up(job, **({"units_per_page": 2} | settings))
    add_test_questions(job, golds)
    fill(job, rows)
    return job


def results_of(job: Job) -> list[dict]:
    return list(Unit.objects.filter(job=job, state="finalized").order_by("pk").values_list("shares", flat=True))


# --- the quiz ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("golds", "kind"), [(7, PageKind.WORK), (8, PageKind.QUIZ)])
def test_the_quiz_begins_with_three_test_questions_more_than_rows_on_a_page(job, ann, golds, kind) -> None:
    job = set_up(job, units_per_page=5)
    add_test_questions(job, golds)
    fill(job, 10)
    page = take_page(job=job, user=ann)
    assert (page.kind, page.golds) == (kind, 5 if kind == PageKind.QUIZ else 0)
    assert plan_of(job).active is (kind == PageKind.QUIZ)


def test_without_enough_test_questions_everybody_is_trusted(job, ann) -> None:
    job = with_golds(job, golds=4)
    do_page(job, ann)
    assert (place_of(job, ann).trust, place_of(job, ann).seen) == (1.0, 0)


def test_failing_the_quiz_bars_for_ever(job, ann) -> None:
    job = with_golds(job)
    done = do_page(job, ann, miss=1)
    assert (done.passed_quiz, done.removed, done.missed) == (False, True, 1)
    assert place_of(job, ann).state == ContributorState.REMOVED
    assert refusal_of(take_page, job=job, user=ann) == "contributor_removed"
    assert refusal_of(readmit_contributor, contributor=place_of(job, ann), actor=None) == "wrong_state"
    assert_exact(job)


def test_passing_the_quiz_opens_the_work(job, ann) -> None:
    job = with_golds(job)
    assert do_page(job, ann).passed_quiz is True
    page = take_page(job=job, user=ann)
    assert (page.kind, page.golds, len(page.unit_ids)) == (PageKind.WORK, 1, 2)
    assert_exact(job)


@pytest.mark.parametrize(("missed", "stays"), [(3, True), (4, False)])
def test_at_the_minimum_accuracy_one_stays(job, ann, missed, stays) -> None:
    job = with_golds(job, golds=13, units_per_page=10, minimum_accuracy=70)
    done = do_page(job, ann, miss=missed)
    assert (done.passed_quiz, place_of(job, ann).trust) == (stays, (10 - missed) / 10)


def test_the_quiz_stays_the_same_when_it_is_looked_at_twice(job, ann) -> None:
    job = with_golds(job)
    first = take_page(job=job, user=ann)
    release_page(page=first)
    assert take_page(job=job, user=ann).unit_ids == first.unit_ids


# --- falling below at work ---------------------------------------------------------------------------------


def fall(job: Job, ann, *, pages: int = 2) -> None:
    """Ann passes the quiz, does pages well, then misses until she is removed."""
    do_page(job, ann)
    for _ in range(pages):
        do_page(job, ann, WRONG)
    while not do_page(job, ann, WRONG, miss=1).removed:
        pass


def test_falling_below_takes_the_judgments_out_and_others_replace_them(job, ann, bo) -> None:
    job = with_golds(job, rows=4)
    do_page(job, ann)
    do_page(job, ann, WRONG)
    assert_exact(job)
    # 3 of 3 right so far; with one miss 3 of 4, with two 3 of 5: below 70%.
    assert do_page(job, ann, WRONG, miss=1).removed is False
    assert_exact(job)
    assert do_page(job, ann, WRONG, miss=1).removed is True
    assert_exact(job)
    assert set(Judgment.objects.filter(contributor__user=ann).values_list("tainted", flat=True)) == {True}
    assert set(Unit.objects.filter(job=job, test_question=None).values_list("state", "slots")) == {("judgable", 1)}
    assert results_of(job) == []

    do_page(job, bo)
    for _ in range(4):
        do_page(job, bo)
    assert_exact(job)
    assert results_of(job) == [{"boots": 1.0, "sneakers": 0.0, "negative_examples": 0.0}] * 4
    assert state_of(job) == "finished"
    assert Activity.objects.filter(verb="contributor removed", object_id=job.pk).count() == 1


def test_a_finished_job_runs_again_when_judgments_turn_out_untrusted(job, ann, bo) -> None:
    job = with_golds(job, rows=3)
    do_page(job, ann)
    for _ in range(3):
        do_page(job, ann, WRONG)
    assert state_of(job) == "finished"
    assert len(results_of(job)) == 3
    for question in TestQuestion.objects.filter(unit__judgments__contributor__user=ann)[:2]:
        edit_test_question(question=question, answers={"image_category": [WRONG]}, reasons={}, actor=None)
    assert place_of(job, ann).stale
    settle_contributor(contributor=place_of(job, ann))
    assert (place_of(job, ann).state, place_of(job, ann).trust) == (ContributorState.REMOVED, 0.6)
    assert state_of(job) == "running"
    assert results_of(job) == []
    assert_exact(job)
    # Others' answers are used, and nobody but them.
    assert refusal_of(take_page, job=job, user=ann) == "contributor_removed"
    do_page(job, bo)
    for _ in range(3):
        do_page(job, bo)
    assert state_of(job) == "finished"
    assert {shares["boots"] for shares in results_of(job)} == {1.0}


def test_the_row_on_the_page_that_ends_the_work_is_asked_again_too(job, ann) -> None:
    job = with_golds(job, rows=2, minimum_accuracy=100)
    do_page(job, ann)
    assert do_page(job, ann, miss=1).removed
    assert list(Judgment.objects.filter(missed=None).values_list("tainted", flat=True)) == [True]
    assert set(Unit.objects.filter(job=job, test_question=None).values_list("slots", "judgments_count")) == {(1, 0)}
    assert_exact(job)


def test_finalized_rows_stay_final_when_the_job_says_so(job, ann) -> None:
    job = with_golds(job, rows=4, units_remain_finalized=True)
    do_page(job, ann)
    do_page(job, ann, WRONG)
    assert do_page(job, ann, WRONG, miss=1).removed is False
    assert do_page(job, ann, WRONG, miss=1).removed is True
    # Two rows were final before; the one on the last page is not, because its judgment never counted.
    assert Unit.objects.filter(job=job, state="finalized").count() == 2
    assert {shares["sneakers"] for shares in results_of(job)} == {1.0}
    assert Unit.objects.filter(job=job, state="judgable", slots=1).count() == 2
    assert_exact(job)


def test_a_row_with_several_judgments_keeps_those_of_the_others(job, ann, bo, cy) -> None:
    job = with_golds(job, rows=1, judgments_per_unit=2, minimum_accuracy=70)
    do_page(job, ann)
    do_page(job, ann, WRONG)
    do_page(job, bo)
    do_page(job, bo)
    assert results_of(job) == [{"boots": 0.5, "sneakers": 0.5, "negative_examples": 0.0}]
    reject_contributor(contributor=place_of(job, ann), actor=None)
    unit = Unit.objects.get(job=job, test_question=None)
    assert (unit.state, unit.slots, unit.judgments_count, unit.result, unit.shares) == ("judgable", 1, 1, {}, None)
    do_page(job, cy)
    do_page(job, cy)
    assert results_of(job) == [{"boots": 1.0, "sneakers": 0.0, "negative_examples": 0.0}]
    assert_exact(job)


# --- forgiveness --------------------------------------------------------------------------------------------


def test_a_mended_test_question_forgives_and_brings_a_removed_contributor_back(job, ann, bo) -> None:
    job = with_golds(job, rows=3, judgments_per_unit=2, minimum_accuracy=75)
    do_page(job, bo)
    for _ in range(3):
        do_page(job, bo)
    do_page(job, ann)
    do_page(job, ann, WRONG)
    assert do_page(job, ann, WRONG, miss=1).removed is False
    assert do_page(job, ann, WRONG, miss=1).removed is True
    assert_exact(job)
    assert Unit.objects.filter(job=job, state="judgable", judgments_count=1).count() == 3

    missed = Judgment.objects.filter(contributor__user=ann, missed=True).order_by("pk")
    question = missed[0].unit.test_question
    accepted = {"image_category": [RIGHT, WRONG]}
    assert edit_test_question(question=question, answers=accepted, reasons={}, actor=None) == 1
    assert Judgment.objects.filter(forgiven=True, missed=False).count() == 1
    settle_contributor(contributor=place_of(job, ann))
    back = place_of(job, ann)
    assert (back.state, back.seen, back.missed, back.trust, back.stale) == ("working", 5, 1, 0.8, False)
    assert Judgment.objects.filter(tainted=True).count() == 0
    assert state_of(job) == "finished"
    assert_exact(job)
    # trust 1.0 says boots, trust 0.8 says sneakers
    assert [round(shares["sneakers"], 6) for shares in results_of(job)] == [round(0.8 / 1.8, 6)] * 3


def test_settling_reckons_results_by_the_new_trust_and_twice_changes_nothing(job, ann, bo) -> None:
    job = with_golds(job, rows=1, judgments_per_unit=2, minimum_accuracy=50)
    do_page(job, ann)
    do_page(job, ann, WRONG, miss=1)
    do_page(job, bo)
    do_page(job, bo)
    assert [round(shares["sneakers"], 6) for shares in results_of(job)] == [round((2 / 3) / (5 / 3), 6)]
    question = Judgment.objects.get(missed=True).unit.test_question
    edit_test_question(question=question, answers={"image_category": [WRONG]}, reasons={}, actor=None)
    for _ in range(2):
        for person in (ann, bo):
            settle_contributor(contributor=place_of(job, person))
        shares = results_of(job)[0]
        # Bo may have answered the same question by the old answer; then Bo misses it now.
        trusts = [place_of(job, person).trust for person in (ann, bo)]
        assert trusts[0] == 1.0
        assert round(shares["sneakers"], 6) == round(1 / (1 + trusts[1]), 6)
    assert Contributor.objects.filter(stale=True).count() == 0


def test_a_test_question_that_is_edited_during_the_settling_is_not_overlooked(job, ann) -> None:
    job = with_golds(job, minimum_accuracy=50)
    do_page(job, ann)
    do_page(job, ann, miss=1)
    question = Judgment.objects.get(missed=True).unit.test_question
    save_settings(job=job, actor=None, minimum_accuracy=60)
    edited = []

    def edit_once(execute, sql, params, many, context):
        if not edited and "judgments_count" in sql and "ORDER BY" in sql:
            edited.append(True)
            edit_test_question(question=question, answers={"image_category": [WRONG]}, reasons={}, actor=None)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(edit_once):
        settle_contributor(contributor=place_of(job, ann))
    assert edited == [True]
    assert (place_of(job, ann).trust, place_of(job, ann).stale) == (1.0, True)
    settle_contributor(contributor=place_of(job, ann))
    assert place_of(job, ann).stale is False


def test_a_switched_off_test_question_forgives_its_misses(job, ann) -> None:
    job = with_golds(job, rows=4, minimum_accuracy=100)
    do_page(job, ann)
    do_page(job, ann)
    assert do_page(job, ann, miss=1).removed
    question = Judgment.objects.get(missed=True).unit.test_question
    assert switch_test_question(question=question, on=False, actor=None)
    settle_contributor(contributor=place_of(job, ann))
    back = place_of(job, ann)
    assert (back.state, back.seen, back.missed, back.trust) == ("working", 4, 0, 1.0)
    assert Unit.objects.filter(job=job, state="finalized").count() == 2
    assert_exact(job)
    assert switch_test_question(question=question, on=True, actor=None)
    settle_contributor(contributor=place_of(job, ann))
    assert (place_of(job, ann).state, place_of(job, ann).missed) == ("removed", 1)
    assert Unit.objects.filter(job=job, state="finalized").count() == 0
    assert_exact(job)


def test_who_failed_the_quiz_by_a_wrong_test_question_may_work(job, ann) -> None:
    job = with_golds(job)
    assert do_page(job, ann, miss=1).removed
    question = Judgment.objects.get(missed=True).unit.test_question
    edit_test_question(question=question, answers={"image_category": [WRONG]}, reasons={}, actor=None)
    settle_contributor(contributor=place_of(job, ann))
    assert take_page(job=job, user=ann).kind == PageKind.WORK


def test_a_lower_minimum_accuracy_lets_people_in_again(job, ann) -> None:
    job = with_golds(job, minimum_accuracy=100)
    assert do_page(job, ann, miss=1).removed
    save_settings(job=job, actor=None, minimum_accuracy=50)
    settle_contributor(contributor=place_of(job, ann))
    assert place_of(job, ann).state == ContributorState.WORKING


def test_judgments_that_come_back_are_not_asked_for_twice(job, ann, bo, cy) -> None:
    """Bo and Cy hold the row when Ann's judgment comes back: who gives it back opens no place for a fourth."""
    job = with_golds(job, rows=1, judgments_per_unit=2, minimum_accuracy=100)
    for person in (bo, cy, ann):
        do_page(job, person)
    assert do_page(job, ann, miss=1).removed
    pages = [take_page(job=job, user=person) for person in (bo, cy)]
    row = Unit.objects.get(job=job, test_question=None)
    assert all(row.pk in page.unit_ids for page in pages)
    question = Judgment.objects.get(missed=True).unit.test_question
    switch_test_question(question=question, on=False, actor=None)
    settle_contributor(contributor=place_of(job, ann))
    assert_exact(job, surplus=[row.pk])
    release_page(page=pages[0])
    assert_exact(job)
    submit_page(page=pages[1], user=cy, submitted=answers_of(pages[1], RIGHT))
    assert_exact(job)
    assert Unit.objects.get(pk=row.pk).state == "finalized"


# --- limits -------------------------------------------------------------------------------------------------


def test_maxed_out_when_the_test_questions_are_used_up(job, ann) -> None:
    job = with_golds(job, golds=5, rows=20)
    assert plan_of(job).max_pages == 3
    do_page(job, ann)
    for _ in range(3):
        do_page(job, ann)
    assert refusal_of(take_page, job=job, user=ann) == "maxed_out"
    assert place_of(job, ann).judged == plan_of(job).max_rows == 3
    assert_exact(job)


def test_the_most_judgments_of_a_contributor(job, ann) -> None:
    job = set_up(job, units_per_page=2, max_judgments_per_contributor=3)
    fill(job, 6)
    do_page(job, ann)
    assert len(take_page(job=job, user=ann).unit_ids) == 1
    do_page(job, ann)
    assert refusal_of(take_page, job=job, user=ann) == "enough"
    assert_exact(job)


def test_pages_that_come_too_fast(job, ann, bo) -> None:
    job = set_up(job, min_seconds_per_page=10)
    fill(job, 3)
    page = take_page(job=job, user=ann)
    Page.objects.update(created_at=timezone.now() - timedelta(seconds=11))
    assert submit_page(page=page, user=ann, submitted=answers_of(page, RIGHT)).judgments == 1

    page = take_page(job=job, user=ann)
    warned = submit_page(page=page, user=ann, submitted=answers_of(page, WRONG))
    assert (warned.judgments, warned.removed) == (0, False)
    assert warned.too_fast.startswith("That was quicker")
    assert warned.answers == {page.unit_ids[0]: {"image_category": [WRONG]}}
    assert take_page(job=job, user=ann) == page
    assert_exact(job)

    stopped = submit_page(page=page, user=ann, submitted=answers_of(page, WRONG))
    assert (stopped.judgments, stopped.removed, place_of(job, ann).state) == (0, True, ContributorState.FLAGGED)
    assert refusal_of(take_page, job=job, user=ann) == "contributor_flagged"
    # What was done before stays, what she held is free.
    assert Judgment.objects.filter(tainted=False).count() == 1
    assert_exact(job)
    assert take_page(job=job, user=bo) is not None


# --- dynamic judgments --------------------------------------------------------------------------------------


def test_one_more_judgment_until_people_are_sure_enough(job, in_team) -> None:
    job = set_up(job, judgments_per_unit=2, min_confidence=Decimal("0.75"), max_judgments_per_unit=5)
    fill(job, 1)
    wanted = []
    for number, value in enumerate([RIGHT, WRONG, RIGHT, RIGHT]):
        do_page(job, make_person(in_team, f"p{number}"), value)
        assert_exact(job)
        wanted.append(Unit.objects.get(job=job).wanted)
    unit = Unit.objects.get(job=job)
    # 1 of 2 and 2 of 3 are less than 0.75; 3 of 4 is just enough.
    assert wanted == [2, 3, 4, 4]
    assert (unit.state, unit.judgments_count, unit.agreement) == ("finalized", 4, 0.75)
    assert state_of(job) == "finished"


def test_the_most_judgments_of_a_row_end_it(job, in_team) -> None:
    job = set_up(job, judgments_per_unit=2, min_confidence=Decimal("0.9"), max_judgments_per_unit=4)
    fill(job, 1)
    for number, value in enumerate([RIGHT, WRONG, RIGHT, WRONG]):
        do_page(job, make_person(in_team, f"p{number}"), value)
        assert_exact(job)
    unit = Unit.objects.get(job=job)
    assert (unit.state, unit.judgments_count, unit.wanted, unit.agreement) == ("finalized", 4, 4, 0.5)


def test_without_a_minimum_confidence_no_more_is_asked(job, ann, bo) -> None:
    job = set_up(job, judgments_per_unit=2, max_judgments_per_unit=4)
    fill(job, 1)
    do_page(job, ann, RIGHT)
    do_page(job, bo, WRONG)
    assert Unit.objects.get(job=job).state == "finalized"
    assert_exact(job)


def test_a_job_that_nobody_saw_end_is_finished_by_the_sweep(job, ann) -> None:
    """As after two submits that finalized the last two rows at the same moment."""
    job = set_up(job)
    assert finish_done_jobs() == 0
    assert state_of(job) == "running"
    fill(job, 2)
    do_page(job, ann)
    assert finish_done_jobs() == 0
    do_page(job, ann)
    Job.objects.filter(pk=job.pk).update(state="running")
    assert finish_done_jobs() == 1
    assert state_of(job) == "finished"


# --- what owners do -----------------------------------------------------------------------------------------


def test_stopping_keeps_the_judgments_and_frees_what_is_held(job, ann, mate) -> None:
    job = with_golds(job, rows=3)
    do_page(job, ann)
    do_page(job, ann)
    page = take_page(job=job, user=ann)
    flag_contributor(contributor=place_of(job, ann), actor=mate)
    assert Judgment.objects.filter(tainted=True).count() == 0
    assert Page.objects.get(pk=page.pk).state == "released"
    assert refusal_of(take_page, job=job, user=ann) == "contributor_flagged"
    assert refusal_of(flag_contributor, contributor=place_of(job, ann), actor=mate) == "wrong_state"
    assert_exact(job)
    readmit_contributor(contributor=place_of(job, ann), actor=mate)
    assert take_page(job=job, user=ann).kind == PageKind.WORK
    verbs = Activity.objects.filter(object_id=job.pk, actor=mate).order_by("pk").values_list("verb", flat=True)
    assert list(verbs) == ["contributor stopped", "contributor readmitted"]


def test_rejecting_replaces_the_judgments_and_letting_in_again_brings_them_back(job, ann, mate) -> None:
    job = with_golds(job, rows=3)
    do_page(job, ann)
    do_page(job, ann)
    do_page(job, ann)
    held = take_page(job=job, user=ann)
    assert reject_contributor(contributor=place_of(job, ann), actor=mate) == 2
    assert refusal_of(reject_contributor, contributor=place_of(job, ann), actor=mate) == "wrong_state"
    assert Page.objects.get(pk=held.pk).state == "released"
    assert Unit.objects.filter(job=job, state="finalized").count() == 0
    assert_exact(job)
    readmit_contributor(contributor=place_of(job, ann), actor=mate)
    assert Unit.objects.filter(job=job, state="finalized").count() == 2
    assert_exact(job)
    assert take_page(job=job, user=ann).kind == PageKind.WORK


def test_who_was_stopped_in_the_quiz_comes_back_to_the_quiz(job, ann) -> None:
    job = with_golds(job)
    take_page(job=job, user=ann)
    for stop in (flag_contributor, reject_contributor):
        stop(contributor=place_of(job, ann), actor=None)
        readmit_contributor(contributor=place_of(job, ann), actor=None)
        assert take_page(job=job, user=ann).kind == PageKind.QUIZ


def test_too_low_an_accuracy_is_no_matter_of_letting_in(job, ann) -> None:
    job = with_golds(job, minimum_accuracy=100)
    assert do_page(job, ann, miss=1).removed
    reject_contributor(contributor=place_of(job, ann), actor=None)
    assert refusal_of(readmit_contributor, contributor=place_of(job, ann), actor=None) == "accuracy"


# --- the workflow that sent the row ------------------------------------------------------------------------


def test_a_row_that_re_opens_is_not_completed_any_more(job, ann, model, in_team) -> None:
    job = set_up(job)
    unit_id = fill(job, 1)["k0"]
    workflow = Workflow.objects.create(
        team=in_team, name="W", kind="model_then_job", model=model, job=job, state="running", version=model.current,
        outcomes=OUTCOMES,
    )  # fmt: skip
    upload = WorkflowUpload.objects.create(team=in_team, workflow=workflow, file="none", original_name="rows.csv")
    WorkflowRow.objects.create(
        team=in_team, workflow=workflow, upload=upload, line=2, image_url="http://pictures.example/0.jpg", cells=["x"],
        state="routed", unit_id=unit_id, scores=[0.5, 0.3, 0.2], predicted="boots", confidence=0.5,
    )  # fmt: skip
    rows = WorkflowRow.objects.filter(workflow=workflow)

    def status() -> tuple[str, int]:
        return with_status(rows).get().status, counts(workflow).completed

    assert status() == ("awaiting_human", 0)
    do_page(job, ann)
    assert status() == ("human_labeled", 1)
    reject_contributor(contributor=place_of(job, ann), actor=None)
    assert status() == ("awaiting_human", 0)
    readmit_contributor(contributor=place_of(job, ann), actor=None)
    assert status() == ("human_labeled", 1)
