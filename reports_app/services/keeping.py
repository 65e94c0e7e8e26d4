"""Built reports: their names, their end; and those that nobody builds."""

from __future__ import annotations

from django.db.models import Q
from django.db.models.functions import Now
from django.utils.text import slugify

from labeling_platform.lib import storage

from ..kinds import CSV, FORMAT, MEDIA_TYPES
from ..models import Report
from ..states import ReportKind, ReportState


def file_name(report: Report, suffix: str = "") -> str:
    """The name under which a browser saves the report; with `suffix` that of the file inside the ZIP."""
    subject = str(report.subject)
    if report.kind == ReportKind.WORKFLOW:
        suffix = suffix or f".{report.options.get(FORMAT, CSV)}"
        return f"{slugify(subject)[:60] or 'workflow'}-report-{report.pk}{suffix}"
    kind = report.kind.replace("_", "-")
    return f"{slugify(subject)[:60] or 'job'}-{kind}-{report.pk}{suffix or '.zip'}"


def media_type(report: Report) -> str:
    """What the report's file is, for browsers."""
    return MEDIA_TYPES[report.options.get(FORMAT, CSV)] if report.kind == ReportKind.WORKFLOW else "application/zip"


def find_unbuilt() -> list[tuple[int, int]]:
    """(team id, report id) of reports that nobody builds. Called by the sweeper outside of any team's scope."""
    free = Q(state=ReportState.QUEUED) | Q(state=ReportState.BUILDING, lease_until__lt=Now())
    return list(Report.objects.filter(free).order_by("pk").values_list("team_id", "pk")[:100])


def expire_reports() -> int:
    """Delete the files of reports that are past their time, of all teams in reach; return how many."""
    old = list(Report.objects.filter(state=ReportState.READY, expires_at__lt=Now()).values_list("pk", "file")[:1000])
    for pk, name in old:
        storage.delete_file(name)
        ReportState.move(Report.objects.filter(pk=pk), ReportState.EXPIRED, file="", size=0)
    return len(old)
