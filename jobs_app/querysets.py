"""What pages ask about jobs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models import (
    Case,
    Count,
    Exists,
    F,
    FloatField,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    TextField,
    Value,
    When,
)
from django.db.models.functions import Cast, Coalesce, Concat
from django.utils import timezone

from labeling_platform.accounts.models import User

from .models import Job, Judgment, Page, TestQuestion, Unit
from .states import JobState, PageState, UnitState

ROWS = sorted(UnitState.row_states())


@dataclass(frozen=True)
class JobCounts:
    """Rows of a job by what they wait for. `held` are in somebody's hands just now."""

    new: int
    waiting: int
    finalized: int
    canceled: int
    held: int
    judgments: int
    last_hour: int

    @property
    def total(self) -> int:
        return self.new + self.waiting + self.finalized


def job_counts(job: Job) -> JobCounts:
    states = dict(Unit.objects.filter(job=job).values_list("state").annotate(n=Count("pk")).order_by())
    pages = Page.objects.filter(job=job, state=PageState.OPEN, expires_at__gt=timezone.now())
    held = sum(len(ids) for ids in pages.values_list("unit_ids", flat=True))
    hour = timezone.now() - timedelta(hours=1)
    judged = Judgment.objects.filter(job=job).aggregate(
        n=Count("pk"), recent=Count("pk", filter=Q(created_at__gt=hour))
    )
    return JobCounts(
        new=states.get(UnitState.NEW, 0),
        waiting=states.get(UnitState.JUDGABLE, 0),
        finalized=states.get(UnitState.FINALIZED, 0),
        canceled=states.get(UnitState.CANCELED, 0),
        held=held,
        judgments=judged["n"],
        last_hour=judged["recent"],
    )


def _units_where(condition: Q) -> Coalesce:
    counted = (
        Unit.objects.filter(condition, job=OuterRef("pk")).order_by().values("job").annotate(n=Count("pk")).values("n")
    )
    return Coalesce(Subquery(counted, output_field=IntegerField()), 0)


def job_list() -> QuerySet[Job]:
    """All jobs of the team with rows, finalized rows and test questions counted."""
    return (
        Job.objects.select_related("model")
        .prefetch_related("workflows")
        .annotate(
            rows_total=_units_where(Q(state__in=ROWS)),
            rows_final=_units_where(Q(state=UnitState.FINALIZED)),
            golds=_units_where(Q(state=UnitState.GOLDEN)),
        )
    )


def jobs_to_work_on(user: User) -> QuerySet[Job]:
    """Jobs that are open or were worked on by this person, with their open rows and own judgments counted."""
    own = (
        Judgment.objects.filter(job=OuterRef("pk"), contributor__user=user)
        .order_by()
        .values("job")
        .annotate(n=Count("pk"))
        .values("n")
    )
    open_rows = _units_where(Q(state=UnitState.JUDGABLE, slots__gt=0))
    return (
        Job.objects.filter(state__in=[JobState.RUNNING, JobState.PAUSED, JobState.FINISHED])
        .annotate(rows_open=open_rows, own=Coalesce(Subquery(own, output_field=IntegerField()), 0))
        .order_by("-id")
    )


# --- test questions ----------------------------------------------------------------------------------

SAMPLE = 10_000
"""Finalized rows that are enough to say how often people give each answer."""


def _judged(condition: Q | None = None) -> Count:
    return Count("unit__judgments", filter=condition)


def gold_list(job: Job) -> QuerySet[Any]:
    """The job's test questions with what became of them.

    `seen` answers were given to it, `missed` are wrong by what is accepted now (forgiven ones are not, and those of a
    switched-off test question count no more), `contested` were objected to; `missed_share` and `contested_share` are
    parts of `seen`, None when nobody saw it. `new_...` count what came after somebody looked at it last.
    """
    miss = Q(unit__judgments__missed=True, unit__state=UnitState.GOLDEN)
    objection = Q(unit__judgments__contest__gt="")
    fresh = Q(reviewed_at=None) | Q(unit__judgments__created_at__gt=F("reviewed_at"))
    objected_since = Q(reviewed_at=None) | Q(unit__judgments__contested_at__gt=F("reviewed_at"))

    def share(name: str) -> Case:
        return Case(When(seen__gt=0, then=1.0 * F(name) / F("seen")), output_field=FloatField())

    return (
        TestQuestion.objects.filter(job=job)
        .select_related("unit")
        .annotate(
            seen=_judged(),
            missed=_judged(miss),
            contested=_judged(objection),
            new_seen=_judged(fresh),
            new_missed=_judged(miss & fresh),
            new_contested=_judged(objection & objected_since),
        )
        .annotate(missed_share=share("missed"), contested_share=share("contested"))
    )


def rows_without_gold(job: Job) -> QuerySet[Unit]:
    """The rows that could still be copied as a test question: not withdrawn, none made from them."""
    made = Unit.objects.filter(job=job, key=Concat(Value("gold:unit:"), Cast(OuterRef("pk"), TextField())))
    rows = Unit.objects.filter(job=job, state__in=ROWS).exclude(state=UnitState.CANCELED)
    return rows.filter(~Exists(made))


def rows_people_agree_on(job: Job, minimum_agreement: float) -> QuerySet[Unit]:
    """Finalized rows that can become test questions: two or more trusted judgments and at least this agreement."""
    return rows_without_gold(job).filter(
        state=UnitState.FINALIZED, judgments_count__gte=2, agreement__gte=minimum_agreement
    )


def given_answers(job: Job) -> dict[str, dict[str, int]]:
    """Per question and answer: how many of the newest finalized rows (SAMPLE) came to it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT question.key, answer, count(*) FROM ("
            "  SELECT result FROM jobs_app_unit WHERE job_id = %s AND team_id = %s AND state = 'finalized'"
            "  ORDER BY id DESC LIMIT %s) newest,"
            " jsonb_each(newest.result) question, jsonb_array_elements_text(question.value -> 'answers') joined,"
            " regexp_split_to_table(joined, E'\\n') answer"
            " GROUP BY question.key, answer",
            [job.pk, job.team_id, SAMPLE],
        )
        found: dict[str, dict[str, int]] = {}
        for question, answer, count in cursor.fetchall():
            found.setdefault(question, {})[answer] = count
        return found
