"""Workflows for programs: made, filled, launched, watched row by row."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from django.shortcuts import get_object_or_404
from ninja import File, Form, Query, Router
from ninja.files import UploadedFile
from pydantic import Field

from jobs_app.api import LaunchProblem
from jobs_app.models import Job
from labeling_platform.accounts.api_access import ApiRequest, operation
from labeling_platform.accounts.models import Feature
from labeling_platform.lib.api import (
    USUAL_ITEMS,
    After,
    HeldUploadOut,
    Id,
    In,
    Limit,
    Page,
    Schema,
    Text,
    asking_to_confirm,
    checked_csv,
    example,
    invalid,
    page_of,
    upload_out,
)
from labeling_platform.lib.paging import page_by_key
from models_app.models import CustomModel

from . import services, tasks
from .models import Workflow, WorkflowKind, WorkflowRow, WorkflowUpload
from .querysets import LINES, Brief, Rows, briefs, counts, in_class, in_status, with_status
from .states import HUMAN_LABELED, STATUS_LINES

ML = Feature.ML_ASSISTED_LABELING
router = Router(tags=["Workflows"])
MOST_CONFIRMED = 20
UNIT_OF_THRESHOLD = Decimal("0.001")
STATUSES = ", ".join(line.key for line in STATUS_LINES)


class WorkflowIn(In):
    model_config = example(name="Shop pictures", kind="model_then_job", model_id=1, job_id=1, threshold=0.85)

    name: Annotated[Text, Field(max_length=150)] = Field(examples=["Shop pictures"])
    kind: WorkflowKind = Field(description="model_only, or model_then_job: low confidence rows go to people.")
    model_id: Id = Field(description="A trained model that is in no other workflow.")
    job_id: Id | None = Field(None, description="The job that labels low confidence rows; only for model_then_job.")
    threshold: float | None = Field(
        None, gt=0.5, le=1, description="Rows with less confidence go to people; at most 3 decimals. Usual: 0.8."
    )
    route_unlike: bool = Field(True, description="Rows unlike the training data go to people, too.")


class WorkflowLaunchIn(In):
    model_config = example(confirm=["no_test_questions"])

    confirm: list[Text] = Field(
        [], max_length=MOST_CONFIRMED, description="Codes of the warnings that you accept (GET says which)."
    )


class WorkflowBrief(Schema):
    id: int
    name: str
    kind: str
    state: str = Field(description="draft, running or off")
    model_id: int
    job_id: int | None
    threshold: float
    route_unlike: bool
    version: int | None = Field(description="The model's version that the workflow was launched with.")
    rows: int
    rows_done: int
    created_at: datetime
    launched_at: datetime | None


class WorkflowCounts(Schema):
    """Rows by status."""

    awaiting_prediction: int
    model_labeled: int
    awaiting_human: int
    human_labeled: int
    error: int
    unlike: int = Field(description="Rows unlike the training data, of whatever status.")
    canceled_units: int = Field(description="Rows that were withdrawn in the job.")
    per_second: float | None = Field(description="Predictions a second just now.")


class WorkflowOut(WorkflowBrief):
    outcomes: list[str]
    counts: WorkflowCounts


class WorkflowUploadOut(HeldUploadOut):
    key_column: str
    rows_repeated: int = Field(description="Rows left out because their key is in the workflow already.")


class RowOut(Schema):
    id: int
    upload_id: int
    line: int
    key: str | None
    image_url: str
    cells: dict[str, str] = Field(description="The uploaded columns.")
    status: str = Field(description=STATUSES)
    machine: dict[str, float] | None = Field(description="The model's confidence by class.")
    predicted: str | None
    confidence: float | None
    unlike: bool
    human: dict[str, float] | None = Field(description="People's trust-weighted share by class.")
    reason: str | None = Field(description="Why the row went to people, or what went wrong.")


class RetryOut(Schema):
    retried: int = Field(description="Failed rows that wait for a prediction again.")


def get_workflow_or_404(pk: int) -> Workflow:
    found = Workflow.objects.select_related("model__current", "job", "version", "team")
    return get_object_or_404(found, pk=pk)


def workflow_brief(workflow: Workflow, brief: Brief) -> dict[str, Any]:
    names = ("name", "kind", "state", "model_id", "job_id", "route_unlike", "created_at", "launched_at")
    return {
        "id": workflow.pk,
        **{name: getattr(workflow, name) for name in names},
        "threshold": float(workflow.threshold),
        "version": workflow.version.number if workflow.version else None,
        "rows": brief.total,
        "rows_done": brief.done,
    }


def workflow_out(workflow: Workflow) -> dict[str, Any]:
    figures = counts(workflow)
    rest = {"unlike": figures.unlike, "canceled_units": figures.canceled_units, "per_second": figures.per_second}
    return {
        **workflow_brief(workflow, briefs([workflow])[workflow.pk]),
        "outcomes": workflow.outcomes,
        "counts": {**figures.by_line, **rest},
    }


@operation(router, "GET", "/workflows", answer=Page[WorkflowBrief], feature=ML)
def list_workflows(request: ApiRequest, limit: Limit = USUAL_ITEMS, after: After = "") -> dict[str, Any]:
    """List the team's workflows, newest first."""
    found = Workflow.objects.select_related("version")
    page = page_by_key(found, {"after": after}, size=limit, newest_first=True)
    figures = briefs(page.items)
    return page_of(page, [workflow_brief(workflow, figures[workflow.pk]) for workflow in page.items])


@operation(router, "POST", "/workflows", answer=WorkflowOut, status=201, feature=ML,
           fields={"name": "name", "kind": "kind", "model": "model_id", "job": "job_id", "threshold": "threshold"},
)  # fmt: skip
def create_workflow(request: ApiRequest, data: WorkflowIn) -> dict[str, Any]:
    """Make a workflow that is not launched yet."""
    model = CustomModel.objects.filter(pk=data.model_id).first()
    if model is None:
        raise invalid("model_id", "There is no such model.")
    job = Job.objects.filter(pk=data.job_id).first() if data.job_id else None
    if data.job_id and job is None:
        raise invalid("job_id", "There is no such job.")
    then_job = data.kind == WorkflowKind.MODEL_THEN_JOB
    workflow = services.create_workflow(
        team=request.team,
        actor=request.actor,
        name=data.name,
        kind=data.kind,
        model=model,
        job=job,
        threshold=_threshold(data.threshold) if then_job else None,
        route_unlike=data.route_unlike and then_job,
    )
    return workflow_out(workflow)


def _threshold(given: float | None) -> Decimal | None:
    """The threshold as it is kept: rounding one that is finer could move rows."""
    if given is None:
        return None
    exact = Decimal(str(given))
    if exact != exact.quantize(UNIT_OF_THRESHOLD):
        raise invalid("threshold", "The threshold can have at most 3 decimals.")
    return exact


@operation(router, "GET", "/workflows/{workflow_id}", answer=WorkflowOut, feature=ML)
def get_workflow(request: ApiRequest, workflow_id: Id) -> dict[str, Any]:
    """Get a workflow with its counters."""
    return workflow_out(get_workflow_or_404(workflow_id))


# --- launching ----------------------------------------------------------------------------------------


@operation(router, "GET", "/workflows/{workflow_id}/launch", answer=list[LaunchProblem], feature=ML)
def get_workflow_launch(request: ApiRequest, workflow_id: Id) -> list[dict[str, Any]]:
    """Say what speaks against launching a workflow now."""
    problems = services.launch_problems(workflow=get_workflow_or_404(workflow_id))
    return [{"code": one.code, "message": one.message, "warning": one.warning} for one in problems]


@operation(router, "POST", "/workflows/{workflow_id}/launch", answer=WorkflowOut, feature=ML)
def launch_workflow(request: ApiRequest, workflow_id: Id, data: WorkflowLaunchIn) -> dict[str, Any]:
    """Launch a workflow.

    Its model, job and routing cannot change afterwards. 409 `already_launched`, `unconfirmed` while a warning is not
    confirmed, or what else stands in the way.
    """
    workflow = get_workflow_or_404(workflow_id)
    with asking_to_confirm():
        services.launch(workflow=workflow, actor=request.actor, confirmed=data.confirm)
    return _predicted(request, workflow)


def _predicted(request: ApiRequest, workflow: Workflow) -> dict[str, Any]:
    """The workflow as it is now; its rows are predicted from now on."""
    tasks.predict.delay_on_commit(team_id=request.team.pk, workflow_id=workflow.pk)
    return workflow_out(get_workflow_or_404(workflow.pk))


@operation(router, "POST", "/workflows/{workflow_id}/off", answer=WorkflowOut, feature=ML)
def turn_off_workflow(request: ApiRequest, workflow_id: Id) -> dict[str, Any]:
    """Stop predicting and routing. Rows that are with people stay with them."""
    services.turn_off(workflow=get_workflow_or_404(workflow_id), actor=request.actor)
    return workflow_out(get_workflow_or_404(workflow_id))


@operation(router, "POST", "/workflows/{workflow_id}/on", answer=WorkflowOut, feature=ML)
def turn_on_workflow(request: ApiRequest, workflow_id: Id) -> dict[str, Any]:
    """Let a workflow that was turned off go on where it stopped."""
    return _predicted(request, services.turn_on(workflow=get_workflow_or_404(workflow_id), actor=request.actor))


@operation(router, "POST", "/workflows/{workflow_id}/retry", answer=RetryOut, feature=ML)
def retry_failed_rows(request: ApiRequest, workflow_id: Id) -> dict[str, Any]:
    """Let rows whose picture could not be had be tried again."""
    workflow = get_workflow_or_404(workflow_id)
    retried = services.retry_failed(workflow=workflow, actor=request.actor)
    if retried:
        tasks.predict.delay_on_commit(team_id=request.team.pk, workflow_id=workflow.pk)
    return {"retried": retried}


# --- uploads and rows ---------------------------------------------------------------------------------


def workflow_upload_out(upload: WorkflowUpload) -> dict[str, Any]:
    return {**upload_out(upload), "key_column": upload.key_column, "rows_repeated": upload.rows_repeated}


def get_upload_or_404(workflow_id: int, pk: int) -> WorkflowUpload:
    return get_object_or_404(WorkflowUpload.objects.select_related("workflow", "team"), pk=pk, workflow_id=workflow_id)


@operation(router, "POST", "/workflows/{workflow_id}/uploads", answer=WorkflowUploadOut, status=202, feature=ML)
def upload_workflow_rows(
    request: ApiRequest,
    workflow_id: Id,
    file: File[UploadedFile],
    key_column: Annotated[
        str,
        Form(
            pattern=r"^[^\x00]*$",
            max_length=100,
            description="A column that tells rows apart: rows whose value is in the workflow already are left out.",
        ),
    ] = "",
) -> dict[str, Any]:
    """Upload rows to be labeled.

    A UTF-8 CSV with the column `image_url`. A file that came before is `held` until you confirm or discard it, so
    sending a file twice adds its rows once. With a `key_column` nothing is held: only new keys are added.
    """
    workflow = get_workflow_or_404(workflow_id)
    received = services.receive_rows(
        workflow=workflow, file=checked_csv(file), actor=request.actor, key_column=key_column.strip()
    )
    if not received.held:
        tasks.read_rows.delay_on_commit(team_id=request.team.pk, upload_id=received.pk)
    return workflow_upload_out(received)


@operation(router, "GET", "/workflows/{workflow_id}/uploads", answer=Page[WorkflowUploadOut], feature=ML)
def list_workflow_uploads(
    request: ApiRequest, workflow_id: Id, limit: Limit = USUAL_ITEMS, after: After = ""
) -> dict[str, Any]:
    """List a workflow's uploads, newest first."""
    found = WorkflowUpload.objects.filter(workflow=get_workflow_or_404(workflow_id))
    page = page_by_key(found, {"after": after}, size=limit, newest_first=True)
    return page_of(page, [workflow_upload_out(upload) for upload in page.items])


@operation(router, "GET", "/workflows/{workflow_id}/uploads/{upload_id}", answer=WorkflowUploadOut, feature=ML)
def get_workflow_upload(request: ApiRequest, workflow_id: Id, upload_id: Id) -> dict[str, Any]:
    """Get an upload: how far its reading is, and the problems in it."""
    return workflow_upload_out(get_upload_or_404(workflow_id, upload_id))


@operation(router, "POST", "/workflows/{workflow_id}/uploads/{upload_id}/confirm", answer=WorkflowUploadOut,
           feature=ML)  # fmt: skip
def confirm_workflow_upload(request: ApiRequest, workflow_id: Id, upload_id: Id) -> dict[str, Any]:
    """Add the rows of a held file although the file came before."""
    upload = services.confirm_upload(upload=get_upload_or_404(workflow_id, upload_id), actor=request.actor)
    tasks.read_rows.delay_on_commit(team_id=request.team.pk, upload_id=upload.pk)
    return workflow_upload_out(upload)


@operation(router, "POST", "/workflows/{workflow_id}/uploads/{upload_id}/discard", answer=None, status=204, feature=ML)
def discard_workflow_upload(request: ApiRequest, workflow_id: Id, upload_id: Id) -> None:
    """Throw a held file away.

    409 `state` when its rows are in the workflow already.
    """
    services.discard_upload(upload=get_upload_or_404(workflow_id, upload_id), actor=request.actor)


class RowFilter(Schema):
    """Which rows: all of it has to fit."""

    status: Text = Field("", description=f"One of {STATUSES}; empty: all.")
    label: Text = Field("", description="Only rows that the model takes for this class.")
    at_least: float | None = Field(None, ge=0, le=1, description="Only rows of at least this confidence.")
    at_most: float | None = Field(None, ge=0, le=1, description="Only rows of at most this confidence.")

    @property
    def narrowed(self) -> bool:
        return bool(self.label) or self.at_least is not None or self.at_most is not None


@operation(router, "GET", "/workflows/{workflow_id}/rows", answer=Page[RowOut], feature=ML)
def list_workflow_rows(
    request: ApiRequest,
    workflow_id: Id,
    filters: Query[RowFilter],
    limit: Limit = USUAL_ITEMS,
    after: After = "",
) -> dict[str, Any]:
    """List a workflow's rows with what the model and people said.

    As uploaded; rows of a class or of some confidence come least sure first.
    """
    workflow = get_workflow_or_404(workflow_id)
    found: Rows = WorkflowRow.objects.filter(workflow=workflow)
    if filters.status:
        if filters.status not in LINES:
            raise invalid("status", f"Choose one of: {STATUSES}.")
        found = in_status(found, filters.status, workflow=workflow)
    found = in_class(found, filters.label, at_least=filters.at_least, at_most=filters.at_most)
    by = "confidence" if filters.narrowed else ""
    page = page_by_key(found.only("pk", "confidence"), {"after": after}, size=limit, by=by)
    shown = with_status(WorkflowRow.objects.select_related("upload")).in_bulk([row.pk for row in page.items])
    return page_of(page, [_row_out(shown[row.pk], workflow.outcomes) for row in page.items if row.pk in shown])


def _row_out(row: Any, outcomes: list[str]) -> dict[str, Any]:
    names = ("upload_id", "line", "key", "image_url", "status", "confidence", "unlike")
    shares = row.unit.shares if row.status == HUMAN_LABELED.key else None
    return {
        "id": row.pk,
        **{name: getattr(row, name) for name in names},
        "cells": dict(zip(row.upload.columns, row.cells, strict=False)),
        "machine": dict(zip(outcomes, row.scores, strict=False)) if row.scores else None,
        "predicted": row.predicted or None,
        "human": shares or None,
        "reason": row.error_message or row.reason or None,
    }
