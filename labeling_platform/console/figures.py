"""The figures of the dashboard and of a team's page, and how plots want them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Q, Sum
from django.utils import timezone

from jobs_app.models import Job, UnitTally
from labeling_platform import metrics
from labeling_platform.accounts.models import Membership, Team, TeamDeletion, TeamUsage
from labeling_platform.lib.tallies import tallies
from labeling_platform.lib.words import duration
from labeling_platform.ops.models import WorkerSign
from labeling_platform.ops.tasks import BEAT
from models_app.models import CustomModel, ModelVersion
from models_app.states import VersionState
from workflows_app.models import Workflow
from workflows_app.querysets import briefs
from workflows_app.states import WorkflowState

DAYS, TOP, SHOWN = 30, 6, 50
COLORS = ("#7c3aed", "#0891b2", "#d97706", "#16a34a", "#db2777", "#2563eb", "#78716c")
USED = (("Rows uploaded", "rows"), ("Predictions", "predictions"), ("Judgments", "judgments"), ("Errors", "errors"))
Series = Iterable[tuple[str, Sequence[int]]]
QUEUES = {
    "rows": "Oldest row that waits",
    "uploads": "Oldest file unread",
    "reports": "Oldest report not built",
    "remote": "Oldest question to a service elsewhere",
}


def days() -> list[date]:
    """The last DAYS days, today included, oldest first."""
    today = datetime.now(UTC).date()
    return [today - timedelta(days=back) for back in reversed(range(DAYS))]


def plot(
    labels: Sequence[str], series: Iterable[tuple[str, Sequence[int]]], *, stacked: bool = False
) -> dict[str, Any]:
    """A bar plot for unfold's component (Chart.js), and the same as a table for who does not see it."""
    listed = [(name, list(values)) for name, values in series]
    datasets = [
        {"label": name, "data": values, "backgroundColor": COLORS[n % len(COLORS)], "maxBarThickness": 28}
        for n, (name, values) in enumerate(listed)
    ]  # fmt: skip
    ticks = {"color": "#8a8f98", "precision": 0}
    options = {
        "responsive": True,
        "maintainAspectRatio": False,
        "animation": False,
        "plugins": {
            "legend": {"display": True, "position": "bottom", "labels": {"color": "#8a8f98", "boxWidth": 12}},
        },
        "scales": {
            "x": {"stacked": stacked, "grid": {"display": False}, "ticks": {**ticks, "maxRotation": 0}},
            "y": {"stacked": stacked, "beginAtZero": True, "grid": {"tickWidth": 0}, "ticks": ticks},
        },
    }  # fmt: skip
    return {
        "data": json.dumps({"labels": list(labels), "datasets": datasets}),
        "options": json.dumps(options),
        "empty": not any(any(values) for _, values in listed),
        "names": [name for name, _ in listed],
        "lines": list(zip(labels, zip(*(values for _, values in listed), strict=True), strict=True)) if listed else [],
    }


def _by_day(usage: Any, figure: str) -> list[int]:
    found = dict(usage.values_list("day").annotate(n=Sum(figure)).order_by())
    return [int(found.get(day, 0)) for day in days()]


def _labels() -> list[str]:
    return [f"{day.day} {day:%b}" for day in days()]


def work_by_day(usage: Any) -> dict[str, Any]:
    """Rows uploaded, predicted, judged and failed by day, of the usage lines given."""
    recent = usage.filter(day__gte=days()[0])
    return plot(_labels(), [(name, _by_day(recent, figure)) for name, figure in USED])


def predictions_by_team() -> dict[str, Any]:
    """Predictions by day of the teams with the most, the others together."""
    recent = TeamUsage.objects.filter(day__gte=days()[0])
    totals = recent.values_list("team__name", "team").annotate(n=Sum("predictions")).order_by("-n", "team")
    most = [(name, pk) for name, pk, n in totals[:TOP] if n]
    by_team: dict[int | None, dict[date, int]] = defaultdict(lambda: defaultdict(int))
    ids = {pk for _, pk in most}
    for team, day, n in recent.values_list("team", "day", "predictions"):
        by_team[team if team in ids else None][day] += n
    series = [(name, [by_team[pk][day] for day in days()]) for name, pk in most]
    if any(by_team[None].values()):
        series.append(("Other teams", [by_team[None][day] for day in days()]))
    return plot(_labels(), series, stacked=True)


def workers() -> list[dict[str, Any]]:
    """Who gave a sign of life in the last day, and whether lately."""
    since = timezone.now() - timedelta(seconds=settings.WORKER_SILENT_SECONDS * 2)
    found = WorkerSign.objects.order_by("worker")
    return [
        {
            "name": "the clock (beat)" if sign.worker == BEAT else sign.worker,
            "alive": sign.at > (since - timedelta(seconds=60) if sign.worker == BEAT else since),
            "ago": duration((timezone.now() - sign.at).total_seconds()),
        }
        for sign in found
    ]


def dashboard() -> dict[str, Any]:
    """Everything the console's first page shows. Needs scopes disabled."""
    rows, ages = metrics.row_figures(), metrics.queue_ages()
    today = TeamUsage.objects.filter(day=days()[-1]).aggregate(errors=Sum("errors"), rows=Sum("rows"))
    alive = workers()
    under_way = ModelVersion.objects.exclude(state__in=VersionState.final()).count()
    week = TeamUsage.objects.filter(Q(rows__gt=0) | Q(predictions__gt=0) | Q(judgments__gt=0), day__gte=days()[-7])
    models, running = CustomModel.objects, Workflow.objects.filter(state=WorkflowState.RUNNING)
    worked = week.values("team").distinct().count()
    leaving = TeamDeletion.objects.filter(canceled_at=None).select_related("team").order_by("due_at")
    return {
        "stats": [
            ("Teams", Team.objects.filter(closed_at=None).count(), f"{worked} worked this week"),
            ("Models", models.count(), f"{models.exclude(current=None).count()} trained"),
            ("Trainings under way", under_way, f"{_failed_trainings()} failed this week"),
            ("Workflows running", running.count(), f"{running.exclude(paused_at=None).count()} of them paused"),
            ("Rows that wait", rows["awaiting_prediction"], f"{rows['awaiting_human']:,} wait for people"),
            ("Errors today", today["errors"] or 0, f"{rows['error']:,} rows failed in all"),
        ],
        "queues": [(QUEUES[name], duration(age) if age else "nothing waits", age > 300) for name, age in ages.items()],
        "workers": alive,
        "workers_alive": sum(1 for worker in alive if worker["alive"]),
        "work_plot": work_by_day(TeamUsage.objects.all()),
        "team_plot": predictions_by_team(),
        "paused": list(Team.objects.filter(paused_at__isnull=False).order_by("name")[:SHOWN]),
        "leaving": list(leaving[:SHOWN]),
    }  # fmt: skip


def _failed_trainings() -> int:
    since = timezone.now() - timedelta(days=7)
    return ModelVersion.objects.filter(state=VersionState.FAILED, finished_at__gt=since).count()


def find_teams(words: str) -> Any:
    """Teams whose name, slug, organization or a member's e-mail address has every word."""
    teams = Team.objects.select_related("organization")
    for word in words.replace("\x00", "").split()[:8]:
        people = Membership.objects.filter(Q(user__email__icontains=word) | Q(user__name__icontains=word)).values(
            "team"
        )
        named = Q(name__icontains=word) | Q(slug__icontains=word) | Q(organization__name__icontains=word)
        teams = teams.filter(named | Q(pk__in=people))
    return teams.annotate(people_count=Count("memberships")).order_by("name", "pk")


def models_of(team: Team) -> list[dict[str, Any]]:
    """The team's models with their newest training."""
    models = list(CustomModel.objects.filter(team=team).select_related("current")[:SHOWN])
    newest: dict[int, ModelVersion] = {}
    versions = ModelVersion.objects.filter(model__in=models).order_by("model_id", "-number").distinct("model_id")
    for version in versions.select_related("model"):
        newest[version.model_id] = version
    return [{"model": model, "version": newest.get(model.pk)} for model in models]


def workflows_of(team: Team) -> list[dict[str, Any]]:
    """The team's workflows with their rows."""
    found = list(Workflow.objects.filter(team=team).select_related("model", "job")[:SHOWN])
    rows = briefs(found)
    return [{"workflow": workflow, "rows": rows[workflow.pk]} for workflow in found]


def jobs_of(team: Team) -> list[dict[str, Any]]:
    """The team's jobs with how many of their rows are done."""
    found = list(Job.objects.filter(team=team)[:SHOWN])
    counted = tallies(UnitTally, "job", [job.pk for job in found])
    lines = []
    for job in found:
        count = counted[job.pk]
        rows = sum(count.get(state, 0) for state in ("new", "queued", "judgable", "finalized"))
        lines.append(
            {"job": job, "rows": rows, "done": count.get("finalized", 0), "judgments": count.get("judgments", 0)}
        )
    return lines
