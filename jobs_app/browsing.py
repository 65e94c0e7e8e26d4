"""Looking through the rows of a job: filtered and ordered."""

from __future__ import annotations

from django.db.models import QuerySet

from labeling_platform.lib.paging import MOST_ID

from .design import Design
from .models import Job, Unit
from .states import UnitState

NEWEST, LEAST_AGREED = "newest", "agreement"


def rows_of(job: Job, *, state: str = "", answer: str = "", row: str = "") -> QuerySet[Unit]:
    """The rows (no test questions) of a job that fit: `answer` is question=value, `row` the number of a row."""
    rows = Unit.objects.filter(job=job)
    rows = rows.filter(state=state) if state else rows.exclude(state__in=UnitState.golden_states())
    if answer:
        question, _, value = answer.partition("=")
        rows = rows.filter(state=UnitState.FINALIZED, result__contains={question: {"answers": [value]}})
    if row:
        number = row.strip().removeprefix("#")
        valid = number.isascii() and number.isdigit() and len(number) < 25
        rows = rows.filter(pk=min(int(number), MOST_ID)) if valid else rows.none()
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


def neighbours(unit: Unit) -> tuple[int | None, int | None]:
    """Ids of the row before and the row after (by number), of the same job; of test questions for a test question."""
    same = Unit.objects.filter(job=unit.job_id)
    golden = UnitState.golden_states()
    same = same.filter(state__in=golden) if unit.is_golden else same.exclude(state__in=golden)
    before = same.filter(pk__lt=unit.pk).order_by("-pk").values_list("pk", flat=True).first()
    after = same.filter(pk__gt=unit.pk).order_by("pk").values_list("pk", flat=True).first()
    return before, after
