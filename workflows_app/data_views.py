"""Pages of a workflow's data: uploads and rows."""

from __future__ import annotations

from django.contrib import messages
from django.http import FileResponse, Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST, require_safe

from labeling_platform.accounts.tenancy import TeamRequest
from labeling_platform.lib import htmx
from labeling_platform.lib.csvio import CsvProblem, CsvRefused, problems_file
from labeling_platform.lib.downloads import csv_download
from labeling_platform.lib.errors import Refused
from labeling_platform.lib.paging import page_by_key
from labeling_platform.lib.storage import open_file

from . import ingest, services, tasks
from .forms import RowFilterForm, RowsFileForm
from .models import Workflow, WorkflowRow, WorkflowUpload
from .presenting import page_context, row_views
from .querysets import Rows, in_class, in_status, with_status
from .views import get_workflow, may_edit, may_view, to_workflow

ROWS_PER_PAGE = 40


@require_safe
@may_view
def data(request: TeamRequest, pk: int) -> HttpResponse:
    """The Data tab: upload, and what became of the uploads."""
    return data_page(request, get_workflow(request, pk), RowsFileForm())


def data_page(request: TeamRequest, workflow: Workflow, form: RowsFileForm, status: int = 200) -> HttpResponse:
    """The Data tab, or for htmx its list of uploads."""
    uploads = list(WorkflowUpload.objects.filter(workflow=workflow).select_related("created_by", "duplicate_of")[:50])
    context = {
        **page_context(request, workflow, "data"),
        "form": form,
        "uploads": uploads,
        "reading": any(upload.is_moving for upload in uploads),
        "upload_problem": services.upload_problem(workflow=workflow),
        "has_rows": any(upload.rows_ok for upload in uploads),
    }
    return htmx.render(request, "workflows/data.html", context, partial="uploads", status=status)


@require_POST
@may_edit
def upload(request: TeamRequest, pk: int) -> HttpResponse:
    """Take in a CSV of unlabelled data; it is read in the background."""
    workflow = get_workflow(request, pk)
    form = RowsFileForm(request.POST, request.FILES)
    if form.is_valid():
        given = form.cleaned_data
        try:
            received = services.receive_rows(
                workflow=workflow, file=given["file"], actor=request.user, key_column=given["key_column"]
            )
        except Refused as refused:
            form.add_error("file", refused.message)
        else:
            if received.held:
                messages.warning(request, "This workflow has seen this file before. Decide below what to do with it.")
            else:
                tasks.read_rows.delay_on_commit(team_id=request.team.pk, upload_id=received.pk)
            return to_workflow(request, workflow, "data")
    return data_page(request, workflow, form, status=422)


def get_upload(request: TeamRequest, pk: int, upload_pk: int) -> WorkflowUpload:
    """The upload of the team's workflow, or 404."""
    found = WorkflowUpload.objects.select_related("workflow", "created_by", "team")
    return get_object_or_404(found, pk=upload_pk, workflow_id=pk, team=request.team)


@require_POST
@may_edit
def upload_confirm(request: TeamRequest, pk: int, upload_pk: int) -> HttpResponse:
    """Read a file although the workflow has seen it before."""
    held = get_upload(request, pk, upload_pk)
    services.confirm_upload(upload=held, actor=request.user)
    tasks.read_rows.delay_on_commit(team_id=request.team.pk, upload_id=held.pk)
    return redirect("workflows:data", team_slug=request.team.slug, pk=pk)


@require_POST
@may_edit
def upload_discard(request: TeamRequest, pk: int, upload_pk: int) -> HttpResponse:
    """Throw a repeated file away."""
    try:
        services.discard_upload(upload=get_upload(request, pk, upload_pk), actor=request.user)
        messages.success(request, "The repeated file was thrown away.")
    except Refused as refused:
        messages.info(request, refused.message)
    return redirect("workflows:data", team_slug=request.team.slug, pk=pk)


@require_POST
@may_edit
def upload_cancel(request: TeamRequest, pk: int, upload_pk: int) -> HttpResponse:
    """Stop the reading of a file and take its rows out again."""
    found = get_upload(request, pk, upload_pk)
    try:
        services.cancel_upload(upload=found, actor=request.user)
        tasks.clear_canceled.delay_on_commit(team_id=request.team.pk, upload_id=found.pk)
        messages.success(request, f"The reading of {found.original_name} was canceled; its rows are taken out.")
    except Refused as refused:
        messages.info(request, refused.message)
    return redirect("workflows:data", team_slug=request.team.slug, pk=pk)


@require_safe
@may_view
def upload_problems(request: TeamRequest, pk: int, upload_pk: int) -> FileResponse:
    """All problems of a file as a CSV: line, column, what is wrong."""
    found = get_upload(request, pk, upload_pk)
    try:
        file = problems_file(ingest.all_problems(found))
    except (CsvRefused, FileNotFoundError):
        # The file is gone: what was kept is all there is.
        file = problems_file(CsvProblem(**kept) for kept in found.problems)
    return csv_download(file, f"problems-{found.pk}.csv")


@require_safe
@may_view
def upload_detail(request: TeamRequest, pk: int, upload_pk: int) -> HttpResponse:
    """One upload: its progress, and its problems by line."""
    found = get_upload(request, pk, upload_pk)
    context = {**page_context(request, get_workflow(request, pk), "data"), "upload": found}
    return htmx.render(request, "workflows/upload_detail.html", context, partial="live")


@require_safe
@may_edit
def upload_file(request: TeamRequest, pk: int, upload_pk: int) -> FileResponse:
    """The file as it was uploaded."""
    found = get_upload(request, pk, upload_pk)
    try:
        file = open_file(found.file)
    except FileNotFoundError as error:
        raise Http404 from error
    return csv_download(file, found.original_name)


@require_safe
@may_view
def rows(request: TeamRequest, pk: int) -> HttpResponse:
    """The rows, filtered, page by page by key."""
    workflow = get_workflow(request, pk)
    form = RowFilterForm(request.GET, outcomes=workflow.outcomes)
    found: Rows = WorkflowRow.objects.filter(workflow=workflow)
    chosen = form.chosen
    if chosen["status"]:
        found = in_status(found, chosen["status"], workflow=workflow)
    found = in_class(found, chosen["label"], at_least=chosen["at_least"], at_most=chosen["at_most"])
    page = page_by_key(found.only("pk", "confidence"), request.GET, size=ROWS_PER_PAGE, by=form.ordered_by)
    shown = with_status(WorkflowRow.objects.select_related("upload")).in_bulk([row.pk for row in page.items])
    context = {
        **page_context(request, workflow, "rows"),
        "form": form,
        "filtered": form.filtered,
        "page": page,
        "rows": row_views(request, workflow, [shown[row.pk] for row in page.items if row.pk in shown]),
    }
    return htmx.render(request, "workflows/rows.html", context, partial="rows")


@require_safe
@may_view
def row(request: TeamRequest, pk: int, row_pk: int) -> HttpResponse:
    """One row: its picture, every score, what people said, and the uploaded cells."""
    workflow = get_workflow(request, pk)
    found = with_status(WorkflowRow.objects.filter(workflow=workflow).select_related("upload", "version"))
    one = get_object_or_404(found, pk=row_pk)
    context = {**page_context(request, workflow, "rows"), "view": row_views(request, workflow, [one], "large")[0]}
    return htmx.render(request, "workflows/row.html", context)
