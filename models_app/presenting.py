"""What pages of models show, prepared so that templates only have to write it down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from labeling_platform.accounts.permissions import EDIT
from labeling_platform.accounts.tenancy import TeamRequest

from .models import CustomModel, ModelVersion
from .querysets import DataCount, data_counts, latest_versions
from .states import VersionState


def page_context(request: TeamRequest, model: CustomModel, tab: str) -> dict[str, Any]:
    """What every page of one model needs: the model, its tabs, and whether the member may change it."""

    def at(name: str) -> str:
        return reverse(f"models:{name}", kwargs={"team_slug": request.team.slug, "pk": model.pk})

    tabs = [
        {"label": "Train", "url": at("detail"), "active": tab == "train", "icon": "school"},
        {"label": "Evaluate", "url": at("evaluate"), "active": tab == "evaluate", "icon": "target"},
        {"label": "Pictures", "url": at("images"), "active": tab == "images", "icon": "photo"},
    ]
    return {"model": model, "tabs": tabs, "can_edit": request.membership.may(EDIT)}


@dataclass(frozen=True)
class ModelCard:
    """One model in the list. `state` is what it does now: its running or newest training, or no data yet."""

    model: CustomModel
    data: DataCount
    latest: ModelVersion | None
    accuracy: float | None
    workflow: Any

    @property
    def state(self) -> tuple[str, str]:
        """(label, colour) of the badge."""
        if self.latest is not None and (not self.latest.is_final or self.model.current is None):
            return str(self.latest.status.label), self.latest.status.color
        if self.model.current is not None:
            return str(VersionState.READY.label), VersionState.READY.color
        return ("Not trained yet", "secondary") if self.data.rows else ("No data yet", "secondary")


def model_cards(models: list[CustomModel]) -> list[ModelCard]:
    """Cards for a page of models, which come with `current` and `workflow` selected: two more queries for all."""
    counts, latest = data_counts(models), latest_versions(models)
    return [
        ModelCard(
            model=model,
            data=counts.get(model.pk, DataCount()),
            latest=latest.get(model.pk),
            accuracy=model.current.metrics.get("accuracy") if model.current else None,
            workflow=getattr(model, "workflow", None),
        )
        for model in models
    ]


def class_bars(counts: dict[str, int], errors: dict[str, int]) -> list[tuple[str, int, str, str]]:
    """For {% bars %}: (label, pictures, note on those that could not be had, colour of what is advised)."""
    return [
        (label, count, f"{errors[label]} could not be had" if label in errors else "", _color(count))
        for label, count in counts.items()
    ]


def _color(count: int) -> str:
    if count < 10:
        return "red"
    return "yellow" if count < 50 else "green"
