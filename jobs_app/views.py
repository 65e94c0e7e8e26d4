"""Requesters' pages of jobs: list, new, monitor, data, settings."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from labeling_platform.accounts.permissions import EDIT, VIEW
from labeling_platform.accounts.pictures import picture_url
from labeling_platform.accounts.tenancy import TeamRequest, team_view
from labeling_platform.lib import htmx
from labeling_platform.lib.errors import Refused
from models_app.models import CustomModel

from . import services
from .forms import NewJobForm, SettingsForm
from .models import Job, Unit
from .querysets import job_counts, job_list
from .states import JobState, UnitState

LATEST, ROWS_PER_PAGE = 12, 50


def _job(pk: int) -> Job:
    return get_object_or_404(Job.objects.select_related("model"), pk=pk)


def _context(request: TeamRequest, job: Job, active: str, **more: Any) -> dict[str, Any]:
    """What all tabs of a job show."""
    names = [("monitor", "Monitor", "activity"), ("design", "Design", "pencil"), ("data", "Data", "database")]
    names.append(("settings", "Settings", "settings"))
    tabs = [
        {
            "label": label,
            "icon": icon,
            "active": name == active,
            "url": reverse(f"jobs:{'detail' if name == 'monitor' else name}", args=[request.team.slug, job.pk]),
        }
        for name, label, icon in names
    ]
    moves = JobState.moves[job.state]
    return {
        "job": job,
        "tabs": tabs,
        "can_edit": request.membership.may(EDIT),
        "can_pause": "paused" in moves,
        "can_resume": job.state in {JobState.PAUSED, JobState.FINISHED},
        "can_cancel": "canceled" in moves,
        "workflows": list(job.workflows.all()),  # type: ignore[attr-defined]
        **more,
    }


@require_safe
@team_view(may=VIEW)
def job_list_page(request: TeamRequest) -> HttpResponse:
    page = Paginator(job_list(), 25).get_page(request.GET.get("page"))
    return render(request, "jobs/job_list.html", {"page": page, "can_edit": request.membership.may(EDIT)})


@require_http_methods(["GET", "HEAD", "POST"])
@team_view(may=EDIT)
def job_new(request: TeamRequest) -> HttpResponse:
    """Make a job from the routing template. `?model=` preselects one."""
    models = CustomModel.objects.filter(current__isnull=False)
    initial = {"model": request.GET.get("model"), "title": "Which category is it?"}
    form = NewJobForm(request.POST or None, models=models, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            job = services.create_routing_job(actor=request.user, **form.cleaned_data)  # type: ignore[arg-type]
        except Refused as refusal:
            form.add_error(None, refusal.message)
        else:
            messages.success(request, "The job is made. Write instructions for your categories next.")
            return redirect("jobs:design", team_slug=request.team.slug, pk=job.pk)
    status = 422 if form.is_bound else 200
    return render(request, "jobs/job_new.html", {"form": form, "has_models": models.exists()}, status=status)


@require_safe
@team_view(may=VIEW)
def job_detail(request: TeamRequest, pk: int) -> HttpResponse:
    """Monitor: how far the job is, and the latest answers with their pictures."""
    job = _job(pk)
    latest = list(Unit.objects.filter(job=job, state=UnitState.FINALIZED).order_by("-finalized_at")[:LATEST])
    context = _context(request, job, "monitor", counts=job_counts(job), latest=[_card(request, u) for u in latest])
    return htmx.render(request, "jobs/job_detail.html", context, partial="progress")


def _card(request: TeamRequest, unit: Unit) -> dict[str, Any]:
    shares = sorted((unit.shares or {}).items(), key=lambda pair: -pair[1])
    return {
        "unit": unit,
        "picture": picture_url(request.team, unit.image_url) if unit.image_url else "",
        "answer": shares[0][0] if shares else "",
        "share": shares[0][1] if shares else None,
        "shares": [pair for pair in shares if pair[1]],
    }


@require_safe
@team_view(may=VIEW)
def job_data(request: TeamRequest, pk: int) -> HttpResponse:
    """The job's rows, newest first; paged by key so that the millionth page is as fast as the first."""
    job = _job(pk)
    units = Unit.objects.filter(job=job, state__in=UnitState.row_states()).order_by("-pk")
    state = request.GET.get("state", "")
    if state in UnitState.values:
        units = units.filter(state=state)
    before = request.GET.get("before", "")
    if before.isdigit():
        units = units.filter(pk__lt=int(before[:18]))
    found = list(units[: ROWS_PER_PAGE + 1])
    context = _context(
        request,
        job,
        "data",
        cards=[_card(request, unit) for unit in found[:ROWS_PER_PAGE]],
        next_before=found[ROWS_PER_PAGE - 1].pk if len(found) > ROWS_PER_PAGE else None,
        before=before,
        state=state,
        states=UnitState.choices,
    )
    return htmx.render(request, "jobs/job_data.html", context, partial="rows")


@require_http_methods(["GET", "HEAD", "POST"])
@team_view(may=VIEW)
def job_settings(request: TeamRequest, pk: int) -> HttpResponse:
    job = _job(pk)
    may_edit = request.membership.may(EDIT)
    if request.method == "POST" and not may_edit:
        return render(request, "403.html", {"exception": "Your role in this team does not allow changes."}, status=403)
    questions = [(question.name, question.label) for question in services.design_of(job).questions]
    form = SettingsForm(request.POST or None, instance=_job(pk), questions=questions)
    if not may_edit:
        for field in form.fields.values():
            field.disabled = True
    if request.method == "POST" and form.is_valid():
        try:
            services.save_settings(job=job, actor=request.user, **form.cleaned_data)  # type: ignore[arg-type]
        except Refused as refusal:
            form.add_error(None, refusal.message)
        else:
            messages.success(request, "Saved.")
            return redirect("jobs:settings", team_slug=request.team.slug, pk=job.pk)
    status = 422 if form.is_bound else 200
    return render(request, "jobs/job_settings.html", _context(request, job, "settings", form=form), status=status)


ACTIONS = {
    "launch": services.launch_job,
    "pause": services.pause_job,
    "resume": services.resume_job,
    "cancel": services.cancel_job,
}
DONE = {"launch": "Launched.", "pause": "Your job is being paused.", "resume": "Running again.", "cancel": "Canceled."}


@require_POST
@team_view(may=EDIT)
def job_action(request: TeamRequest, pk: int, action: str) -> HttpResponse:
    """Launch, pause, resume or cancel."""
    job = _job(pk)
    try:
        ACTIONS[action](job=job, actor=request.user)  # type: ignore[operator]
    except Refused as refusal:
        messages.error(request, refusal.message)
    else:
        messages.success(request, DONE[action])
    return redirect("jobs:detail", team_slug=request.team.slug, pk=job.pk)
