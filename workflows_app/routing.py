"""The routing rule: which rows the model answers and which go to people (design §6.2 and §6.9). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

LOWEST, HIGHEST = Decimal("0.5"), Decimal(1)
LOW_CONFIDENCE = "low_confidence"
UNLIKE = "unlike_training_data"


@dataclass(frozen=True)
class Decision:
    """What happens to one row: `route` with the `reason`, or not (then `reason` is empty).

    `best` is the position of the highest score, `confidence` that score, exactly.
    """

    route: bool
    reason: str
    best: int
    confidence: Decimal


def check_threshold(threshold: Decimal) -> Decimal:
    """Return `threshold` when it may be used: 0.5 < threshold <= 1. Raises ValueError otherwise.

    At 0.5 and below the band between "surely not" and "surely" is empty, so nothing would ever be routed.
    """
    if not threshold.is_finite() or not LOWEST < threshold <= HIGHEST:
        raise ValueError("The threshold must be more than 0.5 and at most 1.")
    return threshold


def decide(
    scores: Sequence[float], threshold: Decimal, *, unlike: bool = False, route_unlike: bool = False
) -> Decision:
    """Decide about one row.

    `scores` holds one confidence in [0, 1] per outcome of the model (`negative_examples` included). The row is
    routed if and only if the highest of them is below `threshold`; at the threshold it is confident. Numbers
    are compared as the decimals they print as, because 1 - 0.2 and 0.8 may differ in binary. A row `unlike`
    the training data is routed whatever its confidence when `route_unlike` is on.

    Raises ValueError for a threshold outside (0.5, 1], no scores, or scores that are not numbers in [0, 1].
    """
    check_threshold(threshold)
    numbers = [float(score) for score in scores]
    if not numbers or not all(0 <= number <= 1 for number in numbers):
        raise ValueError("A row needs one confidence between 0 and 1 for every outcome.")
    highest = max(numbers)
    confidence = Decimal(repr(highest))  # numbers print in their own order, so this is the highest decimal, too
    reason = ""
    if confidence < threshold:
        reason = LOW_CONFIDENCE
    elif unlike and route_unlike:
        reason = UNLIKE
    return Decision(bool(reason), reason, numbers.index(highest), confidence)
