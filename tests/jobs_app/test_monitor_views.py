"""The Monitor tab: overview, its figures, model against people, contributors and what can be done with them."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from jobs_app.models import Contributor, Judgment, Unit
from jobs_app.services import NewUnit, add_units, contest, create_routing_job
from labeling_platform.accounts.models import Activity

from .conftest import fill
from .crowd import RIGHT, WRONG, add_test_questions, do_page, make_person, place_of, set_up

PARTS = ["warnings", "pace", "times", "agreement", "answers", "disputed", "latest"]


@pytest.fixture
def at(team):
    return lambda name, *args: reverse(f"jobs:{name}", args=[team.slug, *args])


@pytest.fixture
def browser(client_for, mate):
    return client_for(mate)


@pytest.fixture
def ann(in_team):
    return make_person(in_team, "ann")


@pytest.fixture
def bo(in_team):
    return make_person(in_team, "bo")


@pytest.fixture
def busy(job, ann, bo):
    """A job in which Ann and Bo answered two rows: they agree about the first and differ about the second."""
    job = set_up(job, judgments_per_unit=2)
    first = fill(job, 2)["k0"]
    for person, other in ((ann, RIGHT), (bo, WRONG)):
        for _ in range(2):
            do_page(job, person, lambda unit, other=other: RIGHT if unit == first else other)
    return job


def text_of(answer) -> str:
    return " ".join(answer.content.decode().split())


# --- overview ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", PARTS)
def test_every_figure_says_what_comes_when_there_is_nothing(browser, at, job, part) -> None:
    assert browser.get(at("part", job.pk, part)).status_code == 200


def test_a_job_that_is_not_launched_says_what_to_do(browser, at, job) -> None:
    page = text_of(browser.get(at("detail", job.pk)))
    assert "Not launched yet" in page
    assert "How far the job is will be shown here as soon as it has rows." in page


def test_the_overview_counts_rows_pages_and_judgments(browser, at, job, ann, bo) -> None:
    job = set_up(job, judgments_per_unit=2)
    fill(job, 3)
    do_page(job, ann)
    do_page(job, bo)
    page = text_of(browser.get(at("detail", job.pk)))
    assert "1 of 3" in page
    assert "2 of 6" in page
    assert "judgments an hour at the last hour&#x27;s pace" in page
    assert "2 working" in page


def test_only_the_counts_are_asked_for_again(browser, at, running_job) -> None:
    fill(running_job, 1)
    page = browser.get(at("detail", running_job.pk), headers={"HX-Request": "true"}).content.decode()
    assert page.lstrip().startswith('<div id="progress"')
    assert 'hx-trigger="every 3s"' in page
    assert "monitor-grid" not in page


def test_the_same_again_is_not_drawn_anew(browser, at, running_job, ann) -> None:
    fill(running_job, 2)
    page = browser.get(at("detail", running_job.pk)).content.decode()
    again = page.split('hx-get="')[1].split('"')[0].replace("&amp;", "&")
    assert browser.get(again, headers={"HX-Request": "true"}).status_code == 204
    do_page(running_job, ann)
    assert "1 of 2" in text_of(browser.get(again, headers={"HX-Request": "true"}))
    do_page(running_job, ann)
    assert browser.get(again, headers={"HX-Request": "true"})["HX-Refresh"] == "true"


def test_asking_again_costs_the_same_however_much_was_judged(browser, at, job, ann, bo) -> None:
    job = set_up(job, judgments_per_unit=2)
    fill(job, 8)
    browser.get(at("detail", job.pk))
    counted = []
    for _ in range(2):
        for person in (ann, bo):
            do_page(job, person)
        with CaptureQueriesContext(connection) as queries:
            browser.get(at("detail", job.pk), headers={"HX-Request": "true"})
        counted.append(len(queries))
        assert not any('COUNT("jobs_app_judgment"' in query["sql"] for query in queries)
    assert counted[0] == counted[1]


def test_without_javascript_the_figures_come_with_the_page(browser, at, busy) -> None:
    page = text_of(browser.get(at("detail", busy.pk), {"show": "all"}))
    for title in ("Throughput", "Time per judgment", "Agreement", "Answers", "Latest answers", "Most disputed rows"):
        assert title in page


def test_the_figures_of_a_busy_job(browser, at, busy) -> None:
    assert "4 in the last 24 hours, 4 in the last 30 days" in text_of(browser.get(at("part", busy.pk, "pace")))
    assert "Of all 4 judgments." in text_of(browser.get(at("part", busy.pk, "times")))
    agreement = text_of(browser.get(at("part", busy.pk, "agreement")))
    assert "75.0%" in agreement
    disputed = text_of(browser.get(at("part", busy.pk, "disputed")))
    assert "Most disputed rows" in disputed
    assert at("unit", busy.pk, Unit.objects.get(key="k1").pk) in disputed
    answers = text_of(browser.get(at("part", busy.pk, "answers")))
    assert "100.0%" in answers
    latest = text_of(browser.get(at("part", busy.pk, "latest")))
    assert latest.count("<figure") == 4
    assert "Bo" in latest


def test_rows_that_want_one_judgment_have_no_agreement(browser, at, running_job) -> None:
    assert "Every row of this job gets one judgment" in text_of(browser.get(at("part", running_job.pk, "agreement")))


def test_a_test_question_that_most_miss_is_shown(browser, at, job, in_team) -> None:
    job = set_up(job, minimum_accuracy=0, units_per_page=2, quiz_length=1)
    add_test_questions(job, 5)
    fill(job, 2)
    for n in range(12):
        do_page(job, make_person(in_team, f"p{n}"), miss=1)
    page = text_of(browser.get(at("part", job.pk, "warnings")))
    assert "Test questions that most people miss" in page
    assert "missed by <strong>" in page


def test_an_unknown_figure_is_not_found(browser, at, job) -> None:
    assert browser.get(at("part", job.pk, "pace").replace("pace", "nothing")).status_code == 404


# --- model against people ------------------------------------------------------------------------------------


def send_from_model(job, lines) -> dict[str, int]:
    items = [
        NewUnit(f"m{n}", f"http://pictures.example/m{n}.jpg", {}, {"label": label, "confidence": confidence})
        for n, (label, confidence) in enumerate(lines)
    ]
    return add_units(job=job, items=items)


@pytest.fixture
def routed(job, ann):
    """Three rows of a model, of which Ann agrees with two, and one row of nobody."""
    job = set_up(job)
    units = send_from_model(job, [(RIGHT, 0.55), (RIGHT, 0.62), (WRONG, 0.6)])
    fill(job, 1)
    wrong = units["m1"]
    for _ in range(4):
        do_page(job, ann, lambda unit: WRONG if unit in {wrong, units["m2"]} else RIGHT)
    return job


def test_people_are_compared_with_the_model(browser, at, routed) -> None:
    page = text_of(browser.get(at("against", routed.pk)))
    assert "Only the rows that the model was unsure of" in page
    assert "66.7%" in page
    assert "sneakers by people, by the model boots: 1" in page
    assert f"{at('against_rows', routed.pk)}?label=sneakers&amp;predicted=boots" in page
    assert f"{at('against_rows', routed.pk)}?band=6&amp;agreed=no" in page


@pytest.mark.parametrize(
    ("query", "count", "words"),
    [
        ({"label": "sneakers", "predicted": "boots"}, 1, "people answered “sneakers” and the model said “boots”"),
        ({"band": "6"}, 2, "the model&#x27;s confidence was 60% to 70%"),
        ({"band": "6", "agreed": "no"}, 1, "people did not agree with it"),
        ({"agreed": "yes"}, 2, "people agreed with the model"),
        ({}, 3, "All rows that a model had seen"),
        ({"band": "x", "agreed": "x", "before": "-1"}, 3, "All rows that a model had seen"),
        ({"label": "clogs"}, 0, "No such rows"),
    ],
)
def test_the_rows_behind_a_cell(browser, at, routed, query, count, words) -> None:
    page = text_of(browser.get(at("against_rows", routed.pk), query))
    assert page.count("<figure") == count
    assert words in page


def test_the_rows_page_by_key(browser, at, routed) -> None:
    last = Unit.objects.filter(machine__isnull=False).order_by("-pk").first()
    page = browser.get(at("against_rows", routed.pk), {"before": last.pk}).content.decode()
    assert page.count("<figure") == 2
    assert ">Newest<" in page


def test_before_people_have_answered_there_is_nothing_to_compare(browser, at, running_job) -> None:
    assert "No rows of a model yet" in text_of(browser.get(at("against", running_job.pk)))
    send_from_model(running_job, [(RIGHT, 0.5)])
    assert "People have not answered these rows yet" in text_of(browser.get(at("against", running_job.pk)))


def test_a_job_without_a_model_says_so(browser, at, job) -> None:
    job.outcomes = []
    job.save()
    assert "This job was not made for a model" in text_of(browser.get(at("against", job.pk)))
    assert browser.get(at("against_rows", job.pk)).status_code == 200


# --- contributors ----------------------------------------------------------------------------------------------


def test_nobody_has_worked_yet(browser, at, job) -> None:
    assert "Nobody has worked on this job yet" in text_of(browser.get(at("contributors", job.pk)))


def test_the_table_of_contributors(browser, at, busy) -> None:
    page = text_of(browser.get(at("contributors", busy.pk)))
    assert "Ann" in page
    assert "not tested" in page
    assert page.count("50.0% of all") == 2
    # Ann's answers are the final ones, because she answered first; Bo differs on one row.
    assert "100.0%" in page
    assert "50.0%<span" in page


@pytest.mark.parametrize("sort", ["judgments", "few", "trust", "trusted", "fast", "slow", "seen", "nonsense"])
def test_contributors_can_be_sorted(browser, at, busy, ann, bo, sort) -> None:
    Contributor.objects.filter(user=bo).update(judged=9, trust=0.5, seen=2)
    page = browser.get(at("contributors", busy.pk), {"sort": sort}).content.decode()
    if sort in {"judgments", "trust", "nonsense"}:
        assert page.index("bo@example.com") < page.index("ann@example.com")
    if sort in {"few", "trusted"}:
        assert page.index("ann@example.com") < page.index("bo@example.com")


def test_the_table_costs_the_same_for_one_and_three(browser, at, job, in_team) -> None:
    job = set_up(job, judgments_per_unit=3)
    fill(job, 1)
    counted = []
    browser.get(at("contributors", job.pk))
    for people in (1, 2):
        for n in range(people):
            do_page(job, make_person(in_team, f"p{people}{n}"))
        with CaptureQueriesContext(connection) as queries:
            browser.get(at("contributors", job.pk))
        counted.append(len(queries))
    assert counted[0] == counted[1]


def test_a_contributor(browser, at, job, ann) -> None:
    job = set_up(job, units_per_page=2, minimum_accuracy=50)
    add_test_questions(job, 5)
    fill(job, 4)
    do_page(job, ann)
    do_page(job, ann, miss=1)
    contest(judgment=Judgment.objects.get(missed=True), user=ann, text="They are clogs.")
    page = text_of(browser.get(at("contributor", job.pk, place_of(job, ann).pk)))
    assert "1 of 3" in page
    assert "They are clogs." in page
    assert "Missed" in page
    assert (
        "1 judgment of this person will count for nothing. 1 finished row opens again. 1 row will be asked again."
        in page
    )


def test_a_new_contributor_has_empty_figures(browser, at, running_job, in_team) -> None:
    place = Contributor.objects.create(team=in_team, job=running_job, user=make_person(in_team, "new"))
    page = text_of(browser.get(at("contributor", running_job.pk, place.pk)))
    assert "No rows judged yet" in page
    assert "None of this person&#x27;s judgments counts now" in page


def test_stop_reject_and_let_in_again(browser, at, busy, ann, mate) -> None:
    place = place_of(busy, ann)
    said = [
        text_of(browser.post(at("contributor_action", busy.pk, place.pk, deed), follow=True))
        for deed in ("stop", "readmit", "reject", "readmit")
    ]
    for page, words in zip(
        said,
        [
            "Ann is stopped. What was submitted stays.",
            "Ann may go on.",
            "Ann is rejected. 2 rows will be asked again.",
            "Ann may go on.",
        ],
        strict=True,
    ):
        assert words in page
    assert "Let in again" in said[2]
    verbs = (
        Activity.objects.filter(object_id=busy.pk, actor=mate).exclude(verb="job state").values_list("verb", flat=True)
    )
    assert sorted(verbs) == sorted(
        ["contributor stopped", "contributor readmitted", "contributor rejected", "contributor readmitted"]
    )
    assert Judgment.objects.filter(tainted=True).count() == 0


def test_what_cannot_be_done_is_said(browser, at, busy, ann) -> None:
    place = place_of(busy, ann)
    page = text_of(browser.post(at("contributor_action", busy.pk, place.pk, "readmit"), follow=True))
    assert "Only contributors who were stopped or rejected can be let in again." in page


def test_a_viewer_sees_figures_and_no_buttons(client_for, viewer, at, busy, ann) -> None:
    page = client_for(viewer).get(at("contributor", busy.pk, place_of(busy, ann).pk)).content.decode()
    assert "data-dialog-open" not in page
    assert client_for(viewer).post(at("contributor_action", busy.pk, place_of(busy, ann).pk, "stop")).status_code == 403


def test_a_contributor_of_another_job_is_not_found(browser, at, busy, job, ann, model) -> None:
    other = create_routing_job(model=model, actor=None, title="Other")
    assert browser.get(at("contributor", other.pk, place_of(busy, ann).pk)).status_code == 404
