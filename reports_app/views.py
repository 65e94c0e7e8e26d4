"""Pages of reports: all of a team's, the Report tab of a workflow, and the download."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import FileResponse, Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from labeling_platform.accounts.models import Feature
from labeling_platform.accounts.permissions import EDIT, VIEW
from labeling_platform.accounts.tenancy import TeamRequest, team_view
from labeling_platform.lib import htmx
from labeling_platform.lib.errors import Refused
from labeling_platform.lib.storage import open_file
from workflows_app.models import Workflow
from workflows_app.presenting import page_context
from workflows_app.states import STATUS_LINES, WorkflowState

from . import services, tasks
from .models import Report
from .states import ReportState

may_view = team_view(may=VIEW, feature=Feature.ML_ASSISTED_LABELING)
may_edit = team_view(may=EDIT, feature=Feature.ML_ASSISTED_LABELING)


@require_safe
@may_view
def report_list(request: TeamRequest) -> HttpResponse:
    """All reports of the team, newest first."""
    reports = Report.objects.select_related("workflow", "created_by")
    page = Paginator(reports, 25).get_page(request.GET.get("page"))
    return render(request, "reports/report_list.html", {"page": page})


def get_workflow(request: TeamRequest, workflow_pk: int) -> Workflow:
    """The team's workflow, or 404."""
    found = Workflow.objects.select_related("model", "job", "version", "team")
    return get_object_or_404(found, pk=workflow_pk, team=request.team)


@require_safe
@may_view
def workflow_reports(request: TeamRequest, workflow_pk: int) -> HttpResponse:
    """The Report tab; for htmx only the list of reports."""
    workflow = get_workflow(request, workflow_pk)
    reports = list(Report.objects.filter(workflow=workflow).select_related("created_by")[:20])
    context = {
        **page_context(request, workflow, "report"),
        "reports": reports,
        "building": any(not report.is_final for report in reports),
        "launched": workflow.state != WorkflowState.DRAFT,
        "status_lines": STATUS_LINES,
        "options": services.DEFAULTS,
    }
    return htmx.render(request, "reports/workflow_reports.html", context, partial="reports")


@require_POST
@may_edit
def request_report(request: TeamRequest, workflow_pk: int) -> HttpResponse:
    """Ask for a report; it is built in the background."""
    workflow = get_workflow(request, workflow_pk)
    options = {name: name in request.POST for name in services.DEFAULTS}
    try:
        report = services.request_report(workflow=workflow, actor=request.user, options=options)
        tasks.build.delay_on_commit(team_id=request.team.pk, report_id=report.pk)
    except Refused as refused:
        messages.error(request, refused.message)
    return redirect("reports:workflow", team_slug=request.team.slug, workflow_pk=workflow.pk)


@require_safe
@may_view
def download(request: TeamRequest, pk: int) -> FileResponse:
    """The report's file, streamed."""
    found = Report.objects.select_related("workflow")
    report: Report = get_object_or_404(found, pk=pk, team=request.team)
    if report.state != ReportState.READY:
        raise Http404
    try:
        file = open_file(report.file)
    except FileNotFoundError as error:
        raise Http404 from error
    return FileResponse(
        file,
        as_attachment=True,
        filename=services.file_name(report),
        content_type="text/csv; charset=utf-8",
        headers={"X-Content-Type-Options": "nosniff", "Cache-Control": "private, no-store"},
    )
