"""Making, changing and deleting workflows that are not launched yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import IntegrityError, transaction

from jobs_app.models import Job
from jobs_app.services import check_routing
from labeling_platform.accounts.models import Team, User
from labeling_platform.accounts.services import record
from labeling_platform.lib.errors import Refused
from models_app.models import CustomModel, HoldoutPrediction, ModelVersion
from models_app.states import VersionState
from workflows_app.models import Workflow, WorkflowKind
from workflows_app.routing import check_threshold, decide
from workflows_app.states import WorkflowState

DEFAULT_THRESHOLD = Decimal("0.8")


@dataclass(frozen=True)
class ModelChoice:
    """A model as the wizard shows it; `reason` says why it cannot be chosen, empty when it can."""

    model: CustomModel
    reason: str

    @property
    def selectable(self) -> bool:
        return not self.reason


@dataclass(frozen=True)
class JobChoice:
    """A job as the wizard shows it, with the reasons why it does not fit the chosen model."""

    job: Job
    reasons: list[str]

    @property
    def selectable(self) -> bool:
        return not self.reasons


@dataclass(frozen=True)
class Automation:
    """What a threshold would have done to the held-out pictures: an estimate of share and accuracy."""

    total: int
    automated: int
    correct: int

    @property
    def share(self) -> float:
        return self.automated / self.total

    @property
    def accuracy(self) -> float | None:
        """Share of the automated pictures that were right; None when none was automated."""
        return self.correct / self.automated if self.automated else None

    @property
    def routed(self) -> int:
        return self.total - self.automated


def model_choices(*, workflow: Workflow | None = None) -> list[ModelChoice]:
    """The team's models, each with the reason why it cannot go into (another) workflow."""
    models = CustomModel.objects.select_related("current", "workflow")
    return [ModelChoice(model, _model_reason(model, workflow)) for model in models]


def _model_reason(model: CustomModel, workflow: Workflow | None) -> str:
    if model.current is None or model.current.state != VersionState.READY:
        return "Not trained yet."
    taken_by = getattr(model, "workflow", None)
    if taken_by is not None and taken_by != workflow:
        return f"Used in the workflow “{taken_by.name}”. A model can be in one workflow only."
    return ""


def job_choices(*, model: CustomModel) -> list[JobChoice]:
    """The team's jobs with the reasons why each does not fit `model`; those that fit come first."""
    if model.current is None:
        return []
    outcomes = list(model.current.outcomes)
    choices = [JobChoice(job, job_reasons(job=job, outcomes=outcomes)) for job in Job.objects.all()]
    return sorted(choices, key=lambda choice: (not choice.selectable, choice.job.model_id != model.pk))


def job_reasons(*, job: Job, outcomes: Sequence[str]) -> list[str]:
    """Why `job` cannot answer for a model with these outcomes, in words; empty when it can."""
    return [str(problem.message) for problem in check_routing(job=job, outcomes=outcomes) if problem.level == "error"]


@transaction.atomic
def create_workflow(
    *,
    team: Team,
    actor: User | None,
    name: str,
    kind: str,
    model: CustomModel,
    job: Job | None = None,
    threshold: Decimal | None = None,
    route_unlike: bool = True,
) -> Workflow:
    """Make a draft workflow and return it.

    Refuses without a name, with a model that is untrained or in another workflow, with a job that does not fit
    the model (design §6.8), and with a threshold outside (0.5, 1]. A Model Only workflow has no job.
    """
    fields = _checked(None, name=name, kind=kind, model=model, job=job, threshold=threshold)
    try:
        with transaction.atomic():
            workflow = Workflow.objects.create(team=team, created_by=actor, route_unlike=route_unlike, **fields)
    except IntegrityError:
        raise _taken(model) from None
    record(team=team, actor=actor, verb="workflow created", obj=workflow)
    return workflow


@transaction.atomic
def edit_workflow(
    *,
    workflow: Workflow,
    actor: User | None,
    name: str,
    kind: str,
    model: CustomModel,
    job: Job | None = None,
    threshold: Decimal | None = None,
    route_unlike: bool = True,
) -> Workflow:
    """Change a draft workflow; the same refusals as create_workflow, and one for a launched workflow."""
    workflow = lock(workflow)
    _only_drafts(workflow)
    fields = _checked(workflow, name=name, kind=kind, model=model, job=job, threshold=threshold)
    for field, value in {**fields, "route_unlike": route_unlike}.items():
        setattr(workflow, field, value)
    try:
        with transaction.atomic():
            workflow.save()
    except IntegrityError:
        raise _taken(model) from None
    record(team=workflow.team, actor=actor, verb="workflow changed", obj=workflow)
    return workflow


@transaction.atomic
def delete_workflow(*, workflow: Workflow, actor: User | None) -> None:
    """Delete a draft workflow with its uploads and rows. Refuses a launched one."""
    workflow = lock(workflow)
    _only_drafts(workflow)
    record(team=workflow.team, actor=actor, verb="workflow deleted", obj=workflow)
    workflow.delete()


def lock(workflow: Workflow) -> Workflow:
    """The workflow as it is now, locked until the transaction ends."""
    return Workflow.objects.select_for_update(of=("self",)).select_related("model", "job", "team").get(pk=workflow.pk)


def _only_drafts(workflow: Workflow) -> None:
    if workflow.state != WorkflowState.DRAFT:
        raise Refused(
            "This workflow has been launched; its model, job and routing cannot change any more. Create a new one.",
            code="launched",
        )


def _checked(
    workflow: Workflow | None,
    *,
    name: str,
    kind: str,
    model: CustomModel,
    job: Job | None,
    threshold: Decimal | None,
) -> dict[str, Any]:
    """The fields of a workflow that may be saved. Raises Refused."""
    if not name.strip():
        raise Refused("Give the workflow a name.", code="name")
    if kind not in WorkflowKind.values:
        raise Refused("Choose a workflow type.", code="kind")
    if reason := _model_reason(CustomModel.objects.select_related("current", "workflow").get(pk=model.pk), workflow):
        raise Refused(f"{model.name}: {reason}", code="model")
    if kind == WorkflowKind.MODEL_ONLY:
        job = None
    elif job is None:
        raise Refused("Choose the job that labels the low confidence rows.", code="job")
    elif model.current and (reasons := job_reasons(job=job, outcomes=model.current.outcomes)):
        raise Refused(f"{job.title} does not fit the model: {' '.join(reasons)}", code="job")
    threshold = DEFAULT_THRESHOLD if threshold is None else threshold
    try:
        check_threshold(threshold)
    except ValueError as error:
        raise Refused(str(error), code="threshold") from None
    return {"name": name.strip(), "kind": kind, "model": model, "job": job, "threshold": threshold}


def _taken(model: CustomModel) -> Refused:
    return Refused(f"{model.name} was put into another workflow just now. Choose another model.", code="model")


def automation(*, version: ModelVersion, threshold: Decimal, route_unlike: bool = False) -> Automation | None:
    """How many held-out pictures `threshold` would have left to the model, and how many of those it got right.

    None when the version has no held-out pictures. Raises ValueError for a threshold outside (0.5, 1].
    """
    check_threshold(threshold)
    limit = version.details.get("cut")
    held_out = HoldoutPrediction.objects.filter(version=version).values_list("scores", "distance", "predicted", "label")
    total = automated = correct = 0
    for scores, distance, predicted, label in held_out:
        unlike = limit is not None and distance is not None and distance > limit
        total += 1
        if not decide(scores, threshold, unlike=unlike, route_unlike=route_unlike).route:
            automated += 1
            correct += predicted == label
    return Automation(total, automated, correct) if total else None


def knows_distances(*, version: ModelVersion) -> bool:
    """Whether the version can tell how far a picture is from its training data."""
    return HoldoutPrediction.objects.filter(version=version, distance__isnull=False).exists()
