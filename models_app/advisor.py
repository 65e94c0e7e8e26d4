"""What a threshold would do, from a version's own held-out pictures: the data of the threshold advisor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, log
from typing import Any

from .metrics import Share, wilson, wilson_of_groups
from .models import HoldoutPrediction, ModelVersion
from .promise import ERROR, STARTS, Candidate, candidates, reach

TARGETS = (0.9, 0.95, 0.98, 0.99)
TABLE = (0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
ENOUGH = 300
FIRST_ERROR = ERROR * STARTS[0][1]
"""The error that the strictest walk of promise.py may spend: no promise rests on less."""


@dataclass(frozen=True)
class Evidence:
    """One held-out picture: how sure the version was, whether it was right, whether it looked unlike the rest.

    `group` numbers near-duplicates.
    """

    confidence: float
    right: bool
    unlike: bool
    group: int


@dataclass(frozen=True)
class TableRow:
    """One threshold for people without the slider."""

    threshold: float
    automated: Share
    accuracy: Share
    bound: float
    to_people: int


@dataclass(frozen=True)
class Promise:
    """What a promise costs: the threshold that keeps it and the share it automates.

    Both are None when no threshold keeps it; `advice` says then what to do and is empty otherwise.
    """

    target: float
    chosen: Candidate | None
    share: float | None
    advice: str


@dataclass(frozen=True)
class Advisor:
    """Everything the component templates/models/_advisor.html shows. `data` is for its script."""

    pictures: int
    knows_unlike: bool
    unlike: int
    data: dict[str, Any]
    table: list[TableRow]
    promises: list[Promise]

    @property
    def note(self) -> str:
        """What to know before trusting the figures; empty when there is enough to go by."""
        if self.pictures >= ENOUGH:
            return ""
        stand = "picture stands" if self.pictures == 1 else "pictures stand"
        return (
            f"Only {self.pictures:,} held-out {stand} behind these figures, so the intervals are wide and few "
            "promises can be made. More training data makes them firmer."
        )


def evidence_of(version: ModelVersion) -> list[Evidence]:
    """The held-out pictures of a version, in one query."""
    cut = version.details.get("cut")
    rows = HoldoutPrediction.objects.filter(version=version).order_by("pk")
    found = rows.values_list("confidence", "label", "predicted", "distance", "image__group", "image_id")
    return [
        Evidence(
            confidence=confidence,
            right=label == predicted,
            unlike=cut is not None and distance is not None and distance > cut,
            # A picture without a group is a group of its own; image ids never meet the small group numbers.
            group=-image if group is None else group,
        )
        for confidence, label, predicted, distance, group, image in found
    ]


def candidates_of(evidence: Sequence[Evidence], *, route_unlike: bool) -> list[Candidate]:
    """Every threshold with its promise; with `route_unlike` pictures unlike the training data go to people."""
    return candidates(
        [one.confidence for one in evidence],
        [one.right for one in evidence],
        [one.group for one in evidence],
        automatable=[not (route_unlike and one.unlike) for one in evidence],
    )


def promise_candidates(*, version: ModelVersion, route_unlike: bool) -> list[Candidate]:
    """Every threshold of a version with the accuracy that can be promised for it (promise.py)."""
    return candidates_of(evidence_of(version), route_unlike=route_unlike)


def advise(*, version: ModelVersion, route_unlike: bool = True) -> Advisor | None:
    """The advisor of a version; None when nothing was held out. One query."""
    evidence = evidence_of(version)
    knows_unlike = version.details.get("cut") is not None
    return advisor_of(evidence, knows_unlike=knows_unlike, route_unlike=route_unlike) if evidence else None


def advisor_of(evidence: Sequence[Evidence], *, knows_unlike: bool, route_unlike: bool) -> Advisor:
    """The advisor of held-out pictures, at least one. Pure."""
    found = {on: candidates_of(evidence, route_unlike=on) for on in (False, True)}
    chosen = found[route_unlike]
    witnesses = len({one.group for one in evidence}) / len(evidence)
    return Advisor(
        pictures=len(evidence),
        knows_unlike=knows_unlike,
        unlike=sum(one.unlike for one in evidence),
        data={
            "witnesses": witnesses,
            # Not rounded: no confidence may be lifted over a threshold, no bound over a target, that it misses.
            "points": [[one.confidence, int(one.right), int(one.unlike)] for one in evidence],
            "error": FIRST_ERROR,
            "bounds": {
                name: [[one.threshold, one.bound] for one in found[on]] for name, on in (("off", False), ("on", True))
            },
        },
        table=[_table_row(one, len(evidence), witnesses) for one in chosen if one.threshold in TABLE],
        promises=[_promise(chosen, target, len(evidence)) for target in TARGETS],
    )


def _table_row(one: Candidate, total: int, witnesses: float) -> TableRow:
    automated = wilson(one.automated, total)
    low, high = wilson_of_groups(one.correct, one.automated, one.automated * witnesses)
    accuracy = replace(wilson(one.correct, one.automated), low=low, high=high)
    return TableRow(one.threshold, automated, accuracy, one.bound, round(1000 * (1 - one.automated / total)))


def fewest(target: float) -> int:
    """The fewest held-out pictures that can carry a promise, were every one of them predicted rightly.

    Clopper-Pearson without a mistake: error = target ** count.
    """
    return ceil(log(FIRST_ERROR) / log(target))


def _promise(found: Sequence[Candidate], target: float, total: int) -> Promise:
    chosen = reach(found, target)
    if chosen:
        return Promise(target, chosen, chosen.automated / total, "")
    few = "" if total >= fewest(target) else f" It takes {fewest(target):,} at least."
    return Promise(target, None, None, f"{few} Choose a lower target, or train with more pictures.".strip())
