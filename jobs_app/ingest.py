"""Reading an uploaded CSV into rows and test questions of a job; how that is safe is said in lib/reading.py.

What the columns mean is said in reference/domain.md 2.4 and 3.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from django.db import transaction

from labeling_platform.accounts import quotas
from labeling_platform.lib.csvio import CsvProblem, CsvReader, CsvRow, refuse
from labeling_platform.lib.errors import Refused
from labeling_platform.lib.images import FetchError, check_url
from labeling_platform.lib.reading import BUDGET_SECONDS, Findings, Reading, add_in_batches, opened, read_upload
from labeling_platform.lib.uploads import MAX_PROBLEMS_KEPT, UploadState

from .design import Design, Question, check_columns, check_golds
from .design.checks import is_gold_column
from .models import Job, JobUpload, Unit
from .services.data import columns_differ, required_columns
from .services.golds import MAX_REASON, NewGold, add_golds, check_gold_answers
from .services.results import design_of
from .services.units import MAX_ROWS, NewUnit, copy_units
from .states import GoldSource, UnitState

URL_COLUMN, GOLDEN_COLUMN = "image_url", "_golden"
TRUTH = {"": False, "true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
"""What `_golden` may say, in any case."""

ONLY_GOLDS = (
    "A launched workflow sends this job its rows, so only test questions can be uploaded here: lines with _golden true."
    " Line {line} is a row."
)
TOO_MANY = (
    "With this file the job would have {would:,} rows; at most {most:,} are possible. It has {there:,} now."
    " Upload a part of the file, or make another job for it."
)


@dataclass(frozen=True)
class NewRow:
    """What a line becomes: a row, or with `gold` a test question."""

    line: int
    unit: NewUnit
    gold: NewGold | None = None


def read_rows(*, upload: JobUpload, seconds: float = BUDGET_SECONDS) -> bool:
    """Read the upload's file into rows and test questions of its job; return whether there is more to do.

    Lines that cannot be used (wrong number of cells, no address of a picture, answers that the design does not know)
    are listed and left out. A file is refused whole, and kept, when its columns do not fit the design or the rows
    that are there, or when the job would have too many rows. Does nothing for an upload that is held, read already,
    or being read by somebody else.
    """
    return read_upload(upload, check=_check, add=_add_rows, seconds=seconds)


def all_problems(upload: JobUpload) -> Iterator[CsvProblem]:
    """Every problem of the upload's lines, by today's design; those that were not kept are found by reading again.

    Raises CsvRefused or FileNotFoundError while iterating.
    """
    if len(upload.problems) < MAX_PROBLEMS_KEPT:
        yield from (CsvProblem(**problem) for problem in upload.problems)
        return
    with _sheet(upload) as (reader, sheet):
        for record in reader:
            yield from sheet.look_at(record)[1]


class Sheet:
    """How the lines of one file are read for one design. Raises CsvRefused for columns that do not fit it."""

    def __init__(self, design: Design, columns: Sequence[str], *, key: str) -> None:
        places = {column: place for place, column in enumerate(columns)}
        self.design, self.key = design, key
        self.source = [(column, place) for column, place in places.items() if not is_gold_column(column)]
        self.image, self.golden = places.get(URL_COLUMN), places.get(GOLDEN_COLUMN)
        self.needs_image = bool(required_columns(design))
        self.answers = _places_of(design, places, "_gold")
        self.reasons = _places_of(design, places, "_gold_reason")
        _check_columns(design, columns)

    def look_at(self, record: CsvRow | CsvProblem) -> tuple[bool, list[CsvProblem]]:
        """Whether the line is a test question, and why it cannot be used, if so."""
        if isinstance(record, CsvProblem):
            return False, [record]
        cells, line, problems = record.values, record.line, list[CsvProblem]()
        url = cells[self.image].strip() if self.image is not None else ""
        if (url or self.needs_image) and (problem := _url_problem(line, url)):
            problems.append(problem)
        said = cells[self.golden].strip().lower() if self.golden is not None else ""
        if said not in TRUTH:
            message = f"“{said[:20]}” is neither true nor false. Write true for a test question, else leave it empty."
            problems.append(_problem(line, GOLDEN_COLUMN, "bad_golden", message))
        golden = TRUTH.get(said, False)
        if golden:
            problems += self._gold_problems(line, self._gold(cells, self._unit(record)))
        return golden, problems

    def new_rows(self, records: Sequence[CsvRow]) -> list[NewRow]:
        """What the lines become; some become nothing."""
        return [made for record in records if (made := self.new_row(record)) is not None]

    def new_row(self, record: CsvRow) -> NewRow | None:
        """What the line becomes, if anything."""
        golden, problems = self.look_at(record)
        if problems:
            return None
        unit = self._unit(record)
        return NewRow(record.line, unit, self._gold(record.values, unit) if golden else None)

    def _unit(self, record: CsvRow) -> NewUnit:
        cells = record.values
        url = cells[self.image].strip() if self.image is not None else ""
        return NewUnit(f"{self.key}:{record.line}", url, {column: cells[place] for column, place in self.source})

    def _gold(self, cells: Sequence[str], unit: NewUnit) -> NewGold:
        answers = {question.name: _accepted(question, cells[place]) for question, place in self.answers}
        reasons = {question.name: cells[place].strip() for question, place in self.reasons}
        return NewGold(unit.key, unit.image_url, answers, reasons, unit.data)

    def _gold_problems(self, line: int, gold: NewGold) -> Iterator[CsvProblem]:
        for name, message in check_gold_answers(self.design, gold.answers).items():
            yield _problem(line, f"{name}_gold" if name else GOLDEN_COLUMN, "bad_answer", message)
        for name, reason in gold.reasons.items():
            if len(reason) > MAX_REASON:
                message = f"The reason has {len(reason):,} characters; at most {MAX_REASON:,} are possible."
                yield _problem(line, f"{name}_gold_reason", "long_reason", message)


def _places_of(design: Design, places: dict[str, int], ending: str) -> list[tuple[Question, int]]:
    named = ((question, places.get(f"{question.name}{ending}")) for question in design.questions)
    return [(question, place) for question, place in named if place is not None]


def _accepted(question: Question, cell: str) -> list[str]:
    """Several accepted answers stand on lines of their own, or between bars."""
    if cell.strip() in question.values:
        return [cell.strip()]
    return [part.strip() for part in re.split(r"[\n|]", cell.replace("\r", "\n")) if part.strip()]


def _problem(line: int, column: str, code: str, message: str) -> CsvProblem:
    return CsvProblem(line, column, code, f"Line {line}: {message}")


def _url_problem(line: int, url: str) -> CsvProblem | None:
    try:
        check_url(url)
    except FetchError as error:
        return _problem(line, URL_COLUMN, str(error.code), str(error.message))
    return None


def _check_columns(design: Design, columns: Sequence[str]) -> None:
    """Refuse a header that collides with reports, or does not fit the design."""
    for column in columns:
        if column.startswith("_") and column != GOLDEN_COLUMN:
            message = f"Line 1: the column {column} begins with an underscore; reports have such names. Rename it."
            raise refuse("reserved_header", message, line=1, column=column)
    if unknown := [problem for problem in check_golds(design, columns) if problem.code == "unknown_gold"]:
        raise refuse("unknown_gold", f"Line 1: {unknown[0].message} Rename the column or the question.", line=1)
    golds = [column for column in columns if is_gold_column(column)]
    if golds and GOLDEN_COLUMN not in golds:
        message = f"Line 1: {golds[0]} has answers of test questions, but no column _golden says which rows those are."
        raise refuse("no_golden", f"{message} Add it, with true in their lines.", line=1, column=golds[0])
    if misfits := [problem for problem in check_columns(design, columns) if problem.level == "error"]:
        raise refuse(misfits[0].code, f"Line 1: the file does not fit the design. {misfits[0].message}", line=1)


@contextmanager
def _sheet(upload: JobUpload) -> Iterator[tuple[CsvReader, Sheet]]:
    design = design_of(upload.job)
    with opened(upload, required=required_columns(design)) as reader:
        yield reader, Sheet(design, reader.columns, key=f"upload:{upload.pk}")


def _check(reading: Reading[JobUpload]) -> None:
    """Read the whole file once and save what was found. Raises CsvRefused or Refused when nothing may be used."""
    golden, first_row = 0, 0
    with _sheet(reading.upload) as (reader, sheet):
        found = Findings(columns=list(reader.columns))
        for record in reader:
            found.rows += 1
            is_golden, problems = sheet.look_at(record)
            if problems:
                found.add(*problems)
            elif is_golden:
                golden += 1
            else:
                first_row = first_row or record.line or 1
            reading.checked(found.rows)
    if not found.rows:
        raise Refused("The file has a header line but no rows.", code="no_rows")
    rows = found.rows - found.bad - golden
    with transaction.atomic():
        reading.go_on()
        if rows:
            _check_room(reading.upload, found.columns, rows, first_row)
        if not reading.upload.columns:  # else a reader that died has counted them
            quotas.use_rows(team=reading.upload.team, rows=found.rows)
        reading.save(**found.as_fields() | {"rows_ok": rows, "rows_golden": golden})


def _check_room(upload: JobUpload, columns: Sequence[str], rows: int, first_row: int) -> None:
    """Refuse rows that the job cannot take. The job stays locked until the caller has said that they come."""
    job = Job.objects.select_for_update(no_key=True).get(pk=upload.job_id)
    if job.design_frozen_at is not None:
        raise Refused(ONLY_GOLDS.format(line=first_row), code="routed")
    if not upload.forced and (difference := columns_differ(job=job, columns=columns, but=upload)):
        raise Refused(difference, code="columns_differ")
    units = Unit.objects.filter(job=job, state__in=UnitState.row_states())
    there = units.count()
    for other in JobUpload.objects.filter(job=job, state=UploadState.READING, rows_ok__gt=0).exclude(pk=upload.pk):
        there += other.rows_ok - units.filter(key__startswith=f"upload:{other.pk}:").count()
    if there + rows > MAX_ROWS:
        raise Refused(TOO_MANY.format(would=there + rows, most=MAX_ROWS, there=there), code="too_many_rows")


def _add_rows(reading: Reading[JobUpload]) -> bool:
    """Add what stands behind `last_line`; return False when the time ran out before the end of the file."""
    with _sheet(reading.upload) as (reader, sheet):
        return add_in_batches(reading, reader, make=sheet.new_rows, add=partial(add_rows, reading.upload))


def add_rows(upload: JobUpload, batch: Sequence[NewRow]) -> None:
    """Add a batch of the upload's rows and test questions to its job. Repeating it changes nothing."""
    copy_units(job=upload.job, items=[row.unit for row in batch if row.gold is None])
    golds = [row.gold for row in batch if row.gold is not None]
    if golds:
        add_golds(job=upload.job, items=golds, source=GoldSource.UPLOAD, actor=upload.created_by)
