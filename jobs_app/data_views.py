"""The Data tab of a job: uploads and what became of them, its rows, and the page of one row."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import FileResponse, Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST, require_safe

from labeling_platform.accounts.permissions import EDIT, VIEW
from labeling_platform.accounts.pictures import picture_url
from labeling_platform.accounts.tenancy import TeamRequest, team_view
from labeling_platform.lib import htmx
from labeling_platform.lib.csvio import CsvProblem, CsvRefused, problems_file
from labeling_platform.lib.downloads import csv_download
from labeling_platform.lib.errors import Refused
from labeling_platform.lib.paging import page_by_key
from labeling_platform.lib.storage import open_file

from . import ingest, services, tasks
from .browsing import LEAST_AGREED, answer_choices, neighbours, rows_of
from .data_forms import TABLE, RowFilterForm, RowsForm
from .models import Job, JobUpload, Judgment, TestQuestion, Unit
from .presenting import get_job, page_context
from .querysets import job_counts
from .rows import answer_words, comparison_of, judgment_views, result_views, row_views, source_cells, upload_of
from .samples import sample_csv
from .states import UnitState

ROWS_PER_PAGE = 50
UPLOADS_SHOWN, UPLOADS_OPEN = 50, 3
COLUMNS_SHOWN = 5
SAMPLES = {"rows", "golds"}


@require_safe
@team_view(may=VIEW)
def job_data(request: TeamRequest, pk: int) -> HttpResponse:
    """The Data tab; for htmx its uploads or its rows alone."""
    return _data_page(request, get_job(pk))


def _data_page(request: TeamRequest, job: Job, form: RowsForm | None = None, status: int = 200) -> HttpResponse:
    columns = services.source_columns(job=job)
    context = page_context(request, job, "data", **_uploads(job), form=form or RowsForm(compared=bool(columns)))
    target = request.htmx.target if request.htmx else ""
    if target != "uploads":
        context |= _rows(request, job, columns)
    design = services.design_of(job)
    context["asks_golds"] = any(question.gold for question in design.questions)
    context["wanted"] = [use.name for use in design.uses if not use.has_default]
    context["upload_problem"] = services.upload_problem(job=job)
    context["queued"] = job_counts(job).queued if target == "" else 0
    partial = "uploads" if target == "uploads" else "rows"
    answer = htmx.render(request, "jobs/job_data.html", context, partial=partial, status=status)
    if target == "uploads" and not context["reading"]:
        answer["HX-Trigger"] = "rows-changed"
    return answer


def _uploads(job: Job) -> dict[str, Any]:
    found = JobUpload.objects.filter(job=job).select_related("created_by", "duplicate_of")
    uploads = list(found[: UPLOADS_SHOWN + 1])
    urgent = [upload for upload in uploads if not upload.is_final]
    recent = [upload for upload in uploads if upload.is_final]
    shown = max(0, UPLOADS_OPEN - len(urgent))
    return {
        "uploads": [*urgent, *recent[:shown]],
        "earlier_uploads": recent[shown:UPLOADS_SHOWN],
        "reading": any(not upload.held for upload in urgent),
    }


def _rows(request: TeamRequest, job: Job, columns: list[str]) -> dict[str, Any]:
    """The rows that were asked for, as pictures or as a table."""
    design = services.design_of(job)
    form = RowFilterForm(request.GET, answers=answer_choices(design))
    chosen = form.chosen
    found = rows_of(job, state=chosen["state"], answer=chosen["answer"], row=chosen["row"])
    by = "agreement" if chosen["order"] == LEAST_AGREED else ""
    page = page_by_key(found, request.GET, size=ROWS_PER_PAGE, by=by, newest_first=True)
    shown = [column for column in columns if column != "image_url"][:COLUMNS_SHOWN]
    return {
        "filter": form,
        "chosen": chosen,
        "filtered": form.filtered,
        "has_rows": bool(page.items) or rows_of(job).exists(),
        "as_table": chosen["view"] == TABLE,
        "columns": shown,
        "rows": row_views(request, job, design, page.items, shown),
        "page": page,
    }


@require_POST
@team_view(may=EDIT)
def upload(request: TeamRequest, pk: int) -> HttpResponse:
    """Take in a CSV of rows and test questions; it is read in the background."""
    job = get_job(pk)
    form = RowsForm(request.POST, request.FILES, compared=True)
    if form.is_valid():
        data = form.cleaned_data
        try:
            received = services.receive_rows(job=job, file=data["file"], actor=request.user, forced=data["forced"])
        except Refused as refused:
            form.add_error("file", refused.message)
        else:
            if received.held:
                messages.warning(request, "This job has seen this file before. Decide below what to do with it.")
            else:
                tasks.read_rows.delay_on_commit(team_id=request.team.pk, upload_id=received.pk)
            return redirect("jobs:data", team_slug=request.team.slug, pk=pk)
    return _data_page(request, job, form, status=422)


def _get_upload(pk: int, upload_pk: int) -> JobUpload:
    """The upload of the job, or 404."""
    found = JobUpload.objects.select_related("job", "created_by", "duplicate_of", "team")
    return get_object_or_404(found, pk=upload_pk, job_id=pk)


@require_POST
@team_view(may=EDIT)
def upload_confirm(request: TeamRequest, pk: int, upload_pk: int) -> HttpResponse:
    """Read a file although the job has seen it before."""
    held = _get_upload(pk, upload_pk)
    services.confirm_upload(upload=held, actor=request.user)
    tasks.read_rows.delay_on_commit(team_id=request.team.pk, upload_id=held.pk)
    return redirect("jobs:data", team_slug=request.team.slug, pk=pk)


@require_POST
@team_view(may=EDIT)
def upload_discard(request: TeamRequest, pk: int, upload_pk: int) -> HttpResponse:
    """Throw a repeated file away."""
    try:
        services.discard_upload(upload=_get_upload(pk, upload_pk), actor=request.user)
        messages.success(request, "The repeated file was thrown away.")
    except Refused as refused:
        messages.info(request, refused.message)
    return redirect("jobs:data", team_slug=request.team.slug, pk=pk)


@require_safe
@team_view(may=VIEW)
def upload_detail(request: TeamRequest, pk: int, upload_pk: int) -> HttpResponse:
    """One file: its progress, what became of it, its problems by line."""
    job = get_job(pk)
    context = page_context(request, job, "data", upload=_get_upload(pk, upload_pk))
    return htmx.render(request, "jobs/job_upload.html", context, partial="live")


@require_safe
@team_view(may=EDIT)
def upload_file(request: TeamRequest, pk: int, upload_pk: int) -> FileResponse:
    """The file as it was uploaded."""
    found = _get_upload(pk, upload_pk)
    try:
        file = open_file(found.file)
    except FileNotFoundError as error:
        raise Http404 from error
    return csv_download(file, found.original_name)


def _csv_answer(name: str, content: bytes) -> HttpResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return HttpResponse(content, content_type="text/csv; charset=utf-8", headers=headers)


@require_safe
@team_view(may=VIEW)
def upload_problems(request: TeamRequest, pk: int, upload_pk: int) -> FileResponse:
    """All problems of a file as a CSV: line, column, what is wrong."""
    found = _get_upload(pk, upload_pk)
    try:
        file = problems_file(ingest.all_problems(found))
    except (CsvRefused, FileNotFoundError):
        # The file is gone, or the design has changed so that it no longer fits: what was kept is all there is.
        file = problems_file(CsvProblem(**kept) for kept in found.problems)
    return csv_download(file, f"problems-{found.pk}.csv")


@require_safe
@team_view(may=VIEW)
def sample(request: TeamRequest, pk: int, sample: str) -> HttpResponse:
    """A sample CSV made of the job's design: rows, or rows with test questions."""
    job = get_job(pk)
    design = services.design_of(job)
    golds = sample == "golds"
    if sample not in SAMPLES or (golds and not any(question.gold for question in design.questions)):
        raise Http404
    columns = services.source_columns(job=job) or design.columns or ["image_url"]
    name = "sample-test-questions.csv" if golds else "sample-rows.csv"
    return _csv_answer(name, sample_csv(design, columns, golds=golds))


@require_safe
@team_view(may=VIEW)
def unit(request: TeamRequest, pk: int, unit_pk: int) -> HttpResponse:
    """One row: picture, source columns, results, and each judgment; for requesters, so that names are shown."""
    job = get_job(pk)
    found: Unit = get_object_or_404(Unit.objects.filter(job=job), pk=unit_pk)
    design = services.design_of(job)
    judgments = list(Judgment.objects.filter(unit=found).select_related("contributor__user", "page").order_by("pk"))
    source = upload_of(found)
    previous, following = neighbours(found)
    gold = TestQuestion.objects.filter(unit=found).first() if found.is_golden else None
    context = page_context(
        request,
        job,
        "data",
        unit=found,
        picture=picture_url(request.team, found.image_url, "large") if found.image_url else "",
        cells=source_cells(found, source[0].columns if source else services.source_columns(job=job)),
        source=source,
        results=result_views(design, found.result),
        judgments=judgment_views(design, judgments),
        comparison=comparison_of(job, design, found),
        previous=previous,
        next=following,
        gold=gold,
        accepted=answer_words(design, gold.answers) if gold else [],
        can_withdraw=found.state in {UnitState.NEW, UnitState.QUEUED, UnitState.JUDGABLE}
        and not judgments
        and found.slots == found.wanted,
    )
    return htmx.render(request, "jobs/unit_detail.html", context)


@require_POST
@team_view(may=EDIT)
def unit_withdraw(request: TeamRequest, pk: int, unit_pk: int) -> HttpResponse:
    """Take a row out of the job for good."""
    found: Unit = get_object_or_404(Unit.objects.filter(job=get_job(pk)), pk=unit_pk)
    try:
        services.cancel_unit(unit=found, actor=request.user)
        messages.success(request, "The row is withdrawn. Nobody will be asked about it.")
    except Refused as refused:
        messages.error(request, refused.message)
    return redirect("jobs:unit", team_slug=request.team.slug, pk=pk, unit_pk=unit_pk)
