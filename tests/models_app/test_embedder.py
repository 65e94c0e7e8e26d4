"""The image network: the right numbers, the same in every process, and pictures of every kind."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from labeling_platform.lib.samples import draw_sample
from models_app.backends.base import BadImage
from models_app.backends.embedder import RECIPES, Embedder, _weights_path, load_embedder
from models_app.backends.onnx_graph import build_efficientnet_lite
from models_app.backends.weights import CheckpointError, read_checkpoint
from tests.models_app import reference_network


def ramp(size: int) -> np.ndarray:
    down, across = np.mgrid[0:size, 0:size]
    return np.stack([across, down, (across + down) // 2], axis=-1).astype(np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **how) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **how)
    return out.getvalue()


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    return read_checkpoint(_weights_path(RECIPES["fast"]))


@pytest.fixture(scope="module")
def exact(weights) -> Embedder:
    graph = build_efficientnet_lite(weights, 224)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return Embedder(session, RECIPES["fast"], "exact")


@pytest.fixture
def fast(settings) -> Embedder:
    return load_embedder("fast", cache_dir=Path(settings.CLASSIFIER_CACHE_DIR))


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_the_graph_computes_what_the_article_says(exact, weights):
    picture = ramp(224)
    vector = exact.embed([picture[None]])[0]
    np.testing.assert_allclose(vector, reference_network.embed(weights, picture), atol=2e-4)


def test_the_stored_reference_output(exact):
    """Of the ramp above, as computed once by reference_network: a change of weights or preprocessing shows here."""
    vector = exact.embed([ramp(224)[None]])[0]
    places = [113, 897, 930, 689, 747, 468, 755, 1157]
    stored = [4.8295, 4.7637, 3.9887, 2.6889, 2.6631, 2.4314, 2.3257, 2.2771]
    np.testing.assert_allclose(vector[places], stored, atol=5e-4)
    assert np.linalg.norm(vector) == pytest.approx(12.5899, abs=1e-3)


def test_a_picture_alone_is_the_same_as_in_a_batch(exact):
    pictures = [exact.prepare(draw_sample("boots", number)) for number in (1, 2, 3)]
    together = exact.embed(pictures)
    np.testing.assert_allclose(together[1], exact.embed([pictures[1]])[0], atol=1e-4)


@pytest.mark.parametrize("label", ["boots", "sandals"])
def test_eight_bits_are_near_the_exact_network(exact, fast, label):
    prepared = exact.prepare(draw_sample(label, 1))
    assert cosine(exact.embed([prepared])[0], fast.embed([prepared])[0]) > 0.98


def test_no_pictures_give_no_vectors(fast):
    assert fast.embed([]).shape == (0, 1280)


def test_the_version_names_weights_precision_and_views(fast):
    assert fast.version.startswith("lite0-int8-1v-")


def test_any_onnx_file_can_be_the_network(tmp_path, weights):
    path = tmp_path / "own.onnx"
    path.write_bytes(build_efficientnet_lite(weights, 64).SerializeToString())
    own = load_embedder(f"{path}:64:127:128", cache_dir=tmp_path)
    assert own.embed([own.prepare(draw_sample("boots", 1))]).shape == (1, 1280)
    assert own.version != load_embedder(f"{path}:64:0:1", cache_dir=tmp_path).version


# --- preparing pictures -----------------------------------------------------------------------------------


@pytest.fixture
def two_views(fast) -> Embedder:
    return Embedder(fast.session, RECIPES["balanced"], "two views")


def test_a_long_picture_is_seen_whole_and_in_its_middle(two_views):
    image = Image.new("RGB", (600, 300), "white")
    image.paste("black", (0, 0, 150, 300))
    whole, middle = two_views.prepare(encoded(image))
    assert (whole[100, 10].tolist(), middle[100, 10].tolist()) == ([0, 0, 0], [255, 255, 255])


def test_a_large_square_needs_one_view(two_views):
    assert two_views.prepare(encoded(Image.new("RGB", (300, 300), "red"))).shape == (1, 224, 224, 3)


def test_a_small_picture_is_also_shown_small(two_views):
    whole, small = two_views.prepare(encoded(Image.new("L", (28, 28), 255)))
    assert (whole[0, 0].tolist(), small[0, 0].tolist()) == ([255, 255, 255], [127, 127, 127])
    assert small[112, 112].tolist() == [255, 255, 255]


def test_a_picture_is_turned_upright(fast):
    image = Image.new("RGB", (300, 200), "white")
    image.paste("black", (0, 0, 150, 200))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side: left is up
    (seen,) = fast.prepare(encoded(image, "JPEG", exif=exif))
    assert seen[20, 112].max() < 20
    assert seen[200, 112].min() > 235


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white(fast, mode):
    image = Image.new("RGBA", (300, 300), (0, 0, 0, 0)).convert(mode)
    how = {"transparency": 0} if mode == "P" else {}
    (seen,) = fast.prepare(encoded(image, **how))
    assert seen.min() == 255


def test_a_damaged_picture_is_refused(fast):
    with pytest.raises(BadImage) as refused:
        fast.prepare(draw_sample("boots", 1)[:700])
    assert refused.value.code == "decode_failed"


# --- the checkpoint ---------------------------------------------------------------------------------------


class Evil:
    def __reduce__(self):
        return (print, ("ran",))


def test_a_checkpoint_cannot_run_code(tmp_path, capsys):
    path = tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(CheckpointError, match="print"):
        read_checkpoint(path)
    assert capsys.readouterr().out == ""


def test_another_file_is_no_checkpoint(tmp_path):
    path = tmp_path / "other.pth"
    path.write_bytes(pickle.dumps(7))
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        read_checkpoint(path)
