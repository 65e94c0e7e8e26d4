"""Reading an uploaded CSV into workflow rows; how that is safe is said in lib/reading.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from django.db import connection

from labeling_platform.lib.csvio import CsvProblem, CsvRow
from labeling_platform.lib.images import FetchError, check_url
from labeling_platform.lib.reading import (
    BUDGET_SECONDS,
    Findings,
    Reading,
    add_in_batches,
    copy_lines,
    opened,
    read_upload,
)

from .models import WorkflowUpload
from .states import RowState

URL_COLUMN = "image_url"


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
    return read_upload(upload, check=_check, add=_add_rows, seconds=seconds)


def _check(reading: Reading[WorkflowUpload]) -> None:
    """Read the whole file once and save what was found. Raises CsvRefused when no row of it may be used."""
    with opened(reading.upload, required=[URL_COLUMN]) as reader:
        found, place = Findings(columns=list(reader.columns)), reader.columns.index(URL_COLUMN)
        for record in reader:
            found.rows += 1
            if isinstance(record, CsvProblem):
                found.add(record)
            elif (row := _new_row(record, place)).code:
                found.add(CsvProblem(row.line, URL_COLUMN, row.code, f"Line {row.line}: {row.message}"))
            reading.checked(found.rows)
    reading.save(**found.as_fields())


def _new_row(record: CsvRow, place: int) -> NewRow:
    """The row of a line; `place` is where its image address stands."""
    url = record.values[place].strip()
    try:
        check_url(url)
    except FetchError as error:
        return NewRow(record.line, url, record.values, str(error.code), str(error.message))
    return NewRow(record.line, url, record.values, "", "")


def _add_rows(reading: Reading[WorkflowUpload]) -> bool:
    """Add the rows behind `last_line`; return False when the time ran out before the end of the file."""
    with opened(reading.upload, required=[URL_COLUMN]) as reader:
        make = partial(_new_row, place=reader.columns.index(URL_COLUMN))
        return add_in_batches(reading, reader, make=make, add=adder(reading.upload))


def adder(upload: WorkflowUpload) -> Callable[[list[NewRow]], None]:
    """What adds a batch of the upload's rows, inside a transaction.

    COPY goes to a temporary table because Postgres refuses COPY FROM into a table with row security.
    """

    def add(batch: list[NewRow]) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "CREATE TEMPORARY TABLE IF NOT EXISTS new_workflow_rows"
                " (line int, image_url text, cells text[], state text, reason text, error_message text) ON COMMIT DROP"
            )
            cursor.copy_expert("COPY new_workflow_rows FROM STDIN", copy_lines(map(_columns, batch)))
            cursor.execute(
                "INSERT INTO workflows_app_workflowrow (team_id, workflow_id, upload_id, line, image_url, cells, state,"
                " reason, error_message, attempts, token, predicted, unlike)"
                " SELECT %s, %s, %s, line, image_url, cells, state, reason, error_message,"
                " 0, 0, '', false FROM new_workflow_rows ORDER BY line ON CONFLICT (upload_id, line) DO NOTHING",
                [upload.team_id, upload.workflow_id, upload.pk],
            )
            cursor.execute("TRUNCATE new_workflow_rows")

    return add


def _columns(row: NewRow) -> tuple[str, ...]:
    state = RowState.FAILED.value if row.code else RowState.AWAITING.value
    return (str(row.line), row.image_url, _array(row.cells), state, row.code[:40], row.message[:300])


def _array(cells: list[str]) -> str:
    """The cells as a Postgres array literal."""
    quoted = (cell.replace("\\", "\\\\").replace('"', '\\"') for cell in cells)
    return "{" + ",".join(f'"{cell}"' for cell in quoted) + "}"
