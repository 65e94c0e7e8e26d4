"""The contributor's place: jobs to work on, instructions, and the labeling page."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from labeling_platform.accounts.permissions import LABEL
from labeling_platform.accounts.pictures import picture_url
from labeling_platform.accounts.tenancy import TeamRequest, team_view
from labeling_platform.lib import htmx
from labeling_platform.lib.errors import Refused

from . import services
from .design import clean_instructions, parse_design, render_design
from .models import Job, Page
from .querysets import jobs_to_work_on
from .services import prefix_of
from .states import JobState, PageState


def _job(pk: int) -> Job:
    return get_object_or_404(Job.objects.exclude(state=JobState.UNORDERED), pk=pk)


@require_safe
@team_view(may=LABEL)
def contribute_list(request: TeamRequest) -> HttpResponse:
    """Cards of the jobs: in progress, new, and those with nothing to do just now."""
    jobs = list(jobs_to_work_on(request.user))  # type: ignore[arg-type]
    open_jobs = [job for job in jobs if job.state == JobState.RUNNING and job.rows_open]  # type: ignore[attr-defined]
    groups = [
        ("In progress", [job for job in open_jobs if job.own]),  # type: ignore[attr-defined]
        ("New", [job for job in open_jobs if not job.own]),  # type: ignore[attr-defined]
        ("Nothing to do just now", [job for job in jobs if job not in open_jobs]),
    ]
    context = {"groups": [(name, found) for name, found in groups if found]}
    return htmx.render(request, "contribute/list.html", context, partial="cards")


@require_safe
@team_view(may=LABEL)
def contribute_job(request: TeamRequest, pk: int) -> HttpResponse:
    """Instructions first, then Start."""
    job = _job(pk)
    return render(request, "contribute/job.html", {"job": job, "instructions": clean_instructions(job.instructions)})


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@team_view(may=LABEL)
def work(request: TeamRequest, pk: int) -> HttpResponse:
    """The labeling page. GET shows the page this person holds, or a new one; POST submits and shows the next."""
    job = _job(pk)
    notice = ""
    if request.method == "POST":
        page = get_object_or_404(Page, pk=_number(request.POST.get("page")), job=job)
        try:
            services.submit_page(page=page, user=request.user, submitted=dict(request.POST.lists()))  # type: ignore[arg-type]
        except services.InvalidAnswers as invalid:
            return _show(request, job, page, answers=invalid.answers, errors=invalid.errors, status=422)
        except Refused as refusal:
            notice = refusal.message
        if not request.htmx:
            if notice:
                messages.warning(request, notice)
            return redirect("contribute:work", team_slug=request.team.slug, pk=job.pk)
    try:
        next_page = services.take_page(job=job, user=request.user)  # type: ignore[arg-type]
    except Refused as refusal:
        return _show(request, job, None, closed=refusal.message)
    return _show(request, job, next_page, notice=notice)


def _number(text: str | None) -> int:
    return int(text) if text and text.isdigit() and len(text) < 18 else 0


def _show(
    request: TeamRequest,
    job: Job,
    page: Page | None,
    *,
    answers: dict[int, Any] | None = None,
    errors: dict[int, dict[str, str]] | None = None,
    notice: str = "",
    closed: str = "",
    status: int = 200,
) -> HttpResponse:
    """Draw the page's rows. Contributors see the uploaded data only, never what the model thought."""
    units, upcoming = [], []
    if page is not None:
        design = parse_design(job.cml)
        for unit in services.page_units(page):
            drawn = render_design(
                design,
                row={**unit.data, "image_url": unit.image_url},
                image_url_for=lambda url: picture_url(request.team, url, "large"),
                prefix=prefix_of(unit.pk),
                answers=(answers or {}).get(unit.pk),
                errors=(errors or {}).get(unit.pk),
            )
            units.append({"unit": unit, "drawn": drawn})
        found = services.upcoming_pictures(job=job, after=page.unit_ids[-1], count=job.units_per_page + 1)
        upcoming = [picture_url(request.team, url, "large") for url in found if url]
    context = {
        "job": job,
        "unit_page": page,
        "units": units,
        "upcoming": upcoming,
        "done_today": 0,
        "notice": notice,
        "closed": closed,
        "errors": errors,
        "instructions": "" if request.htmx else clean_instructions(job.instructions),
    }
    return htmx.render(request, "contribute/work.html", context, partial="unit", status=status)


@require_POST
@team_view(may=LABEL)
def give_back(request: TeamRequest, pk: int) -> HttpResponse:
    """Return the rows one holds to the others and go back to the list."""
    job = _job(pk)
    held = Page.objects.filter(job=job, contributor__user=request.user, state=PageState.OPEN)
    for page in held:
        services.release_page(page=page)
    return redirect("contribute:list", team_slug=request.team.slug)
