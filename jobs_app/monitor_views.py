"""The Monitor tab of a job: how far it is, how well it goes, who works on it."""

from __future__ import annotations

from django.http import HttpResponse
from django.views.decorators.http import require_safe

from labeling_platform.accounts.permissions import VIEW
from labeling_platform.accounts.tenancy import TeamRequest, team_view
from labeling_platform.lib import htmx

from .models import Unit
from .presenting import get_job, page_context, unit_card
from .querysets import job_counts
from .states import UnitState

LATEST = 12


@require_safe
@team_view(may=VIEW)
def job_detail(request: TeamRequest, pk: int) -> HttpResponse:
    """Monitor: how far the job is, and the latest answers with their pictures."""
    job = get_job(pk)
    latest = list(Unit.objects.filter(job=job, state=UnitState.FINALIZED).order_by("-finalized_at")[:LATEST])
    context = page_context(
        request, job, "monitor", counts=job_counts(job), latest=[unit_card(request, u) for u in latest]
    )
    return htmx.render(request, "jobs/job_detail.html", context, partial="progress")
