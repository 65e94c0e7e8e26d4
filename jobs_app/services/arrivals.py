"""Rows that wait to be launched together (`auto_order`, threshold and timeout of reference/domain.md 2.3 and C13).

With a threshold above 1 rows that arrive in a launched job are queued until so many are there, until the oldest has
waited for the timeout, or until the workflow they come from has no more for now: the last few never wait for ever.
"""

from __future__ import annotations

from django.db import connection, transaction
from django.db.models import QuerySet

from labeling_platform.accounts.models import User
from labeling_platform.accounts.services import record

from ..models import Job, Unit
from ..states import JobState, UnitState

ENDED = {JobState.UNORDERED, JobState.CANCELED}
OVERDUE = """
SELECT job.id FROM jobs_app_job job
WHERE job.auto_launch AND job.state NOT IN ('unordered', 'canceled') AND EXISTS (
    SELECT FROM jobs_app_unit unit WHERE unit.job_id = job.id AND unit.state = 'queued'
    AND (job.auto_launch_threshold <= 1
         OR unit.created_at <= statement_timestamp() - job.auto_launch_timeout * interval '1 second'))
ORDER BY job.id LIMIT %s
"""


def arrival_state(job: Job) -> UnitState:
    """What a row becomes that arrives in the job now."""
    if not job.auto_launch or job.state in ENDED:
        return UnitState.NEW
    return UnitState.QUEUED if job.auto_launch_threshold > 1 else UnitState.JUDGABLE


def _queued(job: Job) -> QuerySet[Unit]:
    return Unit.objects.filter(job=job, state=UnitState.QUEUED).order_by("job", "state", "pk")


def launch_when_enough(job: Job) -> int:
    """Launch the queued rows when there are as many as the job wants; the caller holds the lock on the job.

    The lock is what makes two arrivals at once see each other's rows.
    """
    if not job.auto_launch or job.state in ENDED:
        return 0
    threshold = job.auto_launch_threshold
    return _launch(job) if _queued(job)[:threshold].count() >= threshold else 0


def _launch(job: Job) -> int:
    """Launch all queued rows of a locked job; a finished job runs again."""
    wanted = job.judgments_per_unit
    launched = UnitState.move(_queued(job), UnitState.JUDGABLE, slots=wanted, wanted=wanted)
    if launched:
        JobState.move(Job.objects.filter(pk=job.pk, state=JobState.FINISHED), JobState.RUNNING)
    return launched


@transaction.atomic
def launch_queued(*, job: Job, actor: User | None = None) -> int:
    """Launch the rows that wait to be launched together, however few; returns how many.

    For the button, and for a workflow that has no more rows for now. A job that was canceled launches none.
    """
    job = Job.objects.select_for_update(no_key=True, of=("self",)).select_related("team").get(pk=job.pk)
    launched = 0 if job.state in ENDED else _launch(job)
    if launched and actor is not None:
        record(team=job.team, actor=actor, verb="waiting rows launched", obj=job, rows=launched)
    return launched


def launch_overdue(*, limit: int = 100) -> int:
    """Launch the queued rows of jobs whose oldest one has waited for the timeout; for the sweeper. Returns how many.

    Called outside of any team's scope; all times are the database's.
    """
    with connection.cursor() as cursor:
        cursor.execute(OVERDUE, [limit])
        overdue = [pk for (pk,) in cursor.fetchall()]
    return sum(launch_queued(job=job) for job in Job.objects.filter(pk__in=overdue).order_by("pk"))


def unqueue(job: Job) -> None:
    """Automatic launching was switched off: what waited for it waits for a person now."""
    UnitState.move(_queued(job), UnitState.NEW)
