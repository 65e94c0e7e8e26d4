"""What pages ask about jobs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import (
    Case,
    Count,
    Exists,
    F,
    FloatField,
    OuterRef,
    Q,
    QuerySet,
    TextField,
    Value,
    When,
)
from django.db.models.functions import Cast, Concat
from django.utils import timezone

from labeling_platform.accounts.models import User
from labeling_platform.lib.tallies import tallies

from .models import Contributor, Job, Judgment, Page, TestQuestion, Unit, UnitTally
from .states import JobState, PageState, UnitState

MOST_COUNTED = 1000
MOST_RECENT = 10_000
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
    """Rows of a job by what they wait for. `queued` ones are launched together; `held` ones are in work."""

    new: int
    queued: int
    waiting: int
    finalized: int
    canceled: int
    held: int
    judgments: int
    last_hour: int

    @property
    def total(self) -> int:
        return self.new + self.queued + self.waiting + self.finalized


def job_counts(job: Job) -> JobCounts:
    """Where the job's rows stand, from its tallies: no row is read. `last_hour` stops at MOST_RECENT."""
    lines = tallies(UnitTally, "job", [job.pk])[job.pk]
    pages = Page.objects.filter(job=job, state=PageState.OPEN, expires_at__gt=timezone.now())
    newest = Judgment.objects.filter(job=job, missed=None).order_by("-pk").values("pk")[:MOST_RECENT]
    hour = timezone.now() - timedelta(hours=1)
    return JobCounts(
        new=lines.get(UnitState.NEW, 0),
        queued=lines.get(UnitState.QUEUED, 0),
        waiting=lines.get(UnitState.JUDGABLE, 0),
        finalized=lines.get(UnitState.FINALIZED, 0),
        canceled=lines.get(UnitState.CANCELED, 0),
        held=sum(len(ids) for ids in pages.values_list("unit_ids", flat=True)),
        judgments=lines.get("judgments", 0),
        last_hour=Judgment.objects.filter(pk__in=newest, created_at__gt=hour).count(),
    )


def job_list() -> QuerySet[Job]:
    """All jobs of the team; their figures come from `job_figures`."""
    return Job.objects.select_related("model").prefetch_related("workflows")


@dataclass(frozen=True)
class JobFigures:
    """The figures of one job in the list."""

    rows: int
    final: int
    golds: int


def job_figures(jobs: Iterable[Job]) -> dict[int, JobFigures]:
    """Figures of several jobs in one query, by job id, without reading their rows."""
    return {
        pk: JobFigures(
            sum(lines.get(state, 0) for state in ROWS),
            lines.get(UnitState.FINALIZED, 0),
            lines.get(UnitState.GOLDEN, 0),
        )
        for pk, lines in tallies(UnitTally, "job", [job.pk for job in jobs]).items()
    }


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
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM (SELECT FROM jobs_app_judgment"
            " WHERE contributor_id = %s AND team_id = %s AND created_at >= %s LIMIT %s) AS found",
            [contributor.pk, contributor.team_id, moment, MOST_COUNTED],
        )
        return int(cursor.fetchone()[0])


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
