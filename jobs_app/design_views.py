"""The design editor of a job: code, form builder, instructions and the preview on a real row."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
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
from .design_editor import BUILDER, Draft, change, editor_context, posted_draft, preview_context, stored_draft
from .design_forms import DesignForm
from .models import Job
from .presenting import get_job, page_context

NOT_SAVED = "It was not saved. Mend the problems that are listed below the questions, then save again."


@require_http_methods(["GET", "HEAD", "POST"])
@team_view(may=VIEW)
def job_design(request: TeamRequest, pk: int) -> HttpResponse:
    """The design editor. POST with `do` presses one of its buttons and saves nothing; POST without it saves.

    What was typed is kept when it cannot be saved. `?mode=code` and `?row=` are for readers without script.
    """
    job = get_job(pk)
    if request.method != "POST":
        draft = stored_draft(job, request.GET.get("mode", ""))
        return _page(request, job, draft, row=request.GET.get("row", ""))
    if not request.membership.may(EDIT):
        return render(request, "403.html", {"exception": "Your role in this team does not allow changes."}, status=403)
    draft = posted_draft(request.POST)
    if what := request.POST.get("do", ""):
        draft = change(draft, what, request.POST)
        return _page(request, job, draft, row=_row(request))
    form = DesignForm({"title": draft.title, "instructions": draft.instructions, "cml": draft.cml})
    if form.is_valid():
        try:
            services.save_design(job=job, actor=request.user, **form.cleaned_data)  # type: ignore[arg-type]
        except Refused as refusal:
            _put(form, draft, refusal)
        else:
            messages.success(request, "Saved.")
            address = redirect("jobs:design", team_slug=request.team.slug, pk=job.pk)
            address["Location"] += "" if draft.mode == BUILDER else "?mode=code"
            return address
    if job.design_frozen_at is not None:
        draft = stored_draft(job, draft.mode)
    return _page(request, job, draft, form=form, row=_row(request), status=HTTPStatus.UNPROCESSABLE_ENTITY)


def _put(form: DesignForm, draft: Draft, refusal: Refused) -> None:
    """The refusal where it was caused: at the code, or above the builder, which shows each problem at its field."""
    if refusal.code != "design_invalid":
        form.add_error(None, refusal.message)
    elif draft.mode == BUILDER:
        form.add_error(None, NOT_SAVED)
    else:
        form.add_error("cml", refusal.message)


def _row(request: TeamRequest) -> str:
    """The row that the preview should show: asked for by a button, or as before."""
    action, _, number = request.POST.get("do", "").partition(":")
    return number if action == "row" else request.POST.get("row", "")


def _page(
    request: TeamRequest,
    job: Job,
    draft: Draft,
    *,
    form: DesignForm | None = None,
    row: str = "",
    status: int = HTTPStatus.OK,
) -> HttpResponse:
    frozen = job.design_frozen_at is not None
    editable = request.membership.may(EDIT) and not frozen
    initial = {"title": draft.title, "instructions": draft.instructions, "cml": draft.cml}
    form = form or DesignForm(initial=initial)
    for name, field in form.fields.items():
        if draft.focus == f"id_{name}":
            field.widget.attrs["autofocus"] = True
    if not editable:
        for field in form.fields.values():
            field.widget.attrs["readonly"] = True
    context: dict[str, Any] = {
        **_addresses(request, job),
        "form": form,
        "frozen": frozen,
        "editable": editable,
        **editor_context(job, draft, refused=status != HTTPStatus.OK),
        **preview_context(request, job, draft, wanted_row=row, editable=editable),
    }
    context = page_context(request, job, "design", **context)
    return htmx.render(request, "jobs/job_design.html", context, partial="changed", status=status)


def _addresses(request: TeamRequest, job: Job) -> dict[str, str]:
    """What the many buttons of the editor post to, found once."""
    at = [request.team.slug, job.pk]
    return {"design_url": reverse("jobs:design", args=at), "preview_url": reverse("jobs:preview", args=at)}


@require_POST
@team_view(may=EDIT)
def job_preview(request: TeamRequest, pk: int) -> HttpResponse:
    """The preview and the list of problems, while somebody types or answers in the preview."""
    job = get_job(pk)
    draft = posted_draft(request.POST)
    context = {
        **_addresses(request, job),
        "job": job,
        "editable": True,
        **editor_context(job, replace(draft, title=draft.title or job.title)),
        **preview_context(request, job, draft, wanted_row=_row(request), tried=request.POST),
    }
    return render(request, "jobs/job_design.html#live", context)
