"""The design editor of a job: code, form builder, instructions and the preview on a real row."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from labeling_platform.accounts.permissions import EDIT, VIEW
from labeling_platform.accounts.pictures import picture_url
from labeling_platform.accounts.tenancy import TeamRequest, team_view
from labeling_platform.lib.errors import Refused

from . import services
from .design import parse_design, render_design
from .forms import DesignForm
from .models import Job, Unit
from .presenting import get_job, page_context

SAMPLE_ROW_NOTE = "No row is there yet; this is how the page looks without a picture."


@require_http_methods(["GET", "HEAD", "POST"])
@team_view(may=VIEW)
def job_design(request: TeamRequest, pk: int) -> HttpResponse:
    """The design editor. What was typed is kept in the form when it cannot be saved."""
    job = get_job(pk)
    if request.method == "POST" and not request.membership.may(EDIT):
        return render(request, "403.html", {"exception": "Your role in this team does not allow changes."}, status=403)
    initial = {"title": job.title, "instructions": job.instructions, "cml": job.cml}
    form = DesignForm(request.POST or None, initial=initial)
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                services.save_design(job=job, actor=request.user, **form.cleaned_data)  # type: ignore[arg-type]
            except Refused as refusal:
                form.add_error("cml" if refusal.code == "design_invalid" else None, refusal.message)
            else:
                messages.success(request, "Saved.")
                return redirect("jobs:design", team_slug=request.team.slug, pk=job.pk)
    frozen = job.design_frozen_at is not None
    if frozen or not request.membership.may(EDIT):
        for field in form.fields.values():
            field.disabled = True
    cml = str(form.data.get("cml", "")) if form.is_bound else job.cml
    context = page_context(request, job, "design", form=form, frozen=frozen, **_preview(request, job, cml))
    return render(request, "jobs/job_design.html", context, status=status)


def _preview(request: TeamRequest, job: Job, cml: str) -> dict[str, Any]:
    """The design drawn on the job's newest row, or on an empty one, and what is wrong with it."""
    design = parse_design(cml)
    unit = Unit.objects.filter(job=job).order_by("-pk").first()
    row = {**unit.data, "image_url": unit.image_url} if unit else {}
    drawn = render_design(design, row=row, image_url_for=lambda url: picture_url(request.team, url, "large"))
    return {"preview": drawn, "problems": design.problems, "row_note": "" if unit else SAMPLE_ROW_NOTE}


@require_POST
@team_view(may=EDIT)
def job_preview(request: TeamRequest, pk: int) -> HttpResponse:
    """The preview alone, while somebody types."""
    return render(request, "jobs/job_design.html#preview", _preview(request, get_job(pk), request.POST.get("cml", "")))
