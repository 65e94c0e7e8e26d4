"""Workflow reports: asked for by a person, built in the background from one SQL statement, kept for a while."""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import IO, Any

from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage
from django.db import connection, transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.text import slugify
from psycopg2 import sql

from labeling_platform.accounts.models import User
from labeling_platform.accounts.services import record
from labeling_platform.lib import storage
from labeling_platform.lib.csvio import safe_cell
from labeling_platform.lib.errors import Refused
from workflows_app.models import Workflow, WorkflowRow, WorkflowUpload
from workflows_app.states import WorkflowState

from .columns import Header, make_header
from .models import Report
from .states import ReportState

ONLY_FINAL, DIAGNOSTICS, SAFE_CELLS = "only_final", "diagnostics", "safe_cells"
DEFAULTS = {ONLY_FINAL: False, DIAGNOSTICS: True, SAFE_CELLS: True}
MAX_ATTEMPTS = 5
FORMULA = "^[ \u3000]*[=+@\t\r\n|%\uff1d\uff0b\uff0d\uff20-]"
NUMBER = "^[+-]?[0-9][0-9.,]*(e[+-]?[0-9]+)?$"
HEARTBEAT_SECONDS = 2.0
GAVE_UP = f"Building this report was started {MAX_ATTEMPTS} times and never got done. Request it again."


@transaction.atomic
def request_report(*, workflow: Workflow, actor: User | None, options: Mapping[str, bool] | None = None) -> Report:
    """Ask for a report; building it is a task's work.

    `options`: only_final leaves confidences out of rows that are not completed (the closing note of the
    request, off by default), diagnostics adds reason, model version, line and file, safe_cells defuses cells
    that a spreadsheet would run as formulas (both on by default). Asking again while the same report is under
    way returns that one. Refuses for a workflow that was never launched.
    """
    if workflow.state == WorkflowState.DRAFT:
        raise Refused("Launch the workflow first; there is nothing to report yet.", code="not_launched")
    chosen = {name: bool((options or {}).get(name, default)) for name, default in DEFAULTS.items()}
    Workflow.objects.select_for_update().get(pk=workflow.pk)
    under_way = Report.objects.filter(
        workflow=workflow, options=chosen, state__in=[ReportState.QUEUED, ReportState.BUILDING]
    ).first()
    if under_way is not None:
        return under_way
    report = Report.objects.create(team=workflow.team, workflow=workflow, options=chosen, created_by=actor)
    record(team=workflow.team, actor=actor, verb="report requested", obj=workflow, report=report.pk)
    return report


def build_report(*, report: Report) -> bool:
    """Build the report's file and store it; return whether this call did so.

    The rows come from one statement, so the report is one moment of a running workflow. Memory use does not
    depend on the number of rows. Nothing happens when somebody else is building it; a builder that was thought
    dead and comes back throws its file away.
    """
    if not _take(report):
        return False
    mine = Report.objects.filter(pk=report.pk, token=report.token)
    with TemporaryFile() as file:
        _write(report, file)
        size = file.tell()
        file.seek(0)
        name = default_storage.save(storage.new_name(report.team_id, "reports", ".csv"), File(file))
    now = timezone.now()
    if not ReportState.move(
        mine,
        ReportState.READY,
        file=name,
        size=size,
        rows_done=F("rows_total"),
        lease_until=None,
        finished_at=now,
        expires_at=now + settings.REPORT_LIFETIME,
    ):
        storage.delete_file(name)
        return False
    return True


def _take(report: Report) -> bool:
    """Become the report's builder, if nobody is. The token counts how often that happened."""
    free = Q(state=ReportState.QUEUED) | Q(state=ReportState.BUILDING, lease_until__lt=Now())
    taken = Report.objects.filter(free, pk=report.pk).update(
        state=ReportState.BUILDING,
        token=F("token") + 1,
        lease_until=Now() + settings.LEASE_TIME,
        rows_done=0,
        rows_total=WorkflowRow.objects.filter(workflow=report.workflow_id).count(),
    )
    if not taken:
        return False
    report.refresh_from_db()
    if report.token > MAX_ATTEMPTS:
        fail_report(report=report, reason=GAVE_UP)
        return False
    return True


def fail_report(*, report: Report, reason: str) -> None:
    """End the report with a reason that its reader understands."""
    ReportState.move(
        Report.objects.filter(pk=report.pk, token=report.token),
        ReportState.FAILED,
        error=reason,
        lease_until=None,
        finished_at=timezone.now(),
    )


def report_header(report: Report) -> tuple[Header, dict[int, list[str]]]:
    """The report's header, and the columns of each upload by its id."""
    uploads = WorkflowUpload.objects.filter(workflow=report.workflow_id, rows_total__gt=0).order_by("pk")
    columns = dict(uploads.values_list("pk", "columns"))
    header = make_header(columns.values(), report.workflow.outcomes, diagnostics=report.options[DIAGNOSTICS])
    return header, columns


def _write(report: Report, file: IO[bytes]) -> None:
    """Write the header and one line per row to `file`."""
    header, uploads = report_header(report)
    names = header.names
    if report.options[SAFE_CELLS]:
        names = [safe_cell(name) for name in names]
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(names)
    file.write(line.getvalue().encode())
    if not uploads:
        return
    with _progress(report, file) as out, connection.cursor() as cursor:
        query = _query(report, header, uploads).as_string(cursor.cursor)
        cursor.copy_expert(f"COPY ({query}) TO STDOUT (FORMAT csv, ENCODING 'UTF8')", out)


class _Counted(io.RawIOBase):
    """Passes bytes on and counts the calls: libpq hands over one row at a time."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.rows = file, 0

    def write(self, data: Any) -> int:
        self.rows += 1
        return self.file.write(data)


@contextmanager
def _progress(report: Report, file: IO[bytes]) -> Iterator[_Counted]:
    """Keep the report's lease and row count fresh from a second connection while COPY holds the first."""
    out, done = _Counted(file), threading.Event()

    def beat() -> None:
        try:
            while not done.wait(HEARTBEAT_SECONDS):
                with connection.cursor() as cursor:
                    cursor.execute(
                        "UPDATE reports_app_report"
                        " SET rows_done = %s, lease_until = clock_timestamp() + make_interval(secs => %s)"
                        " WHERE id = %s AND token = %s AND state = 'building'",
                        [out.rows, settings.LEASE_TIME.total_seconds(), report.pk, report.token],
                    )
        finally:
            connection.close()

    thread = threading.Thread(target=beat, name=f"report-{report.pk}", daemon=True)
    thread.start()
    try:
        yield out
    finally:
        done.set()
        thread.join()


def _query(report: Report, header: Header, uploads: Mapping[int, Sequence[str]]) -> sql.Composed:
    """The one statement behind the report: rows LEFT JOIN units, every cell as its text, in upload order."""
    safe = report.options[SAFE_CELLS]
    completed = "(r.state IN ('confident', 'failed') OR n.state = 'finalized')"
    cells = [sql.SQL("r.cells[layout.at[{}]]").format(sql.Literal(i)) for i in range(1, len(header.uploaded) + 1)]
    shown = [_cell(cell, safe) for cell in cells]
    shown += [sql.SQL("CASE WHEN r.state = 'failed' THEN 'true' ELSE 'false' END")]
    shown += [sql.SQL(f"CASE WHEN {completed} THEN 'true' ELSE 'false' END")]
    when = completed if report.options[ONLY_FINAL] else "r.state IN ('confident', 'routed')"
    for place in range(1, len(header.outcomes) + 1):
        score = sql.SQL("r.scores[{}]").format(sql.Literal(place))
        shown.append(sql.SQL(f"CASE WHEN {when} THEN {{}} END").format(_decimal(score)))
    for outcome in header.outcomes:
        share = sql.SQL("coalesce((n.shares ->> {})::numeric, 0)").format(sql.Literal(outcome))
        final = "n.state = 'finalized' AND n.shares IS NOT NULL"
        shown.append(sql.SQL(f"CASE WHEN {final} THEN {{}} END").format(_decimal(share)))
    if header.diagnostics:
        reason = sql.SQL("concat_ws(': ', nullif(r.reason, ''), nullif(r.error_message, ''))")
        shown += [_cell(reason, safe), sql.SQL("v.number"), sql.SQL("r.line")]
        shown += [_cell(sql.SQL("u.original_name"), safe)]
    layout = sql.SQL(", ").join(
        sql.SQL("({}::bigint, {}::int[])").format(sql.Literal(pk), sql.Literal(header.positions(columns)))
        for pk, columns in uploads.items()
    )
    return sql.SQL(
        "SELECT {shown} FROM workflows_app_workflowrow r"
        " JOIN (VALUES {layout}) AS layout(upload_id, at) ON layout.upload_id = r.upload_id"
        " JOIN workflows_app_workflowupload u ON u.id = r.upload_id"
        " LEFT JOIN jobs_app_unit n ON n.id = r.unit_id"
        " LEFT JOIN models_app_modelversion v ON v.id = r.version_id"
        " WHERE r.workflow_id = {workflow} AND r.team_id = {team} ORDER BY r.id"
    ).format(
        shown=sql.SQL(", ").join(shown),
        layout=layout,
        workflow=sql.Literal(report.workflow_id),
        team=sql.Literal(report.team_id),
    )


def _cell(value: sql.Composable, safe: bool) -> sql.Composable:
    """A text as a cell; empty texts are empty cells. `safe` does what lib.csvio.safe_cell does, in SQL."""
    if not safe:
        return sql.SQL("nullif({}, '')").format(value)
    return sql.SQL("CASE WHEN {0} ~ {1} AND {0} !~* {2} THEN '''' || {0} ELSE nullif({0}, '') END").format(
        value, sql.Literal(FORMULA), sql.Literal(NUMBER)
    )


def _decimal(value: sql.Composable) -> sql.Composable:
    """A confidence as plain decimals: rounded to six places, at least one place, never an exponent."""
    return sql.SQL("to_char(({})::numeric, 'FM0.099999')").format(value)


def file_name(report: Report) -> str:
    """The name under which a browser saves the report."""
    stem = slugify(report.workflow.name)[:60] or "workflow"
    return f"{stem}-report-{report.pk}.csv"


def find_unbuilt() -> list[tuple[int, int]]:
    """(team id, report id) of reports that nobody builds. Called by the sweeper outside of any team's scope."""
    free = Q(state=ReportState.QUEUED) | Q(state=ReportState.BUILDING, lease_until__lt=Now())
    return list(Report.objects.filter(free).order_by("pk").values_list("team_id", "pk")[:100])


def expire_reports() -> int:
    """Delete the files of reports that are past their time, of all teams in reach; return how many."""
    old = list(Report.objects.filter(state=ReportState.READY, expires_at__lt=Now()).values_list("pk", "file")[:1000])
    for pk, name in old:
        storage.delete_file(name)
        ReportState.move(Report.objects.filter(pk=pk), ReportState.EXPIRED, file="", size=0)
    return len(old)
