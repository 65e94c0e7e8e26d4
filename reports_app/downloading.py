"""A finished report as an answer, for browsers and programs."""

from __future__ import annotations

from django.http import FileResponse, Http404

from labeling_platform.lib.storage import open_file

from . import services
from .models import Report


def send_report(report: Report) -> FileResponse:
    """The file of a report that is ready, streamed. Raises Http404 when it is gone."""
    try:
        file = open_file(report.file)
    except FileNotFoundError as error:
        raise Http404 from error
    return FileResponse(
        file,
        as_attachment=True,
        filename=services.file_name(report),
        content_type=services.media_type(report),
        headers={"X-Content-Type-Options": "nosniff", "Cache-Control": "private, no-store"},
    )
