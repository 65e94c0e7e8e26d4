"""What the database, the report and the logs say at the end; chaos.check judges it."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg2
from django_scopes import scope

from bench.product import wait_for
from labeling_platform.lib import storage
from models_app.backends.digest import digest_scores
from reports_app import services, tasks
from reports_app.models import Report
from reports_app.states import ReportState

from .check import CONFIDENT, FAILED, ROUTED, Expected, FoundRow, FoundUnit, Judged
from .host import picture
from .plan import GOOD, Row
from .workload import CLASSES, Workload, patiently

QUESTION = "image_category"
THRESHOLD = 0.8
REPORT_SECONDS = 180.0
ROWS = """
SELECT r.id, r.cells[2], r.state, r.reason, r.attempts, r.scores, r.predicted, r.unit_id,
    coalesce(n.state, ''), n.shares
FROM workflows_app_workflowrow r LEFT JOIN jobs_app_unit n ON n.id = r.unit_id
WHERE r.workflow_id = %s ORDER BY r.id
"""
UNITS = """
WITH held AS (
    SELECT unit_id, count(*) AS n FROM jobs_app_page, unnest(unit_ids) AS unit_id WHERE state = 'open' GROUP BY unit_id
), judged AS (
    SELECT unit_id, count(*) AS n FROM jobs_app_judgment WHERE NOT tainted GROUP BY unit_id
)
SELECT u.id, u.key, u.state, u.wanted, u.slots, coalesce(held.n, 0), coalesce(judged.n, 0)
FROM jobs_app_unit u LEFT JOIN held ON held.unit_id = u.id LEFT JOIN judged ON judged.unit_id = u.id
WHERE u.job_id = %s
"""
JUDGMENTS = """
SELECT j.unit_id, c.user_id, j.answers -> %s ->> 0
FROM jobs_app_judgment j JOIN jobs_app_contributor c ON c.id = j.contributor_id WHERE j.job_id = %s
"""
Connection = psycopg2.extensions.connection


@dataclass(frozen=True)
class Counts:
    """How far a run is."""

    rows: int
    states: Mapping[str, int]
    open_units: int

    @property
    def awaiting(self) -> int:
        return self.states.get("awaiting", 0)


def count(connection: Connection, workload: Workload) -> Counts:
    """Rows by state, and units that people still have to answer."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT state, count(*) FROM workflows_app_workflowrow WHERE workflow_id = %s GROUP BY state",
            [workload.workflow.pk],
        )
        states = Counter(dict(cursor.fetchall()))
        cursor.execute(
            "SELECT count(*) FROM jobs_app_unit WHERE job_id = %s AND state <> 'finalized'", [workload.job.pk]
        )
        open_units = int((cursor.fetchone() or [0])[0])
    return Counts(states.total(), states, open_units)


def find_rows(connection: Connection, workload: Workload) -> list[FoundRow]:
    with connection.cursor() as cursor:
        cursor.execute(ROWS, [workload.workflow.pk])
        return [_row(*line) for line in cursor.fetchall()]


def _row(*line: Any) -> FoundRow:
    cells = list(line)
    cells[5] = None if cells[5] is None else tuple(cells[5])
    return FoundRow(*cells)


def find_units(connection: Connection, workload: Workload) -> list[FoundUnit]:
    with connection.cursor() as cursor:
        cursor.execute(UNITS, [workload.job.pk])
        return [FoundUnit(*line) for line in cursor.fetchall()]


def find_judgments(connection: Connection, workload: Workload) -> list[Judged]:
    with connection.cursor() as cursor:
        cursor.execute(JUDGMENTS, [QUESTION, workload.job.pk])
        return [(unit, user, value) for unit, user, value in cursor.fetchall()]


def expectations(rows: list[Row]) -> dict[int, Expected]:
    """What each row must come to; the classifier answers by the picture's bytes, so that is known beforehand."""
    return {row.number: _expect(row) for row in rows}


def _expect(row: Row) -> Expected:
    if row.kind != GOOD:
        return Expected(FAILED, None)
    scores = digest_scores(picture(row.number), CLASSES)
    return Expected(ROUTED if max(scores.values()) < THRESHOLD else CONFIDENT, scores)


def build_report(workload: Workload) -> list[dict[str, str]]:
    """Request the workflow's report as the button does, and read it when it is ready."""

    def request() -> Report:
        with scope(team=workload.team):
            return services.request_report(workflow=workload.workflow, actor=None)

    report = patiently("the report", request)
    tasks.build.delay(team_id=workload.team.pk, report_id=report.pk)
    with scope(team=workload.team):
        final = Report.objects.filter(pk=report.pk, state__in=[ReportState.READY, ReportState.FAILED])
        wait_for("the report", final.exists, seconds=REPORT_SECONDS)
        report.refresh_from_db()
    if report.state != ReportState.READY:
        raise SystemExit(f"The report failed: {report.error}")
    return list(csv.DictReader(io.StringIO(storage.read_bytes(report.file).decode("utf-8-sig"))))
