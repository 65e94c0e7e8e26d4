"""Figures of a job for its Monitor tab.

`progress_of` and `crowd_of` are asked for every few seconds: they read tallies, contributors and open pages, and the
last hour's judgments by index, never all rows. The other figures are asked for once, and look at a window of time, at
the newest judgments, or once over the rows (at most 250,000).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Case, Count, F, Q, QuerySet, Value, When
from django.utils import timezone

from labeling_platform.lib.tallies import tallies

from .models import Contributor, Job, Judgment, Page, Unit, UnitTally
from .quality import Plan
from .states import ContributorState, PageState, UnitState

NEWEST = 5_000
"""Judgments that are enough for times and for what people answer."""
SHORTEST_PACE = timedelta(minutes=10)
STEPS = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800)
BINS = 12


def _query(sql: str, **values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())


# --- progress ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Progress:
    """How far a job is. `held` rows are in the hands of `people` just now; `got` judgments count (no test questions).

    `wanted` is what the launched rows want at the least: with dynamic judgments (`open_ended`) they may want more.
    `pace` is judgments an hour in the last hour, None when there were none.
    """

    new: int
    queued: int
    waiting: int
    finalized: int
    canceled: int
    held: int
    people: int
    got: int
    wanted: int
    open_ended: bool
    pace: float | None
    last_at: datetime | None

    @property
    def launched(self) -> int:
        return self.waiting + self.finalized

    @property
    def total(self) -> int:
        return self.new + self.queued + self.launched

    @property
    def left(self) -> int:
        """Judgments that are still wanted at the least: each waiting row wants one or more."""
        return max(self.wanted - self.got, self.waiting) if self.waiting else 0

    @property
    def seconds_left(self) -> float | None:
        """Until every launched row is finalized, at the last hour's pace; None when nobody can say."""
        return self.left * 3600 / self.pace if self.left and self.pace else None


# Per contributor, so that the index on (contributor, time) is used however many judgments there are.
LAST_HOUR = """
SELECT sum(found.n), min(found.since)
FROM jobs_app_contributor person CROSS JOIN LATERAL (
    SELECT count(*) AS n, min(judgment.created_at) AS since FROM jobs_app_judgment judgment
    WHERE judgment.contributor_id = person.id AND judgment.created_at > %(since)s AND judgment.missed IS NULL
      AND NOT judgment.tainted
) AS found WHERE person.job_id = %(job)s AND person.team_id = %(team)s
"""


def progress_of(job: Job) -> Progress:
    """Where the job stands just now."""
    counted = tallies(UnitTally, "job", [job.pk])[job.pk]
    now = timezone.now()
    pages = Page.objects.filter(job=job, state=PageState.OPEN, expires_at__gt=now)
    held = [len(ids) - golds for ids, golds in pages.values_list("unit_ids", "golds")]
    waiting, finalized = counted.get(UnitState.JUDGABLE, 0), counted.get(UnitState.FINALIZED, 0)
    got = counted.get("judgments", 0)
    newest = Judgment.objects.filter(job=job).order_by("-pk").values_list("created_at", flat=True)
    return Progress(
        new=counted.get(UnitState.NEW, 0),
        queued=counted.get(UnitState.QUEUED, 0),
        waiting=waiting,
        finalized=finalized,
        canceled=counted.get(UnitState.CANCELED, 0),
        held=sum(held),
        people=len(held),
        got=got,
        wanted=max((waiting + finalized) * job.judgments_per_unit, got + waiting),
        open_ended=job.min_confidence is not None,
        pace=_pace(job, now),
        last_at=newest.first(),
    )


def _pace(job: Job, now: datetime) -> float | None:
    """Judgments an hour, since the first one of the last hour; a few minutes of work make no pace of their own."""
    ((count, since),) = _query(LAST_HOUR, job=job.pk, team=job.team_id, since=now - timedelta(hours=1))
    if not count:
        return None
    hours: float = max(now - since, SHORTEST_PACE) / timedelta(hours=1)
    return int(count) / hours


# --- people ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Crowd:
    """The contributors of a job. `passed` and `failed` are those who did the quiz; `maxed_out` cannot go on."""

    total: int
    in_quiz: int
    working: int
    passed: int
    failed: int
    maxed_out: int
    removed: int
    stopped: int


def crowd_of(job: Job, plan: Plan) -> Crowd:
    """How the job's contributors stand."""
    tested = Q(seen__gt=0)
    failed = tested & Q(state=ContributorState.REMOVED, pages_done=0)
    spent = Q(pk=None)
    if plan.active:
        spent |= Q(seen__gt=plan.golds - plan.golds_per_page)
    if job.max_judgments_per_contributor is not None:
        spent |= Q(judged__gte=job.max_judgments_per_contributor)
    found = Contributor.objects.filter(job=job).aggregate(
        total=Count("pk"),
        in_quiz=Count("pk", filter=Q(state=ContributorState.QUIZ)),
        working=Count("pk", filter=Q(state=ContributorState.WORKING)),
        passed=Count("pk", filter=tested & ~failed),
        failed=Count("pk", filter=failed),
        maxed_out=Count("pk", filter=Q(state=ContributorState.WORKING) & spent),
        removed=Count("pk", filter=Q(state=ContributorState.REMOVED)),
        stopped=Count("pk", filter=Q(state__in=[ContributorState.FLAGGED, ContributorState.REJECTED])),
    )
    return Crowd(**found)


@dataclass(frozen=True)
class Missed:
    """A test question that most of those who saw it missed."""

    unit: Unit
    seen: int
    missed: int


FEWEST_SEEN = 3


def often_missed(job: Job) -> list[Missed]:
    """Test questions in use that more than half of at least FEWEST_SEEN people missed, worst first."""
    golds = Unit.objects.filter(job=job, state=UnitState.GOLDEN).select_related("test_question")
    counted = golds.annotate(
        seen=Count("judgments"), missed=Count(Case(When(judgments__missed=True, then=Value(1))))
    ).filter(seen__gte=FEWEST_SEEN, missed__gt=F("seen") / 2.0)
    found = [Missed(unit, unit.seen, unit.missed) for unit in counted]
    return sorted(found, key=lambda line: (-line.missed / line.seen, line.unit.pk))


# --- throughput --------------------------------------------------------------------------------------

Columns = list[tuple[str, int, str]]
"""(what a column is, its count, what stands below it) as the template tag `columns` takes them."""
BY_HOUR = """
SELECT hour, sum(found.n)::bigint
FROM jobs_app_contributor person CROSS JOIN LATERAL (
    SELECT date_bin('1 hour', judgment.created_at, '2000-01-01+00') AS hour, count(*) AS n
    FROM jobs_app_judgment judgment
    WHERE judgment.contributor_id = person.id AND judgment.created_at >= %(since)s GROUP BY 1
) AS found WHERE person.job_id = %(job)s AND person.team_id = %(team)s GROUP BY 1
"""
DAYS, HOURS = 30, 24


@dataclass(frozen=True)
class Throughput:
    """Judgments, test questions among them, by hour and by day (UTC), the newest last."""

    hours: Columns
    days: Columns

    @property
    def last_day(self) -> int:
        return sum(count for _, count, _ in self.hours)

    @property
    def last_month(self) -> int:
        return sum(count for _, count, _ in self.days)


def throughput_of(job: Job, *, now: datetime | None = None) -> Throughput:
    """The last HOURS hours and DAYS days, today's among them."""
    now = now or timezone.now()
    hour = now.replace(minute=0, second=0, microsecond=0)
    day = hour.replace(hour=0)
    since = day - timedelta(days=DAYS - 1)
    counted = dict(_query(BY_HOUR, job=job.pk, team=job.team_id, since=since))
    by_day: dict[datetime, int] = {}
    for moment, count in counted.items():
        by_day[moment.replace(hour=0)] = by_day.get(moment.replace(hour=0), 0) + count
    hours = [hour - timedelta(hours=back) for back in reversed(range(HOURS))]
    days = [day - timedelta(days=back) for back in reversed(range(DAYS))]
    return Throughput(
        hours=[(f"{at:%Y-%m-%d %H:00}", counted.get(at, 0), f"{at:%H:00}" if at.hour % 6 == 0 else "") for at in hours],
        days=[
            (f"{at:%Y-%m-%d}", by_day.get(at, 0), f"{at:%m-%d}" if place % 7 == 1 else "")
            for place, at in enumerate(days)
        ],
    )


# --- time per judgment -------------------------------------------------------------------------------

TIMES = """
SELECT extract(epoch FROM newest.created_at - newest.started_at) / greatest(cardinality(page.unit_ids), 1)
FROM (
    SELECT page_id, started_at, created_at FROM jobs_app_judgment
    WHERE job_id = %(job)s AND team_id = %(team)s ORDER BY id DESC LIMIT %(count)s
) AS newest JOIN jobs_app_page page ON page.id = newest.page_id
"""


@dataclass(frozen=True)
class Times:
    """Seconds that a judgment took: the time a page was open, divided by its rows. Nothing when `count` is 0."""

    count: int
    median: float = 0.0
    slow: float = 0.0
    bins: Columns | None = None


def times_of(job: Job) -> Times:
    """Of the NEWEST judgments."""
    found = [float(seconds) for (seconds,) in _query(TIMES, job=job.pk, team=job.team_id, count=NEWEST)]
    return summarize(found)


def summarize(seconds: Sequence[float]) -> Times:
    """Median, 90th percentile and a histogram whose last column holds all that took longer."""
    values = sorted(max(value, 0.0) for value in seconds)
    if not values:
        return Times(0)
    step = next((step for step in STEPS if step * BINS >= quantile(values, 0.97)), STEPS[-1])
    counts = [0] * BINS
    for value in values:
        counts[min(int(value / step), BINS - 1)] += 1
    bins: Columns = []
    for place, count in enumerate(counts):
        low, last = place * step, place == BINS - 1
        label = f"{low:g} s or longer" if last else f"{low:g} to {low + step:g} s"
        tick = (f"{low:g} s+" if last else f"{low:g} s") if place in {0, BINS // 3, 2 * BINS // 3, BINS - 1} else ""
        bins.append((label, count, tick))
    return Times(len(values), quantile(values, 0.5), quantile(values, 0.9), bins)


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value below which `share` of the ordered values lie, between two values in a straight line."""
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


# --- agreement ---------------------------------------------------------------------------------------

AGREEMENT = """
SELECT least(floor(agreement * 10 + 1e-9)::int, 9) AS bin, count(*), sum(agreement), count(*) FILTER (WHERE agreement
  >= 1 - 1e-9)
FROM jobs_app_unit WHERE job_id = %(job)s AND team_id = %(team)s AND state = 'finalized' AND judgments_count > 1
  AND agreement IS NOT NULL GROUP BY 1
"""


@dataclass(frozen=True)
class Agreement:
    """How far people agree, over all finalized rows with two or more judgments (`count`)."""

    count: int
    whole: int
    mean: float | None
    bins: list[tuple[float, float, int]]


def agreement_of(job: Job) -> Agreement:
    """Every finalized row is looked at once."""
    found = {line[0]: line[1:] for line in _query(AGREEMENT, job=job.pk, team=job.team_id)}
    count = sum(line[0] for line in found.values())
    return Agreement(
        count=count,
        whole=sum(line[2] for line in found.values()),
        mean=sum(line[1] for line in found.values()) / count if count else None,
        bins=[(place / 10, (place + 1) / 10, found[place][0] if place in found else 0) for place in range(10)],
    )


def disputed_rows(job: Job) -> QuerySet[Unit]:
    """Finalized rows about which people disagreed, lowest agreement first."""
    rows = Unit.objects.filter(job=job, state=UnitState.FINALIZED, judgments_count__gt=1, agreement__lt=1 - 1e-9)
    return rows.order_by("agreement", "pk")


def latest_judgments(job: Job, count: int) -> list[Judgment]:
    """The newest judgments on rows, with who gave them."""
    found = Judgment.objects.filter(job=job, missed=None).select_related("unit", "contributor__user")
    return list(found.order_by("-pk")[:count])
