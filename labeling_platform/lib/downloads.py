"""Answers that a browser saves as a file."""

from __future__ import annotations

from typing import BinaryIO

from django.http import FileResponse


def csv_download(file: BinaryIO, name: str) -> FileResponse:
    """The file as a CSV called `name`. It is closed when it was sent."""
    return FileResponse(
        file,
        as_attachment=True,
        filename=name,
        content_type="text/csv; charset=utf-8",
        headers={"X-Content-Type-Options": "nosniff"},
    )
