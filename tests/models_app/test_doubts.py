"""Which labels are doubted: planted mistakes among honest scores."""

from __future__ import annotations

import numpy as np

from models_app.doubts import Doubt, find_doubts

CLASSES = ["a", "b"]


def test_a_label_that_another_class_explains_better_is_doubted():
    labels = ["a", "a", "a", "b", "b", "b"]
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.05, 0.95], [0.1, 0.9], [0.2, 0.8], [0.3, 0.7]])
    assert find_doubts(labels, scores, CLASSES) == [Doubt(2, "b", 0.05, 0.95)]


def test_honest_labels_are_not_doubted_although_some_are_less_sure():
    scores = np.array([[0.9, 0.1], [0.6, 0.4], [0.1, 0.9], [0.4, 0.6]])
    assert find_doubts(["a", "a", "b", "b"], scores, CLASSES) == []


def test_nothing_to_judge():
    assert find_doubts([], np.empty((0, 2)), CLASSES) == []


def test_the_worst_comes_first_and_a_slight_preference_is_no_doubt():
    scores = np.array([[0.2, 0.8], [0.1, 0.9], [0.4, 0.6]] + [[0.9, 0.1]] * 20)
    assert [doubt.row for doubt in find_doubts(["a"] * 23, scores, CLASSES)] == [1, 0]


def test_most_planted_mistakes_are_among_the_doubted_tenth():
    random = np.random.default_rng(5)
    truth = random.integers(0, 4, 1000)
    scores = random.dirichlet([0.4] * 4, 1000) * 0.3
    scores[np.arange(1000), truth] += 0.7
    labels = truth.copy()
    wrong = random.permutation(1000)[:50]
    labels[wrong] = (truth[wrong] + 1 + random.integers(0, 3, 50)) % 4
    found = find_doubts([str(label) for label in labels], scores, ["0", "1", "2", "3"])
    assert len(found) <= 100
    assert len({doubt.row for doubt in found} & set(wrong.tolist())) >= 40
