"""The asynchronous story of reports: build, and now and then sweep."""

from __future__ import annotations

import logging

from celery import shared_task
from celery.exceptions import SoftTimeLimitExceeded
from django_scopes import scopes_disabled

from labeling_platform.accounts.tasks import TeamTask

from . import services
from .models import Report

log = logging.getLogger(__name__)
SWEEP_SECONDS = 30
LONGEST_SECONDS = 1800
"""A builder keeps its lease by heartbeats, so a long report is no reason to fear that its worker is dead."""


@shared_task(base=TeamTask, name="reports.build", soft_time_limit=LONGEST_SECONDS, time_limit=LONGEST_SECONDS + 60)
def build(*, team_id: int, report_id: int) -> None:
    """Build one report. A failure that is ours leaves it to the sweeper, which tries a few times."""
    report = Report.objects.select_related("workflow", "job").filter(pk=report_id).first()
    if report is None:
        log.info("report %s is gone", report_id)
        return
    try:
        services.build_report(report=report)
    except SoftTimeLimitExceeded:
        services.fail_report(report=report, reason="The report took too long to build. Request it again later.")


@shared_task(name="reports.sweep")
def sweep() -> None:
    """Send the hints for reports that nobody builds again, and delete files that are past their time."""
    with scopes_disabled():
        unbuilt = services.find_unbuilt()
        services.expire_reports()
    for team_id, report_id in unbuilt:
        build.apply_async(kwargs={"team_id": team_id, "report_id": report_id}, expires=SWEEP_SECONDS)
