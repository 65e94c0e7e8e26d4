"""Training over there: what is sent, and finding it again after an unclear answer (reference/watson.md 4.5)."""

from __future__ import annotations

import hashlib
import logging
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from ..base import (
    BackendError,
    InvalidTrainingData,
    Misconfigured,
    ModelNotFound,
    ProgressCallback,
    RateLimited,
    TrainingSpec,
    TrainingState,
    Transient,
)
from .client import Client
from .errors import NOT_THE_SERVICE, clean
from .names import NEGATIVE, carries, make_aliases, metadata_of, training_name
from .pictures import LONG_SIDE, SMALLER_SIDES, small_jpeg

logger = logging.getLogger(__name__)

MIN_IMAGES = 10
MAX_IMAGES = 10_000
MAX_ZIP = 100_000_000
MAX_CALL = 256_000_000
ENTRY_OVERHEAD = 160
"""More than a zip adds for one picture: two headers with a short name."""
FORM_OVERHEAD = 1_000_000
LOOK_AGAIN_AFTER = 5.0


@dataclass(frozen=True)
class Limits:
    """What one training may have; smaller ones in tests."""

    min_images: int = MIN_IMAGES
    max_images: int = MAX_IMAGES
    max_zip: int = MAX_ZIP
    max_call: int = MAX_CALL


@dataclass
class Sets:
    """The pictures to send, by label, and what had to be done to fit them in."""

    by_label: dict[str, list[bytes]]
    left_out: dict[str, int] = field(default_factory=dict)
    side: int = LONG_SIDE

    def count(self) -> int:
        return sum(len(pictures) for pictures in self.by_label.values())


def plan(classes: Sequence[str]) -> dict[str, Any]:
    """How the labels will be sent, as it is kept in a version's details."""
    return {"watson": {"aliases": make_aliases(classes), "negatives": NEGATIVE in classes}}


def choose(spec: TrainingSpec, limits: Limits) -> Sets:
    """The pictures of each label, at most what the limits allow. Raises InvalidTrainingData when a label has too few.

    Over a limit of bytes, pictures are shrunk further; what is still too much is left out by a fixed draw.
    """
    by_label: dict[str, list[bytes]] = {label: [] for label in spec.classes}
    for example in spec.examples:
        by_label[example.label].append(example.features)
    _check_sets(by_label, limits)
    sets = Sets(by_label)
    for label in by_label:
        _keep(sets, label, limits.max_images, spec.seed)
    for side in SMALLER_SIDES:
        if not _too_much(sets, limits):
            break
        spec.on_progress("shrinking", 0, sets.count())
        sets.side = side
        for label, pictures in sets.by_label.items():
            sets.by_label[label] = [small_jpeg(data, side) for data in pictures]
    for label, allowed in _allowed_bytes(sets, limits).items():
        have = _size(sets.by_label[label])
        if have > allowed:
            # 2% less, because pictures differ in size and the draw may take the larger ones.
            _keep(sets, label, int(len(sets.by_label[label]) * allowed / have * 0.98), spec.seed)
    _check_sets(sets.by_label, limits)
    return sets


def _check_sets(by_label: Mapping[str, Sequence[bytes]], limits: Limits) -> None:
    positives = [label for label in by_label if label != NEGATIVE]
    if not positives or len(by_label) < 2:
        raise InvalidTrainingData("A model needs two classes, or one class and pictures of none.", code="one_class")
    few = {label: len(pictures) for label, pictures in by_label.items() if len(pictures) < limits.min_images}
    if few:
        listed = ", ".join(f"{label} has {count}" for label, count in sorted(few.items()))
        raise InvalidTrainingData(
            f"The service trains on at least {limits.min_images} pictures of each class: {listed}. "
            "One picture in five is held out to measure the model; add more.",
            code="too_few",
        )


def _keep(sets: Sets, label: str, count: int, seed: int) -> None:
    """Keep `count` pictures of a label; the draw depends on their contents and the seed only."""
    pictures = sets.by_label[label]
    if len(pictures) <= count:
        return
    salt = str(seed).encode()
    order = sorted(range(len(pictures)), key=lambda place: hashlib.sha256(salt + pictures[place]).digest())
    chosen = sorted(order[:count])
    sets.left_out[label] = sets.left_out.get(label, 0) + len(pictures) - count
    sets.by_label[label] = [pictures[place] for place in chosen]


def _size(pictures: Sequence[bytes]) -> int:
    return sum(len(data) + ENTRY_OVERHEAD for data in pictures)


def _too_much(sets: Sets, limits: Limits) -> bool:
    sizes = [_size(pictures) for pictures in sets.by_label.values()]
    return max(sizes) > limits.max_zip or sum(sizes) > limits.max_call - FORM_OVERHEAD


def _allowed_bytes(sets: Sets, limits: Limits) -> dict[str, int]:
    """Bytes per label: its own limit, and all of them cut by one share when together they are too many."""
    capped = {label: min(_size(pictures), limits.max_zip) for label, pictures in sets.by_label.items()}
    room = limits.max_call - FORM_OVERHEAD
    share = min(1.0, room / max(1, sum(capped.values())))
    return {label: int(size * share) for label, size in capped.items()}


@contextmanager
def _archives(sets: Sets, aliases: Mapping[str, str], progress: ProgressCallback) -> Iterator[dict[str, BinaryIO]]:
    """A zip per set, stored, in temporary files. They have names: the SDK sends no file name otherwise (trap 2)."""
    with ExitStack() as stack:
        files: dict[str, BinaryIO] = {}
        total, done = sets.count(), 0
        for label, pictures in sets.by_label.items():
            name = "negative_examples" if label == NEGATIVE else aliases[label].replace(" ", "_")
            file = stack.enter_context(tempfile.NamedTemporaryFile(prefix=f"{name}-", suffix=".zip"))
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                for number, data in enumerate(pictures):
                    archive.writestr(f"{number:06}.jpg", data)
                    done += 1
                    if done % 500 == 0:
                        progress("packing", done, total)
            file.seek(0)
            files[label] = file  # type: ignore[assignment]  # a wrapper around a binary file
        progress("sending", 0, total)
        yield files


class Trainer:
    """Starts, finds, polls and deletes the classifiers of one connection."""

    def __init__(
        self, client: Client, *, meter: Callable[[int], None], sleep: Callable[[float], None], limits: Limits
    ) -> None:
        self.client, self.meter, self.sleep, self.limits = client, meter, sleep, limits

    def start(self, spec: TrainingSpec, token: str) -> TrainingState:
        """Send the pictures once for each token; see WatsonBackend.start_training."""
        planned = plan(spec.classes)
        sets = choose(spec, self.limits)
        details = planned | {"images_sent": sets.count(), "left_out": sets.left_out, "side": sets.side}
        state = self.find(token)
        if state is None:
            state = self._create(spec, token, sets, planned["watson"]["aliases"])
        return TrainingState(state.ref, state.phase, state.message, details=details)

    def _create(self, spec: TrainingSpec, token: str, sets: Sets, aliases: Mapping[str, str]) -> TrainingState:
        """Create is not idempotent: after an answer that leaves it open, look for the token before anything else."""
        with _archives(sets, aliases, spec.on_progress) as files:
            arguments: dict[str, Any] = {
                "name": training_name(spec.name, token),
                "positive_examples": {aliases[label]: file for label, file in files.items() if label != NEGATIVE},
                "headers": self._headers(),
            }
            if NEGATIVE in files:
                arguments["negative_examples"] = files[NEGATIVE]
                arguments["negative_examples_filename"] = "negative_examples.zip"
            try:
                state = _state_of(self.client.call("create", "create_classifier", **arguments))
            except BackendError as error:
                if not (self.client.sent and _unclear(error)):
                    raise
                state = self._reconcile(token, error)
        self.meter(sets.count())
        return state

    def _headers(self) -> dict[str, str]:
        headers = {"X-Watson-Learning-Opt-Out": "true"}
        if self.client.connection.customer_id:
            headers["X-Watson-Metadata"] = metadata_of(self.client.connection.customer_id)
        return headers

    def _reconcile(self, token: str, error: BackendError) -> TrainingState:
        """The training that the unclear create started after all; else the error, and the caller may send again."""
        logger.warning("watson: unclear answer to create: %s", error.code)
        for pause in (0.0, LOOK_AGAIN_AFTER):
            if pause:
                self.sleep(pause)
            found = self.find(token)
            if found is not None:
                return found
        raise error

    def find(self, token: str) -> TrainingState | None:
        """By name, through the verbose list. Of several the one made first: all later finders agree on it."""
        listed = self.client.call("list", "list_classifiers", verbose=True).get("classifiers")
        if not isinstance(listed, list):
            raise Misconfigured(NOT_THE_SERVICE, code="not_the_service")
        found = [
            item
            for item in listed
            if isinstance(item, dict)
            and carries(item.get("name"), token)
            and isinstance(item.get("classifier_id"), str)
        ]
        if len(found) > 1:
            logger.warning("watson: %d classifiers carry one token", len(found))
        found.sort(key=lambda item: (str(item.get("created", "")), item["classifier_id"]))
        return _state_of(found[0]) if found else None

    def poll(self, ref: str) -> TrainingState:
        try:
            return _state_of(self.client.call("poll", "get_classifier", classifier_id=ref), ref)
        except ModelNotFound:
            return TrainingState(ref, "lost", "The service does not have this training any more. Train again.")

    def delete(self, ref: str) -> None:
        try:
            self.client.call("delete", "delete_classifier", classifier_id=ref)
        except ModelNotFound:
            return


def _unclear(error: BackendError) -> bool:
    """May the create have worked? RateLimited is a clear no, an answer that nobody can read is none."""
    return (isinstance(error, Transient) and not isinstance(error, RateLimited)) or error.code == "not_the_service"


def _state_of(answer: Mapping[str, Any], ref: str = "") -> TrainingState:
    """A Classifier as a TrainingState. A status nobody knows counts as training, until the caller's deadline."""
    ref = ref or str(answer.get("classifier_id") or "")
    if not ref:
        raise Transient("The service's answer names no classifier.", code="no_classifier_id")
    status = answer.get("status")
    if status == "ready":
        return TrainingState(ref, "ready")
    if status == "failed":
        said = answer.get("explanation")
        reason = clean(said) if isinstance(said, str) and said.strip() else "the service gave no reason"
        return TrainingState(ref, "failed", f"The training failed: {reason.rstrip('.')}.")
    return TrainingState(ref, "training")
