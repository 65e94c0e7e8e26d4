"""Looking through the rows of a job: filtered, ordered, and paged by key in every order.

Each order walks an index from the key on, so that the last page of 250,000 rows comes as fast as the first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import F, QuerySet
from django.db.models.fields.tuple_lookups import Tuple, TupleGreaterThan, TupleLessThan

from .design import Design
from .models import Job, Unit
from .states import UnitState

NEWEST, LEAST_AGREED = "newest", "agreement"
MOST_ID = 2**63 - 1


@dataclass(frozen=True)
class KeyPage:
    """Rows of one page; the keys to go on from are "" at the ends."""

    units: list[Unit]
    previous: str
    next: str


def rows_of(job: Job, *, state: str = "", answer: str = "", row: str = "") -> QuerySet[Unit]:
    """The rows (no test questions) of a job that fit: `answer` is question=value, `row` the number of a row."""
    rows = Unit.objects.filter(job=job)
    rows = rows.filter(state=state) if state else rows.exclude(state__in=UnitState.golden_states())
    if answer:
        question, _, value = answer.partition("=")
        rows = rows.filter(state=UnitState.FINALIZED, result__contains={question: {"answers": [value]}})
    if row:
        number = row.strip().removeprefix("#")
        rows = rows.filter(pk=_number(number)) if number.isascii() and number.isdigit() else rows.none()
    return rows


def answer_choices(design: Design) -> list[tuple[str, str]]:
    """(question=value, words) of every answer that a row can come to and that can be asked for."""
    found = []
    for question in design.questions:
        method = question.aggregation.partition("_")[0]
        if method not in {"agg", "cagg"} or (question.kind == "checkboxes" and question.aggregation == "agg"):
            continue  # an average, a list of all answers, or a set of ticked boxes is no single value
        found += [(question.label, f"{question.name}={option.value}", option.label) for option in question.options]
    several = len({label for label, _, _ in found}) > 1
    return [(key, f"{label}: {option}" if several else option) for label, key, option in found]


def page_by_key(rows: QuerySet[Unit], *, order: str, query: Mapping[str, str], size: int) -> KeyPage:
    """The page of `rows` that `query` asks for by `after` or `before` (a key that another page named).

    The order is newest first, or lowest agreement first: then only rows that have one are in it.
    """
    backwards = bool(query.get("before")) and not query.get("after")
    key = query.get("before") if backwards else query.get("after")
    found = list(_behind(rows, order, key or "", backwards)[: size + 1])
    more, page = len(found) > size, found[:size]
    if backwards:
        page.reverse()
    return KeyPage(
        units=page,
        previous=_key(page[0], order) if page and (more if backwards else key) else "",
        next=_key(page[-1], order) if page and (backwards or more) else "",
    )


def _behind(rows: QuerySet[Unit], order: str, key: str, backwards: bool) -> QuerySet[Unit]:
    if order == LEAST_AGREED:
        rows = rows.filter(agreement__isnull=False).order_by("agreement", "pk")
        share, _, after = key.partition("~")
        if (agreement := _share(share)) is not None:
            place = Tuple(F("agreement"), F("pk"))
            beyond = TupleLessThan if backwards else TupleGreaterThan
            rows = rows.filter(beyond(place, (agreement, _number(after))))
    else:
        rows = rows.order_by("-pk")
        if number := _number(key):
            rows = rows.filter(pk__gt=number) if backwards else rows.filter(pk__lt=number)
    return rows.reverse() if backwards else rows


def _key(unit: Unit, order: str) -> str:
    return f"{unit.agreement!r}~{unit.pk}" if order == LEAST_AGREED else str(unit.pk)


def _number(text: str) -> int:
    return min(int(text), MOST_ID) if text.isascii() and text.isdigit() and len(text) < 25 else 0


def _share(text: str) -> float | None:
    try:
        share = float(text)
    except ValueError:
        return None
    return share if math.isfinite(share) else None


def neighbours(unit: Unit) -> tuple[int | None, int | None]:
    """Ids of the row before and the row after (by number), of the same job; of test questions for a test question."""
    same = Unit.objects.filter(job=unit.job_id)
    golden = UnitState.golden_states()
    same = same.filter(state__in=golden) if unit.is_golden else same.exclude(state__in=golden)
    before = same.filter(pk__lt=unit.pk).order_by("-pk").values_list("pk", flat=True).first()
    after = same.filter(pk__gt=unit.pk).order_by("pk").values_list("pk", flat=True).first()
    return before, after
