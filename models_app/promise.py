"""The threshold chosen with evidence: what a threshold would automate, and which one keeps a promise. Pure.

A promise is "at least so many of the automated rows are right". The smallest threshold whose *point estimate*
reaches 95% misses it in nearly half of the cases on new pictures (reference/ml.md 4), because the threshold was
picked by looking. So the bound here holds for all thresholds at once.

How: the correct ones among n automated pictures are Binomial(n, p), and the Clopper-Pearson bound at level d is
exact for one threshold named in advance. Walking from a strict threshold to looser ones and stopping at the first
that fails costs nothing more (fixed-sequence testing; Angelopoulos et al., "Learn then Test", 2021). Because a
very strict threshold leaves too few pictures to prove anything, walks begin where half of the pictures are
automated (most of the error is spent there) and, for models that are right on few, at a quarter. Near-duplicates
are not independent witnesses: n counts their groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ERROR = 0.05
STARTS = ((0.5, 0.8), (0.25, 0.2))  # (share of the pictures a walk begins at, its part of the error)
STEP = 0.005
LOWEST = 0.505


@dataclass(frozen=True)
class Candidate:
    """A threshold on the held-out pictures: how many it automates, how many of those are right.

    `bound` is the accuracy that the automated share reaches with 95% certainty, for all candidates at once;
    0 where nothing can be proven.
    """

    threshold: float
    automated: int
    correct: int
    bound: float


def lower_bound(correct: float, count: float, error: float) -> float:
    """Clopper-Pearson: the share that is exceeded with certainty 1 - error. Counts need not be whole numbers.

    A quantile of the beta distribution, which `scipy.stats` has by that name.
    """
    from scipy.special import betaincinv  # here: scipy takes long to import, scipy.stats a second

    if correct <= 0 or count <= 0:
        return 0.0
    return float(betaincinv(correct, count - correct + 1, error))


def candidates(
    confidences: Sequence[float],
    right: Sequence[bool],
    groups: Sequence[int] | None = None,
    *,
    automatable: Sequence[bool] | None = None,
    error: float = ERROR,
) -> list[Candidate]:
    """Every threshold from LOWEST to 1 in steps of STEP, strictest last, with its simultaneous bound.

    All arguments have one entry a held-out picture; `groups` numbers near-duplicates (None: all distinct);
    `automatable` is False for those that go to people whatever their confidence.
    """
    sure = np.asarray(confidences, np.float64)
    hits = np.asarray(right, bool)
    own = np.arange(len(sure)) if groups is None else np.asarray(groups)
    eligible = np.ones(len(sure), bool) if automatable is None else np.asarray(automatable, bool)
    thresholds = [round(float(step), 3) for step in np.arange(LOWEST, 1 + STEP / 2, STEP)]
    counted = [_count(sure, hits, own, eligible, threshold) for threshold in thresholds]
    bounds = np.zeros(len(thresholds))
    for share, part in STARTS:
        start = _place_of_share([count for count, _, _ in counted], share * len(sure))
        running = 1.0
        for place in range(start, -1, -1):
            count, correct, witnesses = counted[place]
            scale = witnesses / count if count else 0.0
            running = min(running, lower_bound(correct * scale, witnesses, error * part))
            bounds[place] = max(bounds[place], running)
    return [
        Candidate(threshold, count, correct, float(bound))
        for threshold, (count, correct, _), bound in zip(thresholds, counted, bounds, strict=True)
    ]


def _count(
    sure: np.ndarray, hits: np.ndarray, own: np.ndarray, eligible: np.ndarray, threshold: float
) -> tuple[int, int, int]:
    """Automated pictures, the right ones of them, and how many different groups they are."""
    kept = eligible & (sure >= threshold)
    return int(kept.sum()), int(hits[kept].sum()), len(np.unique(own[kept]))


def _place_of_share(counts: Sequence[int], wanted: float) -> int:
    """The strictest threshold that still automates `wanted` pictures; the loosest one when none does."""
    places = [place for place, count in enumerate(counts) if count >= wanted]
    return places[-1] if places else 0


def reach(found: Sequence[Candidate], target: float) -> Candidate | None:
    """The smallest threshold whose bound is at least `target`; None when no threshold can promise that."""
    return next((candidate for candidate in found if candidate.bound >= target), None)
