"""Every CSV in or out passes here: strict reading with problems by line, safe writing.

Rules and the behaviour of Python's csv module they answer to: reference/reliability.md C3 (measured).
"""

from __future__ import annotations

import contextlib
import csv
import io
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import IO, Any, BinaryIO, NamedTuple

LINES_PER_RECORD = 50
BLOCK = 1000
BLOCK_CHARACTERS = 4_000_000
"""So many records are looked at together: what is wrong with none of them need not be looked for in each."""


@dataclass(frozen=True)
class CsvProblem:
    """Something wrong with a file (line None) or with one of its lines, in words that say what to do."""

    line: int | None
    column: str | None
    code: str
    message: str

    def as_json(self) -> dict[str, Any]:
        return {"line": self.line, "column": self.column, "code": self.code, "message": self.message}


class CsvRefused(Exception):
    """The file as a whole cannot be used; `problem` says why."""

    def __init__(self, problem: CsvProblem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(frozen=True)
class CsvLimits:
    """How much is taken: bytes of the file, data rows, columns, characters of one cell."""

    max_bytes: int = 500_000_000
    max_rows: int = 1_000_000
    max_columns: int = 200
    max_cell: int = 8192


class CsvRow(NamedTuple):
    """One data row: the physical line it starts on (header = line 1) and its cells in column order."""

    line: int
    values: list[str]


MAGIC = [
    (b"PK\x03\x04", "an Excel workbook (XLSX) or another ZIP file"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook (XLS)"),
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "a picture (PNG)"),
    (b"\xff\xd8\xff", "a picture (JPEG)"),
    (b"\x1f\x8b", "a gzip file"),
]
SAVE_AS = "Save it as “CSV UTF-8 (comma delimited)” and upload that."


def refuse(code: str, message: str, *, line: int | None = None, column: str | None = None) -> CsvRefused:
    return CsvRefused(CsvProblem(line, column, code, message))


class _TooLong(Exception):
    """A record does not end."""


class CsvReader:
    """Streams a CSV: `columns` first, then rows and problems in file order, in constant memory.

    Iterating raises CsvRefused when something makes the rest unreadable (not UTF-8, too many rows).
    """

    def __init__(self, file: BinaryIO, *, required: Sequence[str], limits: CsvLimits) -> None:
        self.limits = limits
        self.blank_lines = 0
        self._check_start(file)
        self._bytes = file
        self._text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="strict", newline="")
        # A cell may be twice as long in the file, where its quotation marks are doubled.
        self._longest = 2 * limits.max_columns * limits.max_cell
        self._room = self._block_room = self._longest
        self._reader = csv.reader(self._lines(), strict=True)
        self.columns = self._header(required)

    def _lines(self) -> Iterator[str]:
        """The physical lines. Raises _TooLong when a record has more characters than any row may have.

        Without it, a file that is one line, or one record over many lines, would be taken into memory as a whole.
        """
        readline, most = self._text.readline, self._longest + 1
        while line := readline(most):
            size = len(line)
            self._room -= size
            self._block_room -= size
            if self._room < 0:
                raise _TooLong
            yield line

    def _row_too_long(self, line: int) -> CsvRefused:
        return refuse(
            "row_too_long",
            f"Line {line}: the row has more than {self._longest:,} characters. Perhaps a quotation mark is not closed,"
            " or the lines do not end.",
            line=line,
        )

    def _check_start(self, file: BinaryIO) -> None:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        if size == 0:
            raise refuse("empty", "The file is empty. It needs a header line and at least one row.")
        if size > self.limits.max_bytes:
            limit = self.limits.max_bytes // 1_000_000
            raise refuse("too_large", f"The file is larger than {limit} MB. Split it and upload the parts one by one.")
        start = file.read(4096)
        file.seek(0)
        for magic, name in MAGIC:
            if start.startswith(magic):
                raise refuse("not_csv", f"This is {name}, not a CSV. {SAVE_AS}")
        if start.startswith((b"\xff\xfe", b"\xfe\xff")) or start[1:200:2].count(0) > 20:
            raise refuse("utf16", f"The file is UTF-16, it must be UTF-8. {SAVE_AS}")

    def _header(self, required: Sequence[str]) -> list[str]:
        try:
            # Blank lines before the header do not matter.
            header = next((cells for cells in self._reader if any(map(str.strip, cells))), None)
        except UnicodeDecodeError as error:
            raise self._not_utf8(error) from error
        except _TooLong as error:
            raise self._row_too_long(1) from error
        except csv.Error as error:
            raise refuse("header_unreadable", f"Line 1: the header cannot be read ({error}).", line=1) from error
        if header is None:
            raise refuse("empty", "The file has no header line.")
        names = [cell.strip() for cell in header]
        if any("\0" in name for name in names):
            raise refuse("nul", "Line 1: the header contains a NUL byte. Export the file again as text.", line=1)
        self._check_separator(names, required)
        known = {name.lower(): name for name in required}
        names = [known.get(name.lower(), name) for name in names]
        missing = [name for name in required if name not in names]
        if missing:
            found = ", ".join(names[:10]) or "nothing"
            wanted = " and ".join(missing)
            raise refuse(
                "missing_header",
                f"Line 1: the column {wanted} is missing (found: {found}). The first line must name the columns.",
                line=1,
            )
        if len(names) > self.limits.max_columns:
            raise refuse(
                "too_many_columns",
                f"Line 1: {len(names)} columns; at most {self.limits.max_columns} are possible.",
                line=1,
            )
        seen: set[str] = set()
        for place, name in enumerate(names, 1):
            if not name:
                raise refuse("empty_header", f"Line 1: column {place} has no name. Name it or remove it.", line=1)
            if name in seen:
                raise refuse(
                    "duplicate_header", f"Line 1: the column {name} is there twice. Rename or remove one.", line=1
                )
            seen.add(name)
        return names

    def _check_separator(self, names: Sequence[str], required: Sequence[str]) -> None:
        if len(names) != 1:
            return
        for separator, word in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
            parts = [part.strip().lower() for part in names[0].split(separator)]
            if len(parts) > 1 and (not required or set(parts) & {name.lower() for name in required}):
                raise refuse("separator", f"Line 1: the columns are separated by {word}; use commas.", line=1)

    def _not_utf8(self, error: UnicodeDecodeError) -> CsvRefused:
        """Says where; the reader decodes in blocks, so the place is found by a second look at the file."""
        line, offset = 1, 0
        with contextlib.suppress(ValueError, OSError):
            self._text.detach()
        self._bytes.seek(0)
        for raw in iter(lambda: self._bytes.readline(65536), b""):
            try:
                raw.decode()
            except UnicodeDecodeError as inner:
                if inner.end < len(raw) or raw.endswith(b"\n") or len(raw) < 65536:
                    return refuse(
                        "not_utf8",
                        f"Line {line}: the file is not UTF-8 (byte {offset + inner.start + 1}). {SAVE_AS}",
                        line=line,
                    )
            offset += len(raw)
            line += raw.endswith(b"\n")
        return refuse("not_utf8", f"The file is not UTF-8. {SAVE_AS}")

    def __iter__(self) -> Iterator[CsvRow | CsvProblem]:
        return chain.from_iterable(self.blocks())

    def blocks(self) -> Iterator[list[CsvRow | CsvProblem]]:
        """The same rows and problems, up to BLOCK at a time, for those who have a quick way for many rows at once."""
        old_limit = csv.field_size_limit(max(self.limits.max_cell * 16, 131072))
        room = self.limits.max_rows
        try:
            for block, end in self._blocks():
                if len(block) <= room and self._is_sound(block, end):
                    room -= len(block)
                    yield block
                    continue
                records = [record for record in block if not _is_blank(record)]
                self.blank_lines += len(block) - len(records)
                places = [place for place, record in enumerate(records) if isinstance(record, CsvRow)]
                if len(places) > room:
                    first = records[places[room]]
                    yield list(self._checked(records[: places[room]], (first.line or 1) - 1))
                    raise self._too_many(first.line)
                room -= len(places)
                yield list(self._checked(records, end))
        finally:
            csv.field_size_limit(old_limit)

    def _blocks(self) -> Iterator[tuple[list[CsvRow | CsvProblem], int]]:
        """Up to BLOCK records (or BLOCK_CHARACTERS) at a time, and the physical line on which the last of them ends."""
        reader, row_of = self._reader, CsvRow._make
        before, ended = reader.line_num, False
        while not ended:
            block: list[CsvRow | CsvProblem] = []
            self._block_room = BLOCK_CHARACTERS
            while len(block) < BLOCK and self._block_room > 0 and not ended:
                self._room = self._longest
                try:
                    for values in islice(reader, BLOCK - len(block)):
                        block.append(row_of((before + 1, values)))
                        before = reader.line_num
                        self._room = self._longest
                        if self._block_room <= 0:
                            break
                    else:
                        ended = len(block) < BLOCK
                except UnicodeDecodeError as error:
                    yield block, before
                    raise self._not_utf8(error) from error
                except _TooLong as error:
                    yield block, before
                    raise self._row_too_long(before + 1) from error
                except csv.Error as error:
                    block.append(self._broken(before + 1, error))
                    before = reader.line_num
            yield block, before

    def _is_sound(self, records: Sequence[CsvRow | CsvProblem], end: int) -> bool:
        """Whether all of these are rows with nothing wrong, found out for all of them at once."""
        listed = [record.values for record in records if isinstance(record, CsvRow)]
        if len(listed) != len(records) or set(map(len, listed)) != {len(self.columns)}:
            return False
        cells = list(chain.from_iterable(listed))
        text = "".join(cells)
        return (
            "\0" not in text
            and (len(self.columns) > 1 or all(map(str.strip, cells)))
            and max(map(len, cells)) <= self.limits.max_cell
            and end - (records[0].line or 1) + 1 - len(records) < LINES_PER_RECORD
        )

    def _checked(self, records: Sequence[CsvRow | CsvProblem], end: int) -> Iterator[CsvRow | CsvProblem]:
        """The records, with a problem in the place of each row that has one."""
        ends = [(record.line or 1) - 1 for record in records[1:]]
        for record, last in zip(records, [*ends, end], strict=False):
            yield (isinstance(record, CsvRow) and self._problem(record, last)) or record

    def _too_many(self, line: int | None) -> CsvRefused:
        most = self.limits.max_rows
        message = f"The file has more than {most:,} rows; at most {most:,} are possible. Split it."
        return refuse("too_many_rows", message, line=line)

    def _broken(self, line: int, error: csv.Error) -> CsvProblem:
        if "field larger" in str(error) or "unexpected end" in str(error):
            return CsvProblem(
                line, None, "open_quote", f"Line {line}: a quotation mark is opened and never closed. Close it."
            )
        return CsvProblem(
            line, None, "unreadable", f"Line {line}: cannot be read ({error}). Check the quotation marks."
        )

    def _problem(self, row: CsvRow, last: int) -> CsvProblem | None:
        """What is wrong with a row that ends on line `last`."""
        (line, values), width, max_cell = row, len(self.columns), self.limits.max_cell
        if len(values) != width:
            few = "few" if len(values) < width else "many"
            return CsvProblem(
                line, None, "ragged", f"Line {line}: too {few} cells ({len(values)}; the header has {width} columns)."
            )
        if last - line >= LINES_PER_RECORD:
            return CsvProblem(
                line, None, "open_quote", f"Line {line}: one row over {last - line + 1} lines; a quote is not closed."
            )
        for name, value in zip(self.columns, values, strict=True):
            if "\0" in value:
                return CsvProblem(line, name, "nul", f"Line {line}: {name} contains a NUL byte. Export it as text.")
            if len(value) > max_cell:
                return CsvProblem(
                    line,
                    name,
                    "cell_too_long",
                    f"Line {line}: {name} has {len(value):,} characters (limit {max_cell:,}).",
                )
        return None


def _is_blank(record: CsvRow | CsvProblem) -> bool:
    return isinstance(record, CsvRow) and len(record.values) < 2 and not "".join(record.values).strip()


def open_csv(file: BinaryIO, *, required: Sequence[str], limits: CsvLimits | None = None) -> CsvReader:
    """Open a binary, seekable file as CSV with at least the `required` columns (matched without regard to case).

    Raises CsvRefused when the file as a whole cannot be used.
    """
    return CsvReader(file, required=required, limits=limits or CsvLimits())


FORMULA = re.compile(r"[ \u3000]*[=+\-@\t\r\n\0|%＝＋－＠]")
NUMBER = re.compile(r"[+-]?[0-9][0-9.,]*(e[+-]?[0-9]+)?", re.IGNORECASE)


def safe_cell(text: str) -> str:
    """The text, with an apostrophe before it when a spreadsheet would run it as a formula (ASVS 5.0, 1.2.10)."""
    return "'" + text if FORMULA.match(text) and not NUMBER.fullmatch(text) else text


class CsvWriter:
    """Writes RFC 4180 lines to a text file. `safe`: cells given as text pass safe_cell; numbers do not."""

    def __init__(self, file: IO[str], columns: Sequence[str], *, safe: bool = True) -> None:
        self._writer = csv.writer(file, lineterminator="\r\n")
        self._safe = safe
        self.writerow(columns)

    def writerow(self, cells: Sequence[str | float | None]) -> None:
        if self._safe:
            cells = [safe_cell(cell) if isinstance(cell, str) else cell for cell in cells]
        self._writer.writerow(["" if cell is None else cell for cell in cells])


def problems_file(problems: Iterable[CsvProblem]) -> BinaryIO:
    """A temporary file with the problems as a CSV: line, column, problem. There may be a million of them."""
    out = tempfile.TemporaryFile()  # noqa: SIM115 - the answer that sends it closes it
    text = io.TextIOWrapper(out, encoding="utf-8", newline="")
    writer = CsvWriter(text, ["line", "column", "problem"])
    for problem in problems:
        writer.writerow([problem.line, problem.column, problem.message])
    text.detach()
    out.seek(0)
    return out  # type: ignore[return-value]  # a wrapper of a BinaryIO
