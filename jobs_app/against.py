"""Model against people: what the model said of the rows that a workflow sent here, and what people answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.db.models import F, FloatField, Q, QuerySet, TextField
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Cast

from .models import Job, Unit
from .states import UnitState

BANDS = 10


@dataclass(frozen=True)
class Band:
    """Rows whose machine confidence is from `low` to below `high`, and those of them where people agreed."""

    low: float
    high: float
    rows: int
    agreed: int

    @property
    def differed(self) -> int:
        return self.rows - self.agreed

    @property
    def share(self) -> float | None:
        return self.agreed / self.rows if self.rows else None


@dataclass(frozen=True)
class Comparison:
    """All finalized rows that a model had seen: `matrix[people][model]` in the order of `labels`.

    `waiting` such rows have no answer of people yet.
    """

    labels: list[str] = field(default_factory=list)
    matrix: list[list[int]] = field(default_factory=list)
    bands: list[Band] = field(default_factory=list)
    waiting: int = 0

    @property
    def rows(self) -> int:
        return sum(map(sum, self.matrix))

    @property
    def agreed(self) -> int:
        return sum(counts[place] for place, counts in enumerate(self.matrix))

    @property
    def share(self) -> float | None:
        return self.agreed / self.rows if self.rows else None


def compared_rows(job: Job, question: str) -> QuerySet[Unit]:
    """The finalized rows with what the model and what people said, as `said`, `confidence` and `answer`."""
    answers = KeyTransform("answers", KeyTransform(question, "result"))
    return (
        Unit.objects.filter(job=job, state=UnitState.FINALIZED, machine__isnull=False)
        .annotate(
            said=Cast(KeyTextTransform("label", "machine"), TextField()),
            confidence=Cast(KeyTextTransform("confidence", "machine"), FloatField()),
            answer=Cast(KeyTextTransform("0", answers), TextField()),
        )
        .filter(said__isnull=False, answer__isnull=False)
    )


# In a subquery of its own (OFFSET 0), so that each value is dug out of the JSON once.
COMPARED = """
SELECT said, answer, band, count(*) FROM (
    SELECT machine ->> 'label' AS said, result -> %(question)s -> 'answers' ->> 0 AS answer,
        least(floor((machine ->> 'confidence')::float8 * %(bands)s + 1e-9)::int, %(bands)s - 1) AS band
    FROM jobs_app_unit
    WHERE job_id = %(job)s AND team_id = %(team)s AND state = 'finalized' AND machine IS NOT NULL OFFSET 0
) AS row WHERE said IS NOT NULL AND answer IS NOT NULL GROUP BY said, answer, band
"""


def comparison_of(job: Job, question: str) -> Comparison:
    """Reads the finalized rows once, in one statement."""
    with connection.cursor() as cursor:
        cursor.execute(COMPARED, {"job": job.pk, "team": job.team_id, "question": question, "bands": BANDS})
        found: list[tuple[str, str, int | None, int]] = list(cursor.fetchall())
    waiting = Unit.objects.filter(
        job=job, machine__isnull=False, state__in=[UnitState.NEW, UnitState.QUEUED, UnitState.JUDGABLE]
    )
    labels = _labels(job.outcomes, [name for said, answer, _, _ in found for name in (answer, said)])
    place = {label: number for number, label in enumerate(labels)}
    matrix = [[0] * len(labels) for _ in labels]
    rows, agreed = [0] * BANDS, [0] * BANDS
    for said, answer, number, count in found:
        matrix[place[answer]][place[said]] += count
        if number is not None:
            rows[number] += count
            agreed[number] += count if said == answer else 0
    bands = [Band(n / BANDS, (n + 1) / BANDS, rows[n], agreed[n]) for n in range(BANDS)]
    return Comparison(labels, matrix, bands, waiting.count())


def _labels(outcomes: Sequence[str], found: Sequence[str]) -> list[str]:
    """The outcomes in their order, then what else was said: an older version of the model may know other classes."""
    return [*outcomes, *sorted(set(found) - set(outcomes))]


def filtered(
    rows: QuerySet[Any], *, answer: str = "", said: str = "", band: int | None = None, agreed: bool | None = None
) -> QuerySet[Any]:
    """Those of `compared_rows` with this answer of people, this one of the model, in this band, (not) agreed."""
    if answer:
        rows = rows.filter(answer=answer)
    if said:
        rows = rows.filter(said=said)
    if band is not None:
        high = Q() if band == BANDS - 1 else Q(confidence__lt=(band + 1) / BANDS - 1e-9 / BANDS)
        rows = rows.filter(high, confidence__gte=band / BANDS - 1e-9 / BANDS)
    if agreed is not None:
        rows = rows.filter(answer=F("said")) if agreed else rows.exclude(answer=F("said"))
    return rows
