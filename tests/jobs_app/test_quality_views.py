"""The Quality tab of a job."""

from __future__ import annotations

import csv

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from jobs_app.models import Contributor, Job, Judgment, TestQuestion, Unit
from jobs_app.querysets import given_answers, gold_list, rows_people_agree_on
from jobs_app.services import (
    contest,
    edit_test_question,
    make_golds_from_finalized,
    review_test_question,
    switch_test_question,
)
from labeling_platform.accounts.models import User
from labeling_platform.accounts.permissions import Role
from labeling_platform.accounts.services import set_role
from models_app.models import TrainingImage, TrainingUpload

from .conftest import fill
from .test_golds import answer_page, golds

BOOTS = {"answer-image_category": ["boots"]}


@pytest.fixture
def at(job):
    return lambda name, *args: reverse(f"jobs:{name}", args=[job.team.slug, job.pk, *args])


@pytest.fixture
def browser(client_for, mate):
    return client_for(mate)


@pytest.fixture
def people(team) -> list[User]:
    found = [User.objects.create_user(f"p{n}@example.com", "x", name=f"Person {n}") for n in range(3)]
    for person in found:
        set_role(team=team, user=person, role=Role.CONTRIBUTOR)
    return found


@pytest.fixture
def judged(running_job, people) -> list[TestQuestion]:
    """Four test questions in a quiz of four; the first two people get all of them wrong, the third right."""
    Job.objects.filter(pk=running_job.pk).update(quiz_length=4, minimum_accuracy=0)
    running_job.refresh_from_db()
    found = golds(running_job, 4)
    fill(running_job, 5)
    for person, value in zip(people, ("sneakers", "sneakers", "boots"), strict=True):
        answer_page(running_job, person, value)
    return found


def counts(job: Job, question: TestQuestion) -> tuple:
    found = gold_list(job).get(pk=question.pk)
    return found.seen, found.missed, found.contested, found.new_seen, found.new_missed, found.new_contested


def object_to(question: TestQuestion, user) -> None:
    contest(judgment=Judgment.objects.get(unit=question.unit, contributor__user=user), user=user, text="It is both.")


# --- the list ----------------------------------------------------------------------------------------


def test_an_empty_list_says_what_to_do(browser, at) -> None:
    page = browser.get(at("quality")).content.decode()
    assert "No test questions yet" in page
    assert at("gold_make") in page
    assert "<strong>Make 4 more.</strong>" in page


def test_the_plan_is_said_in_words(browser, at, job) -> None:
    Job.objects.filter(pk=job.pk).update(units_per_page=5)
    golds(job, 10)
    page = " ".join(browser.get(at("quality")).content.decode().split())
    assert "quiz of <strong>5 test questions</strong>" in page
    assert "each page of 5 rows hides <strong>1 test question</strong>" in page
    assert "at most 5 pages, 20 rows" in page
    assert "50 to 100 test questions are advised" in page


def test_misses_and_contests_are_counted(running_job, judged, people) -> None:
    object_to(judged[0], people[0])
    assert counts(running_job, judged[0]) == (3, 2, 1, 3, 2, 1)
    assert counts(running_job, judged[1]) == (3, 2, 0, 3, 2, 0)


def test_forgiven_misses_and_those_of_switched_off_ones_do_not_count(running_job, judged) -> None:
    edit_test_question(question=judged[0], answers={"image_category": ["boots", "sneakers"]}, reasons={}, actor=None)
    switch_test_question(question=judged[1], on=False, actor=None)
    assert [counts(running_job, question)[:2] for question in judged[:3]] == [(3, 0), (3, 0), (3, 2)]


def test_after_a_review_only_what_is_new_counts(running_job, judged, people) -> None:
    object_to(judged[0], people[0])
    review_test_question(question=judged[0], actor=None)
    assert counts(running_job, judged[0]) == (3, 2, 1, 0, 0, 0)
    object_to(judged[0], people[1])
    assert counts(running_job, judged[0])[3:] == (0, 0, 1)


def test_the_list_is_sorted_and_filtered(browser, at, running_job, judged, people) -> None:
    edit_test_question(question=judged[3], answers={"image_category": ["sneakers"]}, reasons={}, actor=None)
    object_to(judged[1], people[0])
    switch_test_question(question=judged[2], on=False, actor=None)

    def shown(**query) -> list[int]:
        cards = browser.get(at("quality"), query).context["cards"]
        return [judged.index(next(q for q in judged if q.pk == card["gold"].pk)) for card in cards]

    assert shown() == [3, 2, 1, 0]
    assert shown(sort="missed") == [0, 1, 3, 2]
    assert shown(sort="contested") == [1, 0, 2, 3]
    assert shown(state="on") == [3, 1, 0]
    assert shown(state="off") == [2]
    assert shown(state="contested") == [1]
    assert shown(state="review") == [1]
    assert shown(state="nonsense", sort="nonsense") == [3, 2, 1, 0]


def test_one_that_many_miss_and_contest_is_tagged(browser, at, judged, people) -> None:
    object_to(judged[1], people[0])
    page = browser.get(at("quality"))
    assert page.context["to_review"] == 1
    assert [card["gold"].pk for card in page.context["cards"] if card["review"]] == [judged[1].pk]
    assert "1 test question wants a review" in page.content.decode()


def test_the_list_costs_the_same_for_one_and_three(browser, at, job) -> None:
    golds(job, 1)
    browser.get(at("quality"))
    with CaptureQueriesContext(connection) as one:
        browser.get(at("quality"))
    golds(job, 2, start=1)
    with CaptureQueriesContext(connection) as three:
        browser.get(at("quality"))
    assert len(three) == len(one)


# --- making ------------------------------------------------------------------------------------------


def test_from_a_row_and_on_to_the_next(browser, at, job) -> None:
    ids = set(fill(job, 2).values())
    first = browser.get(at("gold_row"))
    unit_id = int(first["Location"].split("unit=")[1])
    assert unit_id in ids
    form = browser.get(first["Location"]).content.decode()
    assert 'type="checkbox" value="boots"' in form
    data = {"unit": unit_id, "answer-image_category": ["boots", "sneakers"], "reason-image_category": "Both.",
            "then": "next"}  # fmt: skip
    answer = browser.post(at("gold_row"), data)
    assert answer["Location"] == at("gold_row")
    made = TestQuestion.objects.get()
    assert (made.answers, made.reasons, made.source, made.unit.state) == (
        {"image_category": ["boots", "sneakers"]}, {"image_category": "Both."}, "row", "golden",
    )  # fmt: skip
    assert Unit.objects.get(pk=unit_id).state == "new"
    assert browser.get(at("gold_row"))["Location"] == f"{at('gold_row')}?unit={(ids - {unit_id}).pop()}"


def test_a_skipped_row_is_not_the_next_one(browser, at, job) -> None:
    first, second = fill(job, 2).values()
    for _ in range(5):
        assert browser.get(at("gold_row"), {"skip": first})["Location"].endswith(f"?unit={second}")


def test_save_goes_back_to_the_list(browser, at, job) -> None:
    (unit_id,) = fill(job, 1).values()
    answer = browser.post(at("gold_row"), BOOTS | {"unit": unit_id, "then": "list"}, follow=True)
    assert answer.redirect_chain == [(at("quality"), 302)]
    assert f'Saved. <a href="{at("gold", TestQuestion.objects.get().pk)}">' in answer.content.decode()
    assert "No row is left to make one from" in browser.get(at("gold_row")).content.decode()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({}, "Say the right answer of at least one question."),
        ({"answer-image_category": ["hats"]}, "“hats” is not one of the answers"),
    ],
)
def test_a_row_without_a_right_answer_is_refused(browser, at, job, data, says) -> None:
    (unit_id,) = fill(job, 1).values()
    answer = browser.post(at("gold_row"), data | {"unit": unit_id, "reason-image_category": "Because <b>"})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert says in page
    assert "Because &lt;b&gt;</textarea>" in page
    assert TestQuestion.objects.count() == 0


def test_a_row_that_is_one_already_is_refused(browser, at, job) -> None:
    (unit_id,) = fill(job, 1).values()
    browser.post(at("gold_row"), BOOTS | {"unit": unit_id})
    answer = browser.post(at("gold_row"), BOOTS | {"unit": unit_id})
    assert answer.status_code == 422
    assert "This row is a test question of the job already." in answer.content.decode()
    assert browser.get(at("gold_row"), {"unit": unit_id}).status_code == 302
    assert TestQuestion.objects.count() == 1


def test_a_row_that_is_not_there_is_not_found(browser, at, job) -> None:
    question = golds(job, 1)[0]
    for unit in ("0", "x", str(question.unit_id)):
        assert browser.get(at("gold_row"), {"unit": unit}).status_code == 404


def test_from_the_models_pictures(browser, at, job, model) -> None:
    upload = TrainingUpload.objects.create(team=job.team, model=model, file="x", original_name="x.csv")
    for line, label in enumerate(["boots", "boots", "sneakers"]):
        TrainingImage.objects.create(
            team=job.team, model=model, upload=upload, line=line, image_url=f"http://p/{line}.jpg", label=label
        )
    page = browser.post(at("gold_make"), {"way": "model", "per_answer": 1}, follow=True).content.decode()
    assert "2 test questions made from training pictures." in page
    page = browser.post(at("gold_make"), {"way": "model", "per_answer": 5}, follow=True).content.decode()
    assert "1 test question made from training pictures; 2 were there already." in page


def test_a_model_without_the_designs_answers_is_refused(browser, at, job) -> None:
    Job.objects.filter(pk=job.pk).update(outcomes=["boots", "hats"])
    answer = browser.post(at("gold_make"), {"way": "model", "per_answer": 5})
    assert answer.status_code == 422
    assert "No question of the design has the model&#x27;s classes as answers." in answer.content.decode()


def test_from_finalized_rows(browser, at, running_job, contributor, second_contributor) -> None:
    Job.objects.filter(pk=running_job.pk).update(judgments_per_unit=2)
    running_job.refresh_from_db()
    fill(running_job, 3)
    for person, values in ((contributor, ["boots"] * 3), (second_contributor, ["boots", "boots", "sneakers"])):
        for value in values:
            answer_page(running_job, person, value)
    assert browser.get(at("gold_make")).context["qualify"] == 2
    typed = browser.get(at("gold_make"), {"minimum_agreement": 51}, headers={"HX-Request": "true"})
    assert "2 rows" in typed.content.decode()
    page = browser.post(
        at("gold_make"), {"way": "finalized", "count": 20, "minimum_agreement": 100}, follow=True
    ).content.decode()
    assert "2 test questions made from finalized rows." in page
    answer = browser.post(at("gold_make"), {"way": "finalized", "count": 20, "minimum_agreement": 100})
    assert answer.status_code == 422
    assert "No finalized row qualifies." in answer.content.decode()
    assert rows_people_agree_on(running_job, 0.5).count() == 1


def test_finalized_rows_with_several_ticks_keep_each(running_job) -> None:
    cml = ('<cml:checkboxes name="marks" label="Marks"><cml:checkbox label="M" value="m"/>'
           '<cml:checkbox label="N" value="n"/></cml:checkboxes>')  # fmt: skip
    Job.objects.filter(pk=running_job.pk).update(cml=cml)
    running_job.refresh_from_db()
    fill(running_job, 1)
    Unit.objects.update(
        state="finalized", judgments_count=2, agreement=1.0, result={"marks": {"answers": ["m\nn"], "confidence": 1.0}}
    )
    assert make_golds_from_finalized(job=running_job, count=5, minimum_agreement=1.0, actor=None) == 1
    assert TestQuestion.objects.get().answers == {"marks": ["m", "n"]}
    assert given_answers(running_job) == {"marks": {"m": 1, "n": 1}}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"way": "model", "per_answer": 0}, "greater than or equal to 1"),
        ({"way": "finalized", "count": 501, "minimum_agreement": 100}, "less than or equal to 500"),
        ({"way": "finalized", "count": 5, "minimum_agreement": 101}, "less than or equal to 100"),
        ({"way": "nonsense"}, "From rows"),
    ],
)
def test_numbers_that_do_not_fit(browser, at, job, data, says) -> None:
    answer = browser.post(at("gold_make"), data)
    assert answer.status_code == 422
    assert says in answer.content.decode()


def test_the_example_file_is_made_for_the_design(browser, at, job) -> None:
    answer = browser.get(at("gold_example"))
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    lines = list(csv.reader(answer.content.decode().splitlines(keepends=True)))
    assert lines[0] == ["image_url", "_golden", "image_category_gold", "image_category_gold_reason"]
    assert [line[1] for line in lines[1:]] == ["TRUE", "TRUE", ""]
    assert lines[2][2] == "boots\nsneakers"


# --- one test question -------------------------------------------------------------------------------


def test_the_page_shows_who_answered_what(browser, at, judged, people) -> None:
    object_to(judged[0], people[0])
    page = browser.get(at("gold", judged[0].pk)).content.decode()
    assert page.count('tone-red">Missed<') == 2
    assert page.count('tone-green">Right<') == 1
    assert "It is both." in page
    assert "Person 0" in page


def test_an_edit_says_who_is_forgiven_and_settles_them(
    browser, at, judged, people, django_capture_on_commit_callbacks
) -> None:
    with django_capture_on_commit_callbacks() as sent:
        answer = browser.post(at("gold", judged[0].pk), {"answer-image_category": ["boots", "sneakers"]}, follow=True)
    assert "Saved. 2 people are scored again: 2 forgiven." in answer.content.decode()
    assert len(sent) == 2
    judged[0].refresh_from_db()
    assert judged[0].answers == {"image_category": ["boots", "sneakers"]}
    page = browser.post(at("gold", judged[0].pk), {"answer-image_category": ["sneakers"]}, follow=True).content.decode()
    assert "Saved. 1 person is scored again: 1 now counted as missed." in page
    assert page.count(">Forgiven<") == 2
    page = browser.post(at("gold", judged[0].pk), {"answer-image_category": ["sneakers"]}, follow=True).content.decode()
    assert "Saved. Nobody&#x27;s accuracy changes by it." in page


def test_an_edit_without_an_answer_is_refused(browser, at, judged) -> None:
    answer = browser.post(at("gold", judged[0].pk), {})
    assert answer.status_code == 422
    assert "Say the right answer of at least one question." in answer.content.decode()
    judged[0].refresh_from_db()
    assert judged[0].answers == {"image_category": ["boots"]}


def test_switching_off_and_on_settles_those_who_missed_it(
    browser, at, judged, django_capture_on_commit_callbacks
) -> None:
    for what, says, state in (("off", "Switched off.", "hidden_gold"), ("on", "Switched on.", "golden")):
        Contributor.objects.update(stale=False)
        with django_capture_on_commit_callbacks() as sent:
            page = browser.post(at("gold_action", judged[0].pk, what), follow=True).content.decode()
        assert says in page
        assert len(sent) == 2
        assert Unit.objects.get(pk=judged[0].unit_id).state == state


def test_a_passed_review_takes_the_tag_away(browser, at, judged, people) -> None:
    object_to(judged[0], people[0])
    page = browser.post(at("gold_action", judged[0].pk, "review"), follow=True).content.decode()
    assert "Marked as reviewed." in page
    assert browser.get(at("quality")).context["to_review"] == 0
    judged[0].refresh_from_db()
    assert (timezone.now() - judged[0].reviewed_at).total_seconds() < 60


def test_a_viewer_can_look_only(client_for, viewer, at, judged) -> None:
    page = client_for(viewer).get(at("gold", judged[0].pk)).content.decode()
    assert "Switch off" not in page
    assert "<fieldset disabled" in page
    listed = client_for(viewer).get(at("quality")).content.decode()
    assert at("gold_make") not in listed


# --- how answers are spread --------------------------------------------------------------------------


def test_accepted_answers_stand_beside_those_of_people(browser, at, running_job, contributor) -> None:
    golds(running_job, 3)
    fill(running_job, 2)
    answer_page(running_job, contributor, "sneakers")
    answer_page(running_job, contributor, "boots")
    (item,) = browser.get(at("distribution")).context["questions"]
    assert [(bar[0], bar[1]) for bar in item["accepted"]] == [
        ("Boots", 1.0), ("Sneakers", 0.0), ("Other / none of these", 0.0),
    ]  # fmt: skip
    assert [bar[1] for bar in item["given"]] == [0.5, 0.5, 0.0]
    assert (item["golds"], item["rows"], item["easy"]) == (3, 2, "")
    assert item["without"] == ["Sneakers", "Other / none of these"]


def test_an_answer_that_can_be_guessed_is_warned_of(browser, at, job) -> None:
    golds(job, 3)
    golds(job, 1, answer="sneakers", start=3)
    assert "“Boots” can be guessed" in browser.get(at("distribution")).content.decode()
    golds(job, 1, answer="sneakers", start=4)
    assert "can be guessed" not in browser.get(at("distribution")).content.decode()


def test_nothing_to_compare_is_said(browser, at, job) -> None:
    Job.objects.filter(pk=job.pk).update(cml='<cml:text name="a" label="A" validates="required"/>')
    assert "Nothing to compare" in browser.get(at("distribution")).content.decode()
