"""How right and how honest the classifier is: upload, train and predict through the product."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from django_scopes import scope

from labeling_platform.accounts.models import Team
from models_app.metrics import at_threshold
from models_app.models import CustomModel, HoldoutPrediction, ModelVersion

from .pictures import Picture, PictureSet, shuffled, some_of_each, stratified
from .team import make_team, new_model, train, upload_training

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def figures(version: ModelVersion) -> dict[str, Any]:
    """What a version was right about on its holdout: the figures the model page shows, and each threshold's share."""
    found = version.metrics
    rows = HoldoutPrediction.objects.filter(version=version).values_list("label", "predicted", "confidence")
    right = [label == predicted for label, predicted, _ in rows]
    at = [at_threshold(right, [sure for _, _, sure in rows], threshold) for threshold in THRESHOLDS]
    return {
        "trained": version.rows_trained,
        "measured_on": version.rows_holdout,
        **{key: _round(found[key]) for key in ("accuracy", "macro_f1", "log_loss", "ece")},
        "automated": {str(one.threshold): _round(one.automated.value) for one in at},
        "automated_accuracy": {str(one.threshold): _round(one.accuracy.value) for one in at},
    }


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _measure(team: Team, base: str, training: Sequence[Picture], measured_on: Sequence[Picture] = ()) -> dict[str, Any]:
    """Upload, train, and let the version predict what was set aside; without `measured_on` the product sets aside."""
    model = new_model(team, f"model {CustomModel.objects.count()}")
    upload_training(team, model, base, training, measured_on)
    version = train(team, model).version
    return figures(version)


def run_fixed(base: str, pictures: PictureSet, *, per_class: int | None, draws: int) -> Iterator[dict[str, Any]]:
    """The set's own test split; with `per_class`, so many training pictures a class and the mean of some draws."""
    team = make_team("fixed")
    about = {"set": pictures.name, "split": "fixed", "per_class": per_class}
    found = []
    with scope(team=team):
        for draw in range(1, draws + 1):
            training = pictures.of("train")
            chosen = some_of_each(training, per_class, draw) if per_class else shuffled(training, draw)
            found.append(_measure(team, base, chosen, pictures.of("test")))
            yield about | {"draw": draw} | found[-1]
    if draws > 1:
        yield about | {"draw": f"mean of {draws}"} | _means(found)


def run_random(base: str, pictures: PictureSet, *, splits: int, own: bool) -> Iterator[dict[str, Any]]:
    """Stratified random 80/20 splits of all pictures, and their means.

    With `own` the product sets the 20% aside itself, near-duplicates together, as it does for a user.
    """
    team = make_team("splits")
    about = {"set": pictures.name, "split": "80/20 by the product" if own else "80/20"}
    found = []
    with scope(team=team):
        for seed in range(1, splits + 1):
            rest, taken = stratified(pictures.pictures, 0.2, seed)
            everything = shuffled(pictures.pictures, seed)
            found.append(_measure(team, base, everything) if own else _measure(team, base, rest, taken))
            yield about | {"seed": seed} | found[-1]
    yield about | {"seed": f"mean of {splits}"} | _means(found)


def _means(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    keys = ("accuracy", "macro_f1", "log_loss", "ece")
    return {key: _round(float(np.mean([one[key] for one in found]))) for key in keys}
