"""The judge finds each kind of damage, and nothing where there is none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chaos.check import (
    CONFIDENT,
    FAILED,
    ROUTED,
    Expected,
    FoundRow,
    FoundUnit,
    Verdict,
    check_history,
    check_judgments,
    check_report,
    check_rows,
    check_units,
)
from chaos.ledger import Entry, read_history
from chaos.plan import Row

SURE, UNSURE = {"boots": 0.9, "sandals": 0.1}, {"boots": 0.4, "sandals": 0.6}
WANTED = [Row(0, "good"), Row(1, "good"), Row(2, "gone")]
EXPECTED = {0: Expected(CONFIDENT, SURE), 1: Expected(ROUTED, UNSURE), 2: Expected(FAILED, None)}
FIRST = FoundRow(10, "0", CONFIDENT, "", 1, (0.9, 0.1), "boots", None, "", None)
SECOND = FoundRow(11, "1", ROUTED, "low", 1, (0.4, 0.6), "sandals", 5, "finalized", {"boots": 1.0})
THIRD = FoundRow(12, "2", FAILED, "not_found", 1, None, "", None, "", None)
LINES = [
    {"number": "0", "error": "false", "completed": "true", "machine_label:boots": "0.9", "machine_label:sandals": "0.1",
     "human_label:boots": "", "human_label:sandals": ""},
    {"number": "1", "error": "false", "completed": "true", "machine_label:boots": "0.4", "machine_label:sandals": "0.6",
     "human_label:boots": "1", "human_label:sandals": "0"},
    {"number": "2", "error": "true", "completed": "true", "machine_label:boots": "", "machine_label:sandals": "",
     "human_label:boots": "", "human_label:sandals": ""},
]  # fmt: skip


def rows(*found: FoundRow) -> Verdict:
    verdict = Verdict()
    check_rows(verdict, WANTED, EXPECTED, list(found))
    return verdict


def test_good_rows_are_clean() -> None:
    assert rows(FIRST, SECOND, THIRD).clean


@pytest.mark.parametrize(
    ("found", "lost", "duplicated"),
    [
        ([FIRST, SECOND], 1, 0),
        ([FIRST, SECOND, replace(THIRD, state="awaiting", reason="")], 1, 0),
        ([FIRST, SECOND, replace(THIRD, reason="")], 1, 0),
        ([replace(FIRST, predicted="sandals"), SECOND, THIRD], 1, 0),
        ([replace(FIRST, scores=(0.8, 0.2)), SECOND, THIRD], 1, 0),
        ([replace(FIRST, unit=9, unit_state="judgable"), SECOND, THIRD], 1, 0),
        ([FIRST, replace(SECOND, unit=None, unit_state=""), THIRD], 1, 0),
        ([FIRST, replace(SECOND, state=FAILED, reason="stops_the_worker"), THIRD], 1, 0),
        ([FIRST, FIRST, SECOND, THIRD], 0, 1),
        ([FIRST, SECOND, THIRD, replace(THIRD, number="77")], 0, 1),
    ],
)
def test_each_damage_of_rows_is_found(found: list[FoundRow], lost: int, duplicated: int) -> None:
    verdict = rows(*found)
    assert (verdict.lost, verdict.duplicated) == (lost, duplicated)
    assert len(verdict.problems) == 1


@pytest.mark.parametrize(
    ("unit", "duplicated", "stuck"),
    [
        (FoundUnit(5, "workflow-row:11"), 0, 0),
        (FoundUnit(5, "workflow-row:11", "judgable", 2, 1, 0, 1), 0, 0),
        (FoundUnit(5, "workflow-row:11", "judgable", 2, 0, 0, 1), 0, 1),
        (FoundUnit(5, "workflow-row:99"), 1, 0),
        (FoundUnit(6, "workflow-row:11"), 1, 0),
    ],
)
def test_each_damage_of_units_is_found(unit: FoundUnit, duplicated: int, stuck: int) -> None:
    verdict = Verdict()
    check_units(verdict, [FIRST, SECOND, THIRD], [unit])
    assert (verdict.duplicated, verdict.stuck) == (duplicated, stuck)


def test_two_rows_with_one_unit_are_found() -> None:
    verdict = Verdict()
    check_units(verdict, [SECOND, replace(SECOND, pk=13)], [])
    assert verdict.duplicated == 1


@pytest.mark.parametrize(
    ("acknowledged", "stored", "figures"),
    [
        ([(5, 1, "boots")], [(5, 1, "boots")], (0, 0, 0)),
        ([(5, 1, "boots")], [], (0, 1, 0)),
        ([(5, 1, "boots")], [(5, 1, "sandals")], (0, 1, 1)),
        ([(5, 1, "boots")], [(5, 1, "boots"), (5, 1, "boots")], (1, 0, 0)),
        ([], [(5, 1, "boots")], (0, 0, 0)),
    ],
)
def test_judgments_are_there_once(acknowledged, stored, figures) -> None:
    verdict = Verdict()
    check_judgments(verdict, acknowledged, {(5, 1, "boots")}, stored)
    assert (verdict.duplicated, verdict.judgments_lost, verdict.judgments_unknown) == figures


def test_the_report_says_what_the_database_says() -> None:
    verdict = Verdict()
    check_report(verdict, ["boots", "sandals"], [FIRST, SECOND, THIRD], LINES)
    assert verdict.clean


@pytest.mark.parametrize(
    ("place", "change"),
    [
        (0, {"completed": "false"}),
        (0, {"machine_label:boots": "0.8"}),
        (1, {"human_label:boots": ""}),
        (2, {"error": "false"}),
        (2, {"number": "0"}),
    ],
)
def test_each_lie_of_the_report_is_found(place: int, change: dict[str, str]) -> None:
    verdict = Verdict()
    lines = [line | (change if number == place else {}) for number, line in enumerate(LINES)]
    check_report(verdict, ["boots", "sandals"], [FIRST, SECOND, THIRD], lines)
    assert not verdict.clean


def claim(token: int, session: int) -> Entry:
    return Entry(1, session, token, True, "awaiting", "awaiting", "")


def end(token: int, session: int, after: str = CONFIDENT, reason: str = "") -> Entry:
    return Entry(1, session, token, False, "awaiting", after, reason)


@pytest.mark.parametrize(
    ("entries", "clean"),
    [
        ([claim(1, 7), end(1, 7)], True),
        ([claim(1, 7), claim(2, 8), end(2, 8)], True),
        ([claim(1, 7), claim(2, 8), end(2, 9, FAILED, "stops_the_worker")], True),
        ([claim(1, 7), end(1, 7, "awaiting"), claim(2, 8), end(2, 8)], True),
        ([claim(1, 7), claim(2, 8), end(2, 7)], False),
        ([claim(1, 7), claim(2, 8), end(2, 7, "awaiting")], False),
        ([claim(1, 7), end(1, 7), end(1, 7, ROUTED)], False),
        ([claim(2, 7), claim(1, 8), end(1, 8)], False),
    ],
)
def test_the_history_shows_who_ended_a_row(entries: list[Entry], clean: bool) -> None:
    verdict = Verdict()
    check_history(verdict, read_history(entries))
    assert verdict.clean is clean
