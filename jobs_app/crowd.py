"""Figures about the contributors of a job, for the table and for the page of one of them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import Count, Exists, F, FloatField, IntegerField, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce
from django.utils import timezone

from .design import Answers, Design, Question
from .models import Contributor, Job, Judgment, Page
from .states import JobState, PageState, UnitState

NEWEST = 100
"""Judgments of one person that are enough to say how fast they are and how often others agree."""
MEDIAN_SECONDS = """(
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY newest.seconds) FROM (
        SELECT extract(epoch FROM judgment.created_at - judgment.started_at)
            / greatest(cardinality(page.unit_ids), 1) AS seconds
        FROM jobs_app_judgment judgment JOIN jobs_app_page page ON page.id = judgment.page_id
        WHERE judgment.contributor_id = jobs_app_contributor.id
        ORDER BY judgment.created_at DESC LIMIT %s
    ) AS newest
)"""
SORTS: dict[str, tuple[str, list[Any]]] = {
    "judgments": ("Most judgments", [F("judged").desc()]),
    "few": ("Fewest judgments", [F("judged").asc()]),
    "trust": ("Lowest trust", [F("trust").asc(), F("seen").desc()]),
    "trusted": ("Highest trust", [F("trust").desc(), F("seen").desc()]),
    "fast": ("Fastest", [F("seconds").asc(nulls_last=True)]),
    "slow": ("Slowest", [F("seconds").desc(nulls_last=True)]),
    "seen": ("Last seen", [F("last_at").desc(nulls_last=True)]),
}
AGREEING = """
SELECT person.id, newest.answers, unit.result
FROM jobs_app_contributor person CROSS JOIN LATERAL (
    SELECT unit_id, answers FROM jobs_app_judgment
    WHERE contributor_id = person.id AND missed IS NULL ORDER BY created_at DESC LIMIT %(count)s
) AS newest JOIN jobs_app_unit unit ON unit.id = newest.unit_id
WHERE person.id = ANY(%(people)s) AND person.team_id = %(team)s AND unit.state = 'finalized'
  AND unit.judgments_count > 1
"""


@dataclass(frozen=True)
class Agreed:
    """How many of a person's answers are what all people together came to, of `answers` that can be compared."""

    same: int = 0
    answers: int = 0

    @property
    def share(self) -> float | None:
        return self.same / self.answers if self.answers else None


def contributors_of(job: Job) -> QuerySet[Contributor]:
    """The job's contributors with `forgiven`, `seconds` (median time of a judgment), `last_at` and `at_work`."""
    judgments = Judgment.objects.filter(contributor=OuterRef("pk"))
    forgiven = judgments.filter(missed__isnull=False, forgiven=True).order_by().values("contributor")
    at_work = Page.objects.filter(contributor=OuterRef("pk"), state=PageState.OPEN, expires_at__gt=timezone.now())
    return (
        Contributor.objects.filter(job=job)
        .select_related("user")
        .annotate(
            forgiven=Coalesce(Subquery(forgiven.annotate(n=Count("pk")).values("n"), output_field=IntegerField()), 0),
            seconds=RawSQL(MEDIAN_SECONDS, [NEWEST], output_field=FloatField()),  # noqa: S611 - a constant
            last_at=Subquery(judgments.order_by("-created_at").values("created_at")[:1]),
            at_work=Exists(at_work),
        )
    )


def judged_by_all(job: Job) -> int:
    """Judgments on rows that all contributors of the job gave, counted or not."""
    return Contributor.objects.filter(job=job).aggregate(n=Coalesce(Sum("judged"), 0))["n"]  # type: ignore[no-any-return]


def agreements(design: Design, people: Collection[Contributor]) -> dict[int, Agreed]:
    """Per contributor: how far their NEWEST answers are the final ones, on rows that others judged, too."""
    if not people:
        return {}
    team = next(iter(people)).team_id
    values: dict[str, Any] = {"people": [person.pk for person in people], "count": NEWEST, "team": team}
    sums: dict[int, list[int]] = {person.pk: [0, 0] for person in people}
    with connection.cursor() as cursor:
        cursor.execute(AGREEING, values)
        rows = cursor.fetchall()
    for person, answers, result in rows:
        for question in comparable(design):
            same = is_final(question, json.loads(answers), json.loads(result))
            if same is not None:
                sums[person][0] += same
                sums[person][1] += 1
    return {pk: Agreed(*found) for pk, found in sums.items()}


def comparable(design: Design) -> list[Question]:
    """Questions whose answers can be the same: not written ones, no averages."""
    return [q for q in design.questions if q.options and q.aggregation.partition("_")[0] in {"agg", "cagg"}]


def is_final(question: Question, answers: Answers, result: Mapping[str, Mapping[str, Any]]) -> bool | None:
    """Whether the answers to a question are what all people came to; None when one of the two has none."""
    given = set(answers.get(question.name, ()))
    final: set[str] = set()
    for answer in result.get(question.name, {}).get("answers", []):
        final.update(str(answer).split("\n"))  # a set of ticked boxes is kept as one answer of several lines
    if not given or not final:
        return None
    return given == final if question.aggregation == "agg" else bool(given & final)


@dataclass(frozen=True)
class AtStake:
    """What rejecting somebody would undo: `judgments` that count, `finalized` rows among them that re-open."""

    judgments: int
    finalized: int
    asked_again: int


def at_stake(contributor: Contributor) -> AtStake:
    """What `reject_contributor` would do just now."""
    job = contributor.job
    rows = Judgment.objects.filter(contributor=contributor, missed=None, tainted=False)
    found = rows.aggregate(all=Count("pk"), final=Count("pk", filter=Q(unit__state=UnitState.FINALIZED)))
    stay = job.units_remain_finalized or job.state == JobState.CANCELED
    again = found["all"] - found["final"] if stay else found["all"]
    return AtStake(found["all"], 0 if stay else found["final"], 0 if job.state == JobState.CANCELED else again)


def judgments_of(contributor: Contributor, *, before: int | None, count: int) -> Sequence[Judgment]:
    """The person's judgments on rows, newest first, from before the judgment `before` on."""
    found = Judgment.objects.filter(contributor=contributor, missed=None).select_related("unit").order_by("-pk")
    if before:
        found = found.filter(pk__lt=before)
    return list(found[:count])


def tests_of(contributor: Contributor) -> list[Judgment]:
    """The test questions that the person missed, or contested, or was forgiven, newest first."""
    told = Judgment.objects.filter(contributor=contributor, missed__isnull=False)
    told = told.filter(Q(missed=True) | Q(forgiven=True) | Q(contest__gt=""))
    return list(told.select_related("unit__test_question").order_by("-pk")[:NEWEST])
