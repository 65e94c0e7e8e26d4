"""What each team uses day by day: what quotas do not count is read from the tallies, by a sweep."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO

from django.db import connection, transaction
from django.db.models import F, Q
from django.utils import timezone

from labeling_platform.accounts import quotas
from labeling_platform.accounts.models import Team, TeamMeter, TeamUsage
from labeling_platform.accounts.tenancy import team_scope
from labeling_platform.lib.downloads import csv_file

MEASURE_AFTER = timedelta(hours=1)
MEASURED_AT_ONCE = 20
FIGURES = ("rows", "images", "trainings", "predictions", "judgments", "errors", "storage_bytes")
SUMS = """
SELECT team_id, 'predictions', sum(n) FROM workflows_app_rowtally
WHERE line IN ('confident', 'routed', 'failed') GROUP BY team_id
UNION ALL SELECT team_id, 'errors', sum(n) FROM workflows_app_rowtally WHERE line = 'failed' GROUP BY team_id
UNION ALL SELECT team_id, 'judgments', sum(n) FROM jobs_app_unittally WHERE line = 'judgments' GROUP BY team_id
"""
STORED = """
INSERT INTO accounts_teamusage (team_id, day, storage_bytes) SELECT team_id, %s, stored FROM accounts_teammeter
ON CONFLICT (team_id, day) DO UPDATE SET storage_bytes = excluded.storage_bytes
"""


def collect_usage() -> int:
    """Add what is new since the last sweep to today's usage of each team; returns for how many. Needs scopes disabled.

    Measures the files of teams that were not measured for an hour, a few teams at a time.
    """
    sums: dict[int, dict[str, int]] = defaultdict(dict)
    with connection.cursor() as cursor:
        cursor.execute(SUMS)
        for team_id, name, total in cursor.fetchall():
            sums[team_id][name] = int(total)
    for team in Team.objects.filter(pk__in=list(sums), closed_at=None):
        _add(team, sums[team.pk])
    old = TeamMeter.objects.filter(Q(measured_at=None) | Q(measured_at__lt=timezone.now() - MEASURE_AFTER))
    for meter in old.select_related("team").order_by(F("measured_at").asc(nulls_first=True))[:MEASURED_AT_ONCE]:
        with team_scope(meter.team), transaction.atomic():
            quotas.measure(meter.team)
    with connection.cursor() as cursor:
        cursor.execute(STORED, [datetime.now(UTC).date()])
    return len(sums)


def _add(team: Team, sums: dict[str, int]) -> None:
    with team_scope(team), transaction.atomic():
        TeamMeter.objects.get_or_create(team=team)
        meter = TeamMeter.objects.select_for_update().get(team=team)
        # A sum falls when work is deleted; what was used stays used.
        new = {name: max(0, total - meter.seen.get(name, 0)) for name, total in sums.items()}
        if meter.seen == sums:
            return
        meter.seen = sums
        meter.save(update_fields=["seen"])
        usage = _today(team)
        TeamUsage.objects.filter(pk=usage.pk).update(**{name: F(name) + n for name, n in new.items()})


def _today(team: Team) -> TeamUsage:
    return TeamUsage.objects.get_or_create(team=team, day=datetime.now(UTC).date())[0]


def usage_csv(usage: Any) -> BinaryIO:
    """A temporary file with the usage by team and day."""
    columns = ["day", "team", "slug", "organization", *FIGURES]
    rows = usage.select_related("team__organization").order_by("day", "team__name").iterator(chunk_size=2000)
    return csv_file(
        columns,
        (
            [
                line.day.isoformat(),
                line.team.name,
                line.team.slug,
                line.team.organization.name,
                *(getattr(line, figure) for figure in FIGURES),
            ]
            for line in rows
        ),
    )
