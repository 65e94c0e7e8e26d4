"""From judgments to results. Pure; values keep full precision, reports round.

Formula and worked examples: reference/domain.md 4 (Appen, “How to Calculate a Confidence Score”).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, pvariance
from typing import Any


@dataclass(frozen=True)
class Vote:
    """One contributor's answers to one question; `trust` in [0, 1]; `order` tells who answered first."""

    answers: tuple[str, ...]
    trust: float
    order: int = 0


@dataclass(frozen=True)
class Aggregate:
    """What one question came to: the winning answers, how sure, and every answer's share."""

    method: str
    answers: list[str]
    confidence: float | None
    shares: dict[str, float] = field(default_factory=dict)
    variance: float | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "answers": self.answers,
            "confidence": self.confidence,
            "shares": self.shares,
            "variance": self.variance,
        }


def confidences(votes: Sequence[Vote]) -> dict[str, float]:
    """Each answer's share: trust of those who chose it / trust of all who answered; best first.

    Ties go to the answer that was given first. When all trust is 0, every vote counts the same.
    """
    given = [vote for vote in sorted(votes, key=lambda vote: vote.order) if vote.answers]
    total = sum(vote.trust for vote in given)
    weights = [vote.trust if total > 0 else 1.0 for vote in given]
    whole = total if total > 0 else float(len(given))
    sums: dict[str, float] = {}
    for vote, weight in zip(given, weights, strict=True):
        for answer in dict.fromkeys(vote.answers):
            sums[answer] = sums.get(answer, 0.0) + weight
    ranked = sorted(sums.items(), key=lambda pair: -pair[1])
    return {answer: weight / whole for answer, weight in ranked}


def aggregate(method: str, votes: Sequence[Vote]) -> Aggregate:
    """Apply an aggregation method (agg, all, avg, agg_x, cagg_x) to the trusted votes of one question."""
    given = [vote for vote in sorted(votes, key=lambda vote: vote.order) if vote.answers]
    if not given:
        return Aggregate(method, [], None)
    if method == "all":
        return Aggregate(method, ["|".join(vote.answers) for vote in given], None)
    if method == "avg":
        return _average(method, given)
    name, _, limit = method.partition("_")
    shares = confidences(given if limit else [_as_set(vote) for vote in given])
    if name == "cagg":
        chosen = [answer for answer, share in shares.items() if share > float(limit)]
    else:
        chosen = list(shares)[: int(limit or 1)]
    return Aggregate(method, chosen, shares[chosen[0]] if chosen else None, shares)


def _as_set(vote: Vote) -> Vote:
    """For plain agg the set of ticked answers is one answer (joined in a fixed order)."""
    return vote if len(vote.answers) == 1 else Vote(("\n".join(sorted(vote.answers)),), vote.trust, vote.order)


def _average(method: str, votes: Sequence[Vote]) -> Aggregate:
    numbers = []
    for vote in votes:
        try:
            numbers.append(float(vote.answers[0]))
        except ValueError:
            continue
    if not numbers:
        return Aggregate(method, [], None)
    return Aggregate(method, [f"{fmean(numbers):g}"], None, variance=pvariance(numbers))


def row_agreement(aggregates: Sequence[Aggregate]) -> float | None:
    """Mean of the winning confidences of a row's questions; None when none has one."""
    found = [result.confidence for result in aggregates if result.confidence is not None]
    return fmean(found) if found else None


def human_labels(outcomes: Sequence[str], votes: Sequence[Vote]) -> dict[str, float]:
    """`human_label:<class>` of a row: the share of every outcome, 0.0 for those that nobody chose (design 6.4)."""
    shares = confidences(votes)
    return {outcome: shares.get(outcome, 0.0) for outcome in outcomes}


def votes_of(question: str, judgments: Sequence[tuple[Mapping[str, Sequence[str]], float, int]]) -> list[Vote]:
    """The votes on one question from (answers, trust, order) of each judgment; unanswered ones are left out."""
    return [
        Vote(tuple(answers[question]), trust, order) for answers, trust, order in judgments if answers.get(question)
    ]
