"""Reading rows: the article's five status lines are derived here and stored nowhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Case, CharField, Count, Min, OuterRef, Q, QuerySet, Subquery, Sum, Value, When
from django.utils import timezone

from jobs_app.models import Unit
from jobs_app.states import UnitState
from labeling_platform.lib.tallies import tallies

from .models import RowTally, Workflow, WorkflowRow
from .states import (
    AWAITING_HUMAN,
    AWAITING_PREDICTION,
    ERROR,
    HUMAN_LABELED,
    MODEL_LABELED,
    STATUS_LINES,
    RowState,
    StatusLine,
)

Rows = QuerySet[WorkflowRow]
FEW = 2000
RATE_WINDOW = timedelta(seconds=30)
_FINAL = Q(unit__state=UnitState.FINALIZED)
CONDITIONS: dict[str, Q] = {
    AWAITING_PREDICTION.key: Q(state=RowState.AWAITING),
    MODEL_LABELED.key: Q(state=RowState.CONFIDENT),
    AWAITING_HUMAN.key: Q(state=RowState.ROUTED) & ~_FINAL,
    HUMAN_LABELED.key: Q(state=RowState.ROUTED) & _FINAL,
    ERROR.key: Q(state=RowState.FAILED),
}
"""What each status line means of a row and its unit: the one place that says so."""
LINES = {line.key: line for line in STATUS_LINES}


def with_status(rows: Rows) -> Rows:
    """Add `status`, the key of the row's status line, and bring the unit along."""
    cases = [When(CONDITIONS[line.key], then=Value(line.key)) for line in STATUS_LINES]
    return rows.select_related("unit").annotate(status=Case(*cases, output_field=CharField()))


def in_status(rows: Rows, key: str, *, workflow: Workflow) -> Rows:
    """Those of the workflow's `rows` in the status line `key`; a key that does not exist gives none.

    What people did stands at the units. Among very many routed rows a few finished ones, or a few unfinished, are
    found from there.
    """
    if key not in CONDITIONS:
        return rows.none()
    if key in {AWAITING_HUMAN.key, HUMAN_LABELED.key} and tallied_rows(workflow)[key] <= FEW:
        units = Unit.objects.filter(job=workflow.job_id)
        final = Q(state=UnitState.FINALIZED)
        units = units.filter(final if key == HUMAN_LABELED.key else ~final)
        mine = WorkflowRow.objects.filter(workflow=workflow, unit__in=units)
        return rows.filter(pk__in=list(mine.values_list("pk", flat=True)))
    if key in {AWAITING_HUMAN.key, HUMAN_LABELED.key}:
        # A subquery and no join: it looks at the units of rows along the way, and never at all of them.
        unit = Unit.objects.filter(pk=OuterRef("unit_id")).values("state")[:1]
        routed = rows.filter(state=RowState.ROUTED).alias(unit_state=Subquery(unit))
        final = Q(unit_state=UnitState.FINALIZED)
        return routed.filter(final if key == HUMAN_LABELED.key else ~final)
    return rows.filter(CONDITIONS[key])


def in_class(rows: Rows, label: str, *, at_least: float | None = None, at_most: float | None = None) -> Rows:
    """Those of `rows` that the model takes for `label` ("": any class), with a confidence in these bounds."""
    if label:
        rows = rows.filter(predicted=label)
    if at_least is not None:
        rows = rows.filter(confidence__gte=at_least)
    if at_most is not None:
        rows = rows.filter(confidence__lte=at_most)
    return rows


@dataclass(frozen=True)
class Counts:
    """How many rows stand in each status line, and how fast the model is going."""

    by_line: dict[str, int]
    canceled_units: int
    unlike: int
    per_second: float | None

    @property
    def total(self) -> int:
        return sum(self.by_line.values())

    @property
    def waiting(self) -> int:
        return self.by_line[AWAITING_PREDICTION.key]

    @property
    def predicted(self) -> int:
        return self.total - self.waiting

    @property
    def completed(self) -> int:
        """Rows with completed = true in the report, errors included."""
        return sum(self.by_line[line.key] for line in STATUS_LINES if line.completed)

    @property
    def routed(self) -> int:
        return self.by_line[AWAITING_HUMAN.key] + self.by_line[HUMAN_LABELED.key]

    @property
    def failed(self) -> int:
        return self.by_line[ERROR.key]

    @property
    def seconds_left(self) -> int | None:
        """Seconds until every row has its prediction at the present rate; None when that is not known."""
        if not self.waiting or not self.per_second:
            return None
        return round(self.waiting / self.per_second)

    @property
    def lines(self) -> list[tuple[StatusLine, int]]:
        return [(line, self.by_line[line.key]) for line in STATUS_LINES]


def counts(workflow: Workflow) -> Counts:
    """How many rows of the workflow stand where, from its tallies: no row is read, however many there are.

    The rate is that of the last RATE_WINDOW, None when nothing was predicted.
    """
    found = tallies(RowTally, "workflow", [workflow.pk])[workflow.pk]
    now = timezone.now()
    answered = RowTally.objects.filter(
        workflow=workflow, line__in=[RowState.CONFIDENT, RowState.ROUTED, RowState.FAILED], at__gt=now - RATE_WINDOW
    ).aggregate(rows=Sum("n"), since=Min("at"))
    rate = None
    if answered["rows"]:
        rate = answered["rows"] / max((now - answered["since"]).total_seconds(), 1.0)
    return Counts(_by_line(found), found.get("canceled", 0), found.get("unlike", 0), rate)


def _by_line(found: Mapping[str, int]) -> dict[str, int]:
    """Rows by status line, from the tallies of one workflow."""
    human = found.get("human", 0)
    return {
        AWAITING_PREDICTION.key: found.get(RowState.AWAITING, 0),
        MODEL_LABELED.key: found.get(RowState.CONFIDENT, 0),
        AWAITING_HUMAN.key: found.get(RowState.ROUTED, 0) - human,
        HUMAN_LABELED.key: human,
        ERROR.key: found.get(RowState.FAILED, 0),
    }


def counted_rows(rows: Rows) -> dict[str, int]:
    """The truth behind the tallies, by reading every row: for tests and checks, never for pages."""
    found = rows.aggregate(
        **{key: Count("id", filter=condition) for key, condition in CONDITIONS.items()},
        canceled=Count("id", filter=Q(unit__state=UnitState.CANCELED)),
        unlike_rows=Count("id", filter=Q(unlike=True)),
    )
    return dict(found)


def tallied_rows(workflow: Workflow) -> dict[str, int]:
    """What the tallies say, in the words of `counted_rows`: the two are equal at every moment."""
    found = tallies(RowTally, "workflow", [workflow.pk])[workflow.pk]
    return _by_line(found) | {"canceled": found.get("canceled", 0), "unlike_rows": found.get("unlike", 0)}


@dataclass(frozen=True)
class Brief:
    """The figures of one workflow in the list."""

    total: int
    waiting: int
    with_people: int
    failed: int

    @property
    def done(self) -> int:
        return self.total - self.waiting - self.with_people


def briefs(workflows: Iterable[Workflow]) -> dict[int, Brief]:
    """Figures of several workflows in one query, by workflow id; workflows without rows are in it too."""
    ids = [workflow.pk for workflow in workflows]
    figures = {}
    for pk, found in tallies(RowTally, "workflow", ids).items():
        lines = _by_line(found)
        figures[pk] = Brief(
            sum(lines.values()), lines[AWAITING_PREDICTION.key], lines[AWAITING_HUMAN.key], lines[ERROR.key]
        )
    return figures
