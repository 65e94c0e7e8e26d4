"""The backend itself: what the product calls, made of the parts beside this file."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ..base import Capabilities, Health, ItemResult, Problem, TrainingSpec, TrainingState
from .connection import Connection

FEATURE_VERSION = "vr3-jpeg-320-1"


def ignore(images: int) -> None:
    """The meter of callers who do not count."""


class WatsonBackend:
    """One connection's classifiers. Make one per task: it holds a client that is not shared between processes.

    `details` are the details of the version that is asked (they have the names under which its labels were sent).
    `gate` is entered around each request, `meter` is told how many images a request has sent, `sleep` waits.
    Raises only the errors of backends.base.
    """

    kind = "watson"
    feature_version = FEATURE_VERSION

    def __init__(
        self,
        connection: Connection,
        *,
        details: Mapping[str, Any] | None = None,
        gate: Callable[[], AbstractContextManager[object]] = nullcontext,
        meter: Callable[[int], None] = ignore,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.connection = connection

    def open(self, details: Mapping[str, Any]) -> WatsonBackend:
        """The same connection for a version with these details (`version.details`)."""
        raise NotImplementedError

    def plan(self, classes: Sequence[str]) -> dict[str, Any]:
        """How these labels will be sent: `{"watson": {"aliases": {label: name}, "negatives": bool}}`. No input or output.

        Merge it into the version's details *before* `start_training`, so that a restart finds it there. The same
        is part of the details that `start_training` returns.
        """
        raise NotImplementedError

    def capabilities(self) -> Capabilities:
        raise NotImplementedError

    def validate(self, counts: Mapping[str, int]) -> list[Problem]:
        raise NotImplementedError

    def prepare(self, data: bytes) -> bytes:
        """The picture as a small JPEG: upright, RGB, long side 320. Raises BadImage."""
        raise NotImplementedError

    def features(self, prepared: Sequence[bytes]) -> list[bytes]:
        raise NotImplementedError

    def group(self, features: Sequence[bytes], labels: Sequence[str]) -> list[int]:
        raise NotImplementedError

    def start_training(self, spec: TrainingSpec, token: str) -> TrainingState:
        """Send the examples, or adopt the training that carries the token already. `phase` is mostly `training`.

        After an unclear answer (time-out, 5xx) it looks for the token twice, then raises Transient: call it again
        later with the same token. Raises InvalidTrainingData, TooLarge, RateLimited, QuotaExceeded, AuthFailed, ...
        """
        raise NotImplementedError

    def find_training(self, token: str) -> TrainingState | None:
        """The training whose name ends with the token, or None. Its details are empty: keep those of `plan`."""
        raise NotImplementedError

    def poll(self, ref: str) -> TrainingState:
        """Where a training is: `training`, `ready`, `failed` (message = the reason) or `lost` (404)."""
        raise NotImplementedError

    def predict(self, ref: str, features: Sequence[bytes]) -> list[ItemResult]:
        raise NotImplementedError

    def delete(self, ref: str) -> None:
        """Delete the remote classifier; an unknown one counts as deleted."""
        raise NotImplementedError

    def check(self) -> Health:
        """Can the service be reached and does it accept us? Never raises a BackendError."""
        raise NotImplementedError
