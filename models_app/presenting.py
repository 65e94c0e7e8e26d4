"""What pages of models show, prepared so that templates only have to write it down."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

from django.urls import reverse

from labeling_platform.accounts.permissions import EDIT
from labeling_platform.accounts.tenancy import TeamRequest

from .models import CustomModel, ModelVersion
from .querysets import DataCount, data_counts, holdout_points, latest_versions
from .services import News
from .states import VersionState


def page_context(request: TeamRequest, model: CustomModel, tab: str) -> dict[str, Any]:
    """What every page of one model needs: the model, its tabs, and whether the member may change it."""

    def at(name: str) -> str:
        return reverse(f"models:{name}", kwargs={"team_slug": request.team.slug, "pk": model.pk})

    tabs = [
        {"label": "Train", "url": at("detail"), "active": tab == "train", "icon": "school"},
        {"label": "Threshold", "url": at("threshold"), "active": tab == "threshold", "icon": "adjustments"},
        {"label": "Evaluate", "url": at("evaluate"), "active": tab == "evaluate", "icon": "target"},
        {"label": "Check data", "url": at("care"), "active": tab == "care", "icon": "tags"},
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


def training_steps(version: ModelVersion) -> list[dict[str, Any]]:
    """The stages of a training that waits or runs, for progress bars: label, value, max, detail."""
    total, stage, done = version.total, version.stage, version.done
    if version.remote_token:
        return _steps_elsewhere(version)
    if version.state == VersionState.QUEUED:
        return [{"label": "Waiting for a free worker", "value": 0, "max": 0, "detail": ""}]
    reading = stage in {"", "fetching"}
    fetched = int(version.details.get("fetched", 0))
    embedded = int(version.details.get("embedded", 0))
    steps = [
        {"label": "Pictures fetched", "value": fetched if reading else 1, "max": total if reading else 1},
        {"label": "Pictures embedded", "value": embedded if reading else 1, "max": total if reading else 1},
        {"label": "Classifier fitted", "value": done if stage == "fitting" else int(stage == "measuring")},
        {"label": "Measured on the holdout", "value": done if stage == "measuring" else 0},
    ]
    steps[2]["max"] = total if stage == "fitting" else 1
    steps[3]["max"] = total if stage == "measuring" else 1
    for step, begun in zip(steps, (True, True, stage in {"fitting", "measuring"}, stage == "measuring"), strict=True):
        step["detail"] = _step_detail(step, begun)
    return steps


def _steps_elsewhere(version: ModelVersion) -> list[dict[str, Any]]:
    """A training on a service elsewhere, once it was sent or is being sent."""
    queued, trained = version.state == VersionState.QUEUED, version.stage == "measuring"
    if not version.ref:
        detail = "no answer yet, it will be tried again" if queued else "sending"
        return [{"label": f"Sent to {version.connection}", "value": 0, "max": 0, "detail": detail}]
    done: dict[str, Any] = {"value": 1, "max": 1, "detail": "done"}
    waiting = {"value": 0, "max": 0, "detail": "waiting for a free worker" if queued else "working"}
    measuring = {"value": version.done, "max": version.total or 1, "detail": f"{version.done:,} of {version.total:,}"}
    return [
        {"label": f"Sent to {version.connection}", **done},
        {"label": "Trained on the service", **(done if trained else waiting)},
        {
            "label": "Measured on the holdout",
            **(measuring if trained else {"value": 0, "max": 1, "detail": "not begun"}),
        },
    ]


def _step_detail(step: dict[str, Any], begun: bool) -> str:
    if not begun:
        return "not begun"
    if not step["max"]:
        return "working"
    if step["max"] == 1:
        return "done" if step["value"] else "working"
    return f"{step['value']:,} of {step['max']:,}"


MISTAKES_SHOWN = 8
HISTOGRAM_BINS = 20
TORN_MATTERS = 0.02
"""Above this difference the accuracy that a split without regard to near-duplicates reports is shown too."""


def version_result(version: ModelVersion) -> dict[str, Any] | None:
    """Figures of a trained version for _result.html; None when it has none. One query."""
    figures = version.metrics
    if not figures:
        return None
    right_or_wrong = [(sure, label == predicted) for label, predicted, sure in holdout_points(version)]
    labels, matrix = figures["classes"], figures["confusion"]
    mistakes = [
        {"label": labels[i], "predicted": labels[j], "count": count}
        for i, row in enumerate(matrix)
        for j, count in enumerate(row)
        if i != j and count
    ]
    low, high = figures["accuracy_low"], figures["accuracy_high"]
    return {
        **figures,
        "interval": f"between {low:.1%} and {high:.1%} (95% interval)"
        if figures["accuracy"] is not None
        else "no holdout",
        "left_out": _left_out(version.images_failed),
        "subtitle": f"Measured on the {version.rows_holdout:,} pictures of the holdout."
        if version.rows_holdout
        else "No picture was set aside, so nothing is measured.",
        "mistakes": sorted(mistakes, key=lambda mistake: -mistake["count"])[:MISTAKES_SHOWN],
        "points": [(bin_["confidence"], bin_["accuracy"], bin_["count"]) for bin_ in figures["reliability"]],
        "right_wrong": confidence_bins(right_or_wrong),
        "torn": torn_words(version.details),
        "notes": _notes(version),
    }


def confidence_bins(points: list[tuple[float, bool]]) -> list[tuple[float, float, int, int]]:
    """(low, high, right, wrong) in equal bins of confidence; a confidence on an edge counts below it."""
    found = [[0, 0] for _ in range(HISTOGRAM_BINS)]
    for confidence, right in points:
        place = min(max(ceil(confidence * HISTOGRAM_BINS) - 1, 0), HISTOGRAM_BINS - 1)
        found[place][0 if right else 1] += 1
    return [
        (place / HISTOGRAM_BINS, (place + 1) / HISTOGRAM_BINS, right, wrong)
        for place, (right, wrong) in enumerate(found)
    ]


def torn_words(details: dict[str, Any]) -> str:
    """Both accuracies when near-duplicate pictures on both sides of a split would flatter the model; else empty."""
    honest, torn = details.get("out_of_fold_accuracy"), details.get("torn_accuracy")
    if honest is None or torn is None or torn - honest <= TORN_MATTERS:
        return ""
    return (
        f"Many training pictures are near-duplicates, such as shots of one thing from one session. Kept on one side "
        f"of every split, as here, the model is right on {honest:.1%} of the pictures in cross-validation; a split "
        f"that tears them apart would claim {torn:.1%}. Expect the lower figure on pictures from a new session."
    )


def _left_out(failed: int) -> str:
    if not failed:
        return "every picture could be had"
    return f"{failed:,} picture{'s' if failed > 1 else ''} could not be had"


def _notes(version: ModelVersion) -> list[str]:
    if not version.rows_holdout:
        words = "Every picture was trained on: so it is with pictures that came through the API for Watson clients."
        if (share := version.details.get("out_of_fold_accuracy")) is not None:
            words += f" In cross-validation on them the model was right on {share:.1%}."
        return [words]
    if version.rows_holdout < 50:
        few = f"The holdout has only {version.rows_holdout:,} pictures, so these figures are rough: "
        return [few + "more training data makes them firmer."]
    return []


def news_words(news: News) -> str:
    """What is new since the last training, in words: 3 pictures added, 1 label changed."""
    parts = [
        (news.added, "picture added", "pictures added"),
        (news.relabeled, "label changed", "labels changed"),
        (news.dropped, "picture dropped", "pictures dropped"),
        (news.restored, "picture taken back", "pictures taken back"),
    ]
    return ", ".join(f"{count:,} {one if count == 1 else many}" for count, one, many in parts if count)


def train_note(reading: bool, refused: bool, news: News, trained: bool) -> str:
    """What stands beside Begin Training."""
    if reading:
        return "A file is still being read; wait until it is ready."
    if refused:
        return "The reasons above stand in the way."
    if not trained:
        return "20% of the pictures are set aside to measure the accuracy."
    if news:
        return f"Since the last training: {news_words(news)}. Training makes a new version."
    return "Nothing is new since the last training."
