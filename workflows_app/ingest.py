"""Reading an uploaded CSV into workflow rows; how that is safe is said in lib/reading.py."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from itertools import chain, islice
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import F

from labeling_platform.accounts import quotas
from labeling_platform.lib import wall
from labeling_platform.lib.csvio import CsvProblem, CsvReader, CsvRow
from labeling_platform.lib.images import FetchError, check_url
from labeling_platform.lib.reading import (
    BUDGET_SECONDS,
    Findings,
    Reading,
    add_in_batches,
    copy_line,
    opened,
    read_upload,
)
from labeling_platform.lib.uploads import MAX_PROBLEMS_KEPT
from labeling_platform.lib.urls import MAX_URL, ORDINARY

from .models import WorkflowRow, WorkflowUpload

URL_COLUMN = "image_url"
MAX_KEY = 200
"""Characters of a key (WorkflowRow.key)."""

BLOCK = 1000
COPY_BYTES = 1 << 20

ARRAY_SPECIAL = re.compile(r'[\\"\t\n\r]')
REPEATED = "Line {line}: a row whose {column} is “{key}” is in this workflow already. It was left out."
STAGE = (
    "CREATE TEMPORARY TABLE IF NOT EXISTS new_workflow_rows"
    " (line int, key text, image_url text, cells text[], reason text, error_message text) ON COMMIT DELETE ROWS"
)
ADD = """
INSERT INTO workflows_app_workflowrow (team_id, workflow_id, upload_id, line, key, image_url, cells, state, reason,
    error_message, attempts, token, predicted, "unlike")
SELECT %(team)s, %(workflow)s, %(upload)s, line, key, coalesce(image_url, cells[%(place)s]), cells,
    CASE WHEN reason = '' THEN 'awaiting' ELSE 'failed' END, reason, error_message, 0, 0, '', false
FROM new_workflow_rows
"""
"""Ids rise with the lines: a temporary table is read from its beginning, in the order in which COPY filled it."""

ADD_NEW = f"""
WITH added AS ({ADD} ON CONFLICT (workflow_id, key) WHERE key IS NOT NULL DO NOTHING RETURNING line)
SELECT line, key, reason FROM new_workflow_rows n WHERE NOT EXISTS (SELECT FROM added WHERE added.line = n.line)
ORDER BY line
"""  # noqa: S608 - put together from constants of this module


class NewRow(NamedTuple):
    """A row to add: its line in the file, and itself as a line of COPY."""

    line: int
    copied: str


def read_rows(*, upload: WorkflowUpload, seconds: float = BUDGET_SECONDS) -> bool:
    """Read the upload's file into rows of its workflow; return whether there is more to do after `seconds`.

    Lines with a wrong number of cells or without their key are listed and not added; rows whose address is not one
    are listed and added as failed; rows whose key is in the workflow are listed and left out. A file that cannot be
    read as CSV with a column image_url (and the key column) is refused whole, and kept. Does nothing for an upload
    that is held, read already, or being read by somebody else.
    """
    return read_upload(upload, check=_check, add=_add_rows, seconds=seconds)


def all_problems(upload: WorkflowUpload) -> Iterator[CsvProblem]:
    """Every problem of the upload's lines; those that were not kept are found by reading again.

    Raises CsvRefused or FileNotFoundError while iterating.
    """
    if len(upload.problems) < MAX_PROBLEMS_KEPT:
        yield from (CsvProblem(**problem) for problem in upload.problems)
        return
    with _sheet(upload) as (reader, sheet):
        records = iter(reader)
        while block := list(islice(records, BLOCK)):
            there = _lines_there(upload, block) if upload.rows_repeated else None
            for record in block:
                problem = record if isinstance(record, CsvProblem) else sheet.problem(record)
                if problem is None and isinstance(record, CsvRow) and there is not None and record.line not in there:
                    problem = _repeated(record.line, upload.key_column, sheet.key_of(record) or "")
                if problem is not None:
                    yield problem


def _lines_there(upload: WorkflowUpload, records: Sequence[CsvRow | CsvProblem]) -> set[int]:
    lines = [record.line for record in records if record.line is not None]
    return set(WorkflowRow.objects.filter(upload=upload, line__in=lines).values_list("line", flat=True))


class Sheet:
    """How the lines of one file are read: where its image address stands, and its key if there is one."""

    def __init__(self, columns: Sequence[str], *, key_column: str = "") -> None:
        self.url, self.key_column = columns.index(URL_COLUMN), key_column
        self.key = columns.index(key_column) if key_column else None

    def key_of(self, row: CsvRow) -> str | None:
        """The row's key; None when the file has no keys."""
        return None if self.key is None else row.values[self.key].strip()

    def problem(self, row: CsvRow) -> CsvProblem | None:
        """Why the row cannot be predicted, if so."""
        if self.key is not None and (problem := self._key_problem(row)):
            return problem
        code, message = _address_problem(row.values[self.url].strip())
        return CsvProblem(row.line, URL_COLUMN, code, f"Line {row.line}: {message}") if code else None

    def are_sound(self, rows: Sequence[CsvRow | CsvProblem]) -> bool:
        """Whether nothing at all is wrong with any of these, found out for all of them at once."""
        if self.key is not None or not rows or not all(isinstance(row, CsvRow) for row in rows):
            return False
        place = self.url
        urls = [row.values[place] for row in rows]  # type: ignore[union-attr]  # all are rows, see above
        return max(map(len, urls)) <= MAX_URL and all(map(ORDINARY.fullmatch, urls))

    def new_rows(self, rows: Sequence[CsvRow]) -> list[NewRow]:
        """What is added of the rows."""
        if self.are_sound(rows) and not ARRAY_SPECIAL.search("".join(chain.from_iterable(row.values for row in rows))):
            texts = ('","'.join(cells) for _, cells in rows)
            return [
                NewRow(line, f'{line}\t\\N\t\\N\t{{"{text}"}}\t\t\n')
                for (line, _), text in zip(rows, texts, strict=True)
            ]
        return [made for row in rows if (made := self.new_row(row)) is not None]

    def new_row(self, row: CsvRow) -> NewRow | None:
        """The row to add. One whose address can never be fetched is added as failed, so that no row is missing."""
        if self._key_problem(row):
            return None
        line, cells = row
        url = cells[self.url].strip()
        code, message = _address_problem(url)
        return NewRow(line, copy_line([str(line), self.key_of(row), url, _array(cells), code[:40], message[:300]]))

    def _key_problem(self, row: CsvRow) -> CsvProblem | None:
        key = self.key_of(row)
        if key is None or 0 < len(key) <= MAX_KEY:
            return None
        what = f"has {len(key):,} characters; a key has at most {MAX_KEY}" if key else "is empty, but it is the key"
        return CsvProblem(row.line, self.key_column, "bad_key", f"Line {row.line}: {self.key_column} {what}.")


def _address_problem(url: str) -> tuple[str, str]:
    """Code and words for what is wrong with an image address; empty when nothing is."""
    try:
        check_url(url)
    except FetchError as error:
        return str(error.code), str(error.message)
    return "", ""


def _array(cells: list[str]) -> str:
    """The cells as a Postgres array literal."""
    quoted = (cell.replace("\\", "\\\\").replace('"', '\\"') for cell in cells)
    return "{" + ",".join(f'"{cell}"' for cell in quoted) + "}"


@contextmanager
def _sheet(upload: WorkflowUpload) -> Iterator[tuple[CsvReader, Sheet]]:
    required = list(dict.fromkeys(filter(None, [URL_COLUMN, upload.key_column])))
    with opened(upload, required=required) as reader:
        yield reader, Sheet(reader.columns, key_column=upload.key_column)


def _check(reading: Reading[WorkflowUpload]) -> None:
    """Read the whole file once and save what was found. Raises CsvRefused when no row of it may be used."""
    with _sheet(reading.upload) as (reader, sheet):
        found = Findings(columns=list(reader.columns))
        for block in reader.blocks():
            found.rows += len(block)
            for record in () if sheet.are_sound(block) else block:
                if problem := record if isinstance(record, CsvProblem) else sheet.problem(record):
                    found.add(problem)
            reading.checked(found.rows)
    with transaction.atomic():
        reading.go_on()
        if not reading.upload.columns:  # else a reader that died has counted them
            quotas.use_rows(team=reading.upload.team, rows=found.rows)
        reading.save(**found.as_fields())


def _add_rows(reading: Reading[WorkflowUpload]) -> bool:
    """Add the rows behind `last_line`; return False when the time ran out before the end of the file."""
    with _sheet(reading.upload) as (reader, sheet):
        return add_in_batches(reading, reader, make=sheet.new_rows, add=adder(reading, sheet.url))


def adder(reading: Reading[WorkflowUpload], place: int) -> Callable[[list[NewRow]], None]:
    """What adds a batch of the upload's rows, inside a transaction. `place` is where their image address stands.

    COPY goes to a temporary table because Postgres refuses COPY FROM into a table with row security.
    """
    upload = reading.upload
    values = {"team": upload.team_id, "workflow": upload.workflow_id, "upload": upload.pk, "place": place + 1}

    def add(batch: list[NewRow]) -> None:
        with connection.cursor() as cursor:
            cursor.execute(STAGE)
            cursor.execute("DELETE FROM new_workflow_rows")  # of an earlier batch of the same transaction, if any
            lines = BytesIO("".join([row.copied for row in batch]).encode())
            wall.copy(cursor, "COPY new_workflow_rows FROM STDIN", lines, size=COPY_BYTES)
            if not upload.key_column:
                cursor.execute(ADD, values)
                return
            # One at a time in a workflow: two files with the same keys in another order would wait for each other.
            cursor.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"workflow keys {upload.workflow_id}"]
            )
            cursor.execute(ADD_NEW, values)
            repeated = cursor.fetchall()
        if repeated:
            _leave_out(reading, repeated)

    return add


def _leave_out(reading: Reading[WorkflowUpload], repeated: Sequence[tuple[int, str, str]]) -> None:
    """Say of the upload which lines were not added because their key (line, key, reason) is in the workflow."""
    upload = reading.upload
    upload.refresh_from_db(fields=["problems"])
    room = MAX_PROBLEMS_KEPT - len(upload.problems)
    listed = [_repeated(line, upload.key_column, key).as_json() for line, key, _ in repeated[:room]]
    reading.save(
        problems=upload.problems + listed,
        rows_repeated=F("rows_repeated") + len(repeated),
        rows_ok=F("rows_ok") - sum(not reason for _, _, reason in repeated),
        rows_bad=F("rows_bad") - sum(bool(reason) for _, _, reason in repeated),
    )


def _repeated(line: int, column: str, key: str) -> CsvProblem:
    return CsvProblem(line, column, "repeated", REPEATED.format(line=line, column=column, key=key))
