"""What pages ask about jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Count, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from labeling_platform.accounts.models import User

from .models import Contributor, Job, Judgment, Page, Unit
from .states import JobState, PageState, UnitState

MOST_COUNTED = 1000
MOST_OPEN_JOBS = 200
MOST_ENDED_JOBS = 30
# The last question is asked for each row found by itself: a join would read all judgments of the person.
WAITING = """
SELECT job.id, least(ahead.n + behind.n, %(most)s)
FROM jobs_app_job job
LEFT JOIN jobs_app_contributor place ON place.job_id = job.id AND place.user_id = %(user)s
CROSS JOIN LATERAL (
    SELECT count(*) AS n FROM (
        SELECT FROM jobs_app_unit unit
        WHERE unit.job_id = job.id AND unit.state = 'judgable' AND unit.slots > 0
          AND (unit.position, unit.id) > (coalesce(place.after_position, -1), coalesce(place.after_unit, 0))
        ORDER BY unit.position, unit.id LIMIT %(most)s) AS found) AS ahead
CROSS JOIN LATERAL (
    SELECT count(*) AS n FROM (
        SELECT unit.id FROM jobs_app_unit unit
        WHERE unit.job_id = job.id AND unit.state = 'judgable' AND unit.slots > 0 AND ahead.n < %(most)s
          AND (unit.position, unit.id) <= (place.after_position, place.after_unit)
        ORDER BY unit.position, unit.id LIMIT %(most)s) AS found
    WHERE (
        SELECT judgment.id FROM jobs_app_judgment judgment
        WHERE judgment.unit_id = found.id AND judgment.contributor_id = place.id) IS NULL) AS behind
WHERE job.id = ANY(%(jobs)s::bigint[])
"""
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


@dataclass(frozen=True)
class JobForMe:
    """A job as one person sees it: `waiting` rows for them (at most MOST_COUNTED), whether they hold a page.

    `golds` are the job's enabled test questions, `place` is the person's standing, None before they begin.
    """

    job: Job
    place: Contributor | None
    waiting: int
    held: bool
    golds: int


def jobs_to_work_on(user: User) -> list[JobForMe]:
    """Jobs that are open, newest first, and the last ones that this person worked on.

    The same few queries however many jobs and rows there are: no job's rows are counted beyond MOST_COUNTED.
    """
    places = {place.job_id: place for place in Contributor.objects.filter(user=user).order_by("-pk")[:MOST_COUNTED]}
    jobs = list(Job.objects.filter(state__in=[JobState.RUNNING, JobState.PAUSED])[:MOST_OPEN_JOBS])
    jobs += Job.objects.filter(state__in=[JobState.FINISHED, JobState.CANCELED], pk__in=places)[:MOST_ENDED_JOBS]
    running = [job.pk for job in jobs if job.state == JobState.RUNNING]
    waiting = rows_waiting_for(user=user, job_ids=running)
    golden = Unit.objects.filter(job__in=running, state=UnitState.GOLDEN).order_by()
    golds = dict(golden.values_list("job").annotate(n=Count("pk")))
    open_pages = Page.objects.filter(contributor__user=user, state=PageState.OPEN, expires_at__gt=timezone.now())
    held = set(open_pages.values_list("job", flat=True))
    return [
        JobForMe(job, places.get(job.pk), waiting.get(job.pk, 0), job.pk in held, golds.get(job.pk, 0)) for job in jobs
    ]


def rows_waiting_for(*, user: User, job_ids: Sequence[int]) -> dict[int, int]:
    """Rows of each job that this person could get now, at most MOST_COUNTED.

    Those behind the place they got to, and among the first MOST_COUNTED before it those they have not judged.
    """
    with connection.cursor() as cursor:
        cursor.execute(WAITING, {"jobs": list(job_ids), "user": user.pk, "most": MOST_COUNTED})
        return dict(cursor.fetchall())


def judged_since(contributor: Contributor, moment: datetime) -> int:
    """How many judgments the contributor gave since then, test questions with them, at most MOST_COUNTED."""
    return Judgment.objects.filter(contributor=contributor, created_at__gte=moment)[:MOST_COUNTED].count()
