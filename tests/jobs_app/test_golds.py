"""Test questions: how they are made, edited, switched and contested."""

from __future__ import annotations

import pytest

from jobs_app.models import Contributor, Job, Judgment, TestQuestion, Unit
from jobs_app.services import (
    NewGold,
    acknowledge_misses,
    add_golds,
    check_gold_answers,
    contest,
    copy_job,
    design_of,
    edit_test_question,
    make_gold_from_row,
    make_golds_from_finalized,
    make_golds_from_model,
    misses_to_show,
    submit_page,
    switch_test_question,
    take_page,
)
from jobs_app.states import GoldSource
from labeling_platform.lib.errors import Refused
from models_app.models import HoldoutPrediction, TrainingImage, TrainingUpload

from .conftest import OUTCOMES, fill


def golds(job: Job, count: int, answer: str = "boots", start: int = 0) -> list[TestQuestion]:
    items = [
        NewGold(f"t{n}", f"http://pictures.example/g{n}.jpg", {"image_category": [answer]}, {"image_category": "Look."})
        for n in range(start, start + count)
    ]
    add_golds(job=job, items=items, source=GoldSource.UPLOAD, actor=None)
    return list(TestQuestion.objects.filter(job=job).select_related("unit"))


def answer_page(job: Job, user, value: str):
    page = take_page(job=job, user=user)
    return submit_page(page=page, user=user, submitted={f"u{pk}-image_category": [value] for pk in page.unit_ids})


def test_a_row_is_copied_as_a_test_question(running_job) -> None:
    fill(running_job, 1)
    row = Unit.objects.get()
    made = make_gold_from_row(unit=row, answers={"image_category": ["boots", "sneakers"]}, reasons={}, actor=None)
    row.refresh_from_db()
    assert (row.state, made.unit.state, made.unit.data, made.unit.image_url) == (
        "judgable", "golden", row.data, row.image_url,
    )  # fmt: skip
    assert made.answers == {"image_category": ["boots", "sneakers"]}
    with pytest.raises(Refused) as caught:
        make_gold_from_row(unit=row, answers={"image_category": ["boots"]}, reasons={}, actor=None)
    assert caught.value.code == "exists"


@pytest.mark.parametrize(
    ("answers", "errors"),
    [
        ({}, {"": "Say the right answer of at least one question."}),
        (
            {"image_category": ["hats"]},
            {"image_category": "“hats” is not one of the answers: boots, sneakers, negative_examples."},
        ),
    ],
)
def test_answers_that_cannot_be_accepted(job, answers, errors) -> None:
    assert check_gold_answers(design_of(job), answers) == errors


def test_making_the_same_again_changes_nothing(job) -> None:
    golds(job, 2)
    assert len(golds(job, 3)) == 3


def test_from_the_models_pictures(job, model) -> None:
    upload = TrainingUpload.objects.create(team=job.team, model=model, file="x", original_name="x.csv")
    for line, (label, dropped) in enumerate([("boots", False), ("boots", False), ("sneakers", True), ("hats", False)]):
        TrainingImage.objects.create(
            team=job.team, model=model, upload=upload, line=line, image_url=f"http://p/{line}.jpg", label=label,
            dropped=dropped,
        )  # fmt: skip
    assert make_golds_from_model(job=job, per_answer=5, actor=None) == 2
    assert make_golds_from_model(job=job, per_answer=5, actor=None) == 0
    assert {tuple(question.answers["image_category"]) for question in TestQuestion.objects.all()} == {("boots",)}


def test_a_test_question_keeps_what_the_model_thought_of_its_row(running_job) -> None:
    said = {"label": "sneakers", "confidence": 0.6}
    fill(running_job, 1)
    Unit.objects.update(machine=said)
    make_gold_from_row(unit=Unit.objects.get(), answers={"image_category": ["boots"]}, reasons={}, actor=None)
    copy = copy_job(job=running_job, actor=None)
    assert [question.unit.machine for question in TestQuestion.objects.select_related("unit")] == [said, said]
    assert TestQuestion.objects.filter(job=copy).count() == 1


def test_a_picture_of_the_model_has_what_the_model_says_of_it(job, model) -> None:
    upload = TrainingUpload.objects.create(team=job.team, model=model, file="x", original_name="x.csv")
    learned, held_out = [
        TrainingImage.objects.create(
            team=job.team, model=model, upload=upload, line=line, image_url=f"http://p/{line}.jpg", label="boots"
        )
        for line in range(2)
    ]
    HoldoutPrediction.objects.create(
        team=job.team, version=model.current, image=held_out, label="boots", scores=[0.3, 0.7, 0], predicted="sneakers",
        confidence=0.7,
    )  # fmt: skip
    make_golds_from_model(job=job, per_answer=5, actor=None)
    said = {unit.key: unit.machine for unit in Unit.objects.all()}
    assert said == {
        f"gold:image:{learned.pk}": {"label": "boots"},
        f"gold:image:{held_out.pk}": {"label": "sneakers", "confidence": 0.7},
    }


def test_from_finalized_rows_that_people_agree_on(running_job, contributor, second_contributor) -> None:
    Job.objects.filter(pk=running_job.pk).update(judgments_per_unit=2)
    running_job.refresh_from_db()
    fill(running_job, 3)
    for value in ("boots", "sneakers", "boots"):
        answer_page(running_job, contributor, value)
    for value in ("boots", "sneakers", "sneakers"):
        answer_page(running_job, second_contributor, value)
    assert make_golds_from_finalized(job=running_job, count=10, minimum_agreement=0.9, actor=None) == 2
    assert make_golds_from_finalized(job=running_job, count=10, minimum_agreement=0.9, actor=None) == 0
    assert sorted(question.answers["image_category"][0] for question in TestQuestion.objects.all()) == [
        "boots",
        "sneakers",
    ]


def test_an_edit_forgives_those_who_were_right_after_all(running_job, contributor) -> None:
    questions = golds(running_job, 4)
    fill(running_job, 2)
    answer_page(running_job, contributor, "sneakers")
    question = TestQuestion.objects.get(unit=Judgment.objects.get().unit_id)
    assert Contributor.objects.get().state == "removed"
    changed = edit_test_question(
        question=question, answers={"image_category": ["boots", "sneakers"]}, reasons={}, actor=None
    )
    assert (changed, len(questions)) == (1, 4)
    judgment, place = Judgment.objects.get(), Contributor.objects.get()
    assert (judgment.missed, judgment.forgiven, place.stale) == (False, True, True)


def test_switching_twice_changes_nothing_more(running_job) -> None:
    question = golds(running_job, 1)[0]
    assert [switch_test_question(question=question, on=on, actor=None) for on in (False, False, True)] == [
        True, False, True,
    ]  # fmt: skip


def test_a_miss_is_shown_until_it_was_seen(running_job, contributor) -> None:
    Job.objects.filter(pk=running_job.pk).update(minimum_accuracy=0)
    golds(running_job, 4)
    fill(running_job, 1)
    answer_page(running_job, contributor, "sneakers")
    missed = misses_to_show(job=running_job, user=contributor)
    assert [judgment.unit.test_question.reasons for judgment in missed] == [{"image_category": "Look."}]
    assert acknowledge_misses(job=running_job, user=contributor) == 1
    assert misses_to_show(job=running_job, user=contributor) == []


def test_a_miss_can_be_contested_with_a_reason(running_job, contributor, second_contributor) -> None:
    golds(running_job, 4)
    fill(running_job, 1)
    answer_page(running_job, contributor, "sneakers")
    judgment = Judgment.objects.select_related("contributor").get()
    for user, text, code in ((second_contributor, "x", "not_yours"), (contributor, " ", "no_reason")):
        with pytest.raises(Refused) as caught:
            contest(judgment=judgment, user=user, text=text)
        assert caught.value.code == code
    contest(judgment=judgment, user=contributor, text="It has laces.")
    judgment.refresh_from_db()
    assert (judgment.contest, judgment.acknowledged_at is not None) == ("It has laces.", True)


@pytest.mark.parametrize(("questions", "rows", "found"), [(True, True, (2, 3)), (False, False, (0, 0))])
def test_a_copy_has_what_was_asked_for(running_job, questions: bool, rows: bool, found: tuple[int, int]) -> None:
    golds(running_job, 2)
    fill(running_job, 3)
    copy = copy_job(job=running_job, actor=None, test_questions=questions, rows=rows)
    assert (copy.state, copy.copied_from, copy.outcomes, copy.cml) == (
        "unordered", running_job, OUTCOMES, running_job.cml,
    )  # fmt: skip
    units = Unit.objects.filter(job=copy)
    assert (units.filter(state="golden").count(), units.filter(state="new").count()) == found
