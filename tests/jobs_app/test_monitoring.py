"""Figures of the Monitor tab, and what it says in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs_app.against import Band, comparison_of
from jobs_app.alerts import alerts_of
from jobs_app.crowd import agreements, at_stake, contributors_of, is_final
from jobs_app.design import Question, parse_design
from jobs_app.models import Contributor, Judgment, Page, Unit
from jobs_app.monitoring import (
    Crowd,
    Progress,
    agreement_of,
    crowd_of,
    disputed_rows,
    often_missed,
    progress_of,
    quantile,
    summarize,
    throughput_of,
    times_of,
)
from jobs_app.quality import make_plan
from jobs_app.services import NewUnit, add_units, design_of, plan_of, reject_contributor, take_page
from labeling_platform.lib.words import count_of, duration

from .conftest import fill
from .crowd import RIGHT, WRONG, add_test_questions, do_page, make_person, place_of, set_up

NOW = datetime(2026, 5, 20, 13, 30, tzinfo=UTC)


@pytest.fixture
def ann(in_team):
    return make_person(in_team, "ann")


@pytest.fixture
def bo(in_team):
    return make_person(in_team, "bo")


# --- progress ----------------------------------------------------------------------------------------------


def test_progress_of_nothing(job) -> None:
    found = progress_of(job)
    assert (found.total, found.got, found.wanted, found.pace, found.left, found.seconds_left) == (
        0,
        0,
        0,
        None,
        0,
        None,
    )


def test_progress(job, ann, bo) -> None:
    job = set_up(job, judgments_per_unit=2, units_per_page=2)
    fill(job, 5)
    do_page(job, ann)
    do_page(job, bo)
    take_page(job=job, user=ann)
    found = progress_of(job)
    assert (found.waiting, found.finalized, found.held, found.people) == (3, 2, 2, 1)
    assert (found.got, found.wanted, found.left, found.open_ended) == (4, 10, 6, False)
    # Four judgments in a moment count as four in ten minutes, not as thousands an hour.
    assert found.pace == 24.0
    assert found.seconds_left == 900.0


def test_tainted_judgments_are_not_got(job, ann) -> None:
    job = set_up(job)
    fill(job, 2)
    do_page(job, ann)
    reject_contributor(contributor=place_of(job, ann), actor=None)
    found = progress_of(job)
    assert (found.got, found.waiting, found.pace) == (0, 2, None)


def test_test_questions_on_open_pages_are_no_rows(job, ann) -> None:
    job = set_up(job, units_per_page=2)
    add_test_questions(job, 5)
    fill(job, 2)
    take_page(job=job, user=ann)
    assert (progress_of(job).held, progress_of(job).people) == (0, 1)


# --- people ------------------------------------------------------------------------------------------------


def test_the_crowd(job, in_team) -> None:
    job = set_up(job, units_per_page=2, max_judgments_per_contributor=1)
    add_test_questions(job, 8)
    fill(job, 20)
    people = [make_person(in_team, f"p{n}") for n in range(5)]
    for person in people[:2]:
        do_page(job, person, miss=1)
    for person in people[2:4]:
        do_page(job, person)
    do_page(job, people[3])
    take_page(job=job, user=people[4])
    assert crowd_of(job, plan_of(job)) == Crowd(
        total=5, in_quiz=1, working=2, passed=2, failed=2, maxed_out=1, removed=2, stopped=0
    )


def test_who_has_seen_all_test_questions_is_maxed_out(job, ann) -> None:
    job = set_up(job, units_per_page=2)
    add_test_questions(job, 5)
    fill(job, 20)
    for _ in range(3):
        do_page(job, ann)
        assert crowd_of(job, plan_of(job)).maxed_out == 0
    do_page(job, ann)
    assert crowd_of(job, plan_of(job)).maxed_out == 1


def test_test_questions_that_most_miss(job, in_team) -> None:
    job = set_up(job, units_per_page=2, quiz_length=5, minimum_accuracy=0)
    add_test_questions(job, 5)
    fill(job, 1)
    for n in range(4):
        do_page(job, make_person(in_team, f"p{n}"))
    bad, worst, fair = Unit.objects.filter(test_question__isnull=False)[:3]
    for unit, missed in ((bad, 3), (worst, 4), (fair, 2)):
        some = Judgment.objects.filter(unit=unit).order_by("pk").values_list("pk", flat=True)[:missed]
        Judgment.objects.filter(pk__in=list(some)).update(missed=True)
    assert [(line.unit.pk, line.seen, line.missed) for line in often_missed(job)] == [(worst.pk, 4, 4), (bad.pk, 4, 3)]


# --- throughput and time -------------------------------------------------------------------------------------


def test_judgments_by_hour_and_day(job, ann) -> None:
    job = set_up(job)
    fill(job, 4)
    for moment in (
        NOW,
        NOW - timedelta(hours=23),
        NOW - timedelta(hours=24),
        NOW - timedelta(days=30),
    ):
        do_page(job, ann)
        Judgment.objects.filter(pk=Judgment.objects.latest("pk").pk).update(created_at=moment)
    found = throughput_of(job, now=NOW)
    assert [column for column in found.hours if column[1]] == [
        ("2026-05-19 14:00", 1, ""),
        ("2026-05-20 13:00", 1, ""),
    ]
    assert [column for column in found.days if column[1]] == [("2026-05-19", 2, ""), ("2026-05-20", 1, "05-20")]
    assert (len(found.hours), len(found.days), found.last_day, found.last_month) == (24, 30, 2, 3)
    assert [tick for _, _, tick in found.hours if tick] == ["18:00", "00:00", "06:00", "12:00"]


def test_the_time_of_a_page_is_shared_by_its_rows(job, ann) -> None:
    job = set_up(job, units_per_page=4)
    fill(job, 4)
    page = take_page(job=job, user=ann)
    Page.objects.filter(pk=page.pk).update(created_at=timezone.now() - timedelta(seconds=40))
    do_page(job, ann)
    found = times_of(job)
    assert (found.count, round(found.median), round(found.slow)) == (4, 10, 10)


def test_no_times() -> None:
    assert summarize([]).count == 0


def test_median_and_ninetieth_percentile() -> None:
    found = summarize([float(n) for n in range(1, 12)])
    assert (found.count, found.median, found.slow) == (11, 6.0, 10.0)
    assert [column[:2] for column in found.bins[:3]] == [("0 to 1 s", 0), ("1 to 2 s", 1), ("2 to 3 s", 1)]
    assert found.bins[-1][:2] == ("11 s or longer", 1)


@settings(deadline=None)
@given(st.lists(st.floats(min_value=-10, max_value=1e7), min_size=1, max_size=40))
def test_every_time_is_in_one_column(seconds: list[float]) -> None:
    found = summarize(seconds)
    assert sum(count for _, count, _ in found.bins) == len(seconds)
    assert 0 <= found.median <= found.slow


@settings(deadline=None)
@given(st.lists(st.floats(min_value=0, max_value=1e6), min_size=1, max_size=40), st.floats(min_value=0, max_value=1))
def test_a_quantile_lies_between_the_ends(values: list[float], share: float) -> None:
    ordered = sorted(values)
    assert ordered[0] - 1e-6 <= quantile(ordered, share) <= ordered[-1] + 1e-6


# --- agreement -----------------------------------------------------------------------------------------------


def test_agreement(job, ann, bo) -> None:
    job = set_up(job, judgments_per_unit=2)
    rows = fill(job, 3)
    for person, other in ((ann, RIGHT), (bo, WRONG)):
        for _ in range(3):
            do_page(job, person, lambda unit, other=other: other if unit == rows["k1"] else RIGHT)
    found = agreement_of(job)
    assert (found.count, found.whole, round(found.mean, 4)) == (3, 2, 0.8333)
    assert [(low, count) for low, _, count in found.bins if count] == [(0.5, 1), (0.9, 2)]
    assert [unit.pk for unit in disputed_rows(job)] == [rows["k1"]]


def test_rows_with_one_judgment_say_nothing_about_agreement(job, ann) -> None:
    job = set_up(job)
    fill(job, 1)
    do_page(job, ann)
    assert (agreement_of(job).count, agreement_of(job).mean) == (0, None)


# --- model against people --------------------------------------------------------------------------------------


def test_the_model_is_compared_by_class_and_band(job, ann) -> None:
    job = set_up(job)
    said = [("boots", 0.3), ("boots", 0.6), ("sneakers", 0.699999), ("clogs", 1.0), ("boots", 0.7)]
    units = add_units(
        job=job,
        items=[NewUnit(f"m{n}", "http://p/x.jpg", {}, {"label": a, "confidence": b}) for n, (a, b) in enumerate(said)],
    )
    fill(job, 1)
    for _ in range(4):
        do_page(job, ann, lambda unit: "sneakers" if unit == units["m2"] else "boots")
    found = comparison_of(job, "image_category")
    assert found.labels == ["boots", "sneakers", "negative_examples", "clogs"]
    assert found.matrix == [[2, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert (found.rows, found.agreed, found.share, found.waiting) == (4, 3, 0.75, 1)
    assert [band for band in found.bands if band.rows] == [
        Band(0.3, 0.4, 1, 1), Band(0.6, 0.7, 2, 2), Band(0.9, 1.0, 1, 0),
    ]  # fmt: skip
    assert (Band(0.0, 0.1, 0, 0).share, Band(0.9, 1.0, 4, 1).share, Band(0.9, 1.0, 4, 1).differed) == (None, 0.25, 3)


# --- contributors ------------------------------------------------------------------------------------------------


def test_figures_of_contributors(job, ann, bo) -> None:
    job = set_up(job, judgments_per_unit=2)
    rows = fill(job, 2)
    for person, other in ((ann, RIGHT), (bo, WRONG)):
        for _ in range(2):
            do_page(job, person, lambda unit, other=other: other if unit == rows["k1"] else RIGHT)
    people = {person.user_id: person for person in contributors_of(job)}
    agreed = agreements(design_of(job), people.values())
    assert agreed[people[ann.pk].pk].share == 1.0
    assert (agreed[people[bo.pk].pk].same, agreed[people[bo.pk].pk].answers) == (1, 2)
    assert (people[ann.pk].forgiven, people[ann.pk].at_work) == (0, False)
    assert people[ann.pk].last_at is not None
    assert people[ann.pk].seconds is not None


def test_a_contributor_without_judgments(job, ann, in_team) -> None:
    Contributor.objects.create(team=in_team, job=job, user=ann)
    person = contributors_of(job).get()
    assert (person.seconds, person.last_at, person.forgiven, person.at_work) == (None, None, 0, False)
    assert agreements(design_of(job), [person])[person.pk].share is None
    assert agreements(design_of(job), []) == {}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({}, (2, 1, 2)), ({"units_remain_finalized": True}, (2, 0, 1)), ({"state": "canceled"}, (2, 0, 0))],
)
def test_what_rejecting_would_undo(job, ann, bo, changes, expected) -> None:
    job = set_up(job, judgments_per_unit=2)
    fill(job, 2)
    do_page(job, ann)
    do_page(job, bo)
    do_page(job, ann)
    type(job).objects.filter(pk=job.pk).update(**changes)
    stake = at_stake(place_of(job, ann))
    assert (stake.judgments, stake.finalized, stake.asked_again) == expected


def question(cml: str) -> Question:
    return parse_design(cml).questions[0]


BOXES = '<cml:checkboxes label="Q" {}><cml:checkbox label="A"/><cml:checkbox label="B"/></cml:checkboxes>'


@pytest.mark.parametrize(
    ("more", "answers", "final", "same"),
    [
        ("", ["a", "b"], ["a\nb"], True),
        ("", ["a"], ["a\nb"], False),
        ("", [], ["a"], None),
        ("", ["a"], [], None),
        ('aggregation="agg_2"', ["b"], ["a", "b"], True),
        ('aggregation="cagg_0.6"', ["b"], ["a"], False),
    ],
)
def test_whether_an_answer_is_the_final_one(more, answers, final, same) -> None:
    assert is_final(question(BOXES.format(more)), {"q": answers}, {"q": {"answers": final}}) is same


# --- words -------------------------------------------------------------------------------------------------------


def stand(**changes) -> Progress:
    values = {
        "new": 0, "queued": 0, "waiting": 5, "finalized": 3, "canceled": 0, "held": 1, "people": 1, "got": 3,
        "wanted": 8, "open_ended": False, "pace": 10.0, "last_at": NOW,
    }  # fmt: skip
    return Progress(**(values | changes))


def people(**changes) -> Crowd:
    values = dict.fromkeys(["total", "in_quiz", "working", "passed", "failed", "maxed_out", "removed", "stopped"], 0)
    return Crowd(**(values | changes))


LONG_AGO = NOW - timedelta(minutes=16)
OFF, ON = make_plan(golds=0, units_per_page=2), make_plan(golds=8, units_per_page=2)
SOME = make_plan(golds=4, units_per_page=2)


@pytest.mark.parametrize(
    ("state", "progress", "crowd", "plan", "titles"),
    [
        ("running", stand(), people(), OFF, []),
        ("unordered", stand(), people(), OFF, ["Not launched yet"]),
        ("paused", stand(people=0, last_at=None), people(), OFF, ["Paused"]),
        ("canceled", stand(), people(failed=5), ON, ["Canceled"]),
        ("finished", stand(waiting=0), people(), OFF, ["Finished"]),
        ("running", stand(waiting=0, finalized=0), people(), OFF, ["There are no rows yet"]),
        ("running", stand(waiting=0, new=2), people(), OFF, ["Nothing to do for contributors"]),
        ("running", stand(people=0, last_at=None), people(), OFF, ["Nobody is working on this job"]),
        ("running", stand(people=0, last_at=LONG_AGO), people(), OFF, ["Nobody is working on this job"]),
        ("running", stand(people=0, last_at=NOW - timedelta(minutes=14)), people(), OFF, []),
        ("running", stand(), people(failed=2, passed=1), ON, ["Most people fail the quiz"]),
        ("running", stand(), people(failed=2, passed=0), ON, []),
        ("running", stand(), people(failed=2, passed=2), ON, []),
        ("running", stand(), people(maxed_out=1, working=2), ON, ["Contributors have reached their limit"]),
        ("running", stand(), people(maxed_out=1, working=3), ON, []),
        ("running", stand(), people(), SOME, ["Test questions are not used yet"]),
    ],
)  # fmt: skip
def test_alerts(state, progress, crowd, plan, titles) -> None:
    found = alerts_of(state, progress, crowd, plan, minimum_accuracy=70, now=NOW)
    assert [alert.title for alert in found] == titles
    assert all(alert.text for alert in found)


def test_what_alerts_say() -> None:
    quiz = alerts_of("running", stand(), people(failed=2, passed=1), ON, minimum_accuracy=70, now=NOW)[0]
    assert quiz.text.startswith("2 of 3 people did not reach 70%.")
    idle = stand(people=0, waiting=1, last_at=NOW - timedelta(hours=3))
    assert alerts_of("running", idle, people(), OFF, minimum_accuracy=70, now=NOW)[0].text == (
        "1 row waits for people. The last judgment came about 3 hours ago. Tell your contributors."
    )
    done = stand(waiting=0, finalized=1200, new=1)
    assert alerts_of("finished", done, people(), OFF, minimum_accuracy=70, now=NOW)[0].text == (
        "1,200 rows finalized, none waits. 1 row is not launched yet."
    )


def test_the_time_that_is_left() -> None:
    assert stand(got=3, wanted=8, pace=10.0).seconds_left == 1800
    assert stand(pace=None).seconds_left is None
    # Dynamic judgments: each waiting row wants one more at the least.
    assert stand(got=9, wanted=8, waiting=5).left == 5
    assert stand(waiting=0).left == 0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (10, "less than a minute"),
        (50, "about a minute"),
        (95, "about 2 minutes"),
        (3600 * 5, "about 5 hours"),
        (86_400 * 3, "about 3 days"),
    ],
)
def test_rough_times(seconds, words) -> None:
    assert duration(seconds) == words


def test_counted_nouns() -> None:
    assert [count_of(1, "row"), count_of(1200, "row"), count_of(2, "row waits", "rows wait")] == [
        "1 row",
        "1,200 rows",
        "2 rows wait",
    ]
