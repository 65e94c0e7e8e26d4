"""The promise of a threshold: exact small cases, and how often it holds when the truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from models_app.promise import Candidate, candidates, lower_bound, reach


def test_lower_bound_is_clopper_pearson():
    # All of 59 right: 0.05 ** (1 / 59), the textbook figure for "95% with 95% certainty".
    assert lower_bound(59, 59, 0.05) == pytest.approx(0.05 ** (1 / 59))
    assert lower_bound(59, 59, 0.05) > 0.95 > lower_bound(58, 58, 0.05)


def test_nothing_right_or_nothing_seen_promises_nothing():
    assert lower_bound(0, 10, 0.05) == 0
    assert lower_bound(0, 0, 0.05) == 0


def test_a_candidate_counts_what_a_threshold_automates():
    found = {one.threshold: one for one in candidates([0.6, 0.8, 0.9], [False, True, True])}
    assert (found[0.6].automated, found[0.6].correct) == (3, 2)
    assert (found[0.605].automated, found[0.605].correct) == (2, 2)
    assert (found[0.8].automated, found[0.805].automated) == (2, 1)
    assert (min(found), max(found)) == (0.505, 1.0)


def test_pictures_that_go_to_people_anyway_are_not_automated():
    found = candidates([0.9, 0.9], [False, True], automatable=[False, True])
    assert (found[0].automated, found[0].correct) == (1, 1)


def test_reach_takes_the_smallest_threshold_that_keeps_the_promise():
    found = [Candidate(0.6, 9, 8, 0.7), Candidate(0.7, 8, 8, 0.95), Candidate(0.8, 7, 7, 0.96)]
    assert reach(found, 0.95) == found[1]
    assert reach(found, 0.97) is None


def test_bounds_never_rise_towards_looser_thresholds_once_a_walk_has_failed():
    random = np.random.default_rng(3)
    sure = random.uniform(0.5, 1, 400)
    found = candidates(sure, random.random(400) < sure)
    chosen = reach(found, 0.85)
    assert chosen is not None
    assert all(one.bound < 0.85 for one in found if one.threshold < chosen.threshold)


def test_near_duplicates_are_not_independent_witnesses():
    sure, right = [0.9] * 100, [True] * 100
    alone = candidates(sure, right)[0].bound
    burst = candidates(sure, right, [place // 10 for place in range(100)])[0].bound
    assert burst < 0.75 < 0.95 < alone


def test_a_few_pictures_promise_nothing_much():
    assert reach(candidates([0.99] * 20, [True] * 20), 0.95) is None


def test_the_promise_is_kept_at_least_as_often_as_it_says():
    """300 holdouts of a calibrated classifier whose true accuracy above a threshold is known."""
    random = np.random.default_rng(1)
    broken = made = 0
    for _ in range(300):
        sure = random.uniform(0.5, 1, 300)
        chosen = reach(candidates(sure, random.random(300) < sure), 0.8)
        if chosen is not None:
            made += 1
            broken += (chosen.threshold + 1) / 2 < 0.8  # the mean of a uniform confidence above the threshold
    assert made > 250
    assert broken / made <= 0.05
