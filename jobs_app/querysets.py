"""What pages ask about jobs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Count, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from labeling_platform.accounts.models import User

from .models import Job, Judgment, Page, Unit
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
    """All jobs of the team with rows and finalized rows counted."""
    return (
        Job.objects.select_related("model")
        .prefetch_related("workflows")
        .annotate(rows_total=_units_where(Q(state__in=ROWS)), rows_final=_units_where(Q(state=UnitState.FINALIZED)))
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
