"""The contributor's place."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from jobs_app.models import Contributor, Job, Judgment, Page, TestQuestion, Unit
from jobs_app.services import (
    NewGold,
    add_golds,
    flag_contributor,
    freeze_design,
    pause_job,
    release_expired_pages,
    take_page,
    upcoming_pictures,
)
from jobs_app.states import GoldSource
from labeling_platform.accounts.pictures import picture_url

from .conftest import fill

HTMX = {"HX-Request": "true"}
RIGHT, WRONG = "boots", "sneakers"


@pytest.fixture
def at(team):
    return lambda name, *args: reverse(f"contribute:{name}", args=[team.slug, *args])


@pytest.fixture
def browser(client_for, contributor):
    return client_for(contributor)


@pytest.fixture
def make_golds(job):
    """Make test questions whose right answer is boots, and let the job's settings be as given."""

    def make(count: int, **settings: Any) -> None:
        Job.objects.filter(pk=job.pk).update(**settings)
        job.refresh_from_db()
        freeze_design(job=job)
        items = [
            NewGold(
                f"g{n}", f"http://p.example/g{n}.jpg", {"image_category": [RIGHT]}, {"image_category": "Ankle-high."}
            )
            for n in range(count)
        ]
        add_golds(job=job, items=items, source=GoldSource.ROW, actor=None)
        job.refresh_from_db()

    return make


def given(value: str = "boots", **wrong: Any) -> dict[str, object]:
    """The open page with one answer for all rows; `wrong` = how many test questions get the wrong one."""
    page = Page.objects.filter(state="open").get()
    answers = {f"u{unit}-image_category": value for unit in page.unit_ids}
    golds = TestQuestion.objects.filter(unit__in=page.unit_ids).order_by("pk").values_list("unit_id", flat=True)
    for unit in golds[: wrong.get("wrong", 0)]:
        answers[f"u{unit}-image_category"] = WRONG
    return {"page": page.pk} | answers


def text_of(response: Any) -> str:
    return response.content.decode()


# --- the labeling loop


def test_a_row_is_answered_and_the_next_one_comes_without_a_reload(browser, at, running_job) -> None:
    fill(running_job, 2)
    page = text_of(browser.get(at("work", running_job.pk)))
    assert 'data-key="1"' in page
    answer = browser.post(at("work", running_job.pk), given(), headers=HTMX)
    assert answer.status_code == 200
    assert text_of(answer).lstrip().startswith('<div id="unit"')
    assert Judgment.objects.get().answers == {"image_category": ["boots"]}
    assert Page.objects.filter(state="open").count() == 1


def test_it_works_without_javascript(browser, at, running_job) -> None:
    fill(running_job, 1)
    browser.get(at("work", running_job.pk))
    assert browser.post(at("work", running_job.pk), given())["Location"] == at("work", running_job.pk)
    assert "No more rows right now" in text_of(browser.get(at("work", running_job.pk)))


def test_a_missing_answer_is_said_at_the_question(browser, at, running_job) -> None:
    fill(running_job, 1)
    browser.get(at("work", running_job.pk))
    answer = browser.post(at("work", running_job.pk), given() | {f"u{Unit.objects.get().pk}-image_category": ""})
    assert answer.status_code == 422
    assert "Choose an answer." in text_of(answer)
    assert Judgment.objects.count() == 0


def test_the_same_submit_twice_counts_once(browser, at, running_job) -> None:
    fill(running_job, 2)
    browser.get(at("work", running_job.pk))
    data = given()
    for _ in range(2):
        browser.post(at("work", running_job.pk), data, headers=HTMX)
    assert Judgment.objects.count() == 1


def test_a_late_submit_is_refused_kindly(browser, at, running_job) -> None:
    fill(running_job, 1)
    browser.get(at("work", running_job.pk))
    data = given()
    Page.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    release_expired_pages()
    page = text_of(browser.post(at("work", running_job.pk), data, headers=HTMX))
    assert "Your time for this page ran out and it was given back. Your answers on it were not kept." in page
    assert Judgment.objects.count() == 0


def test_a_page_that_comes_too_fast_is_shown_again_with_its_answers(browser, at, running_job) -> None:
    Job.objects.update(min_seconds_per_page=60)
    fill(running_job, 2)
    browser.get(at("work", running_job.pk))
    data = given("sneakers")
    again = browser.post(at("work", running_job.pk), data, headers=HTMX)
    assert again.status_code == 422
    assert "quicker than anybody can look" in text_of(again)
    assert 'value="sneakers" data-key="2" checked' in text_of(again)
    assert f'name="page" value="{data["page"]}"' in text_of(again)
    assert Judgment.objects.count() == 0
    stopped = browser.post(at("work", running_job.pk), data, headers=HTMX)
    assert stopped["HX-Redirect"] == at("list")
    assert "Your work on this job was ended" in text_of(browser.get(at("list")))


@pytest.mark.parametrize("page", ["", "x", "0", "999999999999999999999", "²"])
def test_a_page_that_is_not_there_is_not_found(browser, at, running_job, page) -> None:
    assert browser.post(at("work", running_job.pk), {"page": page}).status_code == 404


def test_somebody_elses_page_is_refused(browser, at, running_job, client_for, second_contributor) -> None:
    fill(running_job, 2)
    client_for(second_contributor).get(at("work", running_job.pk))
    answer = text_of(browser.post(at("work", running_job.pk), given(), headers=HTMX))
    assert "This page belongs to another contributor." in answer
    assert Judgment.objects.count() == 0


def test_giving_back_frees_the_row(browser, at, running_job) -> None:
    fill(running_job, 1)
    browser.get(at("work", running_job.pk))
    assert browser.post(at("give_back", running_job.pk))["Location"] == at("list")
    assert Unit.objects.get().slots == 1


def test_a_paused_job_says_so(browser, at, running_job) -> None:
    pause_job(job=running_job, actor=None)
    assert "This job is paused." in text_of(browser.get(at("work", running_job.pk)))


def test_the_waiting_page_is_left_alone_until_something_changes(browser, at, running_job) -> None:
    waiting = text_of(browser.get(at("work", running_job.pk)))
    assert "?was=no_rows" in waiting
    poll = at("work", running_job.pk) + "?was=no_rows"
    assert browser.get(poll, headers=HTMX).status_code == 204
    fill(running_job, 1)
    assert 'id="unit-form"' in text_of(browser.get(poll, headers=HTMX))


def test_who_was_stopped_is_not_asked_to_wait(browser, at, running_job, contributor) -> None:
    fill(running_job, 1)
    take_page(job=running_job, user=contributor)
    flag_contributor(contributor=Contributor.objects.get(), actor=None)
    page = text_of(browser.get(at("work", running_job.pk)))
    assert "The owners of this job have ended your work on it." in page
    assert "?was=" not in page


def test_the_time_left_and_the_next_pictures_are_on_the_page(browser, at, running_job, team) -> None:
    Job.objects.update(seconds_per_page=300)
    fill(running_job, 3)
    page = text_of(browser.get(at("work", running_job.pk)))
    assert 'data-seconds-left="300"' in page
    following = picture_url(team, "http://pictures.example/1.jpg", "large")
    assert f'data-preload="{following}"' in page


def test_preloading_follows_the_place_a_contributor_got_to(running_job, contributor) -> None:
    fill(running_job, 5)
    page = take_page(job=running_job, user=contributor)
    assert page is not None
    found = upcoming_pictures(contributor=page.contributor, count=2)
    assert found == ["http://pictures.example/1.jpg", "http://pictures.example/2.jpg"]


def test_the_address_of_a_picture_stays_the_same_all_week(team, monkeypatch) -> None:
    week = 7 * 24 * 3600
    monkeypatch.setattr("time.time", lambda: 3000.0 * week)
    first = picture_url(team, "http://pictures.example/1.jpg")
    monkeypatch.setattr("time.time", lambda: 3001.0 * week - 1)
    assert picture_url(team, "http://pictures.example/1.jpg") == first


def test_own_figures_are_shown(browser, at, running_job) -> None:
    fill(running_job, 3)
    browser.get(at("work", running_job.pk))
    for _ in range(2):
        page = text_of(browser.post(at("work", running_job.pk), given(), headers=HTMX))
    assert "<strong>2</strong> judged in this job" in page
    assert "<strong>2</strong> answered today" in page


def queries_of_a_submit(browser: Any, at: Any, job: Job) -> int:
    browser.get(at("work", job.pk))
    browser.post(at("work", job.pk), given(), headers=HTMX)  # what is cached is cached
    data = given()
    with CaptureQueriesContext(
        connection,
    ) as seen:
        assert browser.post(at("work", job.pk), data, headers=HTMX).status_code == 200
    return len(seen)


def test_submit_and_next_takes_the_same_few_queries_with_3_rows_and_with_300(browser, at, running_job) -> None:
    fill(running_job, 3)
    few = queries_of_a_submit(browser, at, running_job)
    fill(running_job, 300, start=10)
    assert queries_of_a_submit(browser, at, running_job) == few
    assert few <= MOST_QUERIES


MOST_QUERIES = 36
"""Savepoints among them, which are transactions outside of tests."""


# --- what the model thought


def test_no_machine_label_is_shown(browser, at, running_job) -> None:
    fill(running_job, 1)
    Unit.objects.update(machine={"label": "sneakers", "confidence": 0.4321})
    for grid in (False, True):
        Job.objects.update(grid=grid)
        page = text_of(browser.get(at("work", running_job.pk))).split('<div id="unit"')[1]
        assert "model" not in page.lower()
        assert "machine" not in page.lower()
        assert "0.4321" not in page
        assert "checked" not in page


def test_a_job_may_show_the_machine_label(browser, at, running_job) -> None:
    fill(running_job, 1)
    Unit.objects.update(machine={"label": "sneakers", "confidence": 0.4321})
    Job.objects.update(show_machine_label=True)
    page = text_of(browser.get(at("work", running_job.pk)))
    assert "The model says: <strong>Sneakers</strong>" in page
    assert "checked" not in page.split('<div id="unit"')[1]


# --- the contact sheet


def test_a_contact_sheet_is_ordinary_inputs(browser, at, running_job) -> None:
    Job.objects.update(grid=True, units_per_page=3)
    fill(running_job, 3)
    page = text_of(browser.get(at("work", running_job.pk)))
    assert page.count("data-tile=") == 3
    assert page.count('type="radio"') == 3 * 3 + 2 * 3
    browser.post(at("work", running_job.pk), given())
    assert Judgment.objects.count() == 3


def test_a_contact_sheet_chooses_the_machine_label_where_the_job_says_so(browser, at, running_job) -> None:
    Job.objects.update(grid=True, show_machine_label=True, units_per_page=3)
    units = list(fill(running_job, 3).values())
    for unit, label in zip(units, ["sneakers", "negative_examples", "unknown"], strict=True):
        Unit.objects.filter(pk=unit).update(machine={"label": label})
    page = text_of(browser.get(at("work", running_job.pk)))
    assert f'name="u{units[0]}-image_category" value="sneakers" checked' in page
    assert f'name="u{units[1]}-image_category" value="negative_examples" checked' in page
    assert page.count(" checked") == 2


def test_a_missing_answer_on_a_contact_sheet_is_said_and_the_others_are_kept(browser, at, running_job) -> None:
    Job.objects.update(grid=True, units_per_page=2)
    units = list(fill(running_job, 2).values())
    browser.get(at("work", running_job.pk))
    data = given("sneakers") | {f"u{units[1]}-image_category": ""}
    page = browser.post(at("work", running_job.pk), data, headers=HTMX)
    assert page.status_code == 422
    assert text_of(page).count("Choose an answer.") == 1
    assert f'name="u{units[0]}-image_category" value="sneakers" checked' in text_of(page)


@pytest.mark.parametrize(
    "cml",
    [
        '<img src="{{image_url}}"/><cml:checkboxes label="Q"><cml:checkbox label="A"/></cml:checkboxes>',
        '<cml:radios label="Q"><cml:radio label="A"/><cml:radio label="B"/></cml:radios>',
        '<img src="{{image_url}}"/><img src="{{other}}"/><cml:radios label="Q"><cml:radio label="A"/></cml:radios>',
        '<img src="{{image_url}}"/><cml:radios label="Q"><cml:radio label="A"/></cml:radios><cml:text label="T"/>',
        '<img src="{{image_url}}"/><cml:radios label="Q"><cml:radio label="{{sku}}" value="a"/></cml:radios>',
    ],
)
def test_other_designs_get_the_usual_page(browser, at, running_job, cml) -> None:
    Job.objects.update(grid=True, cml=cml)
    fill(running_job, 1)
    page = text_of(browser.get(at("work", running_job.pk)))
    assert 'id="unit-form"' in page
    assert "data-sheet" not in page


# --- the quiz, and missed test questions


def test_the_quiz_says_that_it_is_one_and_what_came_of_it(browser, at, job, make_golds) -> None:
    make_golds(8, units_per_page=4)
    fill(job, 8)
    quiz = text_of(browser.get(at("work", job.pk)))
    assert "These 4 rows are test questions. You pass with at least 3 of 4 right." in " ".join(
        quiz.replace("<span>", "").split()
    )
    assert "Submit the quiz" in quiz
    page = text_of(browser.post(at("work", job.pk), given(wrong=1), headers=HTMX))
    assert "You passed the quiz" in page
    assert "You had 3 of 4 test questions right." in page
    assert "A test question was missed" in page
    assert "<dd>Sneakers</dd>" in page
    assert "<dd>Boots</dd>" in page
    assert "Ankle-high." in page
    assert "Accuracy <strong>75%</strong>" in page
    assert "Save and next" in page


def test_who_fails_the_quiz_is_told_and_sees_every_miss_also_later(browser, at, job, make_golds) -> None:
    make_golds(8, units_per_page=4)
    fill(job, 8)
    browser.get(at("work", job.pk))
    answer = browser.post(at("work", job.pk), given(wrong=2))
    page = text_of(browser.get(answer["Location"]))
    assert "You did not pass the quiz. You had 2 of 4 test questions right. 3 were needed." in page
    assert "Your accuracy on the test questions of this job is too low to go on." in page
    assert "2 test questions were missed" in page
    assert "Ankle-high." in text_of(browser.get(at("work", job.pk)))


def miss_one(browser, at, job, make_golds) -> Judgment:
    """Miss one test question of the quiz, and hold the first work page."""
    make_golds(8, units_per_page=4)
    fill(job, 8)
    browser.get(at("work", job.pk))
    browser.post(at("work", job.pk), given(wrong=1), headers=HTMX)
    return Judgment.objects.get(missed=True)


def test_got_it_puts_the_right_answers_away(browser, at, job, make_golds) -> None:
    miss = miss_one(browser, at, job, make_golds)
    assert text_of(browser.post(at("acknowledge", job.pk), {"shown": miss.pk}, headers=HTMX)) == ""
    assert "was missed" not in text_of(browser.get(at("work", job.pk)))
    assert browser.post(at("acknowledge", job.pk), {"shown": "x"})["Location"] == at("work", job.pk)


def test_the_next_submit_acknowledges_what_was_shown(browser, at, job, make_golds) -> None:
    miss = miss_one(browser, at, job, make_golds)
    page = text_of(browser.get(at("work", job.pk)))
    assert page.count(f'name="shown" value="{miss.pk}"') == 2
    incomplete = {"page": Page.objects.get(state="open").pk, "shown": miss.pk}
    assert "was missed" in text_of(browser.post(at("work", job.pk), incomplete, headers=HTMX))
    after = text_of(browser.post(at("work", job.pk), given() | {"shown": miss.pk}, headers=HTMX))
    assert "was missed" not in after
    miss.refresh_from_db()
    assert miss.acknowledged_at is not None


def test_a_miss_can_be_contested(browser, at, job, make_golds) -> None:
    miss = miss_one(browser, at, job, make_golds)
    address = at("contest", job.pk, miss.pk)
    empty = browser.post(address, {"text": " "}, headers=HTMX)
    assert empty.status_code == 422
    assert "Say why your answer should count." in text_of(empty)
    assert "The owners of the job read what you wrote" in text_of(browser.post(address, {"text": "Low."}, headers=HTMX))
    miss.refresh_from_db()
    assert miss.contest == "Low."
    assert browser.post(address, {"text": "Very low."})["Location"] == at("work", job.pk)


def test_only_ones_own_misses_can_be_contested(browser, at, job, make_golds, client_for, second_contributor) -> None:
    miss = miss_one(browser, at, job, make_golds)
    other = client_for(second_contributor)
    answer = other.post(at("contest", job.pk, miss.pk), {"text": "Mine!"}, headers=HTMX)
    assert (answer.status_code, answer["Location"]) == (302, at("work", job.pk))
    miss.refresh_from_db()
    assert miss.contest == ""
    right = Judgment.objects.filter(missed=False).first()
    assert browser.post(at("contest", job.pk, right.pk), {"text": "x"}).status_code == 404


# --- the job's page and the list


def test_instructions_come_first_and_cannot_run_script(browser, at, running_job) -> None:
    Job.objects.update(instructions="<p onclick='x'>Look</p><script>alert(1)</script>")
    page = text_of(browser.get(at("job", running_job.pk)))
    assert "<p>Look</p>" in page
    assert "alert(1)" not in page


def test_the_jobs_page_says_what_comes_next(browser, at, job, make_golds) -> None:
    make_golds(8, units_per_page=4, seconds_per_page=600, minimum_accuracy=75)
    fill(job, 8)
    page = " ".join(text_of(browser.get(at("job", job.pk))).split())
    assert "A quiz of 4 test questions, on one page." in page
    assert "At least 3 of them must be right (75%)" in page
    assert "Then pages of 4 rows." in page
    assert "10 minutes for each page." in page
    assert "You can judge up to 12 rows of this job." in page
    assert "Start the quiz" in page


def test_jobs_that_are_not_launched_are_not_found(browser, at, job) -> None:
    assert browser.get(at("job", job.pk)).status_code == 404


def test_the_list_has_cards(browser, at, running_job) -> None:
    fill(running_job, 1)
    page = text_of(browser.get(at("list")))
    assert "<strong>1</strong> row waiting" in page
    assert ">Start<" in page


def test_the_list_says_how_far_one_is_and_how_right(browser, at, job, make_golds) -> None:
    miss_one(browser, at, job, make_golds)
    browser.post(at("work", job.pk), given(), headers=HTMX)
    page = text_of(browser.get(at("list")))
    assert "In progress" in page
    assert "<dd>3 rows</dd>" in page
    assert "80% " in page
    assert "(1 of 5 missed)" in page
    assert 'aria-label="Continue: ' in page


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda place: pause_job(job=place.job, actor=None), "This job is paused."),
        (lambda place: flag_contributor(contributor=place, actor=None), "have ended your work on it."),
        (
            lambda place: Contributor.objects.update(state="removed", seen=10, missed=4),
            "You had 6 of 10 right; 70% is asked for.",
        ),
        (
            lambda place: Job.objects.update(max_judgments_per_contributor=1),
            "You have given as many judgments as one person may",
        ),
        (lambda place: Unit.objects.update(state="finalized", slots=0), "Nothing is waiting for you just now."),
    ],
)
def test_the_list_says_why_a_job_is_closed_for_one(browser, at, running_job, change, why) -> None:
    fill(running_job, 2)
    browser.get(at("work", running_job.pk))
    browser.post(at("work", running_job.pk), given(), headers=HTMX)
    browser.post(at("give_back", running_job.pk))
    change(Contributor.objects.select_related("job").get())
    page = text_of(browser.get(at("list")))
    assert "Done, or nothing to do now" in page
    assert why in page
    assert 'aria-label="Continue: ' not in page


def test_a_held_page_is_work_although_no_row_waits(browser, at, running_job) -> None:
    fill(running_job, 1)
    browser.get(at("work", running_job.pk))
    page = text_of(browser.get(at("list")))
    assert "Your page is waiting" in page
    assert 'aria-label="Continue: ' in page


def test_rows_one_has_judged_do_not_wait_for_one(browser, at, running_job) -> None:
    Job.objects.update(judgments_per_unit=2)
    fill(running_job, 1)
    browser.get(at("work", running_job.pk))
    browser.post(at("work", running_job.pk), given(), headers=HTMX)
    assert Unit.objects.get().slots == 1
    assert "Nothing is waiting for you just now." in text_of(browser.get(at("list")))


def test_many_rows_are_counted_up_to_a_limit(browser, at, running_job, monkeypatch) -> None:
    monkeypatch.setattr("jobs_app.querysets.MOST_COUNTED", 3)
    monkeypatch.setattr("jobs_app.contributor_presenting.MOST_COUNTED", 3)
    fill(running_job, 5)
    assert "<strong>2+</strong> rows waiting" in text_of(browser.get(at("list")))


def test_the_list_takes_the_same_queries_for_one_job_and_for_three(
    browser, at, running_job, django_assert_num_queries
) -> None:
    fill(running_job, 1)
    with CaptureQueriesContext(connection) as one:
        browser.get(at("list"))
    for _ in range(2):
        copy = Job.objects.get(pk=running_job.pk)
        copy.pk = None
        copy.save()
        fill(copy, 1)
    with django_assert_num_queries(len(one)):
        assert text_of(browser.get(at("list"))).count("<article") == 3


def test_an_empty_list_says_what_happens_next(browser, at) -> None:
    page = text_of(browser.get(at("list")))
    assert "No jobs yet" in page
    assert "This page looks again by itself." in page
