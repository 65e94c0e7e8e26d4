"""Sample CSVs for a job, made of its own design and columns: they can be uploaded as they are."""

from __future__ import annotations

import io
from collections.abc import Sequence

from django.conf import settings

from labeling_platform.lib.csvio import CsvWriter
from labeling_platform.lib.samples import LABELS, sample_names

from .design import Design, Question

LINES = 4


def sample_csv(design: Design, columns: Sequence[str], *, golds: bool) -> bytes:
    """A few rows with `columns`; with `golds` half of them are test questions with answers that the design knows."""
    asked = [question for question in design.questions if question.gold] if golds else []
    header = list(columns)
    if asked:
        header.append("_golden")
        for question in asked:
            header += [f"{question.name}_gold", f"{question.name}_gold_reason"]
    out = io.StringIO()
    writer = CsvWriter(out, header)
    for number in range(1, LINES + 1):
        golden = number > LINES // 2
        cells = [_cell(column, number) for column in columns]
        if asked:
            cells.append("true" if golden else "")
            for question in asked:
                cells += [_accepted(question, number), "Say why this is right."] if golden else ["", ""]
        writer.writerow(cells)
    return out.getvalue().encode()


def _cell(column: str, number: int) -> str:
    if column == "image_url":
        return f"{settings.PUBLIC_URL}/samples/{sample_names(LABELS[number % len(LABELS)], number)[-1]}"
    return f"{column} {number}"


def _accepted(question: Question, number: int) -> str:
    """One accepted answer, and in the last line two of them."""
    values = question.values or ["an accepted answer", "another accepted answer"]
    return "|".join(values[:2]) if number == LINES else values[0]
