"""Answers that a browser saves as a file."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterable, Sequence
from typing import BinaryIO

from django.http import FileResponse

from .csvio import CsvWriter


def csv_download(file: BinaryIO, name: str) -> FileResponse:
    """The file as a CSV called `name`. It is closed when it was sent."""
    return FileResponse(
        file,
        as_attachment=True,
        filename=name,
        content_type="text/csv; charset=utf-8",
        headers={"X-Content-Type-Options": "nosniff"},
    )


def csv_file(columns: Sequence[str], rows: Iterable[Sequence[str | float | None]]) -> BinaryIO:
    """A temporary file with the rows as a CSV that is safe to open in a spreadsheet. There may be a million of them."""
    out = tempfile.TemporaryFile()  # noqa: SIM115 - the answer that sends it closes it
    text = io.TextIOWrapper(out, encoding="utf-8", newline="")
    writer = CsvWriter(text, columns)
    for row in rows:
        writer.writerow(row)
    text.detach()
    out.seek(0)
    return out  # type: ignore[return-value]  # a wrapper of a BinaryIO
