"""What several pages of a job show: the head with its tabs, and a row as a card."""

from __future__ import annotations

from typing import Any

from django.shortcuts import get_object_or_404
from django.urls import NoReverseMatch, reverse

from labeling_platform.accounts.permissions import EDIT
from labeling_platform.accounts.tenancy import TeamRequest

from .models import Job
from .states import JobState

# The order of reference/domain.md 2.1. (name, label, icon, URL name)
TABS = [
    ("data", "Data", "database", "jobs:data"),
    ("design", "Design", "pencil", "jobs:design"),
    ("quality", "Quality", "shield-check", "jobs:quality"),
    ("launch", "Launch", "rocket", "jobs:launch"),
    ("monitor", "Monitor", "activity", "jobs:detail"),
    ("results", "Results", "report-analytics", "reports:job"),
    ("settings", "Settings", "settings", "jobs:settings"),
]


def get_job(pk: int) -> Job:
    """The job, or 404."""
    return get_object_or_404(Job.objects.select_related("model"), pk=pk)


def page_context(request: TeamRequest, job: Job, active: str, **more: Any) -> dict[str, Any]:
    """What all tabs of a job show."""
    moves = JobState.moves[job.state]
    return {
        "job": job,
        "tabs": list(_tabs(request, job, active)),
        "can_edit": request.membership.may(EDIT),
        "can_pause": "paused" in moves,
        "can_resume": job.state in {JobState.PAUSED, JobState.FINISHED},
        "can_cancel": "canceled" in moves,
        "workflows": list(job.workflows.all()),  # type: ignore[attr-defined]
        **more,
    }


def _tabs(request: TeamRequest, job: Job, active: str) -> Any:
    for name, label, icon, url_name in TABS:
        try:
            url = reverse(url_name, args=[request.team.slug, job.pk])
        except NoReverseMatch:
            continue
        yield {"label": label, "icon": icon, "active": name == active, "url": url}
