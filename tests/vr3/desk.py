"""A Watson backend at the wire server, and what to train it on."""

from __future__ import annotations

from typing import Any

from models_app.backends.base import Example, TrainingSpec
from models_app.backends.watson import Connection, WatsonBackend
from models_app.backends.watson import client as client_module
from tests.backends.worlds import picture

from .server import WireServer

TOKEN = "7-abcdef"
CLASSES = ("T-shirt", "boots", "negative_examples")


class Desk:
    """A backend and what it was seen doing."""

    def __init__(self, server: WireServer, **how: Any) -> None:
        self.slept: list[float] = []
        self.metered: list[int] = []
        self.connection = Connection(**{"url": server.url, "auth": "none", **how})
        self.backend = WatsonBackend(self.connection, meter=self.metered.append, sleep=self.slept.append)

    def trained(self, classes: tuple[str, ...] = CLASSES) -> str:
        return self.backend.start_training(spec(classes), TOKEN).ref


def pictures(label: str, first: int = 0, count: int = 10) -> list[bytes]:
    return [picture(label, first + number) for number in range(count)]


def spec(classes: tuple[str, ...] = CLASSES, count: int = 10) -> TrainingSpec:
    looks = ("T-shirt", "boots", "negative_examples")
    examples = [
        Example(label, data, number)
        for place, label in enumerate(classes)
        for number, data in enumerate(pictures(looks[place % 3], 100 * (place // 3), count))
    ]
    return TrainingSpec(classes, examples, seed=1, name="Café “shoes” 3")


def sdk(desk: Desk) -> Any:
    """IBM's client as the backend uses it."""
    return client_module._make_service(desk.connection)
