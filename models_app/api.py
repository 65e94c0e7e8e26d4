"""Models and evaluations for programs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from django.shortcuts import get_object_or_404
from ninja import File, Query, Router
from ninja.files import UploadedFile
from pydantic import Field

from labeling_platform.accounts.api_access import ApiRequest, operation
from labeling_platform.accounts.models import Feature
from labeling_platform.lib.api import (
    PROBLEMS_TOLD,
    USUAL_ITEMS,
    After,
    Id,
    In,
    Limit,
    Page,
    Problem,
    Schema,
    Text,
    UploadOut,
    checked_csv,
    example,
    page_of,
    upload_out,
)
from labeling_platform.lib.errors import Refused
from labeling_platform.lib.paging import page_by_key

from . import services, tasks
from .models import CustomModel, Evaluation, EvaluationRow, ModelVersion, TrainingUpload
from .querysets import DataCount, EvaluationCount, data_counts, evaluation_counts, latest_versions

ML = Feature.ML_ASSISTED_LABELING
Number = Annotated[int, Field(ge=1, le=2**31 - 1)]
router = Router(tags=["Models"])
evaluations = Router(tags=["Evaluations"])


class ModelIn(In):
    model_config = example(name="Footwear")

    name: Text = Field(description="At most 150 characters, once in the team.", examples=["Footwear"])
    connection_id: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = Field(
        default=None,
        description="A connection of the team (its page Connections) on whose service the model is trained and asked. "
        "null: on this platform.",
    )


class ClassFigures(Schema):
    label: str
    count: int = Field(description="Held-out pictures of this class.")
    precision: float | None
    recall: float | None


class Accuracy(Schema):
    """Measured on the holdout: pictures that were never trained on."""

    share: float | None = Field(description="Share of the held-out pictures that the version got right.")
    low: float | None = Field(description="Lower end of the 95% interval.")
    high: float | None
    classes: list[ClassFigures]


class VersionOut(Schema):
    """One training of a model, and what came of it. Ask again until `state` is ready, failed or canceled."""

    number: int
    state: str = Field(description="queued, training, ready, failed or canceled", examples=["ready"])
    stage: str = Field(description="What a running training does: fetching, fitting, measuring.")
    outcomes: list[str] = Field(description="The classes, in the order of all scores.")
    accuracy: Accuracy | None = Field(description="null until the version is ready.")
    rows_trained: int
    rows_holdout: int
    images_failed: int = Field(description="Pictures that could not be had.")
    error: str = Field(description="Why the training failed.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class TrainingData(Schema):
    rows: int
    classes: int


class ModelOut(Schema):
    id: int
    name: str
    backend: str = Field(description="local, or watson for a model on a connection")
    connection_id: int | None
    training_data: TrainingData
    current_version: int | None = Field(description="Number of the version in service; null: not trained yet.")
    outcomes: list[str] = Field(description="Classes of the version in service.")
    latest_state: str | None = Field(description="State of the newest training; null: none was started.")
    created_at: datetime


class EvaluationOut(Schema):
    """At most 100 unlabelled pictures that one version predicts. Ask again until `prediction_state` is done."""

    id: int
    model_id: int
    version: int
    file_state: str = Field(description="received, reading, ready, refused or canceled")
    prediction_state: str = Field(description="waiting, predicting, done or failed")
    refusal: str = Field(description="Why the file was refused.")
    problems: list[Problem]
    error: str = Field(description="Why the predictions failed.")
    rows: int
    rows_done: int
    rows_failed: int
    created_at: datetime


class EvaluationRowOut(Schema):
    id: int
    line: int
    image_url: str
    predicted: str | None
    confidence: float | None
    scores: dict[str, float] | None = Field(description="Confidence by class.")
    unlike: bool = Field(description="Unlike anything that the model was trained on.")
    error: str | None


def get_model_or_404(pk: int) -> CustomModel:
    return get_object_or_404(CustomModel.objects.select_related("current", "team"), pk=pk)


def model_out(
    model: CustomModel, counts: Mapping[int, DataCount], latest: Mapping[int, ModelVersion]
) -> dict[str, Any]:
    """A model with what is known of several at once."""
    data, newest = counts.get(model.pk, DataCount()), latest.get(model.pk)
    return {
        "id": model.pk,
        "name": model.name,
        "backend": model.backend,
        "connection_id": model.connection_id,
        "training_data": {"rows": data.rows, "classes": data.classes},
        "current_version": model.current.number if model.current else None,
        "outcomes": model.current.outcomes if model.current else [],
        "latest_state": newest.state if newest else None,
        "created_at": model.created_at,
    }


def version_out(version: ModelVersion) -> dict[str, Any]:
    names = ("number", "state", "stage", "outcomes", "rows_trained", "rows_holdout", "images_failed", "error")
    dates = ("created_at", "started_at", "finished_at")
    figures = version.metrics
    found = {name: getattr(version, name) for name in (*names, *dates)}
    found["accuracy"] = figures and {
        "share": figures.get("accuracy"),
        "low": figures.get("accuracy_low"),
        "high": figures.get("accuracy_high"),
        "classes": [
            {"label": row["label"], "count": row["support"], "precision": row["precision"], "recall": row["recall"]}
            for row in figures.get("per_class", [])
        ],
    }
    return found | {"accuracy": found["accuracy"] or None}


@operation(router, "GET", "/models", answer=Page[ModelOut], feature=ML)
def list_models(request: ApiRequest, limit: Limit = USUAL_ITEMS, after: After = "") -> dict[str, Any]:
    """List the team's models, newest first."""
    found = CustomModel.objects.select_related("current")
    page = page_by_key(found, {"after": after}, size=limit, newest_first=True)
    counts, latest = data_counts(page.items), latest_versions(page.items)
    return page_of(page, [model_out(model, counts, latest) for model in page.items])


@operation(router, "POST", "/models", answer=ModelOut, status=201, feature=ML,
           fields={"name_missing": "name", "name_too_long": "name", "connection": "connection_id"})  # fmt: skip
def create_model(request: ApiRequest, data: ModelIn) -> dict[str, Any]:
    """Make an empty model.

    409 `name_taken` when the team has one of that name.
    """
    connection = None
    if data.connection_id is not None:
        usable = {one.pk: one for one in services.choosable_connections(request.team)}
        connection = usable.get(data.connection_id)
        if connection is None:
            raise Refused("Choose one of the connections that your team may use.", code="connection")
    model = services.create_model(team=request.team, name=data.name, actor=request.actor, connection=connection)
    return model_out(model, {}, {})


@operation(router, "GET", "/models/{model_id}", answer=ModelOut, feature=ML)
def get_model(request: ApiRequest, model_id: Id) -> dict[str, Any]:
    """Get one model."""
    model = get_model_or_404(model_id)
    return model_out(model, data_counts([model]), latest_versions([model]))


@operation(router, "POST", "/models/{model_id}/uploads", answer=UploadOut, status=202, feature=ML)
def upload_training_data(request: ApiRequest, model_id: Id, file: File[UploadedFile]) -> dict[str, Any]:
    """Upload training data.

    A UTF-8 CSV with the columns `image_url` and `label`. It is read in the background; pictures that the model has
    already are not added again, so sending a file twice does no harm.
    """
    model = get_model_or_404(model_id)
    received = services.receive_training(model=model, file=checked_csv(file), actor=request.actor)
    tasks.read_training.delay_on_commit(team_id=request.team.pk, upload_id=received.pk)
    return upload_out(received)


@operation(router, "GET", "/models/{model_id}/uploads/{upload_id}", answer=UploadOut, feature=ML)
def get_training_upload(request: ApiRequest, model_id: Id, upload_id: Id) -> dict[str, Any]:
    """Get an upload of training data, with the problems in it."""
    return upload_out(get_object_or_404(TrainingUpload, pk=upload_id, model_id=model_id))


@operation(router, "POST", "/models/{model_id}/versions", answer=VersionOut, status=202, feature=ML)
def start_training(request: ApiRequest, model_id: Id) -> dict[str, Any]:
    """Start a training on all the data that the model has.

    409 `no_data`, `not_enough_data`, `still_reading` or `already_training` when it cannot start.
    """
    version = services.start_training(model=get_model_or_404(model_id), actor=request.actor)
    tasks.train.delay_on_commit(team_id=request.team.pk, version_id=version.pk)
    return version_out(version)


@operation(router, "GET", "/models/{model_id}/versions", answer=Page[VersionOut], feature=ML)
def list_versions(request: ApiRequest, model_id: Id, limit: Limit = USUAL_ITEMS, after: After = "") -> dict[str, Any]:
    """List a model's versions with their accuracy, newest first."""
    found = ModelVersion.objects.filter(model=get_model_or_404(model_id)).defer("details")
    page = page_by_key(found, {"after": after}, size=limit, newest_first=True)
    return page_of(page, [version_out(version) for version in page.items])


def _version(model_id: int, number: int) -> ModelVersion:
    found = ModelVersion.objects.select_related("model", "team").defer("details")
    return get_object_or_404(found, model_id=model_id, number=number)


@operation(router, "GET", "/models/{model_id}/versions/{number}", answer=VersionOut, feature=ML)
def get_version(request: ApiRequest, model_id: Id, number: Number) -> dict[str, Any]:
    """Get a version: how far its training is, its accuracy."""
    return version_out(_version(model_id, number))


@operation(router, "POST", "/models/{model_id}/versions/{number}/cancel", answer=VersionOut, feature=ML)
def cancel_training(request: ApiRequest, model_id: Id, number: Number) -> dict[str, Any]:
    """Cancel a training that waits or runs. One that is over stays as it is."""
    services.cancel_training(version=_version(model_id, number), actor=request.actor)
    return version_out(_version(model_id, number))


# --- evaluations --------------------------------------------------------------------------------------


def evaluation_out(evaluation: Evaluation, counts: Mapping[int, EvaluationCount]) -> dict[str, Any]:
    count = counts.get(evaluation.pk, EvaluationCount())
    return {
        "id": evaluation.pk,
        "model_id": evaluation.model_id,
        "version": evaluation.version.number,
        "file_state": evaluation.state,
        "prediction_state": evaluation.prediction_state,
        "refusal": evaluation.refusal,
        "problems": evaluation.problems[:PROBLEMS_TOLD],
        "error": evaluation.error,
        "rows": count.total,
        "rows_done": count.done,
        "rows_failed": count.failed,
        "created_at": evaluation.created_at,
    }


def get_evaluation_or_404(model_id: int, pk: int) -> Evaluation:
    return get_object_or_404(Evaluation.objects.select_related("version"), pk=pk, model_id=model_id)


@operation(evaluations, "POST", "/models/{model_id}/evaluations", answer=EvaluationOut, status=202, feature=ML)
def create_evaluation(request: ApiRequest, model_id: Id, file: File[UploadedFile]) -> dict[str, Any]:
    """Let the version in service predict a CSV of pictures.

    A UTF-8 CSV with the column `image_url`, at most 100 rows. 409 `not_trained` without a trained version.
    """
    model = get_model_or_404(model_id)
    found = services.receive_evaluation(model=model, file=checked_csv(file), actor=request.actor)
    tasks.evaluate.delay_on_commit(team_id=request.team.pk, evaluation_id=found.pk)
    return evaluation_out(found, {})


@operation(evaluations, "GET", "/models/{model_id}/evaluations", answer=Page[EvaluationOut], feature=ML)
def list_evaluations(
    request: ApiRequest, model_id: Id, limit: Limit = USUAL_ITEMS, after: After = ""
) -> dict[str, Any]:
    """List a model's evaluations, newest first."""
    found = Evaluation.objects.filter(model=get_model_or_404(model_id)).select_related("version")
    page = page_by_key(found, {"after": after}, size=limit, newest_first=True)
    counts = evaluation_counts(page.items)
    return page_of(page, [evaluation_out(one, counts) for one in page.items])


@operation(evaluations, "GET", "/models/{model_id}/evaluations/{evaluation_id}", answer=EvaluationOut, feature=ML)
def get_evaluation(request: ApiRequest, model_id: Id, evaluation_id: Id) -> dict[str, Any]:
    """Get an evaluation: how far it is, and what was wrong with its file."""
    found = get_evaluation_or_404(model_id, evaluation_id)
    return evaluation_out(found, evaluation_counts([found]))


@operation(evaluations, "GET", "/models/{model_id}/evaluations/{evaluation_id}/rows",
           answer=Page[EvaluationRowOut], feature=ML)  # fmt: skip
def list_evaluation_rows(
    request: ApiRequest,
    model_id: Id,
    evaluation_id: Id,
    limit: Limit = USUAL_ITEMS,
    after: After = "",
    label: Annotated[Text, Field(description="Only rows predicted as this class.")] = "",
    at_least: Annotated[float, Query(ge=0, le=1, description="Only rows of at least this confidence.")] = 0.0,
) -> dict[str, Any]:
    """List an evaluation's rows with their predictions, as uploaded."""
    evaluation = get_evaluation_or_404(model_id, evaluation_id)
    found = EvaluationRow.objects.filter(evaluation=evaluation)
    if label:
        found = found.filter(predicted=label)
    if at_least > 0:
        found = found.filter(confidence__gte=at_least)
    page = page_by_key(found, {"after": after}, size=limit)
    return page_of(page, [_row_out(row, evaluation.version.outcomes) for row in page.items])


def _row_out(row: EvaluationRow, outcomes: list[str]) -> dict[str, Any]:
    return {
        "id": row.pk,
        "line": row.line,
        "image_url": row.image_url,
        "predicted": row.predicted or None,
        "confidence": row.confidence,
        "scores": dict(zip(outcomes, row.scores, strict=False)) if row.scores else None,
        "unlike": row.unlike,
        "error": row.error_message or row.error_code or None,
    }
