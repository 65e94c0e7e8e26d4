"""Questions that several services and pages ask of the tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Count, Q, QuerySet

from .models import CustomModel, Evaluation, EvaluationRow, HoldoutPrediction, ModelVersion, TrainingImage


@dataclass(frozen=True)
class DataCount:
    """How much training data a model has."""

    rows: int = 0
    classes: int = 0


def in_use(model: CustomModel) -> QuerySet[TrainingImage]:
    """The model's pictures without those that were dropped."""
    return TrainingImage.objects.filter(model=model, dropped=False)


def class_counts(model: CustomModel) -> dict[str, int]:
    """Pictures by label, in the order of the labels."""
    rows = in_use(model).values("label").annotate(n=Count("pk")).order_by("label")
    return {row["label"]: row["n"] for row in rows}


def error_counts(model: CustomModel) -> dict[str, int]:
    """Pictures that could not be had at the last try, by label; labels without any are left out."""
    rows = in_use(model).exclude(error_code="").values("label").annotate(n=Count("pk"))
    return {row["label"]: row["n"] for row in rows.order_by("label")}


def data_counts(models: Iterable[CustomModel]) -> dict[int, DataCount]:
    """Training data of several models in one query, by model id; models without data are left out."""
    rows = (
        TrainingImage.objects.filter(model__in=list(models), dropped=False)
        .values("model_id")
        .annotate(n=Count("pk"), classes=Count("label", distinct=True))
        .order_by()
    )
    return {row["model_id"]: DataCount(row["n"], row["classes"]) for row in rows}


def latest_versions(models: Iterable[CustomModel]) -> dict[int, ModelVersion]:
    """The newest version of each model in one query, by model id."""
    newest = (
        ModelVersion.objects.filter(model__in=list(models))
        .order_by("model_id", "-number")
        .distinct("model_id")
        .defer("details")
    )
    return {version.model_id: version for version in newest}


def usable(images: QuerySet[TrainingImage]) -> QuerySet[TrainingImage]:
    """Those whose picture has been had."""
    return images.filter(error_code="").exclude(content_hash="")


def holdout_points(version: ModelVersion) -> list[tuple[str, str, float]]:
    """(label, predicted, confidence) of every held-out picture of the version."""
    points = HoldoutPrediction.objects.filter(version=version).values_list("label", "predicted", "confidence")
    return list(points.order_by("pk"))


@dataclass(frozen=True)
class EvaluationCount:
    """How far an evaluation is."""

    total: int = 0
    done: int = 0
    failed: int = 0


def evaluation_counts(evaluations: Iterable[Evaluation]) -> dict[int, EvaluationCount]:
    """Progress of several evaluations in one query, by evaluation id."""
    answered = Q(confidence__isnull=False) | ~Q(error_code="")
    rows = (
        EvaluationRow.objects.filter(evaluation__in=list(evaluations))
        .values("evaluation_id")
        .annotate(n=Count("pk"), done=Count("pk", filter=answered), failed=Count("pk", filter=~Q(error_code="")))
        .order_by()
    )
    return {row["evaluation_id"]: EvaluationCount(row["n"], row["done"], row["failed"]) for row in rows}
