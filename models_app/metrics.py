"""The one place where splits are made and accuracy is measured. Pure: numpy in, plain values out.

Labels are strings, scores are (n, k) rows of confidences in the order of `classes`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

HOLDOUT_SHARE = 0.2
BINS = 15
SMALLEST_PROBABILITY = 1e-15


# --- splitting ------------------------------------------------------------------------------------------


def _groups_by_label(labels: Sequence[str], groups: Sequence[int]) -> dict[str, list[list[int]]]:
    """Row numbers by label (the group's most frequent one), one list for each group."""
    members: dict[int, list[int]] = defaultdict(list)
    for row, group in enumerate(groups):
        members[group].append(row)
    found: dict[str, list[list[int]]] = defaultdict(list)
    for rows in members.values():
        names = [labels[row] for row in rows]
        found[max(sorted(set(names)), key=names.count)].append(rows)
    return found


def split_holdout(
    labels: Sequence[str], groups: Sequence[int], *, seed: int, already: Sequence[bool | None]
) -> list[bool]:
    """Which rows are held out: stratified, about 20% of each label, whole groups only (design 6.5).

    `already` is what earlier trainings decided (None: new): a row once held out stays held out, a row once
    trained on is never held out, and a new row follows its group's earlier decision. A label with at least
    five groups gets at least one held out.
    """
    chosen: list[bool | None] = list(already)
    random = np.random.default_rng(seed)
    by_label = _groups_by_label(labels, groups)
    for label in sorted(by_label):
        clusters = by_label[label]
        free = []
        held = 0
        for rows in clusters:
            known = [chosen[row] for row in rows if chosen[row] is not None]
            if known:
                # A group that stands on both sides since before stays so; its new rows go to training.
                follow = all(known)
                for row in rows:
                    if chosen[row] is None:
                        chosen[row] = follow
                held += sum(bool(chosen[row]) for row in rows)
            else:
                free.append(rows)
        total = sum(len(rows) for rows in clusters)
        wanted = round(total * HOLDOUT_SHARE)
        if wanted == 0 and len(clusters) >= 5:
            wanted = 1
        order = [free[place] for place in random.permutation(len(free))]
        for rows in order:
            take = held < wanted and (held + len(rows) <= wanted + max(1, round(total * 0.05)))
            for row in rows:
                chosen[row] = take
            held += len(rows) if take else 0
    return [bool(value) for value in chosen]


def assign_folds(labels: Sequence[str], groups: Sequence[int], *, folds: int, seed: int) -> np.ndarray:
    """A fold number (int array of n) for each row: stratified, whole groups only, sizes as even as groups allow."""
    random = np.random.default_rng(seed)
    result = np.zeros(len(labels), np.int64)
    by_label = _groups_by_label(labels, groups)
    for start, label in enumerate(sorted(by_label)):
        clusters = by_label[label]
        sizes = np.zeros(folds)
        order = sorted(random.permutation(len(clusters)).tolist(), key=lambda place: -len(clusters[place]))
        for place in order:
            fold = int(np.argmin(np.roll(sizes, -start)) + start) % folds
            sizes[fold] += len(clusters[place])
            result[clusters[place]] = fold
    return result


# --- measuring ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Share:
    """`hits` of `count`, with the 95% Wilson interval. value is None when nothing was counted."""

    hits: int
    count: int
    value: float | None
    low: float
    high: float


def wilson(hits: int, count: int, z: float = 1.959964) -> Share:
    """Share with its Wilson score interval (E. B. Wilson, 1927)."""
    if count == 0:
        return Share(0, 0, None, 0.0, 1.0)
    share = hits / count
    return Share(hits, count, share, *_wilson(share, count, z))


def _wilson(share: float, count: float, z: float = 1.959964) -> tuple[float, float]:
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    reach = z * np.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return max(0.0, float(middle - reach)), min(1.0, float(middle + reach))


def wilson_of_groups(hits: int, count: int, groups: float) -> tuple[float, float]:
    """The 95% Wilson interval of a share whose pictures come in `groups` of near-duplicates.

    Shots of one thing are right or wrong together, so only the groups are independent witnesses.
    """
    return _wilson(hits / count, groups) if count and groups else (0.0, 1.0)


@dataclass(frozen=True)
class ClassFigures:
    """Of one class: how much of what was called so is so (precision), how much of it was found (recall)."""

    label: str
    support: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class Bin:
    """Rows with a confidence in (low, high]: how many, how sure on average, how many right."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Evaluation:
    """Everything measured on a holdout. confusion[i][j]: rows of class i that were called class j."""

    classes: list[str]
    accuracy: Share
    macro_f1: float
    log_loss: float
    ece: float
    per_class: list[ClassFigures]
    confusion: list[list[int]]
    reliability: list[Bin]
    baseline: float

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def confusion_matrix(truth: np.ndarray, predicted: np.ndarray, count: int) -> np.ndarray:
    """(k, k) counts; truth and predicted are class numbers."""
    matrix = np.zeros((count, count), np.int64)
    np.add.at(matrix, (truth, predicted), 1)
    return matrix


def reliability(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> list[Bin]:
    """Equal-width bins of confidence; empty ones are left out."""
    edges = np.linspace(0, 1, bins + 1)
    places = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    found = []
    for place in range(bins):
        inside = places == place
        if inside.any():
            mean, share = float(confidence[inside].mean()), float(right[inside].mean())
            found.append(Bin(float(edges[place]), float(edges[place + 1]), int(inside.sum()), mean, share))
    return found


def expected_calibration_error(bins: Sequence[Bin]) -> float:
    """Mean distance between confidence and accuracy over the bins, weighted by rows (Naeini et al., 2015)."""
    total = sum(bin_.count for bin_ in bins)
    return sum(bin_.count * abs(bin_.confidence - bin_.accuracy) for bin_ in bins) / total if total else 0.0


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _class_figures(matrix: np.ndarray, classes: Sequence[str]) -> list[ClassFigures]:
    figures = []
    for place, label in enumerate(classes):
        hits, support, called = int(matrix[place, place]), int(matrix[place].sum()), int(matrix[:, place].sum())
        f1 = _ratio(2 * hits, support + called)
        figures.append(ClassFigures(label, support, _ratio(hits, called), _ratio(hits, support), f1))
    return figures


def evaluate(labels: Sequence[str], scores: np.ndarray, classes: Sequence[str]) -> Evaluation:
    """Measure predictions against the truth. Raises ValueError when a label is not one of `classes`."""
    place = {label: number for number, label in enumerate(classes)}
    if unknown := sorted(set(labels) - set(place)):
        raise ValueError(f"labels that are no class: {', '.join(unknown)}")
    truth = np.array([place[label] for label in labels], np.int64)
    scores = np.asarray(scores, np.float64).reshape(len(labels), len(classes))
    predicted, confidence = scores.argmax(axis=1), scores.max(axis=1, initial=0.0)
    right = predicted == truth
    matrix = confusion_matrix(truth, predicted, len(classes))
    figures = _class_figures(matrix, classes)
    bins = reliability(confidence, right)
    given = scores[np.arange(len(truth)), truth] if len(truth) else np.ones(1)
    return Evaluation(
        classes=list(classes),
        accuracy=wilson(int(right.sum()), len(truth)),
        macro_f1=float(np.mean([figure.f1 or 0.0 for figure in figures if figure.support] or [0.0])),
        log_loss=float(-np.log(np.maximum(given, SMALLEST_PROBABILITY)).mean()),
        ece=expected_calibration_error(bins),
        per_class=figures,
        confusion=matrix.tolist(),
        reliability=bins,
        baseline=float(matrix.sum(axis=1).max(initial=0) / max(len(truth), 1)),
    )


def accuracy_at(
    labels: Sequence[str],
    predicted: Sequence[str],
    confidences: Sequence[float],
    *,
    label: str = "",
    minimum: float = 0.0,
) -> Share:
    """Of the rows predicted as `label` ("" = any) with at least `minimum` confidence: how many are right."""
    rows = [
        truth == guess
        for truth, guess, confidence in zip(labels, predicted, confidences, strict=True)
        if confidence >= minimum and label in {"", guess}
    ]
    return wilson(sum(rows), len(rows))


@dataclass(frozen=True)
class ThresholdFigures:
    """At one threshold: rows the model keeps (automated) of all, and how many of those are right."""

    threshold: float
    automated: Share
    accuracy: Share


def at_threshold(right: Sequence[bool], confidences: Sequence[float], threshold: float) -> ThresholdFigures:
    """A row is automated if and only if its confidence is at least the threshold (design 6.2)."""
    kept = [hit for hit, confidence in zip(right, confidences, strict=True) if confidence >= threshold]
    return ThresholdFigures(threshold, wilson(len(kept), len(right)), wilson(sum(kept), len(kept)))
