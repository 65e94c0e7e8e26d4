"""Launching workflows, turning them off and on, and what stands in the way."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from jobs_app.services import check_routing, freeze_design
from jobs_app.states import JobState
from labeling_platform.accounts.models import User
from labeling_platform.accounts.services import record
from labeling_platform.lib.errors import Refused
from labeling_platform.lib.uploads import UploadState
from models_app.states import VersionState
from workflows_app.models import Workflow, WorkflowRow, WorkflowUpload
from workflows_app.states import WorkflowState

from .setup import lock

ALREADY = "This workflow has been launched already, perhaps in another tab. Nothing more was done."


@dataclass(frozen=True)
class LaunchProblem:
    """A broken precondition: a `warning` can be confirmed, anything else must be mended first."""

    code: str
    message: str
    warning: bool = False


def launch_problems(*, workflow: Workflow) -> list[LaunchProblem]:
    """Everything that speaks against launching the draft `workflow` now; errors first, then warnings."""
    problems = _model_problems(workflow)
    if workflow.routes_to_people:
        outcomes = workflow.model.current.outcomes if workflow.model.current else []
        problems += job_problems(workflow=workflow, outcomes=outcomes)
    if not WorkflowRow.objects.filter(workflow=workflow).exists():
        text = "There are no rows yet. The workflow will wait for the first upload."
        problems.append(LaunchProblem("no_rows", text, warning=True))
    unread = WorkflowUpload.objects.filter(
        workflow=workflow, held=False, state__in=[UploadState.RECEIVED, UploadState.READING]
    )
    if unread.exists():
        text = "A file is still being read. Its rows join the workflow as soon as they are read."
        problems.append(LaunchProblem("still_reading", text, warning=True))
    return sorted(problems, key=lambda problem: problem.warning)


def _model_problems(workflow: Workflow) -> list[LaunchProblem]:
    version = workflow.model.current
    if version is None or version.state != VersionState.READY:
        return [LaunchProblem("model_untrained", "The model has no trained version. Train it first.")]
    return []


def job_problems(*, workflow: Workflow, outcomes: Collection[str]) -> list[LaunchProblem]:
    """What is wrong with the workflow's job for a model with these outcomes."""
    job = workflow.job
    if job is None:
        return [LaunchProblem("no_job", "The workflow has no job. Edit it and choose one.")]
    if job.state == JobState.CANCELED:
        return [LaunchProblem("job_canceled", f"The job “{job.title}” was canceled. Choose another job.")]
    problems = [
        LaunchProblem(problem.code, problem.message, warning=problem.level != "error")
        for problem in check_routing(job=job, outcomes=list(outcomes))
    ]
    if job.state == JobState.PAUSED:
        text = f"The job “{job.title}” is paused: nobody can label its rows until it is resumed."
        problems.append(LaunchProblem("job_paused", text, warning=True))
    return problems


@transaction.atomic
def launch(*, workflow: Workflow, actor: User | None, confirmed: Collection[str] = ()) -> Workflow:
    """Launch a draft workflow: freeze its outcomes, model version and job design, and let its rows be predicted.

    `confirmed` are the codes of the warnings that a person has accepted. Refuses when it was launched before
    (two tabs: one launch), when an error stands in the way, or a warning that was not confirmed.
    """
    workflow = lock(workflow)
    if workflow.state != WorkflowState.DRAFT:
        raise Refused(ALREADY, code="already_launched")
    problems = launch_problems(workflow=workflow)
    if errors := [problem for problem in problems if not problem.warning]:
        raise Refused(" ".join(problem.message for problem in errors), code=errors[0].code)
    if any(problem.code not in confirmed for problem in problems):
        raise Refused("Tick every warning that you have read and accept.", code="unconfirmed")
    if workflow.job is not None:
        freeze_design(job=workflow.job)
        _recheck(workflow)
    version = workflow.model.current
    assert version is not None
    workflow.version, workflow.outcomes = version, list(version.outcomes)
    workflow.launched_at, workflow.state = timezone.now(), WorkflowState.RUNNING
    workflow.save(update_fields=["version", "outcomes", "launched_at", "state"])
    record(team=workflow.team, actor=actor, verb="workflow launched", obj=workflow, version=version.number)
    return workflow


def _recheck(workflow: Workflow) -> None:
    """The design could change between our check and the freeze; what was frozen is what must be right."""
    assert workflow.job is not None
    assert workflow.model.current is not None
    workflow.job.refresh_from_db()
    for problem in job_problems(workflow=workflow, outcomes=workflow.model.current.outcomes):
        if not problem.warning:
            raise Refused(problem.message, code=problem.code)


@transaction.atomic
def turn_off(*, workflow: Workflow, actor: User | None) -> Workflow:
    """Stop predicting and routing. What is under way ends; people go on with the rows they have."""
    return _switch(workflow, actor, WorkflowState.OFF, "workflow turned off", "This workflow is not running.")


@transaction.atomic
def turn_on(*, workflow: Workflow, actor: User | None) -> Workflow:
    """Let a workflow that was turned off go on where it stopped."""
    return _switch(workflow, actor, WorkflowState.RUNNING, "workflow turned on", "This workflow is not turned off.")


def _switch(workflow: Workflow, actor: User | None, to: WorkflowState, verb: str, otherwise: str) -> Workflow:
    workflow = lock(workflow)
    if workflow.state == WorkflowState.DRAFT or to not in WorkflowState.moves[workflow.state]:
        raise Refused(otherwise, code="state")
    WorkflowState.move(Workflow.objects.filter(pk=workflow.pk), to)
    workflow.state = to
    record(team=workflow.team, actor=actor, verb=verb, obj=workflow)
    return workflow


def upload_problem(*, workflow: Workflow) -> str:
    """Why the workflow can take no more rows, in words; empty when it can.

    A launched workflow whose job lost an answer or was canceled would leave rows with nobody to label them.
    """
    if workflow.state == WorkflowState.DRAFT or not workflow.routes_to_people:
        return ""
    errors = [problem for problem in job_problems(workflow=workflow, outcomes=workflow.outcomes) if not problem.warning]
    return errors[0].message if errors else ""
