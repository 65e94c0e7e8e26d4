"""The rehearsal backend: known answers, and never in a deployment."""

from __future__ import annotations

import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured

from models_app.backends.base import TrainingSpec
from models_app.backends.digest import DigestBackend, digest_scores
from models_app.classify import open_backend

CLASSES = ("boots", "sandals", "sneakers")


class Shelf:
    """Files in memory."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def save(self, hint: str, data: bytes) -> str:
        self.files[hint] = data
        return hint

    def load(self, ref: str) -> bytes:
        return self.files[ref]

    def delete(self, ref: str) -> None:
        del self.files[ref]


def test_answers_are_those_of_the_bytes() -> None:
    backend = DigestBackend(artifacts=Shelf(), embedder="fast")
    state = backend.start_training(TrainingSpec(CLASSES, [], 1, "shoes"), "token")
    pictures = [f"picture {number}".encode() for number in range(2000)]
    results = backend.predict(state.ref, backend.features([backend.prepare(data) for data in pictures]))
    assert [result.scores for result in results] == [digest_scores(data, CLASSES) for data in pictures]
    assert all(abs(sum(result.scores.values()) - 1) < 1e-9 for result in results)
    routed = sum(max(result.scores.values()) < 0.8 for result in results) / len(results)
    assert 0.57 < routed < 0.63
    assert {max(result.scores, key=result.scores.get) for result in results} == set(CLASSES)


def test_only_a_setting_switches_it_on(settings) -> None:
    with pytest.raises(ImproperlyConfigured, match="does not name “digest”"):
        open_backend("digest")
    settings.CLASSIFIER_BACKENDS = ("local", "digest")
    assert open_backend("digest").kind == "digest"


def test_a_deployment_check_refuses_it(settings) -> None:
    assert [found.id for found in run_checks(include_deployment_checks=True) if found.id == "models_app.E001"] == []
    settings.CLASSIFIER_BACKENDS = ("local", "digest")
    assert [found.id for found in run_checks(include_deployment_checks=True) if found.id == "models_app.E001"] == [
        "models_app.E001"
    ]
