"""The trained part of the local classifier: calibrated logistic regression on picture vectors.

Recipe and its measurements: reference/ml.md 3. Vectors -> square root -> unit length -> centred by the
training mean -> times sqrt(dimension). Strength of regularisation and temperature are chosen together by
the log-loss of pooled out-of-fold scores (near-duplicates in one fold); refit on everything.
"""

from __future__ import annotations

import hashlib
import io
import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from ..metrics import assign_folds
from .base import ModelNotFound

FORMAT = 2
STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
TEMPERATURES = np.geomspace(0.25, 4.0, 49)
MAX_FOLDS = 5
NEIGHBOURS = 5
MAX_REFERENCE = 2000
FALSE_ALARMS = 0.02
Step = Callable[[int, int], None]


def unit_roots(vectors: np.ndarray) -> np.ndarray:
    """Square roots of the vectors' positive part, at unit length: float32 (n, d)."""
    roots = np.sqrt(np.maximum(vectors, 0))
    lengths = np.linalg.norm(roots, axis=1, keepdims=True)
    return np.asarray(roots / np.maximum(lengths, 1e-12), np.float32)


def softmax(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


@dataclass(frozen=True)
class Head:
    """weights (k, d) and bias (k,) act on centred rows; `reference` (m, d) are unit roots of training pictures.

    Distances are measured without centring: centred, a third of made-up textures passed as clothing.
    """

    classes: tuple[str, ...]
    mean: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    temperature: float
    reference: np.ndarray
    cut: float
    details: dict[str, Any]

    def _centred(self, vectors: np.ndarray) -> np.ndarray:
        return np.asarray((unit_roots(vectors) - self.mean) * np.sqrt(len(self.mean)), np.float64)

    @cached_property
    def _columns(self) -> np.ndarray:
        """The reference (d, m) as the product wants it; kept halved in the file."""
        return np.ascontiguousarray(self.reference.astype(np.float32).T)

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """Probabilities float64 (n, k); each row sums to 1."""
        return softmax((self._centred(vectors) @ self.weights.T + self.bias) / self.temperature)

    def distances(self, vectors: np.ndarray) -> np.ndarray:
        """Mean cosine distance (n,) to the nearest training pictures: high for pictures unlike all of them."""
        near = unit_roots(vectors) @ self._columns
        count = min(NEIGHBOURS, near.shape[1])
        return np.asarray(1 - np.partition(near, -count, axis=1)[:, -count:].mean(axis=1), np.float64)

    def to_bytes(self, feature_version: str) -> bytes:
        """Plain arrays and a JSON header: nothing in the file can run. Same training, same bytes."""
        header = {
            "format": FORMAT,
            "classes": list(self.classes),
            "feature_version": feature_version,
            "temperature": self.temperature,
            "cut": self.cut,
            "libraries": {"numpy": np.__version__, "scikit-learn": sklearn.__version__},
            "details": self.details,
        }
        body = io.BytesIO()
        for array in (self.mean, self.weights, self.bias, self.reference):
            np.lib.format.write_array(body, array, allow_pickle=False)
        text = json.dumps(header, sort_keys=True).encode()
        content = len(text).to_bytes(8, "little") + text + body.getvalue()
        return b"LPHEAD1\n" + hashlib.sha256(content).digest() + content

    @classmethod
    def from_bytes(cls, data: bytes, feature_version: str) -> Head:
        """Read a head. Raises ModelNotFound when it is damaged, of another format or of another feature version."""
        content = data[40:]
        if data[:8] != b"LPHEAD1\n" or hashlib.sha256(content).digest() != data[8:40]:
            raise ModelNotFound("The model file is damaged. Train the model again.", code="artifact_damaged")
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        if header["format"] != FORMAT:
            raise ModelNotFound("The model file has an unknown format. Train the model again.", code="artifact_format")
        if header["feature_version"] != feature_version:
            # A head must never see features of another precision or preprocessing (ml.md 2).
            raise ModelNotFound(
                "The model was trained with another image embedder than the one set now. Train it again.",
                code="embedder_changed",
            )
        body = io.BytesIO(content[8 + length :])
        mean, weights, bias, reference = (np.lib.format.read_array(body, allow_pickle=False) for _ in range(4))
        return cls(
            tuple(header["classes"]),
            mean,
            weights,
            bias,
            header["temperature"],
            reference,
            header["cut"],
            header["details"],
        )


def fit_head(
    vectors: np.ndarray, labels: Sequence[str], groups: Sequence[int], classes: Sequence[str], *, seed: int, step: Step
) -> tuple[Head, np.ndarray]:
    """Train on vectors (n, d); returns the head and its out-of-fold scores (n, k).

    `step(done, total)` is told of progress and may raise to stop.
    """
    place = {label: number for number, label in enumerate(classes)}
    truth = np.array([place[label] for label in labels])
    roots = unit_roots(vectors)
    mean = roots.mean(axis=0, dtype=np.float64).astype(np.float32)
    centred = ((roots - mean) * np.sqrt(roots.shape[1])).astype(np.float32)
    reduced, basis = _reduce(centred)
    search = _Search(reduced, truth, len(classes), step)
    choice = search.choose(assign_folds(labels, groups, folds=search.folds, seed=seed))
    weights, bias = _fit(reduced, truth, len(classes), choice.strength, None)
    reference, cut = _reference(roots, np.asarray(groups), seed)
    details = {
        "strength": choice.strength,
        "temperature": round(choice.temperature, 4),
        "out_of_fold_log_loss": round(choice.loss, 5),
        "out_of_fold_accuracy": round(float((choice.logits.argmax(axis=1) == truth).mean()), 4),
        "tried": choice.tried,
        "pictures": len(truth),
        "groups": len(set(groups)),
        "cut": cut,
    }
    if len(set(groups)) < len(truth):
        # What a split that tears near-duplicates apart would have reported (ml.md 6); shown when it differs.
        apart = assign_folds(labels, range(len(labels)), folds=search.folds, seed=seed)
        torn = search.logits(apart, choice.strength, done=(len(STRENGTHS) - 1) * search.folds)
        details["torn_accuracy"] = round(float((torn.argmax(axis=1) == truth).mean()), 4)
    head = Head(
        tuple(classes), mean, (weights @ basis.T).astype(np.float32), bias.astype(np.float32),
        choice.temperature, reference, cut, details,
    )  # fmt: skip
    return head, softmax(choice.logits / choice.temperature)


def _reduce(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows in the space they span, and its basis (d, r). Exact: the L2-regularised optimum lies in that space."""
    count, dimension = rows.shape
    if count >= dimension:
        return rows, np.eye(dimension, dtype=np.float32)
    _, values, basis = np.linalg.svd(rows.astype(np.float64), full_matrices=False)
    basis = basis[values > values[0] * 1e-7].T.astype(np.float32)
    return rows @ basis, basis


Fitted = tuple[np.ndarray, np.ndarray]


def _fit(rows: np.ndarray, truth: np.ndarray, count: int, strength: float, start: Fitted | None) -> Fitted:
    """Multinomial logistic regression: weights (k, d), bias (k,). `start` warms the search up."""
    model = LogisticRegression(C=strength, max_iter=400, tol=1e-4, warm_start=start is not None)
    present = np.unique(truth)
    if start is not None and len(present) == count:
        binary = count == 2
        model.classes_ = present
        model.coef_ = (start[0][1:] if binary else start[0]).copy()
        model.intercept_ = (start[1][1:] if binary else start[1]).copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(rows, truth)
    weights = np.zeros((count, rows.shape[1]), np.float32)
    bias = np.full(count, -30.0)  # a class that this fold has no example of is given no chance
    if len(present) == 2:
        weights[present[1]] = model.coef_[0]
        bias[present[0]], bias[present[1]] = 0.0, model.intercept_[0]
    else:
        weights[present], bias[present] = model.coef_, model.intercept_
    return weights, bias


@dataclass(frozen=True)
class _Choice:
    """Strength and temperature with the least out-of-fold log-loss, and the out-of-fold logits (n, k) behind it."""

    strength: float
    temperature: float
    loss: float
    logits: np.ndarray
    tried: list[dict[str, float]]


class _Search:
    """Cross-validation over the strengths on rows (n, d) of `count` classes."""

    def __init__(self, rows: np.ndarray, truth: np.ndarray, count: int, step: Step) -> None:
        self.rows, self.truth, self.count, self.step = rows, truth, count, step
        self.folds = max(2, min(MAX_FOLDS, int(np.bincount(truth, minlength=count).min())))
        self._starts: list[Fitted | None] = [None] * self.folds

    def choose(self, fold: np.ndarray) -> _Choice:
        """Try the strengths from the strongest on; stop when the loss has risen twice in a row."""
        tried: list[dict[str, float]] = []
        best: _Choice | None = None
        worse = 0
        for number, strength in enumerate(STRENGTHS):
            logits = self.logits(fold, strength, done=number * self.folds)
            loss, temperature = _best_temperature(logits, self.truth)
            tried.append({"strength": strength, "temperature": round(temperature, 4), "log_loss": round(loss, 5)})
            if best is None or loss < best.loss:
                best, worse = _Choice(strength, temperature, loss, logits, tried), 0
            else:
                worse += 1
                if worse == 2:  # the loss falls, then rises along the strengths
                    break
        assert best is not None
        return best

    def logits(self, fold: np.ndarray, strength: float, *, done: int = 0) -> np.ndarray:
        """Logits (n, k) of every row by a classifier that was fitted without the row's fold."""
        logits = np.zeros((len(self.truth), self.count))
        for place in range(self.folds):
            self.step(done + place, len(STRENGTHS) * self.folds)
            inside = fold != place
            fitted = _fit(self.rows[inside], self.truth[inside], self.count, strength, self._starts[place])
            self._starts[place] = fitted
            logits[~inside] = self.rows[~inside] @ fitted[0].T + fitted[1]
        return logits


def _best_temperature(logits: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    rows = np.arange(len(truth))
    losses = [float(-np.log(np.maximum(softmax(logits / t)[rows, truth], 1e-15)).mean()) for t in TEMPERATURES]
    place = int(np.argmin(losses))
    return losses[place], float(TEMPERATURES[place])


def _reference(units: np.ndarray, groups: np.ndarray, seed: int) -> tuple[np.ndarray, float]:
    """Rows to measure distances to, of training rows (n, d) at unit length, and the distance that 2% of those exceed.

    Each training picture is measured against those of other groups only, as a new picture would be.
    """
    random = np.random.default_rng(seed)
    chosen = np.sort(random.permutation(len(units))[:MAX_REFERENCE])
    reference = units[chosen]
    distances = []
    for start in range(0, len(units), 512):
        near = units[start : start + 512] @ reference.T
        near[groups[start : start + 512, None] == groups[chosen][None, :]] = -1.0
        count = min(NEIGHBOURS, near.shape[1])
        distances.append(1 - np.partition(near, -count, axis=1)[:, -count:].mean(axis=1))
    return reference.astype(np.float16), float(np.quantile(np.concatenate(distances), 1 - FALSE_ALARMS))
