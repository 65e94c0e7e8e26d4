"""Pictures in, answers out, in any order; each bad picture is its own answer."""

from __future__ import annotations

import threading
import time

import pytest

from models_app.backends.base import ItemError, ItemResult, Permanent
from models_app.classify import Scored, Unreadable, as_answer, classify
from models_app.models import PictureFeatures
from models_app.pipeline import in_batches, load_ahead


def test_every_item_gets_an_answer(trained, pictures):
    items = [
        (n, pictures.at(shape, 100 + n)) for n in range(10) for shape in ["circles", "squares", "stripes"][n % 3 :][:1]
    ]
    items += [("gone", f"{pictures.url}/gone.jpg"), ("text", f"{pictures.url}/text.jpg"), ("ftp", "ftp://e.com/1.jpg")]
    answers = dict(classify(version=trained, items=items))
    assert set(answers) == {key for key, _ in items}
    scored = [answers[n] for n in range(10)]
    assert all(isinstance(answer, Scored) for answer in scored)
    assert all(abs(sum(answer.scores) - 1) < 1e-6 and answer.confidence == max(answer.scores) for answer in scored)
    expected = [["circles", "squares", "stripes"][n % 3] for n in range(10)]
    assert sum(answer.predicted == truth for answer, truth in zip(scored, expected, strict=True)) >= 6
    assert [answers[key].code for key in ("gone", "text")] == ["not_found", "not_an_image"]
    assert isinstance(answers["ftp"], Unreadable)


def test_a_picture_is_embedded_once_for_a_team(trained, pictures):
    before = PictureFeatures.objects.count()
    first = dict(
        classify(version=trained, items=[("a", pictures.at("circles", 200)), ("b", pictures.at("circles", 200))])
    )
    again = dict(classify(version=trained, items=[("a", pictures.at("circles", 200))]))
    assert PictureFeatures.objects.count() == before + 1
    assert first["a"].scores == pytest.approx(again["a"].scores)
    assert first["b"].scores == pytest.approx(again["a"].scores)


def test_something_unlike_the_training_data_has_a_distance(trained, pictures):
    answers = dict(classify(version=trained, items=[("known", pictures.at("circles", 0))]))
    assert answers["known"].distance is not None
    assert not answers["known"].unlike


def test_a_version_of_another_image_network_says_so(trained, pictures):
    trained.feature_version = "older"
    with pytest.raises(Permanent, match="Train the model again"):
        list(classify(version=trained, items=[("a", pictures.at("circles", 0))]))


def test_scores_follow_the_outcomes_and_ties_go_to_the_first():
    answer = as_answer(ItemResult({"b": 0.5, "a": 0.5}, distance=0.1, unlike=True), ["a", "b"])
    assert answer == Scored([0.5, 0.5], "a", 0.5, 0.1, True)
    failed = as_answer(ItemResult(None, ItemError("blurred", "Too blurred.", True)), ["a", "b"])
    assert failed == Unreadable("blurred", "Too blurred.", True)


def test_loading_runs_ahead_but_not_far():
    begun: list[int] = []
    lock = threading.Lock()

    def load(number: int) -> int:
        with lock:
            begun.append(number)
        return number * 2

    results = load_ahead(((n, n) for n in range(100)), load, threads=2)
    assert next(results)[1] % 2 == 0
    time.sleep(0.05)
    assert len(begun) <= 8
    assert len(list(results)) == 99


def test_a_tick_that_raises_stops_the_loading():
    def stop() -> None:
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        list(load_ahead([(n, n) for n in range(50)], lambda number: number, threads=2, tick=stop))


def test_batches_keep_the_order():
    assert list(in_batches(range(5), 2)) == [[0, 1], [2, 3], [4]]
