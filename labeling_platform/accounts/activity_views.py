"""The team's activity log: searched, page by page, and as a CSV."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from labeling_platform.lib.downloads import csv_download
from labeling_platform.lib.paging import page_by_key

from . import wording
from .log import KINDS, PAGE, LogForm, as_csv
from .models import Activity, User
from .permissions import MANAGE
from .services import record
from .tenancy import TeamRequest, team_view

OF_TEAMS = [kind for kind in KINDS if kind != "signin"]


def shown(entry: Activity) -> dict[str, Any]:
    """A line as its page shows it."""
    return {
        "at": entry.created_at,
        "who": wording.who(entry),
        "what": wording.what(entry),
        "on": wording.on_what(entry),
        "details": wording.details(entry),
        "by_system": not entry.actor_id and not entry.actor_name,
        "team": entry.team if entry.team_id else None,
        "ip": entry.ip,
    }


def _form(request: TeamRequest) -> LogForm:
    people = User.objects.filter(memberships__team=request.team).order_by("name", "email")
    return LogForm(request.GET, people=people, kinds=OF_TEAMS)


@require_safe
@team_view(may=MANAGE)
def activity(request: TeamRequest) -> HttpResponse:
    """The log, newest first, narrowed to what was asked for."""
    form = _form(request)
    found = form.narrow(Activity.objects.filter(team=request.team))
    page = page_by_key(found.select_related("actor", "team"), request.GET, size=PAGE, newest_first=True)
    asked = request.GET.copy()
    for name in ("before", "after"):
        asked.pop(name, None)
    context = {
        "form": form,
        "page": page,
        "entries": [shown(entry) for entry in page.items],
        "narrowed": any(asked.values()),
        "asked": asked.urlencode(),
    }
    return render(request, "accounts/activity.html", context)


@require_safe
@team_view(may=MANAGE)
def activity_csv(request: TeamRequest) -> HttpResponseBase:
    """What was asked for, as a CSV."""
    found = _form(request).narrow(Activity.objects.filter(team=request.team))
    record(team=request.team, actor=request.user, verb="activity log exported", obj=request.team)
    return csv_download(as_csv(found), f"activity-{request.team.slug}-{timezone.now():%Y-%m-%d}.csv")
