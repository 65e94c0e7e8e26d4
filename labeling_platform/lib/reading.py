"""Reading an uploaded CSV into rows of a table: checked as a whole first, then added in batches.

Nothing is half-done: a file that must be refused (not UTF-8 in the middle, too many rows) is refused before its
first row exists. A reader that dies is continued behind `last_line`: every batch is one transaction that moves
`last_line` under the reader's token and adds the rows, so a second reader can neither double nor lose any.
What a row is, and where it goes, is the caller's.
"""

from __future__ import annotations

import gc
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Generic, Protocol, TypeVar, cast

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from . import storage
from .csvio import CsvLimits, CsvProblem, CsvReader, CsvRefused, CsvRow, open_csv
from .errors import Refused
from .uploads import MAX_PROBLEMS_KEPT, ResumableUpload, UploadState

BATCH = 10_000
SAY_SECONDS = 1.0
BUDGET_SECONDS = 45.0
MAX_ATTEMPTS = 5
GONE = "The stored file is gone. Upload it again."
GAVE_UP = "Reading this file was started {times} times and never got on. Ask your Customer Success Manager."
COPY_SPECIAL = re.compile(r"[\\\t\n\r]")
Upload = TypeVar("Upload", bound=ResumableUpload)
T = TypeVar("T")


class Line(Protocol):
    """Something made of a line of the file."""

    @property
    def line(self) -> int: ...


Made = TypeVar("Made", bound=Line)


class Superseded(Exception):
    """Another reader has taken over; this one must stop and change nothing more."""


@dataclass
class Findings:
    """What a check of the whole file found: row counts, and the first problems by line."""

    columns: list[str] = field(default_factory=list)
    rows: int = 0
    bad: int = 0
    problems: list[dict[str, Any]] = field(default_factory=list)

    def add(self, *problems: CsvProblem) -> None:
        """Count a line that is left out, and keep why."""
        self.bad += 1
        room = MAX_PROBLEMS_KEPT - len(self.problems)
        self.problems += [problem.as_json() for problem in problems[:room]]

    def as_fields(self) -> dict[str, Any]:
        """The fields of the upload that say so."""
        return {
            "columns": self.columns,
            "rows_total": self.rows,
            "rows_bad": self.bad,
            "rows_ok": self.rows - self.bad,
            "problems": self.problems,
        }


@dataclass
class Reading(Generic[Upload]):
    """One reader's turn at an upload: everything it writes is fenced by its token."""

    upload: Upload
    token: int
    until: float
    said: float = field(default_factory=time.monotonic)

    def save(self, **fields: Any) -> None:
        """Write `fields` if we are still the reader. Raises Superseded otherwise. Locks the upload's row."""
        mine = _same(self.upload).filter(token=self.token, state=UploadState.READING)
        if not mine.update(**fields):
            raise Superseded

    def go_on(self, **fields: Any) -> None:
        """Write `fields` and keep the upload for another LEASE_TIME. Raises Superseded."""
        self.save(lease_until=Now() + settings.LEASE_TIME, **fields)

    def checked(self, rows: int) -> None:
        """Say now and then how many rows the check has seen."""
        if time.monotonic() > self.said + SAY_SECONDS:
            self.go_on(rows_total=rows)
            self.said = time.monotonic()

    def refuse(self, reason: str) -> None:
        """Refuse the whole file, with a reason for people."""
        mine = _same(self.upload).filter(token=self.token)
        UploadState.move(mine, UploadState.REFUSED, refusal=reason, lease_until=None, finished_at=timezone.now())


def read_upload(
    upload: Upload,
    *,
    check: Callable[[Reading[Upload]], None],
    add: Callable[[Reading[Upload]], bool],
    seconds: float = BUDGET_SECONDS,
) -> bool:
    """Read the upload's file; return whether there is more to do after `seconds`.

    `check` reads the whole file once and saves what it found; a CsvRefused or Refused that it raises refuses the
    file, which is kept. `add` adds the rows (see add_in_batches) and returns whether it came to the end. Does nothing
    for an upload that is held, read already, or being read by somebody else.
    """
    reading = _take(upload, seconds)
    if reading is None:
        return False
    try:
        with _frozen_heap():
            if not upload.last_line:
                check(reading)
            finished = add(reading)
        _put_down(reading, finished=finished)
        return not finished
    except CsvRefused as refused:
        reading.refuse(refused.problem.message)
    except Refused as refused:
        reading.refuse(refused.message)
    except FileNotFoundError:
        reading.refuse(GONE)
    except Superseded:
        pass
    return False


@contextmanager
def _frozen_heap() -> Iterator[None]:
    """Keep the garbage collector from what was there before: a million rows call it often, and half of the time goes
    into its looks at all that the process has loaded."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _same(upload: Upload) -> QuerySet[Upload]:
    return type(upload)._default_manager.filter(pk=upload.pk)


def _take(upload: Upload, seconds: float) -> Reading[Upload] | None:
    """Become the upload's reader, or None when there is nothing to take."""
    free = Q(lease_until=None) | Q(lease_until__lt=Now())
    mine = _same(upload).filter(Q(state=UploadState.RECEIVED) | (Q(state=UploadState.READING) & free), held=False)
    with transaction.atomic():
        if not mine.update(
            state=UploadState.READING,
            token=F("token") + 1,
            attempts=F("attempts") + 1,
            lease_until=Now() + settings.LEASE_TIME,
        ):
            return None
        upload.refresh_from_db()
    reading = Reading(upload, upload.token, time.monotonic() + seconds)
    if upload.attempts > MAX_ATTEMPTS:
        reading.refuse(GAVE_UP.format(times=MAX_ATTEMPTS))
        return None
    return reading


def _put_down(reading: Reading[Upload], *, finished: bool) -> None:
    if not finished:
        reading.save(lease_until=None)
        return
    with transaction.atomic():
        reading.save(lease_until=None, finished_at=timezone.now())
        UploadState.move(_same(reading.upload).filter(token=reading.token), UploadState.READY)


@contextmanager
def opened(upload: ResumableUpload, *, required: Sequence[str]) -> Iterator[CsvReader]:
    """The upload's file as CSV. Raises CsvRefused and FileNotFoundError."""
    with storage.open_file(upload.file) as file:
        limits = CsvLimits(max_bytes=settings.CSV_MAX_BYTES, max_rows=settings.CSV_MAX_ROWS)
        yield open_csv(file, required=required, limits=limits)


def add_in_batches(
    reading: Reading[Any],
    reader: CsvReader,
    *,
    make: Callable[[Sequence[CsvRow]], Iterable[Made]],
    add: Callable[[list[Made]], None],
) -> bool:
    """Make something of the lines behind `last_line` and `add` it in batches of BATCH.

    `make` gets some rows at a time and gives what is made of them, in their order; what it leaves out is not added.
    Each batch moves `last_line` in its own transaction. Lines are made in a second thread, while the database works on
    the batch before: `make` may not use the database. Returns False when the time ran out before the file's end.
    """
    for batch, seen in ahead(_batches(reader, make, reading.upload.last_line)):
        add_batch(reading, batch, add=add, rows_read=seen)
        if len(batch) == BATCH and time.monotonic() > reading.until:
            return False
    return True


def _batches(
    reader: CsvReader, make: Callable[[Sequence[CsvRow]], Iterable[Made]], last: int
) -> Iterator[tuple[list[Made], int]]:
    """What is made of the lines behind `last`, with the number of records seen until then; the last may be empty."""
    batch: list[Made] = []
    seen = 0
    for block in reader.blocks():
        seen += len(block)
        batch += make([record for record in block if isinstance(record, CsvRow) and record.line > last])
        while len(batch) >= BATCH:
            yield batch[:BATCH], seen
            batch = batch[BATCH:]
    yield batch, seen


def ahead(items: Iterable[T]) -> Iterator[T]:
    """The items, each of them made in a thread while the caller works on the one before."""
    source = iter(items)
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        coming = pool.submit(next, source, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, source, end)
            yield cast("T", item)


def add_batch(reading: Reading[Any], batch: list[Made], *, add: Callable[[list[Made]], None], rows_read: int) -> None:
    """Move `last_line` behind the batch and add it, in one transaction. Raises Superseded."""
    moved = {"last_line": batch[-1].line} if batch else {}
    with transaction.atomic():
        reading.go_on(rows_read=rows_read, attempts=0, **moved)
        if batch:
            add(batch)


def find_unread(uploads: QuerySet[Upload]) -> list[tuple[int, int]]:
    """(team id, upload id) of those of `uploads` whose reading nobody has begun, or whose reader died."""
    waiting = Q(state=UploadState.RECEIVED) | Q(state=UploadState.READING, lease_until__lt=Now())
    waiting |= Q(state=UploadState.READING, lease_until=None)
    return list(uploads.filter(waiting, held=False).order_by("pk").values_list("team_id", "pk")[:100])


def copy_lines(rows: Iterable[Sequence[str | None]]) -> BytesIO:
    """Rows in the text format of Postgres' COPY, which has no special lines that a cell could imitate."""
    return BytesIO("".join(map(copy_line, rows)).encode())


def copy_line(cells: Sequence[str | None]) -> str:
    """One row in the text format of Postgres' COPY."""
    return "\t".join([r"\N" if cell is None else copy_escaped(cell) for cell in cells]) + "\n"


def copy_escaped(value: str) -> str:
    """A text as it stands in a line of Postgres' COPY."""
    if not COPY_SPECIAL.search(value):
        return value
    return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
