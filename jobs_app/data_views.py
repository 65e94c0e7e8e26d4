"""The Data tab of a job: its rows."""

from __future__ import annotations

from django.http import HttpResponse
from django.views.decorators.http import require_safe

from labeling_platform.accounts.permissions import VIEW
from labeling_platform.accounts.tenancy import TeamRequest, team_view
from labeling_platform.lib import htmx

from .models import Unit
from .presenting import get_job, page_context, unit_card
from .states import UnitState

ROWS_PER_PAGE = 50


@require_safe
@team_view(may=VIEW)
def job_data(request: TeamRequest, pk: int) -> HttpResponse:
    """The job's rows, newest first; paged by key so that the millionth page is as fast as the first."""
    job = get_job(pk)
    units = Unit.objects.filter(job=job, state__in=UnitState.row_states()).order_by("-pk")
    state = request.GET.get("state", "")
    if state in UnitState.values:
        units = units.filter(state=state)
    before = request.GET.get("before", "")
    if before.isdigit():
        units = units.filter(pk__lt=int(before[:18]))
    found = list(units[: ROWS_PER_PAGE + 1])
    context = page_context(
        request,
        job,
        "data",
        cards=[unit_card(request, unit) for unit in found[:ROWS_PER_PAGE]],
        next_before=found[ROWS_PER_PAGE - 1].pk if len(found) > ROWS_PER_PAGE else None,
        before=before,
        state=state,
        states=UnitState.choices,
    )
    return htmx.render(request, "jobs/job_data.html", context, partial="rows")
