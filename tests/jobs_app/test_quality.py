"""Rules of test questions, trust and dynamic judgments (reference/domain.md 3.2-3.4, 4.5)."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs_app.aggregate import Aggregate
from jobs_app.design import parse_design
from jobs_app.quality import (
    golds_due,
    is_enough,
    is_missed,
    make_plan,
    places_for,
    shuffled,
    trust_of,
    wants_more,
)


def test_the_worked_numbers() -> None:
    plan = make_plan(golds=15, units_per_page=10)
    assert (plan.active, plan.quiz_length, plan.golds_per_page, plan.max_pages, plan.max_rows) == (True, 10, 1, 5, 45)
    assert not make_plan(golds=10, units_per_page=10).active


@pytest.mark.parametrize(("golds", "active", "missing"), [(8, True, 0), (7, False, 1), (0, False, 8)])
def test_test_questions_are_used_from_three_more_than_a_page(golds: int, active: bool, missing: int) -> None:
    plan = make_plan(golds=golds, units_per_page=5)
    assert (plan.active, plan.missing) == (active, missing)


@pytest.mark.parametrize(
    ("rows", "per_page", "every"), [(1, 1, 5), (2, 1, 1), (19, 1, 1), (20, 2, 1), (29, 2, 1), (30, 3, 1)]
)
def test_how_many_test_questions_a_page_has(rows: int, per_page: int, every: int) -> None:
    plan = make_plan(golds=100, units_per_page=rows)
    assert (plan.golds_per_page, plan.pages_per_gold) == (per_page, every)


def test_settings_win_over_the_rule() -> None:
    plan = make_plan(golds=50, units_per_page=10, quiz_length=6, golds_per_page=2, pages_per_gold=3)
    assert (plan.quiz_length, plan.max_pages, plan.max_rows) == (6, 66, 66 * 10 - 22 * 2)


@given(st.integers(1, 10**9), st.integers(1, 20))
def test_each_run_of_pages_has_test_questions_once(contributor: int, every: int) -> None:
    plan = make_plan(golds=100, units_per_page=5, pages_per_gold=every)
    for run in range(3):
        pages = range(run * every, (run + 1) * every)
        assert sum(golds_due(plan, contributor_id=contributor, page_number=page) for page in pages) == 1


def test_no_test_questions_on_pages_of_a_job_that_has_too_few() -> None:
    assert golds_due(make_plan(golds=3, units_per_page=5), contributor_id=1, page_number=0) == 0


@given(st.integers(1, 10**9), st.integers(0, 5), st.integers(0, 50))
def test_places_are_different_and_on_the_page(contributor: int, count: int, page: int) -> None:
    places = places_for(count, 5 + count, contributor_id=contributor, page_number=page)
    assert len(set(places)) == count
    assert all(0 <= place < 5 + count for place in places)


def test_contributors_get_test_questions_in_orders_of_their_own() -> None:
    ids = list(range(100, 130))
    assert shuffled(1, ids) == shuffled(1, list(reversed(ids)))
    assert shuffled(1, ids) != shuffled(2, ids)


TWO = parse_design(
    '<cml:radios label="Kind" validates="required"><cml:radio label="Boot"/><cml:radio label="Shoe"/></cml:radios>'
    '<cml:checkboxes label="Colours" exact="true"><cml:checkbox label="Red"/><cml:checkbox label="Blue"/>'
    "</cml:checkboxes>"
    '<cml:text label="Brand" only-if="kind:[boot]"/>'
)


@pytest.mark.parametrize(
    ("gold", "answers", "missed"),
    [
        ({"kind": ["boot"]}, {"kind": ["boot"]}, False),
        ({"kind": ["boot"]}, {"kind": ["shoe"]}, True),
        ({"kind": ["boot", "shoe"]}, {"kind": ["shoe"]}, False),
        ({"kind": ["boot"], "colours": ["red"]}, {"kind": ["boot"], "colours": ["red", "blue"]}, True),
        ({"colours": ["blue", "red"]}, {"kind": ["boot"], "colours": ["red", "blue"]}, False),
        ({"brand": ["Acme"]}, {"kind": ["boot"], "brand": [" acme "]}, False),
        ({"brand": ["Acme"]}, {"kind": ["boot"]}, True),
        ({"kind": ["shoe"], "brand": ["Acme"]}, {"kind": ["shoe"]}, False),
        ({}, {"kind": ["shoe"]}, False),
    ],
)
def test_when_a_test_question_is_missed(
    gold: dict[str, list[str]], answers: dict[str, list[str]], missed: bool
) -> None:
    assert is_missed(TWO, gold, answers) is missed


def test_trust_is_the_share_of_right_ones() -> None:
    assert [trust_of(0, 0), trust_of(4, 1), trust_of(3, 3)] == [1.0, 0.75, 0.0]


@pytest.mark.parametrize(("seen", "missed", "enough"), [(10, 3, True), (10, 4, False), (0, 0, True), (3, 1, False)])
def test_at_the_minimum_one_stays(seen: int, missed: int, enough: bool) -> None:
    assert is_enough(seen, missed, 70) is enough


@pytest.mark.parametrize(
    ("confidence", "judgments", "more"), [(0.6, 3, True), (0.7, 3, False), (0.6, 5, False), (None, 3, False)]
)
def test_one_more_judgment_while_people_disagree(confidence: float | None, judgments: int, more: bool) -> None:
    results = {"q": Aggregate("agg", ["a"], confidence)}
    assert wants_more(results, minimum=Decimal("0.7"), fields=[], judgments=judgments, most=5) is more


def test_only_the_chosen_questions_ask_for_more() -> None:
    results = {"q": Aggregate("agg", ["a"], 0.5), "r": Aggregate("agg", ["b"], 1.0)}
    assert not wants_more(results, minimum=Decimal("0.7"), fields=["r"], judgments=2, most=5)
    assert not wants_more(results, minimum=None, fields=[], judgments=2, most=5)
