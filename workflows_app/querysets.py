"""Reading rows: the article's five status lines are derived here and stored nowhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Case, CharField, Count, Min, Q, QuerySet, Value, When
from django.utils import timezone

from jobs_app.states import UnitState

from .models import Workflow, WorkflowRow
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


def in_status(rows: Rows, key: str) -> Rows:
    """Those of `rows` in the status line `key`; a key that does not exist gives none."""
    return rows.filter(CONDITIONS[key]) if key in CONDITIONS else rows.none()


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


def counts(rows: Rows) -> Counts:
    """Count `rows` in one query. The rate is that of the last RATE_WINDOW, None when nothing was predicted."""
    now = timezone.now()
    recent = Q(predicted_at__gt=now - RATE_WINDOW)
    found = rows.aggregate(
        **{key: Count("id", filter=condition) for key, condition in CONDITIONS.items()},
        canceled=Count("id", filter=Q(unit__state=UnitState.CANCELED)),
        unlike_rows=Count("id", filter=Q(unlike=True)),
        recent=Count("id", filter=recent),
        since=Min("predicted_at", filter=recent),
    )
    rate = None
    if found["recent"]:
        rate = found["recent"] / max((now - found["since"]).total_seconds(), 1.0)
    return Counts({line.key: found[line.key] for line in STATUS_LINES}, found["canceled"], found["unlike_rows"], rate)


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
    found = (
        WorkflowRow.objects.filter(workflow__in=ids)
        .order_by()
        .values("workflow")
        .annotate(
            total=Count("id"),
            waiting=Count("id", filter=CONDITIONS[AWAITING_PREDICTION.key]),
            with_people=Count("id", filter=CONDITIONS[AWAITING_HUMAN.key]),
            failed=Count("id", filter=CONDITIONS[ERROR.key]),
        )
    )
    figures = {
        line["workflow"]: Brief(line["total"], line["waiting"], line["with_people"], line["failed"]) for line in found
    }
    return {pk: figures.get(pk, Brief(0, 0, 0, 0)) for pk in ids}
