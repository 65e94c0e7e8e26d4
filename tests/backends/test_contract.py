"""What every backend promises to the product (reference/watson.md 4.2-4.6), tried on each of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from models_app.backends import get_backend
from models_app.backends.base import BadImage, ModelNotFound, TrainingState

from .worlds import CLASSES, PER_CLASS, Shelf, World, finish, picture, world

KINDS = ("local", "digest", "watson")
READ_PICTURES = ("local", "watson")
"""Those that look at pictures at all."""


@pytest.fixture(params=KINDS, scope="module")
def _world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(request.param, tmp_path_factory.getbasetemp().parent / "classifier") as made:
        yield made


@pytest.fixture
def place(_world: World) -> World:
    _world.fresh()
    return _world


@pytest.fixture
def reading(place: World) -> World:
    if place.kind not in READ_PICTURES:
        pytest.skip("does not look at pictures")
    return place


def trained(place: World) -> tuple[World, TrainingState]:
    backend = place.make()
    state = finish(backend, started := place.start(backend))
    assert (state.phase, state.ref) == ("ready", started.ref)
    return place, started


def test_train_poll_predict(place: World) -> None:
    _, state = trained(place)
    backend = place.make(state.details)
    asked = [data for label in CLASSES for data in place.features(backend, label, range(3))]
    results = backend.predict(state.ref, asked)
    assert [result.error for result in results] == [None] * 9
    for result in results:
        assert set(result.scores) == set(CLASSES)
        assert all(0.0 <= score <= 1.0 for score in result.scores.values())
    if place.kind != "digest":
        best = [max(result.scores, key=result.scores.get) for result in results]
        assert best == [label for label in CLASSES for _ in range(3)]


def test_answers_do_not_depend_on_the_company(place: World) -> None:
    """Order, batches and other pictures of the call change nothing."""
    _, state = trained(place)
    backend = place.make(state.details)
    asked = [data for label in CLASSES for data in place.features(backend, label, range(20, 30))]
    together = [result.scores for result in backend.predict(state.ref, asked)]
    backward = [result.scores for result in backend.predict(state.ref, asked[::-1])]
    for first, second in zip(together, backward[::-1], strict=True):
        assert first == pytest.approx(second, abs=1e-6)
    assert backend.predict(state.ref, [asked[0]] * 2)[1].scores == pytest.approx(together[0], abs=1e-6)


def test_nothing_asked(place: World) -> None:
    _, state = trained(place)
    assert place.make(state.details).predict(state.ref, []) == []


def test_restart_in_the_middle(place: World) -> None:
    backend = place.make()
    spec = place.spec(backend)
    started = place.start(backend)
    after = place.make(started.details)
    found = after.find_training("7-token")
    if not after.capabilities().remote:
        assert found is None  # it lived in the worker; what has been trained is there
        assert after.poll(started.ref).phase == "ready"
    else:
        assert found is not None
        assert (found.ref, found.phase) == (started.ref, "training")
        assert finish(after, found).phase == "ready"
    assert after.find_training("8-token") is None
    assert set(after.predict(started.ref, [spec.examples[0].features])[0].scores) == set(CLASSES)


def test_same_token_twice(place: World) -> None:
    backend = place.make()
    first = place.start(backend)
    second = place.make().start_training(place.spec(backend), "7-token")
    assert first.ref == second.ref
    assert finish(backend, second).phase == "ready"
    if place.wire is not None:
        assert len(place.wire.made) == 1
        assert place.sent == [3 * PER_CLASS]


def test_delete_twice(place: World) -> None:
    _, state = trained(place)
    backend = place.make(state.details)
    asked = place.features(backend, "boots", range(1))
    kept = dict(place.shelf.files)
    backend.delete(state.ref)
    backend.delete(state.ref)
    try:
        with pytest.raises(ModelNotFound):
            place.make(state.details).predict(state.ref, asked)
    finally:
        place.shelf.files.update(kept)


def test_one_bad_picture(reading: World) -> None:
    """It is refused before anything is sent, and costs nothing else."""
    backend = reading.make()
    for data in (b"no picture", picture("boots", 1)[:200], b""):
        with pytest.raises(BadImage):
            backend.prepare(data)
    assert len(backend.features([backend.prepare(picture("boots", 1))])) == 1


def test_groups(reading: World) -> None:
    backend = reading.make()
    features = reading.features(backend, "boots", range(12))
    groups = backend.group([*features, features[0]], ["boots"] * 13)
    assert len(groups) == 13
    assert groups[12] == groups[0]
    assert len(set(groups)) >= 2


def test_problems_before_anything_is_sent(place: World) -> None:
    backend = place.make()
    limits = backend.capabilities()
    enough = limits.min_per_class
    assert [p for p in backend.validate({"a": enough, "b": enough}) if p.level == "error"] == []
    found = [p for p in backend.validate({"a": enough - 1, "b": enough}) if p.level == "error"]
    assert [p.code for p in found] == ["too_few"]
    assert f"at least {enough} are needed" in found[0].message
    assert [p.code for p in backend.validate({"a": 50}) if p.level == "error"] == ["one_class"]
    many = {f"c{number}": enough for number in range(limits.max_classes + 1)}
    assert "too_many_classes" in [p.code for p in backend.validate(many)]


def test_check(place: World) -> None:
    backend = place.make()
    assert backend.check().ok
    assert backend.feature_version
    assert backend.kind == place.kind


def test_unknown_kind() -> None:
    with pytest.raises(KeyError):
        get_backend("other", artifacts=Shelf(), options={})
