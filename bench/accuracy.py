"""How right and how honest the classifier is: upload, train and predict through the product."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from models_app.metrics import at_threshold, evaluate
from workflows_app.models import WorkflowRow

from .pictures import Picture, PictureSet, shuffled, some_of_each, stratified
from .product import say
from .team import make_team, new_model, predict_all, train, upload_training

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def figures(rows: Sequence[WorkflowRow], pictures: Sequence[Picture], outcomes: Sequence[str]) -> dict[str, Any]:
    """Accuracy, macro-F1, log-loss, ECE (15 bins), and what each threshold automates; rows and pictures in order."""
    labels = [picture.label for picture in pictures]
    found = evaluate(labels, np.array([row.scores for row in rows]), list(outcomes))
    right = [row.predicted == label for row, label in zip(rows, labels, strict=True)]
    sure = [row.confidence or 0.0 for row in rows]
    at = [at_threshold(right, sure, threshold) for threshold in THRESHOLDS]
    return {
        "test_pictures": len(labels),
        "accuracy": _round(found.accuracy.value),
        "macro_f1": _round(found.macro_f1),
        "log_loss": _round(found.log_loss),
        "ece": _round(found.ece),
        "automated": {str(one.threshold): _round(one.automated.value) for one in at},
        "automated_accuracy": {str(one.threshold): _round(one.accuracy.value) for one in at},
    }


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _one(name: str, base: str, training: Sequence[Picture], test: Sequence[Picture]) -> dict[str, Any]:
    team = make_team(name)
    model = new_model(team, name)
    upload_training(team, model, base, training)
    version = train(team, model).version
    say(f"{name}: predicting {len(test)} pictures")
    rows = predict_all(team, model, base, test)
    own = version.metrics
    return {
        "trained": version.rows_trained,
        "held_out": version.rows_holdout,
        **figures(rows, test, version.outcomes),
        "own_holdout_accuracy": _round(own["accuracy"]),
        "own_holdout_ece": _round(own["ece"]),
        "strength": version.details["strength"],
        "temperature": version.details["temperature"],
    }


def run_fixed(base: str, pictures: PictureSet, *, per_class: int | None, shuffle: int) -> dict[str, Any]:
    """The set's own test split; `per_class` limits the training pictures."""
    training = pictures.of("train")
    training = some_of_each(training, per_class, shuffle) if per_class else shuffled(training, shuffle)
    name = f"fixed-{per_class or 'all'}-{shuffle}"
    return {"set": pictures.name, "split": "fixed", "per_class": per_class, "seed": shuffle} | _one(
        name, base, training, pictures.of("test")
    )


def run_random(base: str, pictures: PictureSet, *, splits: int) -> dict[str, Any]:
    """Means over stratified random 80/20 splits of all pictures, where the 20% are the version's own holdout.

    The product never trains on its holdout, so uploading everything is training on 80% and measuring on 20%.
    """
    team = make_team("splits")
    found = []
    for seed in range(splits):
        model = new_model(team, f"split {seed}")
        upload_training(team, model, base, shuffled(pictures.pictures, seed))
        version = train(team, model).version
        found.append(version.metrics | {"trained": version.rows_trained, "held_out": version.rows_holdout})
    means = {key: _round(float(np.mean([one[key] for one in found]))) for key in ("accuracy", "log_loss", "ece")}
    means["macro_f1"] = _round(float(np.mean([one["macro_f1"] for one in found])))
    each = [{key: _round(one[key]) for key in ("accuracy", "log_loss", "ece")} for one in found]
    sizes = {"trained": found[0]["trained"], "held_out": found[0]["held_out"]}
    return {"set": pictures.name, "split": f"80/20 x{splits}", **sizes, **means, "each": each}


def run_outside(base: str, pictures: PictureSet, *, splits: int) -> dict[str, Any]:
    """Means over stratified 80/20 splits whose 20% the product never sees; it holds out a fifth of the rest too."""
    found = []
    for seed in range(splits):
        rest, unseen = stratified(pictures.pictures, 0.2, seed)
        found.append(_one(f"outside-{seed}", base, rest, unseen))
    keys = ("accuracy", "macro_f1", "log_loss", "ece", "own_holdout_accuracy")
    means = {key: _round(float(np.mean([one[key] for one in found]))) for key in keys}
    return {"set": pictures.name, "split": f"unseen 20% x{splits}", "trained": found[0]["trained"], **means}
