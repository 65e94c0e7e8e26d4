"""One world for each backend: how to make a new one, as after a restart, and small pictures to train it on."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from models_app.backends import get_backend
from models_app.backends.base import ClassifierBackend, Example, TrainingSpec, TrainingState
from models_app.backends.watson import Connection
from tests.vr3.server import WireServer, wire_server

CLASSES = ("T-shirt", "boots", "negative_examples")
COLOURS = {"T-shirt": (200, 40, 40), "boots": (40, 40, 200), "negative_examples": (60, 180, 60)}
PER_CLASS = 14


@lru_cache(maxsize=256)
def picture(label: str, number: int) -> bytes:
    """A small JPEG in the colour of its class, with varied marks on it."""
    dice = random.Random(f"{label} {number}")
    image = Image.new("RGB", (64, 64), COLOURS[label])
    pen = ImageDraw.Draw(image)
    for _ in range(6):
        left, top = dice.randint(0, 50), dice.randint(0, 50)
        pen.rectangle(
            [left, top, left + dice.randint(4, 14), top + dice.randint(4, 14)], fill=(dice.randint(0, 255),) * 3
        )
    out = io.BytesIO()
    image.save(out, "JPEG", quality=88)
    return out.getvalue()


class Shelf:
    """Files in memory."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def save(self, hint: str, data: bytes) -> str:
        self.files[hint] = data
        return hint

    def load(self, ref: str) -> bytes:
        try:
            return self.files[ref]
        except KeyError as error:
            raise FileNotFoundError(ref) from error

    def delete(self, ref: str) -> None:
        self.files.pop(ref, None)


@dataclass
class World:
    kind: str
    options: dict[str, Any]
    shelf: Shelf = field(default_factory=Shelf)
    wire: WireServer | None = None
    sent: list[int] = field(default_factory=list)
    seen: dict[tuple[str, int], bytes] = field(default_factory=dict)
    kept: TrainingState | None = None

    def make(self, details: Mapping[str, Any] | None = None) -> ClassifierBackend:
        """A new backend object, as another process would have it; `details` are those of the version."""
        if self.kind == "watson":
            return get_backend("watson", artifacts=self.shelf, options=self.options | {"details": details})
        backend = get_backend(self.kind, artifacts=self.shelf, options=self.options)
        for memory in ("_heads", "_classes"):  # what is expensive stays: the embedder
            getattr(backend, memory, {}).clear()
        return backend

    def features(self, backend: ClassifierBackend, label: str, numbers: range) -> list[bytes]:
        """The features of some pictures; made once."""
        missing = [number for number in numbers if (label, number) not in self.seen]
        made = backend.features([backend.prepare(picture(label, number)) for number in missing])
        self.seen |= {(label, number): data for number, data in zip(missing, made, strict=True)}
        return [self.seen[label, number] for number in numbers]

    def spec(self, backend: ClassifierBackend) -> TrainingSpec:
        examples = [
            Example(label, data, 100 * place + number)
            for place, label in enumerate(CLASSES)
            for number, data in enumerate(self.features(backend, label, range(PER_CLASS)))
        ]
        return TrainingSpec(CLASSES, examples, seed=1, name="Café shoes 3")

    def start(self, backend: ClassifierBackend) -> TrainingState:
        """A started training. Backends that train at once do it for the first caller only; others get its result."""
        if self.kept is None:
            self.kept = backend.start_training(self.spec(backend), "7-token")
        return self.kept

    def fresh(self) -> None:
        """As new, but for what was trained at once."""
        if self.wire is not None:
            self.wire.reset()
            self.sent.clear()
            self.kept = None


def finish(backend: ClassifierBackend, state: TrainingState) -> TrainingState:
    """Poll until the training has ended."""
    for _ in range(10):
        if state.phase not in {"queued", "training"}:
            return state
        state = backend.poll(state.ref)
    raise AssertionError("the training does not end")


@contextmanager
def world(kind: str, cache_dir: Path) -> Iterator[World]:
    if kind == "local":
        yield World(kind, {"embedder": "fast", "cache_dir": str(cache_dir), "threads": 1})
    elif kind == "digest":
        yield World(kind, {})
    else:
        with wire_server() as wire:
            made = World(kind, {"connection": Connection(wire.url, "none"), "sleep": lambda seconds: None}, wire=wire)
            made.options["meter"] = made.sent.append
            yield made
