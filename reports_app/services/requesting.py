"""Asking for reports. Building them is a task's work."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from jobs_app.models import Contributor, Job, TestQuestion, Unit
from jobs_app.states import JobState
from labeling_platform.accounts import quotas
from labeling_platform.accounts.models import User
from labeling_platform.accounts.services import record
from labeling_platform.lib.errors import Refused
from workflows_app.models import Workflow
from workflows_app.states import WorkflowState

from ..kinds import LAST, SINCE, choose_options
from ..models import Report
from ..states import ReportKind, ReportState

BUILT = [ReportState.READY, ReportState.EXPIRED]


@transaction.atomic
def request_report(*, workflow: Workflow, actor: User | None, options: Mapping[str, Any] | None = None) -> Report:
    """Ask for a report of a workflow.

    `options`: format is one of kinds.FORMATS (CSV as usual), only_final leaves confidences out of rows that are not
    completed (the closing note of the request, off by default), diagnostics adds reason, model version, line and
    file, safe_cells defuses cells that a spreadsheet would run as formulas (both on by default).

    since: only rows completed at or after this moment (a datetime or ISO 8601, UTC without an offset), or "last" to
    go on from the workflow's newest finished report. A row that went to people is completed when its answer became
    final; one that is opened and answered again is completed again, one whose answer is merely weighed anew is not.
    Reports that go on from each other leave no row out: each one starts at the moment before which the last one had
    everything (Report.complete_until). A row that was completed around then, while transactions of others were
    open, may be in both; file and line tell rows apart.

    Asking again while the same report is under way returns that one. Refuses for a workflow that was never launched,
    a moment that is none or yet to come, "last" when there is no report to go on from, and when the team's files take
    all the room they may.
    """
    if workflow.state == WorkflowState.DRAFT:
        raise Refused("Launch the workflow first; there is nothing to report yet.", code="not_launched")
    given = dict(options or {})
    if given.get(SINCE) == LAST:
        given[SINCE] = _end_of_last(workflow)
    chosen = choose_options(ReportKind.WORKFLOW, given)
    if chosen[SINCE] and datetime.fromisoformat(chosen[SINCE]) > timezone.now():
        raise Refused("This moment is yet to come. Choose one in the past, in UTC.", code="since_future")
    # NO KEY: whoever adds or answers rows refers to the workflow.
    Workflow.objects.select_for_update(no_key=True).get(pk=workflow.pk)
    same = Report.objects.filter(workflow=workflow, options=chosen, state__in=ReportState.under_way()).first()
    if same is not None:
        return same
    quotas.refuse_when_full(workflow.team)
    report = Report.objects.create(team=workflow.team, workflow=workflow, options=chosen, created_by=actor)
    record(team=workflow.team, actor=actor, verb="report requested", obj=workflow, report=report.pk)
    return report


def latest_report(*, workflow: Workflow) -> Report | None:
    """The report that the next one can go on from: of those that were finished the one that shows the latest moment."""
    built = Report.objects.filter(workflow=workflow, state__in=BUILT, complete_until__isnull=False)
    return built.order_by("-complete_until").first()


def _end_of_last(workflow: Workflow) -> datetime | None:
    last = latest_report(workflow=workflow)
    if last is None:
        raise Refused("There is no report to go on from yet. Make one of all rows first.", code="no_report")
    return last.complete_until


@transaction.atomic
def cancel_report(*, report: Report, actor: User | None) -> None:
    """Stop a report that is not done. Whoever builds it hears of it at the next heartbeat, and keeps nothing.

    Refuses one that is done or over already.
    """
    if not ReportState.move(
        Report.objects.filter(pk=report.pk), ReportState.CANCELED, lease_until=None, finished_at=timezone.now()
    ):
        raise Refused("This report is not being built any more.", code="not_under_way")
    record(team=report.team, actor=actor, verb="report canceled", obj=report.subject, report=report.pk)


@transaction.atomic
def request_job_report(
    *, job: Job, kind: ReportKind, actor: User | None, options: Mapping[str, Any] | None = None
) -> Report:
    """Ask for a report of a job; `options` that do not fit the kind are ignored (kinds.py says which do).

    Asking again while the same report is under way returns that one. Refuses options that make no sense, and a
    report that could say nothing: of a job that is not launched, has no rows, test questions or contributors. As
    request_report it refuses without room.
    """
    if kind not in ReportKind.of_jobs():
        raise Refused("Choose one of the reports of a job.", code="unknown_kind")
    chosen = choose_options(kind, options or {})
    # NO KEY: contributors at work refer to the job's row.
    job = Job.objects.select_for_update(no_key=True, of=("self",)).select_related("team").get(pk=job.pk)
    _refuse_empty(job, kind)
    same = Report.objects.filter(job=job, kind=kind, options=chosen, state__in=ReportState.under_way()).first()
    if same is not None:
        return same
    quotas.refuse_when_full(job.team)
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
