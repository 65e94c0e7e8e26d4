"""Model files: a version uses the very bytes that its training wrote, and nothing in them can run."""

from __future__ import annotations

import hashlib
import io
import json
import pickle

import numpy as np
import pytest
from django.conf import settings

from labeling_platform.lib import storage
from models_app import services
from models_app.backends.base import ModelNotFound
from models_app.backends.head import Head
from models_app.classify import TeamArtifacts, classify, file_of, open_backend


def path_of(ref: str):
    return settings.MEDIA_ROOT / file_of(ref)


def test_the_database_knows_the_digest_of_the_file(trained) -> None:
    name, _, digest = trained.ref.partition("#")
    assert digest == hashlib.sha256(storage.read_bytes(name)).hexdigest()


def test_a_changed_file_is_refused_in_words(trained, pictures) -> None:
    """Also one that is whole in itself: a model of somebody who can write to the storage only."""
    path = path_of(trained.ref)
    head = Head.from_bytes(path.read_bytes(), trained.feature_version)
    forged = Head(
        head.classes, head.mean, -head.weights, head.bias, head.temperature, head.reference, head.cut, head.details
    )
    path.write_bytes(forged.to_bytes(trained.feature_version))
    assert Head.from_bytes(path.read_bytes(), trained.feature_version).classes == head.classes
    open_backend("local")._heads.clear()
    with pytest.raises(ModelNotFound, match="was changed after the training") as caught:
        list(classify(version=trained, items=[("a", pictures.at("circles", 0))]))
    assert caught.value.code == "artifact_changed"


def test_a_file_of_another_version_is_not_taken_for_it(trained) -> None:
    artifacts = TeamArtifacts()
    other = artifacts.save("head", b"another model")
    swapped = f"{file_of(other)}#{trained.ref.partition('#')[2]}"
    with pytest.raises(ModelNotFound, match="was changed"):
        artifacts.load(swapped)


def test_a_file_of_before_is_still_read(in_team) -> None:
    artifacts = TeamArtifacts()
    name = storage.save_bytes(b"older", team_id=in_team.pk, area="models", suffix=".model")
    assert artifacts.load(name) == b"older"
    artifacts.delete(name)
    with pytest.raises(FileNotFoundError):
        artifacts.load(name)


def test_deleting_a_model_deletes_its_file(trained, owner, django_capture_on_commit_callbacks) -> None:
    path = path_of(trained.ref)
    assert path.exists()
    with django_capture_on_commit_callbacks(execute=True):
        services.delete_model(model=trained.model, actor=owner)
    assert not path.exists()


class Runs:
    def __reduce__(self):
        return (print, ("executed",))


def test_nothing_in_a_model_file_is_executed(capsys: pytest.CaptureFixture[str]) -> None:
    """A file with an object array (numpy's way to a pickle) is refused although its own digest is right."""
    body = io.BytesIO()
    np.lib.format.write_array(body, np.array([Runs()], dtype=object), allow_pickle=True)
    header = json.dumps({"format": 3, "feature_version": "x"}).encode()
    for number in range(1, 6):
        header = json.dumps({"format": number, "feature_version": "x"}).encode()
        content = len(header).to_bytes(8, "little") + header + body.getvalue()
        data = b"LPHEAD1\n" + hashlib.sha256(content).digest() + content
        with pytest.raises((ModelNotFound, ValueError)):
            Head.from_bytes(data, "x")
    with pytest.raises(ModelNotFound):
        Head.from_bytes(pickle.dumps(Runs()), "x")
    assert capsys.readouterr().out == ""
