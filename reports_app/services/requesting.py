"""Asking for reports. Building them is a task's work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from jobs_app.models import Contributor, Job, TestQuestion, Unit
from jobs_app.states import JobState
from labeling_platform.accounts.models import User
from labeling_platform.accounts.services import record
from labeling_platform.lib.errors import Refused
from workflows_app.models import Workflow
from workflows_app.states import WorkflowState

from ..kinds import choose_options
from ..models import Report
from ..states import ReportKind, ReportState

UNDER_WAY = [ReportState.QUEUED, ReportState.BUILDING]


@transaction.atomic
def request_report(*, workflow: Workflow, actor: User | None, options: Mapping[str, bool] | None = None) -> Report:
    """Ask for a report of a workflow.

    `options`: only_final leaves confidences out of rows that are not completed (the closing note of the
    request, off by default), diagnostics adds reason, model version, line and file, safe_cells defuses cells
    that a spreadsheet would run as formulas (both on by default). Asking again while the same report is under
    way returns that one. Refuses for a workflow that was never launched.
    """
    if workflow.state == WorkflowState.DRAFT:
        raise Refused("Launch the workflow first; there is nothing to report yet.", code="not_launched")
    chosen = choose_options(ReportKind.WORKFLOW, options or {})
    Workflow.objects.select_for_update().get(pk=workflow.pk)
    same = Report.objects.filter(workflow=workflow, options=chosen, state__in=UNDER_WAY).first()
    if same is not None:
        return same
    report = Report.objects.create(team=workflow.team, workflow=workflow, options=chosen, created_by=actor)
    record(team=workflow.team, actor=actor, verb="report requested", obj=workflow, report=report.pk)
    return report


@transaction.atomic
def request_job_report(
    *, job: Job, kind: ReportKind, actor: User | None, options: Mapping[str, Any] | None = None
) -> Report:
    """Ask for a report of a job; `options` that do not fit the kind are ignored (kinds.py says which do).

    Asking again while the same report is under way returns that one. Refuses options that make no sense, and a
    report that could say nothing: of a job that is not launched, has no rows, test questions or contributors.
    """
    if kind not in ReportKind.of_jobs():
        raise Refused("Choose one of the reports of a job.", code="unknown_kind")
    chosen = choose_options(kind, options or {})
    # NO KEY: contributors at work refer to the job's row.
    job = Job.objects.select_for_update(no_key=True, of=("self",)).select_related("team").get(pk=job.pk)
    _refuse_empty(job, kind)
    same = Report.objects.filter(job=job, kind=kind, options=chosen, state__in=UNDER_WAY).first()
    if same is not None:
        return same
    report = Report.objects.create(team=job.team, job=job, kind=kind, options=chosen, created_by=actor)
    record(team=job.team, actor=actor, verb="report requested", obj=job, report=report.pk, kind=kind.value)
    return report


def _refuse_empty(job: Job, kind: ReportKind) -> None:
    if kind == ReportKind.GOLD_REPORT:
        if not TestQuestion.objects.filter(job=job).exists():
            raise Refused("This job has no test questions. Make some on the Quality tab.", code="empty")
    elif kind == ReportKind.WORKSET:
        if not Contributor.objects.filter(job=job).exists():
            raise Refused("Nobody has worked on this job yet.", code="empty")
    elif not Unit.objects.filter(job=job).exists():
        raise Refused("This job has no rows yet. Add some on the Data tab.", code="empty")
    elif kind != ReportKind.SOURCE and job.state == JobState.UNORDERED:
        raise Refused("Launch the job first; nobody has answered yet.", code="not_launched")
