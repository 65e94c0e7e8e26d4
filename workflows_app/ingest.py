"""Reading an uploaded CSV into workflow rows: checked as a whole first, then added in batches.

Nothing is half-done: a file that must be refused (not UTF-8 in the middle, too many rows) is refused before its
first row exists, so no row of it can be predicted. A reader that dies is continued behind `last_line`: every
batch is one transaction that moves `last_line` under the reader's token and adds the rows, so a second reader
can neither double nor lose any.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from labeling_platform.lib import storage
from labeling_platform.lib.csvio import CsvLimits, CsvProblem, CsvReader, CsvRefused, CsvRow, open_csv
from labeling_platform.lib.images import FetchError, check_url
from labeling_platform.lib.uploads import MAX_PROBLEMS_KEPT, UploadState

from .models import WorkflowUpload
from .states import RowState

URL_COLUMN = "image_url"
BATCH = 5_000
BUDGET_SECONDS = 45.0
MAX_ATTEMPTS = 5
GONE = "The stored file is gone. Upload it again."
GAVE_UP = "Reading this file was started {times} times and never got on. Ask your Customer Success Manager."


class Superseded(Exception):
    """Another reader has taken over; this one must stop and change nothing more."""


@dataclass
class Findings:
    """What a check of the whole file found: row counts, and the first problems by line."""

    columns: list[str] = field(default_factory=list)
    rows: int = 0
    bad: int = 0
    problems: list[dict[str, Any]] = field(default_factory=list)

    def add(self, problem: CsvProblem) -> None:
        self.bad += 1
        if len(self.problems) < MAX_PROBLEMS_KEPT:
            self.problems.append(problem.as_json())


@dataclass(frozen=True)
class NewRow:
    """One row to add. A row whose address can never be fetched is added as failed, so that no row is missing."""

    line: int
    image_url: str
    cells: list[str]
    code: str
    message: str


def read_rows(*, upload: WorkflowUpload, seconds: float = BUDGET_SECONDS) -> bool:
    """Read the upload's file into rows of its workflow; return whether there is more to do after `seconds`.

    Lines with a wrong number of cells are listed and not added; rows whose address is not one are listed and
    added as failed. A file that cannot be read as CSV with a column image_url is refused whole, and kept.
    Does nothing for an upload that is held, read already, or being read by somebody else.
    """
    token = _take(upload)
    if token is None:
        return False
    try:
        if not upload.last_line:
            _save(upload, token, **_as_fields(_check(upload, token)))
        finished = _add_rows(upload, token, time.monotonic() + seconds)
    except CsvRefused as refused:
        _refuse(upload, token, str(refused.problem.message))
    except FileNotFoundError:
        _refuse(upload, token, GONE)
    except Superseded:
        pass
    else:
        if not finished:
            _save(upload, token, lease_until=None)
            return True
        with transaction.atomic():
            _save(upload, token, lease_until=None, finished_at=timezone.now())
            UploadState.move(WorkflowUpload.objects.filter(pk=upload.pk, token=token), UploadState.READY)
    return False


def _take(upload: WorkflowUpload) -> int | None:
    """Become the upload's reader. Returns the new token, or None when there is nothing to take."""
    free = Q(lease_until=None) | Q(lease_until__lt=Now())
    mine = WorkflowUpload.objects.filter(pk=upload.pk, held=False).filter(
        Q(state=UploadState.RECEIVED) | (Q(state=UploadState.READING) & free)
    )
    with transaction.atomic():
        if not mine.update(
            state=UploadState.READING,
            token=F("token") + 1,
            attempts=F("attempts") + 1,
            lease_until=Now() + settings.LEASE_TIME,
        ):
            return None
        upload.refresh_from_db()
    if upload.attempts > MAX_ATTEMPTS:
        _refuse(upload, upload.token, GAVE_UP.format(times=MAX_ATTEMPTS))
        return None
    return upload.token


def _save(upload: WorkflowUpload, token: int, **fields: Any) -> None:
    """Write `fields` if we are still the reader. Raises Superseded otherwise. Locks the upload's row."""
    if not WorkflowUpload.objects.filter(pk=upload.pk, token=token, state=UploadState.READING).update(**fields):
        raise Superseded


def _refuse(upload: WorkflowUpload, token: int, reason: str) -> None:
    mine = WorkflowUpload.objects.filter(pk=upload.pk, token=token)
    UploadState.move(mine, UploadState.REFUSED, refusal=reason, lease_until=None, finished_at=timezone.now())


@contextmanager
def _opened(upload: WorkflowUpload) -> Iterator[CsvReader]:
    with storage.open_file(upload.file) as file:
        limits = CsvLimits(max_bytes=settings.CSV_MAX_BYTES, max_rows=settings.CSV_MAX_ROWS)
        yield open_csv(file, required=[URL_COLUMN], limits=limits)


def _check(upload: WorkflowUpload, token: int) -> Findings:
    """Read the whole file once. Raises CsvRefused when no row of it may be used."""
    found = Findings()
    with _opened(upload) as reader:
        found.columns, place = list(reader.columns), reader.columns.index(URL_COLUMN)
        for record in reader:
            found.rows += 1
            if isinstance(record, CsvProblem):
                found.add(record)
            elif (row := _new_row(record, place)).code:
                found.add(CsvProblem(row.line, URL_COLUMN, row.code, f"Line {row.line}: {row.message}"))
            if found.rows % (4 * BATCH) == 0:
                _save(upload, token, rows_total=found.rows, lease_until=Now() + settings.LEASE_TIME)
    return found


def _as_fields(found: Findings) -> dict[str, Any]:
    return {
        "columns": found.columns,
        "rows_total": found.rows,
        "rows_bad": found.bad,
        "rows_ok": found.rows - found.bad,
        "problems": found.problems,
    }


def _new_row(record: CsvRow, place: int) -> NewRow:
    """The row of a line; `place` is where its image address stands."""
    url = record.values[place].strip()
    try:
        check_url(url)
    except FetchError as error:
        return NewRow(record.line, url, record.values, str(error.code), str(error.message))
    return NewRow(record.line, url, record.values, "", "")


def _add_rows(upload: WorkflowUpload, token: int, until: float) -> bool:
    """Add the rows behind `last_line`; return False when the time ran out before the end of the file."""
    batch: list[NewRow] = []
    with _opened(upload) as reader:
        seen, start, place = 0, upload.last_line, reader.columns.index(URL_COLUMN)
        for record in reader:
            seen += 1
            if isinstance(record, CsvProblem) or record.line <= start:
                continue
            batch.append(_new_row(record, place))
            if len(batch) >= BATCH:
                _add_batch(upload, token, batch, last_line=record.line, rows_read=seen)
                batch = []
                if time.monotonic() > until:
                    return False
        _add_batch(upload, token, batch, last_line=max(start, batch[-1].line if batch else 0), rows_read=seen)
    return True


def _add_batch(upload: WorkflowUpload, token: int, batch: list[NewRow], *, last_line: int, rows_read: int) -> None:
    """Move `last_line` and add the rows, in one transaction.

    COPY goes to a temporary table because Postgres refuses COPY FROM into a table with row security.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        _save(
            upload,
            token,
            last_line=last_line,
            rows_read=rows_read,
            attempts=0,
            lease_until=Now() + settings.LEASE_TIME,
        )
        cursor.execute(
            "CREATE TEMPORARY TABLE IF NOT EXISTS new_workflow_rows"
            " (line int, image_url text, cells text[], state text, reason text, error_message text) ON COMMIT DROP"
        )
        cursor.copy_expert("COPY new_workflow_rows FROM STDIN", _copy_lines(batch))
        cursor.execute(
            "INSERT INTO workflows_app_workflowrow (team_id, workflow_id, upload_id, line, image_url, cells, state,"
            " reason, error_message, attempts, token, predicted, unlike)"
            " SELECT %s, %s, %s, line, image_url, cells, state, reason, error_message,"
            " 0, 0, '', false FROM new_workflow_rows ORDER BY line ON CONFLICT (upload_id, line) DO NOTHING",
            [upload.team_id, upload.workflow_id, upload.pk],
        )
        cursor.execute("TRUNCATE new_workflow_rows")


def _copy_lines(batch: list[NewRow]) -> StringIO:
    """The rows in COPY's text format, which has no special lines that a cell could imitate."""
    lines = (
        "\t".join(
            (
                str(row.line),
                _escaped(row.image_url),
                _escaped(_array(row.cells)),
                RowState.FAILED.value if row.code else RowState.AWAITING.value,
                _escaped(row.code[:40]),
                _escaped(row.message[:300]),
            )
        )
        for row in batch
    )
    return StringIO("".join(f"{line}\n" for line in lines))


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def _array(cells: list[str]) -> str:
    """The cells as a Postgres array literal."""
    quoted = (cell.replace("\\", "\\\\").replace('"', '\\"') for cell in cells)
    return "{" + ",".join(f'"{cell}"' for cell in quoted) + "}"
