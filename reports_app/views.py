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
from workflows_app.models import Workflow
from workflows_app.presenting import page_context
from workflows_app.states import STATUS_LINES, WorkflowState

from . import services, tasks
from .downloading import send_report
from .forms import JobReportForm, WorkflowReportForm
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
    return render(
        request,
        "reports/report_list.html",
        {"page": page, "with_workflows": with_workflows, "can_edit": request.membership.may(EDIT)},
    )


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
    form = WorkflowReportForm(last=services.latest_report(workflow=workflow))
    return _of_workflow(request, workflow, form)


def _of_workflow(request: TeamRequest, workflow: Workflow, form: WorkflowReportForm) -> HttpResponse:
    context = {
        **page_context(request, workflow, "report"),
        **newest(Report.objects.filter(workflow=workflow)),
        "launched": workflow.state != WorkflowState.DRAFT,
        "status_lines": STATUS_LINES,
        "form": form,
    }
    status = 422 if form.is_bound else 200
    return htmx.render(request, "reports/workflow_reports.html", context, partial="reports", status=status)


@require_POST
@team_view(may=EDIT, feature=Feature.ML_ASSISTED_LABELING)
def request_report(request: TeamRequest, workflow_pk: int) -> HttpResponse:
    """Ask for a report; it is built in the background."""
    workflow = get_workflow(request, workflow_pk)
    form = WorkflowReportForm(request.POST, last=services.latest_report(workflow=workflow))
    if not form.is_valid():
        return _of_workflow(request, workflow, form)
    try:
        report = services.request_report(workflow=workflow, actor=request.user, options=form.cleaned_data["options"])
    except Refused as refused:
        form.refuse(refused)
        return _of_workflow(request, workflow, form)
    tasks.build.delay_on_commit(team_id=request.team.pk, report_id=report.pk)
    return redirect(_page_of(request, report))


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
    return redirect(_page_of(request, report))


# --- one report ---------------------------------------------------------------------------------------


def get_report(request: TeamRequest, pk: int) -> Report | None:
    """The team's report, or 404; None when it takes a feature that the team has not."""
    found = Report.objects.select_related("workflow", "job", "team")
    report: Report = get_object_or_404(found, pk=pk, team=request.team)
    of_workflow = report.kind == ReportKind.WORKFLOW
    return None if of_workflow and Feature.ML_ASSISTED_LABELING not in request.features else report


def _page_of(request: TeamRequest, report: Report) -> str:
    """Where the report is listed with others of its workflow or job."""
    name = "workflow" if report.job_id is None else "job"
    return reverse(f"reports:{name}", args=[request.team.slug, report.subject.pk]) + "#reports"


@require_POST
@team_view(may=EDIT)
def cancel(request: TeamRequest, pk: int) -> HttpResponse:
    """Stop a report that is not done."""
    report = get_report(request, pk)
    if report is None:
        return render(request, "403.html", {"exception": CONTACT}, status=403)
    try:
        services.cancel_report(report=report, actor=request.user)
    except Refused as refused:
        messages.error(request, refused.message)
    return redirect(_page_of(request, report))


@require_safe
@team_view(may=VIEW)
def download(request: TeamRequest, pk: int) -> HttpResponse | FileResponse:
    """The report's file, streamed. That of a workflow takes the feature."""
    report = get_report(request, pk)
    if report is None:
        return render(request, "403.html", {"exception": CONTACT}, status=403)
    if report.state != ReportState.READY:
        raise Http404
    return send_report(report)
