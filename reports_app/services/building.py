"""Building a report: one moment of the data, streamed from one statement into a file that is stored when complete."""

from __future__ import annotations

import csv
import io
import threading
import zipfile
from collections.abc import Iterator
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

from jobs_app.models import Contributor
from jobs_app.services import settle_contributor
from labeling_platform.lib import storage
from labeling_platform.lib.csvio import safe_cell

from ..kinds import SAFE_CELLS
from ..models import Report
from ..states import ReportKind, ReportState
from .job_json import json_lines
from .job_lines import aggregated_lines, full_lines, gold_lines, source_lines, workset_lines
from .keeping import file_name
from .lines import Lines
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


def build_report(*, report: Report) -> bool:
    """Build the report's file and store it; return whether this call did so.

    Results of a job are made to rest on today's trust first. All lines come from one snapshot, so the report is
    one moment of what goes on. Memory use does not depend on the number of lines. Nothing happens when somebody
    else is building it; a builder that was thought dead and comes back throws its file away.
    """
    if not _take(report):
        return False
    mine = Report.objects.filter(pk=report.pk, token=report.token)
    with TemporaryFile() as file:
        lines = _write(report, file)
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        suffix = ".csv" if report.kind == ReportKind.WORKFLOW else ".zip"
        name = default_storage.save(storage.new_name(report.team_id, "reports", suffix), File(file))
    now = timezone.now()
    if not ReportState.move(
        mine,
        ReportState.READY,
        file=name,
        size=size,
        rows_done=lines,
        rows_total=lines,
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


def _write(report: Report, file: IO[bytes]) -> int:
    """Write the whole report to `file`; returns the number of its lines, without the header."""
    with _progress(report) as progress:
        if report.job_id is not None:
            _settle(report.job_id)
        with _snapshot():
            lines = LINES[ReportKind(report.kind)](report)
            progress.total = _count(lines)
            if report.kind == ReportKind.WORKFLOW:
                _copy(report, lines, file, progress)
            else:
                _copy_zipped(report, lines, file, progress)
    return progress.done


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
    with connection.cursor() as cursor:
        cursor.execute(lines.count().as_string(cursor.cursor))
        return int(cursor.fetchone()[0])


def _copy_zipped(report: Report, lines: Lines, file: IO[bytes], progress: Progress) -> None:
    """As `_copy`, as the one member of a ZIP."""
    moment = timezone.now().timetuple()[:6]
    member = zipfile.ZipInfo(file_name(report, ".jsonl" if lines.is_json else ".csv"), moment)
    member.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(file, "w") as archive, archive.open(member, "w", force_zip64=True) as out:
        _copy(report, lines, out, progress)


def _copy(report: Report, lines: Lines, file: IO[bytes], progress: Progress) -> None:
    """Write the header, if there is one, and let Postgres write one line after the other."""
    safe = bool(report.options.get(SAFE_CELLS))
    if lines.names:
        line = io.StringIO()
        names = [safe_cell(name) for name in lines.names] if safe else lines.names
        csv.writer(line, lineterminator="\n").writerow(names)
        file.write(line.getvalue().encode())
    form = "FORMAT csv, ENCODING 'UTF8'"
    if lines.is_json:
        # JSON texts hold no control characters, so with these nothing is ever quoted or doubled.
        form += r", QUOTE E'\x01', DELIMITER E'\x02'"
    with connection.cursor() as cursor:
        query = lines.query(safe=safe).as_string(cursor.cursor)
        cursor.copy_expert(f"COPY ({query}) TO STDOUT ({form})", _Counted(file, progress))


class Progress:
    """How far a report is: lines written, and lines there will be (0: not known yet)."""

    def __init__(self) -> None:
        self.done = self.total = 0


class _Counted(io.RawIOBase):
    """Passes bytes on and counts the calls: libpq hands over one row at a time."""

    def __init__(self, file: IO[bytes], progress: Progress) -> None:
        self.file, self.progress = file, progress

    def write(self, data: Any) -> int:
        self.progress.done += 1
        return self.file.write(data)


@contextmanager
def _progress(report: Report) -> Iterator[Progress]:
    """Keep the report's lease and counts fresh from a second connection while the first is busy."""
    progress, done = Progress(), threading.Event()

    def beat() -> None:
        try:
            while not done.wait(HEARTBEAT_SECONDS):
                with connection.cursor() as cursor:
                    cursor.execute(
                        "UPDATE reports_app_report SET rows_done = %s, rows_total = %s,"
                        " lease_until = clock_timestamp() + make_interval(secs => %s)"
                        " WHERE id = %s AND token = %s AND state = 'building'",
                        [progress.done, progress.total, settings.LEASE_TIME.total_seconds(), report.pk, report.token],
                    )
        finally:
            connection.close()

    thread = threading.Thread(target=beat, name=f"report-{report.pk}", daemon=True)
    thread.start()
    try:
        yield progress
    finally:
        done.set()
        thread.join()
