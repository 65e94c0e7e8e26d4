"""Building a report: one moment of the data, streamed from one statement into the storage.

A report is not sent to the browser while it is built: a slow reader would keep a snapshot of the database open and a
web process busy, and could not go on where the connection broke. The first bytes are in the storage within a second.
"""

from __future__ import annotations

import io
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime
from tempfile import TemporaryFile
from typing import IO

import psycopg2
from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage
from django.db import DatabaseError, connection, transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from jobs_app.models import Contributor
from jobs_app.services import settle_contributor
from labeling_platform.lib import storage

from ..kinds import CSV, FORMAT, is_gzipped
from ..models import Report
from ..states import ReportKind, ReportState
from .copying import Progress, copy_lines, keep_order
from .job_json import json_lines
from .job_lines import aggregated_lines, full_lines, gold_lines, source_lines, workset_lines
from .keeping import file_name
from .lines import Lines
from .streaming import stored
from .workflow_lines import workflow_lines

MAX_ATTEMPTS = 5
HEARTBEAT_SECONDS = 2.0
MAX_SETTLINGS = 3
GAVE_UP = f"Building this report was started {MAX_ATTEMPTS} times and never got done. Request it again."
LINES = {
    ReportKind.WORKFLOW: workflow_lines,
    ReportKind.AGGREGATED: aggregated_lines,
    ReportKind.FULL: full_lines,
    ReportKind.JSON: json_lines,
    ReportKind.SOURCE: source_lines,
    ReportKind.GOLD_REPORT: gold_lines,
    ReportKind.WORKSET: workset_lines,
}


class Stopped(Exception):
    """The report was canceled, or somebody else builds it by now."""


@dataclass(frozen=True)
class Built:
    """A stored file, and the moment it shows."""

    name: str
    size: int
    lines: int
    as_of: datetime
    complete_until: datetime


def build_report(*, report: Report) -> bool:
    """Build the report's file and store it; return whether this call did so.

    Results of a job are made to rest on today's trust first. All lines come from one snapshot, so the report is
    one moment of what goes on. Memory use does not depend on the number of lines. Nothing happens when somebody
    else is building it; a builder that was thought dead and comes back throws its file away, and so does one whose
    report was canceled, at its next heartbeat.
    """
    if not _take(report):
        return False
    mine = Report.objects.filter(pk=report.pk, token=report.token)
    try:
        built = _write(report)
    except Stopped:
        return False
    now = timezone.now()
    if not ReportState.move(
        mine,
        ReportState.READY,
        file=built.name,
        size=built.size,
        rows_done=built.lines,
        rows_total=built.lines,
        as_of=built.as_of,
        complete_until=built.complete_until,
        lease_until=None,
        finished_at=now,
        expires_at=now + settings.REPORT_LIFETIME,
    ):
        storage.delete_file(built.name)
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
        rows_total=0,
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


def _write(report: Report) -> Built:
    """Write and store the whole report. Raises Stopped when it is not to be built any more."""
    with _progress(report) as progress:
        if report.job_id is not None:
            _settle(report.job_id)
        complete_until = _complete_until()
        with _snapshot():
            as_of = _now()
            lines = LINES[ReportKind(report.kind)](report)
            progress.total = _count(lines)
            name, size = _store(report, lines, progress)
    return Built(name, size, progress.done, as_of, complete_until)


def _store(report: Report, lines: Lines, progress: Progress) -> tuple[str, int]:
    """Write the lines into a new file of the storage: its name and size."""
    if report.kind == ReportKind.WORKFLOW:
        keep_order()
        suffix = f".{report.options.get(FORMAT, CSV)}"
        name = storage.new_name(report.team_id, "reports", suffix)
        with stored(name, gzipped=is_gzipped(report.options)) as out:
            _copy(report, lines, out.file, progress)
        return out.name, out.size
    # Programs that unpack ZIPs want sizes before each member, so the file is written first and then stored.
    with TemporaryFile() as file:
        _copy_zipped(report, lines, file, progress)
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        return default_storage.save(storage.new_name(report.team_id, "reports", ".zip"), File(file)), size


def _complete_until() -> datetime:
    """A moment before which nothing is dated that a snapshot taken after this call would not show.

    Rows and results carry the time of the statement that wrote them, and become visible when its transaction ends.
    So what the snapshot misses was, or will be, written by a transaction that is open now (dated no earlier than
    the start of the oldest) or begins later. One second is taken off for a transaction that has begun and is not
    listed yet. This holds for everybody who works under our database role; those of other roles are not shown.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT least(statement_timestamp(), min(xact_start)) - interval '1 second' FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        found: datetime = cursor.fetchone()[0]
    return found


def _now() -> datetime:
    """The database's clock. Inside a snapshot the first statement also is the moment that it shows."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        found: datetime = cursor.fetchone()[0]
    return found


def _settle(job_id: int) -> None:
    """Let the job's results rest on today's trust. What changes while this runs is the next report's."""
    for _ in range(MAX_SETTLINGS):
        stale = list(Contributor.objects.filter(job=job_id, stale=True).select_related("job").order_by("pk"))
        for contributor in stale:
            settle_contributor(contributor=contributor)
        if not stale:
            return


@contextmanager
def _snapshot() -> Iterator[None]:
    """A read-only transaction in which every statement sees the same moment."""
    inside = connection.in_atomic_block  # Its caller has chosen the isolation then; Postgres changes it no more.
    with transaction.atomic():
        if not inside:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def _count(lines: Lines) -> int:
    if lines.known is not None:
        return lines.known
    with connection.cursor() as cursor:
        cursor.execute(lines.count().as_string(cursor.cursor))
        return int(cursor.fetchone()[0])


def _copy(report: Report, lines: Lines, file: IO[bytes], progress: Progress) -> None:
    copy_lines(lines, report.options, file, progress)


def _copy_zipped(report: Report, lines: Lines, file: IO[bytes], progress: Progress) -> None:
    """As `_copy`, as the one member of a ZIP."""
    moment = timezone.now().timetuple()[:6]
    member = zipfile.ZipInfo(file_name(report, ".jsonl" if lines.is_json else ".csv"), moment)
    member.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(file, "w") as archive, archive.open(member, "w", force_zip64=True) as out:
        _copy(report, lines, out, progress)


_BEAT = (
    "UPDATE reports_app_report SET rows_done = %s, rows_total = %s,"
    " lease_until = clock_timestamp() + make_interval(secs => %s)"
    " WHERE id = %s AND token = %s AND state = 'building'"
)


@contextmanager
def _progress(report: Report) -> Iterator[Progress]:
    """Keep the report's lease and counts fresh from a second connection while the first is busy.

    When the report is no longer ours to build, the statement under way is canceled, and Stopped is raised.
    """
    progress, done, stopped = Progress(), threading.Event(), threading.Event()
    connection.ensure_connection()
    busy = connection.connection

    def beat() -> None:
        lease = settings.LEASE_TIME.total_seconds()
        try:
            while not done.wait(HEARTBEAT_SECONDS):
                with connection.cursor() as cursor:
                    cursor.execute(_BEAT, [progress.done, progress.total, lease, report.pk, report.token])
                    if cursor.rowcount:
                        continue
                    # A report that is not there at all is still in a transaction of the caller.
                    cursor.execute("SELECT FROM reports_app_report WHERE id = %s", [report.pk])
                    if cursor.rowcount:
                        stopped.set()
                        busy.cancel()
        finally:
            connection.close()

    within = copy_context()  # the team's scope, which a new thread would not have
    thread = threading.Thread(target=within.run, args=(beat,), name=f"report-{report.pk}", daemon=True)
    thread.start()
    try:
        yield progress
    except (DatabaseError, psycopg2.Error) as error:
        if stopped.is_set():
            raise Stopped from error
        raise
    finally:
        done.set()
        thread.join()
