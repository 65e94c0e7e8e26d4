"""The routing rule against the table of reference/domain.md 5.5 and for any numbers."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows_app.routing import LOW_CONFIDENCE, UNLIKE, check_threshold, decide

T = Decimal("0.8")
CONFIDENCES = st.floats(0, 1, allow_nan=False)
THRESHOLDS = st.decimals("0.501", "1", places=3)


def one_versus_rest(*positive: float) -> list[float]:
    """Independent scores, completed as the backends complete them: negatives = 1 - the highest."""
    return [*positive, float(1 - max(Decimal(repr(score)) for score in positive))]


@pytest.mark.parametrize(
    ("positive", "route", "best"),
    [
        ((0.93, 0.04), False, 0),
        ((0.61, 0.33), True, 0),
        ((0.92, 0.35), False, 0),
        ((0.12, 0.07), False, 2),
        ((0.80, 0.01), False, 0),
        ((0.20, 0.01), False, 2),
        ((0.85, 0.83), False, 0),
        ((0.1,), False, 1),
        ((0.5,), True, 0),
        ((0.9,), False, 0),
    ],
)
def test_one_versus_rest_rows(positive, route, best):
    decision = decide(one_versus_rest(*positive), T)
    assert (decision.route, decision.best) == (route, best)


def test_softmax_row_of_ten_even_outcomes_is_routed():
    decision = decide([0.12] + [0.88 / 9] * 9, T)
    assert (decision.route, decision.reason, decision.best) == (True, LOW_CONFIDENCE, 0)


@pytest.mark.parametrize(("top", "route"), [(0.79, True), (0.8, False), (0.81, False), (0.7999999999999999, True)])
def test_the_boundary_is_confident(top, route):
    assert decide([top, 0.0], T).route is route


def test_a_threshold_of_one_routes_all_but_certainty():
    assert decide([0.999, 0.001], Decimal(1)).route
    assert not decide([1.0, 0.0], Decimal(1)).route


@pytest.mark.parametrize("threshold", ["0.5", "1.01", "0", "-1", "NaN", "Infinity"])
def test_refuses_a_threshold(threshold):
    with pytest.raises(ValueError, match=r"more than 0\.5"):
        check_threshold(Decimal(threshold))


@pytest.mark.parametrize("scores", [[], [float("nan")], [1.2], [-0.1], [float("inf")]])
def test_refuses_scores(scores):
    with pytest.raises(ValueError, match="between 0 and 1"):
        decide(scores, T)


def test_unlike_rows_go_to_people_only_when_switched_on():
    assert decide([0.99, 0.01], T, unlike=True, route_unlike=True).reason == UNLIKE
    assert not decide([0.99, 0.01], T, unlike=True, route_unlike=False).route
    assert decide([0.6, 0.4], T, unlike=True, route_unlike=True).reason == LOW_CONFIDENCE


@given(score=st.decimals(0, 1, places=6), threshold=THRESHOLDS)
def test_two_outcomes_are_the_band_of_the_article(score, threshold):
    routed = decide([float(score), float(1 - score)], threshold).route
    assert routed == (1 - threshold < score < threshold)


@given(scores=st.lists(CONFIDENCES, min_size=1, max_size=12), threshold=THRESHOLDS)
def test_routed_if_and_only_if_the_best_is_below(scores, threshold):
    decision = decide(scores, threshold)
    assert decision.route == (Decimal(repr(max(scores))) < threshold)
    assert decision.confidence == Decimal(repr(scores[decision.best]))
    assert bool(decision.reason) == decision.route


@given(scores=st.lists(CONFIDENCES, min_size=1, max_size=6), low=THRESHOLDS, high=THRESHOLDS)
def test_a_higher_threshold_never_routes_less(scores, low, high):
    low, high = sorted([low, high])
    assert decide(scores, low).route <= decide(scores, high).route
