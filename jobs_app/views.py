"""Requesters' pages of jobs: list, new, settings, and the buttons that move a job."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from labeling_platform.accounts.permissions import EDIT, VIEW
from labeling_platform.accounts.tenancy import TeamRequest, team_view
from labeling_platform.lib.errors import Refused
from models_app.models import CustomModel

from . import services
from .forms import NewJobForm, SettingsForm
from .presenting import get_job, page_context
from .querysets import job_list


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


@require_http_methods(["GET", "HEAD", "POST"])
@team_view(may=VIEW)
def job_settings(request: TeamRequest, pk: int) -> HttpResponse:
    job = get_job(pk)
    may_edit = request.membership.may(EDIT)
    if request.method == "POST" and not may_edit:
        return render(request, "403.html", {"exception": "Your role in this team does not allow changes."}, status=403)
    questions = [(question.name, question.label) for question in services.design_of(job).questions]
    form = SettingsForm(request.POST or None, instance=get_job(pk), questions=questions)
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
    return render(request, "jobs/job_settings.html", page_context(request, job, "settings", form=form), status=status)


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
    job = get_job(pk)
    try:
        ACTIONS[action](job=job, actor=request.user)  # type: ignore[operator]
    except Refused as refusal:
        messages.error(request, refusal.message)
    else:
        messages.success(request, DONE[action])
    return redirect("jobs:detail", team_slug=request.team.slug, pk=job.pk)
