"""The Watson backend of one instance on the v3 API of another: IBM's SDK between two parts of ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .api_world import BASE, World, open_world, picture

watson = pytest.importorskip("models_app.backends.watson", reason="the Watson backend is not here yet")
from models_app.backends.base import AuthFailed, Example, ModelNotFound, TrainingSpec, TrainingState  # noqa: E402

pytestmark = pytest.mark.xdist_group("vr3_api")
LABELS = {"T-shirt": "circles", "boots": "squares", "negative_examples": "stripes"}


@pytest.fixture
def transactional_db(world: World) -> World:
    """The world's database, emptied after the module. By this name pytest-django knows that it has to make one."""
    return world


@pytest.fixture(autouse=True)
def _files(transactional_db: World) -> None:
    """The files of the world stay for the whole module, too."""


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    cache: Path = tmp_path_factory.getbasetemp().parent / "classifier"
    with django_db_blocker.unblock(), open_world(tmp_path_factory.mktemp("files"), cache) as world:
        yield world


def backend_of(world: World, *, secret: str = "", details: Any = None) -> Any:
    connection = watson.Connection(
        world.url + BASE, "iam", secret=secret or world.token.text, iam_url=world.url, customer_id="team_7"
    )
    return watson.WatsonBackend(connection, details=details, sleep=lambda seconds: None)


def features(backend: Any, label: str, numbers: range) -> list[bytes]:
    return backend.features([backend.prepare(picture(LABELS[label], number)) for number in numbers])


def test_train_poll_predict_delete(world: World) -> None:
    backend = backend_of(world)
    assert backend.check().ok
    examples = [
        Example(label, data, number)
        for label in LABELS
        for number, data in enumerate(features(backend, label, range(14)))
    ]
    spec = TrainingSpec(tuple(LABELS), examples, seed=1, name="Café shoes 3")
    started = backend.start_training(spec, "7-token")
    assert started.phase == "training"
    again = backend_of(world, details=started.details)
    assert again.find_training("7-token").ref == started.ref
    assert again.find_training("8-token") is None
    assert backend.start_training(spec, "7-token").ref == started.ref  # adopted, not sent twice
    world.train()
    state: TrainingState = again.poll(started.ref)
    assert state.phase == "ready"

    asked = [data for label in LABELS for data in features(again, label, range(8))]
    results = again.predict(started.ref, asked)
    assert [result.error for result in results] == [None] * 24
    for result in results:
        assert set(result.scores) == set(LABELS)
        positives = [result.scores["T-shirt"], result.scores["boots"]]
        assert result.scores["negative_examples"] == pytest.approx(1 - max(positives))
    best = [max(result.scores, key=result.scores.get) for result in results]
    right = sum(
        label == given for label, given in zip(best, [label for label in LABELS for _ in range(8)], strict=True)
    )
    assert right >= 20

    again.delete(started.ref)
    again.delete(started.ref)
    assert again.poll(started.ref).phase == "lost"
    with pytest.raises(ModelNotFound):
        again.predict(started.ref, asked[:1])


def test_a_key_that_does_not_work(world: World) -> None:
    backend = backend_of(world, secret="mll_live_" + "x" * 49)
    assert not backend.check().ok
    with pytest.raises(AuthFailed):
        backend.poll("x_0000000001")
