"""Judging a run: what must be so of every row, unit, judgment and line of the report. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .ledger import History
from .plan import GOOD, Row

CONFIDENT, ROUTED, FAILED = "confident", "routed", "failed"
SHOWN_PROBLEMS = 12


@dataclass(frozen=True)
class FoundRow:
    """A row of the workflow as the database has it. `unit_state` is empty without a unit."""

    pk: int
    number: str
    state: str
    reason: str
    attempts: int
    scores: tuple[float, ...] | None
    predicted: str
    unit: int | None
    unit_state: str
    shares: Mapping[str, float] | None


@dataclass(frozen=True)
class FoundUnit:
    """A unit: judgments wanted, slots that can be given, leases of open pages, judgments that count."""

    pk: int
    key: str
    state: str = "finalized"
    wanted: int = 0
    slots: int = 0
    held: int = 0
    judged: int = 0


Judged = tuple[int, int, str]
"""A judgment: unit, user, answer."""


@dataclass(frozen=True)
class Expected:
    """What a row must come to: its state, and the scores that the classifier gives."""

    state: str
    scores: Mapping[str, float] | None


@dataclass
class Verdict:
    """What was found. Every problem is counted once, under what it is."""

    lost: int = 0
    duplicated: int = 0
    judgments_lost: int = 0
    judgments_unknown: int = 0
    report_mismatches: int = 0
    late_accepted: int = 0
    stuck: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not (
            self.lost
            or self.duplicated
            or self.judgments_lost
            or self.judgments_unknown
            or self.report_mismatches
            or self.late_accepted
            or self.stuck
        )

    def note(self, text: str) -> None:
        if len(self.problems) < SHOWN_PROBLEMS:
            self.problems.append(text)


def check_rows(
    verdict: Verdict, wanted: Sequence[Row], expected: Mapping[int, Expected], found: list[FoundRow]
) -> None:
    """Every uploaded line is there once, and in the one state that it must come to."""
    by_number: dict[str, list[FoundRow]] = {}
    for row in found:
        by_number.setdefault(row.number, []).append(row)
    for wish in wanted:
        there = by_number.pop(str(wish.number), [])
        if not there:
            verdict.lost += 1
            verdict.note(f"row {wish.number} ({wish.kind}) is not there")
            continue
        if len(there) > 1:
            verdict.duplicated += len(there) - 1
            verdict.note(f"row {wish.number} is there {len(there)} times")
        if wrong := _wrong(wish, expected[wish.number], there[0]):
            verdict.lost += 1
            verdict.note(f"row {wish.number} ({wish.kind}): {wrong}")
    for number, strangers in by_number.items():
        verdict.duplicated += len(strangers)
        verdict.note(f"row {number} was never uploaded")


def _wrong(row: Row, expected: Expected, found: FoundRow) -> str:
    """What is wrong with a row; empty when it is as it must be."""
    if found.state != expected.state:
        return f"{found.state} ({found.reason or 'no reason'}, {found.attempts} attempts) instead of {expected.state}"
    if row.kind != GOOD:
        return "" if found.reason else "failed without a reason"
    if found.state == ROUTED and found.unit_state not in {"judgable", "finalized"}:
        return f"sent to people, but its unit is {found.unit_state or 'missing'}"
    if found.state == CONFIDENT and found.unit is not None:
        return "confident, but it has a unit"
    assert expected.scores is not None
    highest = max(expected.scores, key=lambda label: expected.scores[label])  # type: ignore[index]
    if found.predicted != highest or sorted(found.scores or ()) != sorted(expected.scores.values()):
        return f"scores {found.scores}, predicted {found.predicted}"
    return ""


def check_units(verdict: Verdict, rows: Iterable[FoundRow], units: Iterable[FoundUnit]) -> None:
    """A unit for every routed row, and no other: the key names the row, the row points back, and people can get it."""
    pointing = Counter(row.unit for row in rows if row.unit is not None)
    owner = {row.unit: f"workflow-row:{row.pk}" for row in rows if row.unit is not None}
    for pk, times in pointing.items():
        if times > 1:
            verdict.duplicated += times - 1
            verdict.note(f"{times} rows share unit {pk}")
    for unit in units:
        if unit.pk not in owner:
            verdict.duplicated += 1
            verdict.note(f"unit {unit.pk} ({unit.key}) has no row")
        elif owner[unit.pk] != unit.key:
            verdict.duplicated += 1
            verdict.note(f"unit {unit.pk} ({unit.key}) belongs to {owner[unit.pk]}")
        if unit.state == "judgable" and unit.slots + unit.held + unit.judged != unit.wanted:
            verdict.stuck += 1
            verdict.note(
                f"unit {unit.pk}: {unit.judged} judgments, {unit.held} leases, {unit.slots} free, {unit.wanted} wanted"
            )


def check_judgments(
    verdict: Verdict, acknowledged: Iterable[Judged], sent: set[Judged], stored: Sequence[Judged]
) -> None:
    """What was acknowledged is stored once; what is stored was sent."""
    pairs = Counter((unit, user) for unit, user, _ in stored)
    for pair, times in pairs.items():
        if times > 1:
            verdict.duplicated += times - 1
            verdict.note(f"unit {pair[0]} was judged {times} times by contributor {pair[1]}")
    there = Counter(stored)
    for judged, times in Counter(acknowledged).items():
        if there[judged] < times:
            verdict.judgments_lost += times - there[judged]
            verdict.note(f"judgment {judged} was acknowledged {times} times and is stored {there[judged]} times")
    for judged in there:
        if judged not in sent:
            verdict.judgments_unknown += 1
            verdict.note(f"judgment {judged} was never sent")


def check_history(verdict: Verdict, history: History) -> None:
    """Nobody ended a row that somebody else had claimed meanwhile; every row ended once."""
    verdict.late_accepted += len(history.late) + len(history.falling)
    verdict.duplicated += len(history.ended_twice)
    for name, rows in (
        ("ended by a worker that had lost it", history.late),
        ("ended more than once", history.ended_twice),
        ("claimed with a token that did not rise", history.falling),
    ):
        if rows:
            verdict.note(f"{len(rows)} rows {name}: {rows[:5]}")


def check_report(
    verdict: Verdict, outcomes: Sequence[str], rows: Sequence[FoundRow], lines: Sequence[Mapping[str, str]]
) -> None:
    """The report has each row once and says of it what the database says."""
    by_number: dict[str, list[Mapping[str, str]]] = {}
    for line in lines:
        by_number.setdefault(line["number"], []).append(line)
    for row in rows:
        there = by_number.pop(row.number, [])
        if len(there) != 1:
            verdict.report_mismatches += 1
            verdict.note(f"the report has row {row.number} {len(there)} times")
        elif said := _differs(outcomes, row, there[0]):
            verdict.report_mismatches += 1
            verdict.note(f"the report says of row {row.number}: {said}")
    verdict.report_mismatches += len(by_number)


def _differs(outcomes: Sequence[str], row: FoundRow, line: Mapping[str, str]) -> str:
    final = row.unit_state == "finalized"
    flags = {"error": row.state == FAILED, "completed": row.state in {CONFIDENT, FAILED} or final}
    for name, flag in flags.items():
        if (line[name] == "true") != flag:
            return f"{name} is {line[name]}"
    for place, outcome in enumerate(outcomes):
        score = row.scores[place] if row.scores is not None else None
        share = (row.shares or {}).get(outcome, 0.0) if final else None
        for name, value in (("machine", score), ("human", share)):
            cell = line[f"{name}_label:{outcome}"]
            if (cell == "") != (value is None) or (value is not None and abs(float(cell) - value) > 1e-5):
                return f"{name}_label:{outcome} is {cell or 'empty'}, not {value}"
    return ""
