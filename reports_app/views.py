"""Pages of reports: all of a team's, the Report tab of a workflow, the Results tab of a job, and the download."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import FileResponse, Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from jobs_app.models import Job
from jobs_app.presenting import get_job
from jobs_app.presenting import page_context as job_context
from labeling_platform.accounts.features import CONTACT
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
from .forms import JobReportForm
from .kinds import DEFAULTS
from .models import Report
from .states import ReportKind, ReportState

SHOWN = 20


@require_safe
@team_view(may=VIEW)
def report_list(request: TeamRequest) -> HttpResponse:
    """All reports of the team, newest first; those of workflows only for teams with that feature."""
    reports = Report.objects.select_related("workflow", "job", "created_by")
    with_workflows = Feature.ML_ASSISTED_LABELING in request.features
    if not with_workflows:
        reports = reports.exclude(kind=ReportKind.WORKFLOW)
    page = Paginator(reports, 25).get_page(request.GET.get("page"))
    return render(request, "reports/report_list.html", {"page": page, "with_workflows": with_workflows})


# --- of a workflow ------------------------------------------------------------------------------------


def get_workflow(request: TeamRequest, workflow_pk: int) -> Workflow:
    """The team's workflow, or 404."""
    found = Workflow.objects.select_related("model", "job", "version", "team")
    return get_object_or_404(found, pk=workflow_pk, team=request.team)


def newest(reports: QuerySet[Report]) -> dict[str, object]:
    """The newest reports, and whether any of them is not done."""
    found = list(reports.select_related("created_by")[:SHOWN])
    return {"reports": found, "building": any(not report.is_final for report in found)}


@require_safe
@team_view(may=VIEW, feature=Feature.ML_ASSISTED_LABELING)
def workflow_reports(request: TeamRequest, workflow_pk: int) -> HttpResponse:
    """The Report tab; for htmx only the list of reports."""
    workflow = get_workflow(request, workflow_pk)
    context = {
        **page_context(request, workflow, "report"),
        **newest(Report.objects.filter(workflow=workflow)),
        "launched": workflow.state != WorkflowState.DRAFT,
        "status_lines": STATUS_LINES,
        "options": DEFAULTS[ReportKind.WORKFLOW],
    }
    return htmx.render(request, "reports/workflow_reports.html", context, partial="reports")


@require_POST
@team_view(may=EDIT, feature=Feature.ML_ASSISTED_LABELING)
def request_report(request: TeamRequest, workflow_pk: int) -> HttpResponse:
    """Ask for a report; it is built in the background."""
    workflow = get_workflow(request, workflow_pk)
    options = {name: name in request.POST for name in DEFAULTS[ReportKind.WORKFLOW]}
    try:
        report = services.request_report(workflow=workflow, actor=request.user, options=options)
        tasks.build.delay_on_commit(team_id=request.team.pk, report_id=report.pk)
    except Refused as refused:
        messages.error(request, refused.message)
    return redirect("reports:workflow", team_slug=request.team.slug, workflow_pk=workflow.pk)


# --- of a job -----------------------------------------------------------------------------------------


@require_safe
@team_view(may=VIEW)
def job_reports(request: TeamRequest, job_pk: int) -> HttpResponse:
    """The Results tab; for htmx only the list of reports."""
    return _results(request, get_job(job_pk), JobReportForm())


def _results(request: TeamRequest, job: Job, form: JobReportForm) -> HttpResponse:
    context = job_context(request, job, "results", form=form, **newest(Report.objects.filter(job=job)))
    status = 422 if form.is_bound else 200
    return htmx.render(request, "reports/job_reports.html", context, partial="reports", status=status)


@require_POST
@team_view(may=EDIT)
def request_job_report(request: TeamRequest, job_pk: int) -> HttpResponse:
    """Ask for a report of the job; it is built in the background."""
    job, form = get_job(job_pk), JobReportForm(request.POST)
    if not form.is_valid():
        return _results(request, job, form)
    kind, options = ReportKind(form.cleaned_data["kind"]), form.cleaned_data["options"]
    try:
        report = services.request_job_report(job=job, kind=kind, actor=request.user, options=options)
    except Refused as refused:
        form.add_error("kind", refused.message)
        return _results(request, job, form)
    tasks.build.delay_on_commit(team_id=request.team.pk, report_id=report.pk)
    return redirect(reverse("reports:job", args=[request.team.slug, job.pk]) + "#reports")


# --- the file -----------------------------------------------------------------------------------------


@require_safe
@team_view(may=VIEW)
def download(request: TeamRequest, pk: int) -> HttpResponse | FileResponse:
    """The report's file, streamed. That of a workflow takes the feature."""
    found = Report.objects.select_related("workflow", "job")
    report: Report = get_object_or_404(found, pk=pk, team=request.team)
    of_workflow = report.kind == ReportKind.WORKFLOW
    if of_workflow and Feature.ML_ASSISTED_LABELING not in request.features:
        return render(request, "403.html", {"exception": CONTACT}, status=403)
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
        content_type="text/csv; charset=utf-8" if of_workflow else "application/zip",
        headers={"X-Content-Type-Options": "nosniff", "Cache-Control": "private, no-store"},
    )
