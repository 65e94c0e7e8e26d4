"""The formula and its worked examples (reference/domain.md 4.1)."""

import pytest

from jobs_app.aggregate import Aggregate, Vote, aggregate, confidences, human_labels, row_agreement


def votes(*pairs: tuple[str, float]) -> list[Vote]:
    return [Vote((answer,), trust, order) for order, (answer, trust) in enumerate(pairs)]


def test_appens_worked_example() -> None:
    shares = confidences(votes(("beef", 4.4703), ("chicken", 1.8571), ("veggie", 0.9231)))
    assert {answer: round(share, 4) for answer, share in shares.items()} == {
        "beef": 0.6166,
        "chicken": 0.2561,
        "veggie": 0.1273,
    }


def test_trust_weighs_the_footwear_example() -> None:
    result = human_labels(
        ["boots", "sneakers", "negative_examples"], votes(("boots", 0.9), ("sneakers", 0.8), ("boots", 0.7))
    )
    assert {k: round(v, 4) for k, v in result.items()} == {
        "boots": 0.6667,
        "sneakers": 0.3333,
        "negative_examples": 0.0,
    }


def test_trust_breaks_a_two_to_two_split() -> None:
    shares = confidences(votes(("sneakers", 0.75), ("boots", 0.95), ("boots", 0.9), ("sneakers", 0.7)))
    assert [(a, round(s, 4)) for a, s in shares.items()] == [("boots", 0.5606), ("sneakers", 0.4394)]


def test_a_tie_goes_to_the_answer_given_first() -> None:
    assert aggregate("agg", votes(("b", 1.0), ("a", 1.0))).answers == ["b"]


def test_no_votes_give_no_answer() -> None:
    assert aggregate("agg", []) == Aggregate("agg", [], None)
    assert human_labels(["a", "b"], []) == {"a": 0.0, "b": 0.0}


@pytest.mark.parametrize(
    ("method", "answers", "confidence"),
    [("agg", ["a"], 0.5), ("agg_2", ["a", "b"], 0.5), ("cagg_0.2", ["a", "b"], 0.5), ("cagg_0.6", [], None)],
)
def test_methods(method: str, answers: list[str], confidence: float | None) -> None:
    result = aggregate(method, votes(("a", 1.0), ("b", 0.6), ("c", 0.4)))
    assert (result.answers, result.confidence) == (answers, confidence)


def test_all_keeps_every_answer() -> None:
    assert aggregate("all", [Vote(("x", "y"), 1.0, 0), Vote(("z",), 1.0, 1)]).answers == ["x|y", "z"]


def test_avg_gives_mean_and_variance() -> None:
    result = aggregate("avg", votes(("1", 1.0), ("3", 1.0)))
    assert (result.answers, result.variance) == (["2"], 1.0)


def test_plain_agg_takes_ticked_sets_as_one_answer() -> None:
    result = aggregate("agg", [Vote(("b", "a"), 1.0, 0), Vote(("a", "b"), 1.0, 1), Vote(("a",), 1.0, 2)])
    assert (result.answers, round(result.confidence or 0, 4)) == (["a\nb"], 0.6667)


def test_agreement_is_the_mean_of_the_winners() -> None:
    assert (
        row_agreement([Aggregate("agg", ["a"], 0.5), Aggregate("agg", ["b"], 1.0), Aggregate("all", [], None)]) == 0.75
    )
