"""The console's own pages: finding a team, a team's page, the log of all teams, exports.

Each is wrapped by ConsoleSite.admin_view, which lets only staff in and opens all scopes.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from labeling_platform.accounts import quotas
from labeling_platform.accounts.activity_views import shown
from labeling_platform.accounts.log import PAGE, LogForm, as_csv
from labeling_platform.accounts.models import (
    Activity,
    Feature,
    Team,
    TeamDeletion,
    TeamFeature,
    TeamNote,
    TeamQuota,
    TeamUsage,
)
from labeling_platform.accounts.services import record
from labeling_platform.accounts.tenancy import team_scope
from labeling_platform.lib.downloads import csv_download
from labeling_platform.lib.errors import Refused
from labeling_platform.lib.paging import page_by_key

from . import figures
from .forms import LABELS, DeleteForm, FeatureForm, MessageForm, NoteForm, QuotaForm, ViewAsForm, WorkflowMessageForm
from .team_actions import ACTIONS
from .usage import usage_csv

NEWEST = 12


def _render(request: HttpRequest, template: str, context: dict[str, Any], *, status: int = 200) -> TemplateResponse:
    context = {**admin.site.each_context(request), **context}
    request.current_app = admin.site.name  # type: ignore[attr-defined]
    return TemplateResponse(request, template, context, status=status)


@require_safe
def find(request: HttpRequest) -> HttpResponse:
    """Teams by name, slug, organization or a member's e-mail address; the only one found is opened at once."""
    words = request.GET.get("q", "")[:200]
    page = Paginator(figures.find_teams(words), 30).get_page(request.GET.get("page"))
    if words.strip() and page.paginator.count == 1:
        return redirect("admin:team_page", page.object_list[0].pk)
    return _render(request, "console/find.html", {"title": "Teams", "page_obj": page, "q": words})


@require_safe
def team_page(request: HttpRequest, pk: int) -> HttpResponse:
    """All about one team, and what can be done with it."""
    return _team_page(request, get_object_or_404(Team.objects.select_related("organization"), pk=pk))


def _team_page(
    request: HttpRequest, team: Team, *, what: str = "", form: Any = None, refused: str = "", status: int = 200
) -> HttpResponse:
    quota = TeamQuota.objects.filter(team=team).select_related("changed_by").first()
    own = {name: getattr(quota, name) if quota else None for name in quotas.NAMES}
    limits, used = quotas.limits_of(team), quotas.used_now(team)
    on = {switch.name: switch for switch in TeamFeature.objects.filter(team=team).select_related("enabled_by")}
    forms: dict[str, Any] = {
        "quota_form": QuotaForm(initial=own),
        "note_form": NoteForm(),
        "pause_form": MessageForm(),
        "view_form": ViewAsForm(),
        "delete_form": DeleteForm(),
        "feature_form": FeatureForm(),
        "workflow_form": WorkflowMessageForm(),
    }
    section = ACTIONS[what].section if what else ""
    newest = Activity.objects.filter(team=team).select_related("actor", "team")
    with team_scope(team):
        context = {
            "title": team.name,
            "team": team,
            "people": team.memberships.select_related("user").order_by("user__email")[:50],
            "features": [(name, label, on.get(name), _is_on(on.get(name))) for name, label in Feature.choices],
            "quota": quota,
            "limits": [(name, LABELS[name], getattr(limits, name), used[name], own[name] is None) for name in own],
            "usage_plot": figures.work_by_day(TeamUsage.objects.filter(team=team)),
            "models": figures.models_of(team),
            "workflows": figures.workflows_of(team),
            "jobs": figures.jobs_of(team),
            "notes": TeamNote.objects.filter(team=team).select_related("author")[:50],
            "deletion": TeamDeletion.objects.filter(team=team, canceled_at=None).select_related("asked_by").first(),
            "entries": [shown(entry) for entry in newest[:NEWEST]],
            **forms,
            "what": what,
            "problem_in": section,
            "problem": refused or _problems(form),
            "given": form.data if form is not None else {},
        }  # fmt: skip
        response = _render(request, "console/team.html", context, status=status)
        response.render()
    return response


def _is_on(switch: TeamFeature | None) -> bool:
    return switch is not None and (switch.until is None or switch.until > timezone.now())


def _problems(form: Any) -> str:
    if form is None:
        return ""
    fields = form.fields
    return " ".join(f"{fields[name].label}: {' '.join(said)}" for name, said in form.errors.items() if name in fields)


@require_POST
def team_do(request: HttpRequest, pk: int, what: str) -> HttpResponse:
    """Do one thing of ACTIONS; what is refused is said where it was asked for."""
    team = get_object_or_404(Team.objects.select_related("organization"), pk=pk)
    action = ACTIONS.get(what)
    if action is None:
        raise Http404
    form = action.form(request.POST)
    if not form.is_valid():
        return _team_page(request, team, what=what, form=form, status=422)
    try:
        with team_scope(team):
            said = action.do(request, team, form.cleaned_data)
    except Refused as refused:
        return _team_page(request, team, what=what, form=form, refused=refused.message, status=422)
    if what == "view-as":
        return redirect("teams:home", team_slug=team.slug)
    messages.success(request, said)
    return redirect(reverse("admin:team_page", args=[team.pk]) + f"#{action.section}")


@require_safe
def team_usage_csv(request: Any, pk: int) -> HttpResponseBase:
    """What the team used day by day, as a CSV."""
    team = get_object_or_404(Team, pk=pk)
    record(team=team, actor=request.user, verb="usage exported", obj=team)
    return csv_download(usage_csv(TeamUsage.objects.filter(team=team)), f"usage-{team.slug}.csv")


@require_safe
def all_usage_csv(request: Any) -> HttpResponseBase:
    """What all teams used day by day, as a CSV."""
    record(team=None, actor=request.user, verb="usage exported", about="all teams")
    return csv_download(usage_csv(TeamUsage.objects.all()), f"usage-{timezone.now():%Y-%m-%d}.csv")


def _entries(request: HttpRequest) -> tuple[LogForm, Any, Team | None]:
    """The search, the lines of the team that is asked for (or of all), and that team."""
    form = LogForm(request.GET)
    entries, number = Activity.objects.all(), request.GET.get("team", "")
    team = None
    if number:
        if not (number.isascii() and number.isdigit() and len(number) < 18):
            raise Http404
        team = get_object_or_404(Team, pk=int(number))
        entries = entries.filter(team=team)
    return form, form.narrow(entries), team


@require_safe
def log(request: HttpRequest) -> HttpResponse:
    """The activity log of all teams, and what belongs to none: sign-ins, passwords."""
    form, found, team = _entries(request)
    page = page_by_key(found.select_related("actor", "team"), request.GET, size=PAGE, newest_first=True)
    asked = request.GET.copy()
    for name in ("before", "after"):
        asked.pop(name, None)
    context = {
        "title": "Activity log",
        "form": form,
        "log_page": page,
        "entries": [shown(entry) for entry in page.items],
        "asked": asked.urlencode(),
        "team": team,
    }
    return _render(request, "console/log.html", context)


@require_safe
def log_csv(request: Any) -> HttpResponseBase:
    """What was asked for of the log, as a CSV."""
    _form, found, team = _entries(request)
    record(team=team, actor=request.user, verb="activity log exported", obj=team, about="all teams")
    return csv_download(as_csv(found), f"activity-{timezone.now():%Y-%m-%d}.csv")
