"""One statement's lines, copied by Postgres into a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import IO, Any

from django.db import connection
from psycopg2 import sql

from labeling_platform.lib import wall
from labeling_platform.lib.csvio import safe_cell

from ..kinds import SAFE_CELLS, is_json
from .lines import Lines

PLANS_OFF = ("enable_sort", "enable_incremental_sort", "enable_hashjoin", "enable_bitmapscan", "enable_memoize", "jit")


def keep_order() -> None:
    """For this transaction: plans that give lines as they come from the index, whatever the statistics say.

    Right after a million rows came in, the planner takes them for a handful and would sort them, so that the first
    line waits for the last one; a hash join loses the order, too. No unit has two rows, so memoize only costs time.
    Compiling (jit) would be another wait, and parallel workers take processors away from people's pages.
    """
    with connection.cursor() as cursor:
        for name in PLANS_OFF:
            cursor.execute(f"SET LOCAL {name} = off")
        cursor.execute("SET LOCAL max_parallel_workers_per_gather = 0")


def copy_statement(lines: Lines, options: Mapping[str, Any]) -> sql.Composed:
    """The statement that makes Postgres send the lines, as CSV or as JSON objects."""
    form = "FORMAT csv, ENCODING 'UTF8'"
    query = lines.objects() if is_json(options) else lines.query(safe=bool(options.get(SAFE_CELLS)))
    if is_json(options) or lines.is_json:
        # JSON texts hold no control characters, so with these nothing is ever quoted or doubled.
        form += r", QUOTE E'\x01', DELIMITER E'\x02'"
    return sql.SQL("COPY ({}) TO STDOUT ({})").format(query, sql.SQL(form))


def copy_lines(lines: Lines, options: Mapping[str, Any], file: IO[bytes], progress: Progress) -> None:
    """Write the header, if there is one, and let Postgres write one line after the other."""
    if lines.names and not is_json(options):
        line = io.StringIO()
        names = [safe_cell(name) for name in lines.names] if options.get(SAFE_CELLS) else lines.names
        csv.writer(line, lineterminator="\n").writerow(names)
        file.write(line.getvalue().encode())
    with connection.cursor() as cursor:
        statement = copy_statement(lines, options).as_string(cursor.cursor)
        wall.copy(cursor, statement, _Counted(file, progress))


class Progress:
    """How far a report is: lines written, and lines there will be (0: not known)."""

    __slots__ = ("done", "total")

    def __init__(self) -> None:
        self.done = self.total = 0


class _Counted(io.RawIOBase):
    """Passes bytes on and counts the calls: libpq hands over one row at a time.

    This little method runs for every row, also so that a signal to stop is heard between two rows.
    """

    def __init__(self, file: IO[bytes], progress: Progress) -> None:
        self._write, self._progress = file.write, progress

    def write(self, data: Any) -> int:
        self._progress.done += 1
        return self._write(data)
