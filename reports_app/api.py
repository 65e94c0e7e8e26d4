"""Reports for programs: asked for, watched, downloaded."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import FileResponse
from django.shortcuts import get_object_or_404
from ninja import Router
from pydantic import Field

from jobs_app.models import Job
from labeling_platform.accounts.api_access import ApiRequest, operation
from labeling_platform.accounts.features import CONTACT
from labeling_platform.accounts.models import Feature
from labeling_platform.lib.api import (
    USUAL_ITEMS,
    After,
    ApiError,
    Id,
    In,
    Limit,
    Page,
    Schema,
    Text,
    example,
    page_of,
)
from labeling_platform.lib.paging import page_by_key
from workflows_app.models import Workflow

from . import services, tasks
from .downloading import send_report
from .models import Report
from .states import ReportKind, ReportState

ML = Feature.ML_ASSISTED_LABELING
router = Router(tags=["Reports"])
FILES = ("text/csv", "application/jsonl", "application/gzip", "application/zip")


class WorkflowReportIn(In):
    model_config = example(format="csv", since="last")

    format: Literal["csv", "csv.gz", "jsonl", "jsonl.gz"] = "csv"
    since: Annotated[Text, Field(max_length=40)] = Field(
        "",
        description="Only rows completed since then: ISO 8601, or `last` to go on from the newest finished report.",
        examples=["2026-01-31T18:30:00Z"],
    )
    only_final: bool = Field(False, description="Leave out confidences of rows that are not completed.")
    diagnostics: bool = Field(True, description="Add reason, model version, line and file of each row.")
    safe_cells: bool = Field(True, description="Cells that look like formulas get an apostrophe (CSV only).")


class JobReportIn(In):
    model_config = example(kind="aggregated", unfinished=True)

    kind: Literal["aggregated", "full", "json", "source", "gold_report", "workset"] = Field(
        "aggregated", description="What the report holds; options that do not fit the kind are ignored."
    )
    untrusted: bool = Field(False, description="Include judgments of removed and rejected contributors.")
    unfinished: bool = Field(False, description="Include rows that still wait for judgments.")
    omit_golds: bool = Field(False, description="Leave out test questions.")
    confidences: bool = Field(False, description="Add the confidence of every answer.")
    min_confidence: float | None = Field(None, gt=0, le=1, description="Answers that are less sure are left empty.")
    safe_cells: bool = True


class ReportOut(Schema):
    """A report. Ask again until `state` is ready; then download its file before `expires_at`."""

    id: int
    kind: str = Field(description="workflow, or a kind of a job's reports")
    workflow_id: int | None
    job_id: int | None
    state: str = Field(description="queued, building, ready, failed, expired or canceled", examples=["ready"])
    options: dict[str, Any]
    rows_total: int = Field(description="0 while nobody knows.")
    rows_done: int
    size: int = Field(description="Bytes of the file.")
    error: str
    as_of: datetime | None = Field(description="The moment that the report shows.")
    created_at: datetime
    finished_at: datetime | None
    expires_at: datetime | None


def report_out(report: Report) -> dict[str, Any]:
    names = (
        *("kind", "workflow_id", "job_id", "state", "options", "rows_total", "rows_done", "size", "error"),
        *("as_of", "created_at", "finished_at", "expires_at"),
    )
    return {"id": report.pk, **{name: getattr(report, name) for name in names}}


def get_report_or_404(request: ApiRequest, pk: int) -> Report:
    """The report; that of a workflow takes the feature."""
    report: Report = get_object_or_404(Report.objects.select_related("workflow", "job", "team"), pk=pk)
    if report.kind == ReportKind.WORKFLOW and ML not in request.features:
        raise ApiError(403, "feature", CONTACT)
    return report


@operation(router, "GET", "/reports", answer=Page[ReportOut])
def list_reports(request: ApiRequest, limit: Limit = USUAL_ITEMS, after: After = "") -> dict[str, Any]:
    """List the team's reports, newest first; those of workflows only for teams with that feature."""
    found = Report.objects.all()
    if ML not in request.features:
        found = found.exclude(kind=ReportKind.WORKFLOW)
    page = page_by_key(found, {"after": after}, size=limit, newest_first=True)
    return page_of(page, [report_out(report) for report in page.items])


@operation(router, "POST", "/workflows/{workflow_id}/reports", answer=ReportOut, status=202, feature=ML,
           fields={"bad_option": "since", "since_future": "since", "no_report": "since"})  # fmt: skip
def request_workflow_report(request: ApiRequest, workflow_id: Id, data: WorkflowReportIn) -> dict[str, Any]:
    """Ask for a report of a workflow.

    Asking again while the same report is under way answers with that one, so a request can be repeated.
    """
    workflow: Workflow = get_object_or_404(Workflow.objects.select_related("team"), pk=workflow_id)
    report = services.request_report(workflow=workflow, actor=request.actor, options=data.dict())
    return _built(request, report)


@operation(router, "POST", "/jobs/{job_id}/reports", answer=ReportOut, status=202,
           fields={"bad_option": "min_confidence"})  # fmt: skip
def request_job_report(request: ApiRequest, job_id: Id, data: JobReportIn) -> dict[str, Any]:
    """Ask for a report of a job.

    Asking again while the same report is under way answers with that one, so a request can be repeated.
    """
    job: Job = get_object_or_404(Job.objects.select_related("team"), pk=job_id)
    options = data.dict(exclude={"kind"})
    report = services.request_job_report(job=job, kind=ReportKind(data.kind), actor=request.actor, options=options)
    return _built(request, report)


def _built(request: ApiRequest, report: Report) -> dict[str, Any]:
    tasks.build.delay_on_commit(team_id=request.team.pk, report_id=report.pk)
    return report_out(report)


@operation(router, "GET", "/reports/{report_id}", answer=ReportOut)
def get_report(request: ApiRequest, report_id: Id) -> dict[str, Any]:
    """Get a report: how far it is."""
    return report_out(get_report_or_404(request, report_id))


@operation(router, "POST", "/reports/{report_id}/cancel", answer=ReportOut)
def cancel_report(request: ApiRequest, report_id: Id) -> dict[str, Any]:
    """Stop a report that is not done.

    409 `not_under_way` for one that is.
    """
    services.cancel_report(report=get_report_or_404(request, report_id), actor=request.actor)
    return report_out(get_report_or_404(request, report_id))


@operation(router, "GET", "/reports/{report_id}/file", conflicts=True,
           content={kind: {"schema": {"type": "string", "format": "binary"}} for kind in FILES})  # fmt: skip
def download_report(request: ApiRequest, report_id: Id) -> FileResponse:
    """Download a report's file.

    409 `not_ready` while there is none.
    """
    report = get_report_or_404(request, report_id)
    if report.state != ReportState.READY:
        raise ApiError(409, "not_ready", f"This report has no file: it is {report.status.label.lower()}.")
    return send_report(report)
