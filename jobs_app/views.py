"""Requesters' pages of jobs: list, new, copy, settings, and the buttons that move a job."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from labeling_platform.accounts.models import Feature
from labeling_platform.accounts.permissions import EDIT, VIEW
from labeling_platform.accounts.tenancy import TeamRequest, team_view
from labeling_platform.lib import htmx
from labeling_platform.lib.errors import Refused
from models_app.models import CustomModel

from . import services, tasks
from .forms import CopyForm, NewJobForm, OwnJobForm, SettingsForm
from .models import Job
from .presenting import get_job, page_context
from .quality import Plan, make_plan
from .querysets import job_counts, job_figures, job_list
from .states import JobState

MODEL, OWN = "model", "own"


@require_safe
@team_view(may=VIEW)
def job_list_page(request: TeamRequest) -> HttpResponse:
    """The team's jobs, newest first, perhaps of one state only."""
    jobs, state = job_list(), request.GET.get("state", "")
    if state in JobState.values:
        jobs = jobs.filter(state=state)
    page = Paginator(jobs, 25).get_page(request.GET.get("page"))
    figures = job_figures(page.object_list)
    context = {
        "page": page,
        "jobs": [(job, figures[job.pk]) for job in page],
        "can_edit": request.membership.may(EDIT),
        "state": state,
        "states": JobState.choices,
    }
    return htmx.render(request, "jobs/job_list.html", context, partial="jobs")


@require_http_methods(["GET", "HEAD", "POST"])
@team_view(may=EDIT)
def job_new(request: TeamRequest) -> HttpResponse:
    """Make a job for a model (`?model=` preselects one), or one that stands alone (`?way=own`)."""
    models = CustomModel.objects.filter(current__isnull=False)
    has_feature = Feature.ML_ASSISTED_LABELING in request.features
    can_model = has_feature and models.exists()
    asked = request.POST.get("way") or request.GET.get("way")
    way = asked if asked in {MODEL, OWN} else MODEL if can_model else OWN
    way = way if has_feature else OWN
    form: NewJobForm | OwnJobForm
    if way == MODEL:
        initial = {"model": request.GET.get("model"), "title": "Which category is it?"}
        form = NewJobForm(request.POST or None, models=models, initial=initial)
    else:
        form = OwnJobForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        job = _make_job(request, form)
        if job is not None:
            return redirect("jobs:design", team_slug=request.team.slug, pk=job.pk)
    context = {"form": form, "way": way, "can_model": can_model, "has_feature": has_feature}
    return render(request, "jobs/job_new.html", context, status=422 if form.is_bound else 200)


def _make_job(request: TeamRequest, form: NewJobForm | OwnJobForm) -> Job | None:
    """Make the job, or say in the form why not."""
    try:
        if isinstance(form, NewJobForm):
            job = services.create_routing_job(actor=request.user, **form.cleaned_data)
            messages.success(request, "The job is made. Write instructions for your categories next.")
        else:
            job = services.create_job(team=request.team, actor=request.user, **form.cleaned_data)
            messages.success(
                request, "The job is made. Write instructions for your categories next, then add rows on the Data tab."
            )
    except Refused as refusal:
        form.add_error("answers" if refusal.code in {"too_few_answers", "same_answers"} else None, refusal.message)
        return None
    return job


@require_http_methods(["GET", "HEAD", "POST"])
@team_view(may=EDIT)
def job_copy(request: TeamRequest, pk: int) -> HttpResponse:
    """Make a new job with the same design and settings, with test questions and rows if wanted."""
    job = get_job(pk)
    form = CopyForm(request.POST or None, initial={"title": f"Copy of {job.title}"[:254]})
    plan, rows = services.plan_of(job), job_counts(job).total
    if request.method == "POST" and form.is_valid():
        copy = services.copy_job(job=job, actor=request.user, **form.cleaned_data)
        taken = [
            words
            for words, wanted in (
                (_count(plan.golds, "test question"), form.cleaned_data["test_questions"]),
                (_count(rows, "row"), form.cleaned_data["rows"]),
            )
            if wanted
        ]
        messages.success(request, f"The job was copied with its design and settings{''.join(f', {t}' for t in taken)}.")
        return redirect("jobs:design", team_slug=request.team.slug, pk=copy.pk)
    context = page_context(request, job, "", form=form, golds=plan.golds, rows=rows)
    return render(request, "jobs/job_copy.html", context, status=422 if form.is_bound else 200)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


FIELD_OF = {
    "most_too_small": "max_judgments_per_unit",
    "no_most": "max_judgments_per_unit",
    "no_room": "pages_per_gold",
    "no_timeout": "auto_launch_timeout",
}
"""The field that a refusal of the settings belongs to."""


@require_http_methods(["GET", "HEAD", "POST"])
@team_view(may=VIEW)
def job_settings(request: TeamRequest, pk: int) -> HttpResponse:
    """The settings; for htmx only what the test-question settings typed so far come to."""
    job = get_job(pk)
    may_edit = request.membership.may(EDIT)
    if request.method == "POST" and not may_edit:
        return render(request, "403.html", {"exception": "Your role in this team does not allow changes."}, status=403)
    form = _settings_form(request, job, read_only=not may_edit)
    if request.method == "POST" and form.is_valid():
        try:
            services.save_settings(job=job, actor=request.user, **form.cleaned_data)
        except Refused as refusal:
            form.add_error(FIELD_OF.get(refusal.code), refusal.message)
        else:
            tasks.settle_stale(job)
            messages.success(request, "Saved.")
            return redirect("jobs:settings", team_slug=request.team.slug, pk=job.pk)
    context = page_context(request, job, "settings", form=form, plan=_plan_typed(job, form))
    bad = request.method == "POST"
    return htmx.render(request, "jobs/job_settings.html", context, partial="plan", status=422 if bad else 200)


def _settings_form(request: TeamRequest, job: Job, *, read_only: bool) -> SettingsForm:
    typed: Any = request.POST if request.method == "POST" else request.GET if request.htmx and request.GET else None
    questions = [(question.name, question.label) for question in services.design_of(job).questions]
    return SettingsForm(
        typed, instance=get_job(job.pk), questions=questions, locked=services.locked_settings(job), read_only=read_only
    )


def _plan_typed(job: Job, form: forms.ModelForm[Job]) -> Plan:
    """The plan for the numbers in the form; those that are no good are read as saved."""
    saved = services.plan_of(job)
    if not form.is_bound or not form.is_valid():
        return saved
    names = ("units_per_page", "quiz_length", "golds_per_page", "pages_per_gold")
    return make_plan(golds=saved.golds, **{name: form.cleaned_data[name] for name in names})


ACTIONS = {"pause": services.pause_job, "resume": services.resume_job, "cancel": services.cancel_job}
DONE = {
    "pause": "Your job is being paused.",
    "resume": "Your job is running again.",
    "cancel": "Your job was canceled. Its finished rows keep their results.",
}


@require_POST
@team_view(may=EDIT)
def job_action(request: TeamRequest, pk: int, action: str) -> HttpResponse:
    """Pause, resume or cancel."""
    job = get_job(pk)
    try:
        ACTIONS[action](job=job, actor=request.user)
    except Refused as refusal:
        messages.error(request, refusal.message)
    else:
        messages.success(request, DONE[action])
    return redirect("jobs:detail", team_slug=request.team.slug, pk=job.pk)
