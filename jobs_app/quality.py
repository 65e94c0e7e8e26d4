"""The rules of test questions, trust and dynamic judgments (reference/domain.md 3.2-3.4, 4.5). Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from hashlib import blake2b
from math import ceil

from .aggregate import Aggregate
from .design import Design, visible

MORE_THAN_A_PAGE = 3
ROWS_PER_GOLD = 20
PAGES_PER_GOLD_OF_ONE_ROW = 5


@dataclass(frozen=True)
class Plan:
    """How test questions are used in a job.

    `golds` are enabled test questions; `quiz_length` and `golds_per_page` count test questions; one page in
    `pages_per_gold` carries any.
    """

    golds: int
    units_per_page: int
    quiz_length: int
    golds_per_page: int
    pages_per_gold: int

    @property
    def active(self) -> bool:
        """Quiz and test questions are used once there are at least rows per page + 3 of them (domain.md 3.2)."""
        return self.golds >= self.units_per_page + MORE_THAN_A_PAGE

    @property
    def missing(self) -> int:
        """How many test questions are wanted before they are used."""
        return max(0, self.units_per_page + MORE_THAN_A_PAGE - self.golds)

    @property
    def max_pages(self) -> int:
        """Work pages that one contributor can do before the test questions run out: each is seen once."""
        left = max(0, self.golds - self.quiz_length)
        return left // self.golds_per_page * self.pages_per_gold if self.golds_per_page else 0

    @property
    def golds_each(self) -> float:
        """Test questions on an average work page."""
        return self.golds_per_page / self.pages_per_gold if self.active else 0.0

    def pages_for(self, judgments: int) -> int:
        """Work pages that so many judgments of rows take, all contributors together; 0 when no page has a row."""
        rows_each = self.units_per_page - self.golds_each
        return ceil(judgments / rows_each) if rows_each else 0

    @property
    def max_rows(self) -> int:
        """Rows that one contributor can judge before the test questions run out."""
        left = max(0, self.golds - self.quiz_length)
        return self.max_pages * self.units_per_page - left // max(1, self.golds_per_page) * self.golds_per_page


def contributors_for(plan: Plan, *, rows: int, judgments_per_unit: int, most: int | None = None) -> int:
    """How many contributors a launch of `rows` takes at the least: each judges a row once, and no more rows than the
    test questions, or `most` judgments per contributor, allow. 0: nobody can do it, because nobody gets past the quiz.
    """
    limits = [limit for limit in (plan.max_rows if plan.active else None, most) if limit is not None]
    if not rows or not limits:
        return judgments_per_unit if rows else 0
    return max(judgments_per_unit, ceil(rows * judgments_per_unit / min(limits))) if min(limits) else 0


def make_plan(
    *,
    golds: int,
    units_per_page: int,
    quiz_length: int | None = None,
    golds_per_page: int | None = None,
    pages_per_gold: int | None = None,
) -> Plan:
    """The plan for a job's settings; None stands for the rule's own number.

    The rule: a quiz as long as a page, and on each page one test question for 1-19 rows, two for 20-29 (domain.md
    3.2). A page of one row is all test question or all row, so that there one page in five is one.
    """
    per_page = golds_per_page if golds_per_page is not None else max(1, units_per_page // 10)
    every = pages_per_gold or (1 if units_per_page > 1 else PAGES_PER_GOLD_OF_ONE_ROW)
    return Plan(golds, units_per_page, quiz_length or units_per_page, min(per_page, units_per_page), every)


def golds_due(plan: Plan, *, contributor_id: int, page_number: int) -> int:
    """Test questions on a contributor's work page number `page_number` (from 0).

    In each run of `pages_per_gold` pages exactly one carries them; which one cannot be foreseen by the contributor.
    """
    if not plan.active:
        return 0
    run, place = divmod(page_number, plan.pages_per_gold)
    return plan.golds_per_page if place == _draw(contributor_id, run) % plan.pages_per_gold else 0


def shuffled(contributor_id: int, unit_ids: Sequence[int]) -> list[int]:
    """The ids in an order of the contributor's own: the same at every call, so that waiting gives no other quiz."""
    return sorted(unit_ids, key=lambda unit_id: _draw(contributor_id, unit_id))


def places_for(count: int, among: int, *, contributor_id: int, page_number: int) -> list[int]:
    """`count` different places (from 0) on a page of `among` units; not to be foreseen, but always the same."""
    order = sorted(range(among), key=lambda place: _draw(contributor_id, page_number, place))
    return sorted(order[:count])


def _draw(*numbers: int) -> int:
    text = ",".join(map(str, numbers)).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big")


def is_missed(design: Design, gold: Mapping[str, Sequence[str]], answers: Mapping[str, Sequence[str]]) -> bool:
    """Whether a test question was answered wrong: any of its visible questions with a gold answer is (3.3).

    One answer among the accepted ones is enough; with `exact` both sets must be equal. Upper and lower case and
    outer blanks of written answers do not matter.
    """
    for question in design.questions:
        accepted = gold.get(question.name)
        if not accepted or not question.gold or not visible(question, answers, design):
            continue
        given, wanted = _folded(answers.get(question.name, ())), _folded(accepted)
        if (given != wanted) if question.exact else not (given & wanted):
            return True
    return False


def _folded(answers: Collection[str]) -> set[str]:
    return {answer.strip().casefold() for answer in answers if answer.strip()}


def trust_of(seen: int, missed: int) -> float:
    """Share of the seen test questions that were right; 1.0 when none was seen (domain.md 3.4)."""
    return (seen - missed) / seen if seen else 1.0


def is_enough(seen: int, missed: int, minimum_accuracy: int) -> bool:
    """Whether a contributor may stay; at the minimum they do. Whole numbers, so that 70% of 10 is exactly 7."""
    return (seen - missed) * 100 >= minimum_accuracy * seen


def wants_more(
    results: Mapping[str, Aggregate], *, minimum: Decimal | None, fields: Sequence[str], judgments: int, most: int
) -> bool:
    """Dynamic judgments: whether one more is wanted, because a question is less sure than `minimum` (4.5).

    At the minimum a row is done. `fields` names the questions that count, none: all that have a confidence.
    """
    if minimum is None or judgments >= most:
        return False
    considered = [result for name, result in results.items() if not fields or name in fields]
    return any(
        result.confidence is not None and Decimal(repr(round(result.confidence, 9))) < minimum for result in considered
    )


REVIEW_MISSES, REVIEW_MISSED, REVIEW_CONTESTED = 2, 0.4, 0.2
"""A test question wants a review from so many misses on, and from these shares of the answers to it."""


def wants_review(*, seen: int, missed: int, contested: int) -> bool:
    """Whether somebody should look at a test question: many miss it, and those who do object (domain.md 3.5).

    The counts are those since it was looked at last.
    """
    if missed < REVIEW_MISSES or not contested:
        return False
    return missed >= REVIEW_MISSED * seen and contested >= REVIEW_CONTESTED * seen


GUESSABLE, FEWEST_TO_JUDGE = Fraction(2, 3), 4


def guessable(accepted: Mapping[str, int], questions: int) -> str | None:
    """The answer that more than two thirds of the test questions accept: who always gives it passes unseen.

    `accepted` counts, per answer, the test questions that accept it. None when there is no such answer, or when there
    are too few test questions to say.
    """
    if questions < FEWEST_TO_JUDGE or not accepted:
        return None
    most = max(accepted, key=lambda answer: accepted[answer])
    return most if accepted[most] > GUESSABLE * questions else None
