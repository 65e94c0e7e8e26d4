"""The Launch tab of a job: what a launch means, what stands in its way, and the launch itself."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from labeling_platform.accounts.permissions import EDIT, VIEW
from labeling_platform.accounts.tenancy import TeamRequest, team_view
from labeling_platform.lib import htmx
from labeling_platform.lib.errors import Refused

from . import services
from .forms import LaunchForm
from .models import Job
from .presenting import get_job, page_context
from .quality import contributors_for
from .querysets import job_counts
from .states import JobState


@require_http_methods(["GET", "HEAD", "POST"])
@team_view(may=VIEW)
def job_launch(request: TeamRequest, pk: int) -> HttpResponse:
    """The Launch page; POST launches. For htmx only what the numbers typed so far mean."""
    job = get_job(pk)
    if request.method == "POST" and not request.membership.may(EDIT):
        return render(request, "403.html", {"exception": "Your role in this team does not allow changes."}, status=403)
    counts = job_counts(job)
    form = _form(request, job, counts.new + counts.queued)
    if request.method == "POST" and form.is_valid():
        try:
            launched = services.launch_confirmed(
                job=job, actor=request.user, confirmed=request.POST.getlist("confirm"), **form.cleaned_data
            )
        except Refused as refusal:
            form.add_error(None, refusal.message)
        else:
            job.refresh_from_db()
            messages.success(request, _done(job, launched))
            return redirect("jobs:launch", team_slug=request.team.slug, pk=job.pk)
    return _page(request, job, form, counts)


def _form(request: TeamRequest, job: Job, waiting: int) -> LaunchForm:
    typed: Any = request.POST if request.method == "POST" else request.GET if request.htmx and request.GET else None
    initial = {
        "count": waiting or None,
        "judgments_per_unit": job.judgments_per_unit,
        "units_per_page": job.units_per_page,
    }
    return LaunchForm(
        typed,
        waiting=waiting,
        oldest_first=job.in_upload_order,
        locked=services.locked_settings(job),
        initial=initial,
    )


def _done(job: Job, launched: int) -> str:
    rows = f"{launched:,} row{'' if launched == 1 else 's'} launched."
    if job.state == JobState.PAUSED:
        return f"{rows} The job is paused: resume it so that contributors get them."
    return f"{rows} Contributors can work on them now."


def _page(request: TeamRequest, job: Job, form: LaunchForm, counts: Any) -> HttpResponse:
    numbers = {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()}
    if form.is_bound:
        form.is_valid()
        numbers |= form.cleaned_data
    # As it would be with these numbers; the job itself is not saved.
    job.units_per_page = numbers["units_per_page"]
    plan, rows = services.plan_of(job), numbers["count"] or 0
    wanted = rows * numbers["judgments_per_unit"]
    problems = services.design_problems(job, level="error")
    error = services.launch_error(job)
    context = page_context(
        request,
        job,
        "launch",
        on_launch=True,
        form=form,
        counts=counts,
        plan=plan,
        rows=rows,
        wanted=wanted,
        pages=plan.pages_for(wanted),
        people=contributors_for(
            plan,
            rows=rows,
            judgments_per_unit=numbers["judgments_per_unit"],
            most=job.max_judgments_per_contributor,
        ),
        problems=problems,
        error="" if problems or error is None else error.message,
        to_launch=counts.new + counts.queued,
        blocked=bool(error) or not counts.new + counts.queued or job.state == JobState.CANCELED,
        warnings=services.launch_warnings(job=job),
        confirmed=request.POST.getlist("confirm"),
        work_url=request.build_absolute_uri(reverse("contribute:job", args=[request.team.slug, job.pk])),
    )
    status = 422 if request.method == "POST" else 200
    return htmx.render(request, "jobs/job_launch.html", context, partial="meaning", status=status)


@require_POST
@team_view(may=EDIT)
def job_launch_queued(request: TeamRequest, pk: int) -> HttpResponse:
    """Launch the rows that wait to be launched together, without waiting any longer."""
    job = get_job(pk)
    launched = services.launch_queued(job=job, actor=request.user)
    if launched:
        messages.success(request, _done(job, launched))
    else:
        messages.info(request, "No row waits to be launched any more.")
    return redirect("jobs:detail", team_slug=request.team.slug, pk=pk)
