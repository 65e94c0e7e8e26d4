"""The backend itself: what the product calls, made of the parts beside this file."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ..base import (
    BackendError,
    Capabilities,
    Health,
    ItemResult,
    Misconfigured,
    Problem,
    TrainingSpec,
    TrainingState,
    check_counts,
)
from .client import Client
from .connection import Connection
from .pictures import LONG_SIDE, group_pictures, small_jpeg
from .predicting import Names, Predictor
from .training import MAX_CALL, MAX_IMAGES, MAX_ZIP, Limits, Trainer, plan

FEATURE_VERSION = f"vr3-jpeg-{LONG_SIDE}-1"
CAPABILITIES = Capabilities(
    remote=True,
    charges=True,
    aliases=True,
    min_per_class=13,  # the service wants 10, and one in five is held out
    max_per_class=MAX_IMAGES,
    max_class_bytes=MAX_ZIP,
    max_total_bytes=MAX_CALL,
)


def ignore(images: int) -> None:
    """The meter of callers who do not count."""


class WatsonBackend:
    """One connection's classifiers. Make one per task: it holds a client that is not shared between processes.

    `details` are the details of the version that is asked (they have the names under which its labels were sent).
    `gate` is entered around each request, `meter` is told how many pictures a request has sent, `sleep` waits.
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
        limits: Limits = Limits(),  # noqa: B008  # frozen
    ) -> None:
        self.connection = connection
        self._meter = meter
        self._client = Client(connection, gate)
        self._trainer = Trainer(self._client, meter=meter, sleep=sleep, limits=limits)
        self._names = Names.of(details or {})
        self._trained: dict[str, Names] = {}

    def open(self, details: Mapping[str, Any]) -> WatsonBackend:
        """This backend for a version with these details (`version.details`)."""
        self._names = Names.of(details)
        return self

    def plan(self, classes: Sequence[str]) -> dict[str, Any]:
        """How these labels will be sent: `{"watson": {"aliases": {label: name}, "negatives": bool}}`.

        Merge it into the version's details *before* `start_training`, so that a restart finds it there. The same
        is part of the details that `start_training` returns. No input or output.
        """
        return plan(classes)

    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    def validate(self, counts: Mapping[str, int]) -> list[Problem]:
        problems = check_counts(counts, CAPABILITIES)
        for label, count in sorted(counts.items()):
            if count > MAX_IMAGES:
                message = (
                    f"{label}: {count:,} pictures; the service takes {MAX_IMAGES:,} of a class, the rest is left out."
                )
                problems.append(Problem("too_many", "warning", message))
        return problems

    def prepare(self, data: bytes) -> bytes:
        """The picture as a small JPEG: upright, RGB, long side LONG_SIDE. Raises BadImage."""
        return small_jpeg(data)

    def features(self, prepared: Sequence[bytes]) -> list[bytes]:
        return list(prepared)

    def group(self, features: Sequence[bytes], labels: Sequence[str]) -> list[int]:
        return group_pictures(features, labels)

    def start_training(self, spec: TrainingSpec, token: str) -> TrainingState:
        """Send the examples, or adopt the training that carries the token already. `phase` is mostly `training`.

        After an unclear answer (time-out, 5xx) it looks for the token twice, then raises Transient: call it again
        later with the same token. The token must have no space. Raises InvalidTrainingData, TooLarge, RateLimited,
        QuotaExceeded, AuthFailed, Misconfigured.
        """
        if not token or any(character.isspace() for character in token):
            raise Misconfigured("A training's token has a space in it.", code="bad_token")
        state = self._trainer.start(spec, token)
        self._trained[state.ref] = Names.of(state.details)
        return state

    def find_training(self, token: str) -> TrainingState | None:
        """The training whose name ends with the token, or None. Its details are empty: keep those of `plan`."""
        return self._trainer.find(token)

    def poll(self, ref: str) -> TrainingState:
        """Where a training is: `training`, `ready`, `failed` (message = the reason) or `lost` (404)."""
        return self._trainer.poll(ref)

    def predict(self, ref: str, features: Sequence[bytes]) -> list[ItemResult]:
        """One result for each picture, in order. Scores are independent of each other (reference/watson.md 4.4).

        Labels are those of `details`, or of the training that this object started. Raises ModelNotFound.
        """
        names = self._trained.get(ref, self._names)
        return Predictor(self._client, meter=self._meter, names=names).predict(ref, features)

    def delete(self, ref: str) -> None:
        """Delete the remote classifier; an unknown one counts as deleted."""
        self._trainer.delete(ref)

    def check(self) -> Health:
        """Can the service be reached and does it accept us? Never raises a BackendError."""
        try:
            answer = self._client.call("check", "list_classifiers")
        except BackendError as error:
            return Health(ok=False, message=error.message, code=error.code)
        if not isinstance(answer.get("classifiers"), list):
            return Health(ok=False, message="The service's answer is no list of classifiers. Check the service URL.")
        return Health(ok=True, message="The service answers and accepts the credentials.")
