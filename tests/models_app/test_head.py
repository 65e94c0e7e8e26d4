"""The trained part on vectors with a known truth: right, calibrated, repeatable, and safe to load."""

from __future__ import annotations

import json

import numpy as np
import pytest

from models_app.backends.base import ModelNotFound
from models_app.backends.head import Head, fit_head
from models_app.backends.similar import group_near_duplicates
from models_app.metrics import evaluate, split_holdout, wilson, wilson_of_groups

DIMENSION = 64


def cloud(counts: list[int], *, spread: float = 1.0, seed: int = 0, first: int = 0) -> tuple[np.ndarray, list[str]]:
    """Vectors of so many pictures a class around one centre each; the same centres for every seed."""
    centres = np.random.default_rng(99).gamma(1.0, 1.0, (len(counts), DIMENSION))
    random = np.random.default_rng(seed)
    rows, labels = [], []
    for number, count in enumerate(counts):
        rows.append(np.abs(centres[number] + random.normal(0, spread, (count, DIMENSION))))
        labels += [f"class{number + first:03d}"] * count
    return np.concatenate(rows).astype(np.float32), labels


def fit(vectors: np.ndarray, labels: list[str], groups: list[int] | None = None, seed: int = 1) -> Head:
    classes = sorted(set(labels))
    return fit_head(vectors, labels, groups or list(range(len(labels))), classes, seed=seed, step=lambda a, b: None)[0]


@pytest.mark.parametrize("counts", [[10, 10], [60, 60], [10] * 40, [400, 10, 12]], ids=["10", "60", "40x10", "uneven"])
def test_it_learns_few_and_many_classes_even_or_not(counts):
    head = fit(*cloud(counts, spread=0.6))
    vectors, labels = cloud([20] * len(counts), spread=0.6, seed=5)
    found = evaluate(labels, head.scores(vectors), head.classes)
    assert found.accuracy.value > 0.9


def test_two_hundred_classes():
    head = fit(*cloud([10] * 200, spread=0.3))
    scores = head.scores(cloud([1] * 200, spread=0.3, seed=5)[0])
    assert scores.shape == (200, 200)
    np.testing.assert_allclose(scores.sum(axis=1), 1)
    assert (scores.argmax(axis=1) == np.arange(200)).mean() > 0.9


def test_confidences_of_classes_that_overlap_are_true():
    head = fit(*cloud([300] * 4, spread=2.4))
    vectors, labels = cloud([500] * 4, spread=2.4, seed=5)
    found = evaluate(labels, head.scores(vectors), head.classes)
    assert 0.5 < found.accuracy.value < 0.95
    assert found.ece < 0.05


def test_out_of_fold_scores_are_of_classifiers_that_did_not_see_the_row():
    random = np.random.default_rng(3)
    vectors = random.gamma(1.0, 1.0, (200, DIMENSION)).astype(np.float32)
    labels = [f"class{number % 2}" for number in range(200)]
    _, out_of_fold = fit_head(vectors, labels, list(range(200)), ["class0", "class1"], seed=1, step=lambda a, b: None)
    truth = np.array([number % 2 for number in range(200)])
    assert abs((out_of_fold.argmax(axis=1) == truth).mean() - 0.5) < 0.15  # noise cannot be learned


def test_the_same_training_makes_the_same_file():
    vectors, labels = cloud([20, 20])
    assert fit(vectors, labels).to_bytes("f1") == fit(vectors, labels).to_bytes("f1")


def test_a_head_comes_back_from_its_file_as_it_was():
    vectors, labels = cloud([20, 20])
    head = fit(vectors, labels)
    again = Head.from_bytes(head.to_bytes("f1"), "f1")
    np.testing.assert_array_equal(head.scores(vectors), again.scores(vectors))
    np.testing.assert_allclose(head.distances(vectors), again.distances(vectors), atol=1e-6)
    assert again.classes == head.classes


def test_the_file_names_format_classes_features_and_libraries():
    content = fit(*cloud([20, 20])).to_bytes("f1")[40:]
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert (header["format"], header["classes"], header["feature_version"]) == (2, ["class000", "class001"], "f1")
    assert set(header["libraries"]) == {"numpy", "scikit-learn"}


def test_features_of_another_network_are_refused():
    with pytest.raises(ModelNotFound) as refused:
        Head.from_bytes(fit(*cloud([10, 10])).to_bytes("f1"), "f2")
    assert refused.value.code == "embedder_changed"


@pytest.mark.parametrize("place", [0, 20, 60, -1])
def test_a_damaged_file_is_refused(place):
    data = bytearray(fit(*cloud([10, 10])).to_bytes("f1"))
    data[place] ^= 1
    with pytest.raises(ModelNotFound) as refused:
        Head.from_bytes(bytes(data), "f1")
    assert refused.value.code == "artifact_damaged"


def test_progress_is_told_and_may_stop_the_training():
    class Stop(Exception):
        pass

    told = []

    def step(done: int, total: int) -> None:
        told.append((done, total))
        if len(told) == 3:
            raise Stop

    vectors, labels = cloud([20, 20])
    with pytest.raises(Stop):
        fit_head(vectors, labels, list(range(40)), ["class000", "class001"], seed=1, step=step)
    assert told == [(0, 40), (1, 40), (2, 40)]


def test_what_is_unlike_all_training_pictures_is_beyond_the_cut():
    head = fit(*cloud([100, 100], spread=0.5))
    known = head.distances(cloud([200, 200], spread=0.5, seed=5)[0])
    foreign = np.random.default_rng(8).gamma(0.3, 3.0, (200, DIMENSION)).astype(np.float32)
    assert (known > head.cut).mean() < 0.06
    assert (head.distances(foreign) > head.cut).mean() > 0.95


# --- near-duplicates --------------------------------------------------------------------------------------


def bursts(scenes: int, shots: int, seed: int, *, scene_spread: float = 2.0) -> tuple[np.ndarray, list[str], list[int]]:
    """Two classes of `scenes` scenes with `shots` nearly equal shots each; the third value is the scene."""
    centres = np.random.default_rng(99).gamma(1.0, 1.0, (2, DIMENSION * 4))
    random = np.random.default_rng(seed)
    rows, labels, scene_of = [], [], []
    for scene in range(2 * scenes):
        middle = centres[scene % 2] + random.normal(0, scene_spread, DIMENSION * 4)
        rows.append(np.abs(middle + random.normal(0, 0.1, (shots, DIMENSION * 4))))
        labels += [f"class{scene % 2}"] * shots
        scene_of += [scene] * shots
    return np.concatenate(rows).astype(np.float32), labels, scene_of


def test_shots_of_one_scene_are_one_group():
    vectors, labels, scene_of = bursts(12, 8, seed=1)
    groups = group_near_duplicates(vectors, labels)
    assert len(set(zip(groups, scene_of, strict=True))) == len(set(groups)) == 24


def test_equal_pictures_share_a_group_whatever_their_label():
    vectors, _ = cloud([10])
    groups = group_near_duplicates(np.concatenate([vectors, vectors[:1]]), ["a"] * 10 + ["b"])
    assert groups[0] == groups[10]
    assert len(set(groups)) == 10


def test_no_group_swallows_a_class_that_looks_all_the_same():
    vectors, labels = cloud([200], spread=0.05)
    groups = group_near_duplicates(vectors, labels)
    assert max(np.bincount(groups)) <= 40


def test_groups_stay_on_one_side_of_the_holdout():
    vectors, labels, _ = bursts(20, 6, seed=1)
    groups = group_near_duplicates(vectors, labels)
    held_out = split_holdout(labels, groups, seed=1, already=[None] * len(labels))
    assert 0.1 < np.mean(held_out) < 0.3
    assert not {g for g, out in zip(groups, held_out, strict=True) if out} & {
        g for g, out in zip(groups, held_out, strict=True) if not out
    }


def test_the_reported_accuracy_is_honest_about_a_new_shoot():
    """Scenes that differ more than the classes do: a plain split reports nearly 1, fresh scenes give far less."""
    vectors, labels, _ = bursts(40, 8, seed=1, scene_spread=5.0)
    groups = group_near_duplicates(vectors, labels)
    fresh, fresh_labels, _ = bursts(60, 4, seed=2, scene_spread=5.0)

    def reported(given: list[int]) -> tuple[float, float]:
        out = np.array(split_holdout(labels, given, seed=1, already=[None] * len(labels)))
        names = np.array(labels)
        head = fit(vectors[~out], list(names[~out]), [g for g, held in zip(given, out, strict=True) if not held])
        on_holdout = evaluate(list(names[out]), head.scores(vectors[out]), head.classes).accuracy.value
        return on_holdout, evaluate(fresh_labels, head.scores(fresh), head.classes).accuracy.value

    torn, _ = reported(list(range(len(labels))))
    honest, truth = reported(groups)
    assert torn - truth > 0.15
    assert abs(honest - truth) < 0.1


def test_both_accuracies_are_in_the_details_when_there_are_near_duplicates():
    vectors, labels, _ = bursts(40, 8, seed=1, scene_spread=3.5)
    details = fit(vectors, labels, group_near_duplicates(vectors, labels)).details
    assert details["torn_accuracy"] - details["out_of_fold_accuracy"] > 0.1
    assert "torn_accuracy" not in fit(*cloud([20, 20])).details


def test_the_interval_counts_shots_of_one_scene_once():
    low, high = wilson_of_groups(300, 400, 50)
    alone = wilson(300, 400)
    assert low < alone.low
    assert high > alone.high
    assert wilson_of_groups(300, 400, 400) == (alone.low, alone.high)
    assert wilson_of_groups(0, 0, 0) == (0.0, 1.0)
