"""One training from claim to version in service: read the pictures, fit, measure, switch over."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from labeling_platform.accounts.services import record

from .. import metrics
from ..backends.base import BackendError, ClassifierBackend, Example, TrainingSpec, TrainingState
from ..classify import Picture, Scored, Unreadable, as_answer, features_of, load_pictures, open_backend, stored_features
from ..doubts import Doubt, find_doubts
from ..labels import NEGATIVE
from ..models import CustomModel, HoldoutPrediction, LabelDoubt, ModelVersion, PictureFeatures, TrainingImage
from ..pipeline import in_batches
from ..querysets import in_use, usable
from ..remote import is_remote, open_remote, watched
from ..states import VersionState
from .claims import Claim, Lost, claim
from .remote_training import find_again, leave_waiting, postpone, reason_of, submit
from .training import SEED, fail_training

BATCH, QUERY_BATCH, PREDICT_BATCH = 16, 1000, 256
PAUSES = (2.0, 6.0)  # seconds before the second and the third try of pictures that failed for a passing reason


class CannotTrain(Exception):
    """The training ends here, for a reason in words that a person can act on."""


@dataclass(frozen=True)
class Ready:
    """A picture that can be used: its row, and the features the backend keeps of it."""

    image: TrainingImage
    features: bytes


@dataclass(frozen=True)
class Measured:
    """What the trained version said of a held-out picture."""

    image: TrainingImage
    answer: Scored


def run_training(*, version: ModelVersion) -> bool:
    """Train a queued version to its end: ready and in service, or failed with a reason.

    Returns False when it was not queued any more, or was canceled or taken over meanwhile; then nothing is changed.
    Whatever else raises leaves the lease to run out, and the sweep tries again.
    """
    held = claim(version)
    if held is None:
        return False
    try:
        _train(held)
    except Lost:
        return False
    except CannotTrain as reason:
        fail_training(version=held.version, reason=str(reason), token=held.version.token)
    except BackendError as error:
        if error.retryable and is_remote(held.version.backend):
            postpone(version=held.version, error=error)
            return True
        if error.retryable:
            raise
        fail_training(version=held.version, reason=error.message, token=held.version.token)
    return True


def _train(held: Claim) -> None:
    if is_remote(held.version.backend):
        _train_elsewhere(held)
        return
    backend = open_backend(held.version.backend)
    held.write(feature_version=backend.feature_version)
    ready = _collect(held, backend)
    with held.kept_alive():
        _decide_holdout(backend, ready)
        outcomes = order_outcomes({item.image.label for item in ready})
        state = _fit(held, backend, ready, outcomes)
    try:
        holdout = [item for item in ready if item.image.holdout]
        held.write(stage="measuring", done=0, total=len(holdout))
        measured = _measure(held, backend, state.ref, holdout, outcomes)
        doubts = _doubts([item for item in ready if not item.image.holdout], state, measured, outcomes)
        _finish(held, state, measured, outcomes, rows_trained=len(ready) - len(holdout), doubts=doubts)
    except Lost:
        backend.delete(state.ref)
        raise


def _train_elsewhere(held: Claim) -> None:
    """Send the training, or go on with one that was sent. What is not wanted any more, leftovers.py deletes there."""
    version = held.version
    backend = open_remote(version.connection, details=version.details)
    held.write(feature_version=backend.feature_version)
    state = find_again(held, backend)
    if state is None:
        ready = _collect(held, backend)
        with held.kept_alive():
            _decide_holdout(backend, ready)
            spec = _spec(held, ready, order_outcomes({item.image.label for item in ready}))
            state = submit(held, backend, spec)
    if state.phase in {"queued", "training"}:
        leave_waiting(held, state)
        return
    if state.phase != "ready":
        raise CannotTrain(reason_of(state))
    _measure_elsewhere(held, state)


def _measure_elsewhere(held: Claim, state: TrainingState) -> None:
    version = held.version
    backend = open_remote(version.connection, details=version.details)
    # What people did to labels meanwhile counts from the next training on.
    ready = [item for item in _load_ready(held, backend) if item.image.label in version.outcomes]
    holdout = [item for item in ready if item.image.holdout]
    held.write(stage="measuring", done=0, total=len(holdout))
    with held.kept_alive(), watched(version.connection):
        measured = _measure(held, backend, state.ref, holdout, version.outcomes)
    state = replace(state, details=version.details | state.details)
    _finish(held, state, measured, version.outcomes, rows_trained=version.rows_trained, doubts=[])


def _collect(held: Claim, backend: ClassifierBackend) -> list[Ready]:
    """Fetch the pictures and load what the backend keeps of them. Raises CannotTrain when too few can be had."""
    _read_pictures(held, backend)
    ready = _load_ready(held, backend)
    _check_enough(held, backend, ready)
    held.write(stage="fitting", done=0, total=0)
    return ready


def order_outcomes(labels: Iterable[str]) -> list[str]:
    """The classes in alphabetical order, `negative_examples` last."""
    return sorted(labels, key=lambda label: (label == NEGATIVE, label))


# --- pictures -----------------------------------------------------------------------------------------


def _images_of(version: ModelVersion) -> Any:
    return in_use(version.model).filter(pk__lte=version.last_image_id).order_by("pk")


def _read_pictures(held: Claim, backend: ClassifierBackend) -> None:
    """Fetch every picture whose features are not kept yet; note on the others why they cannot be had."""
    progress = _Reading(held, backend)
    images = list(_images_of(held.version))
    waiting = [image for image in images if not (image.content_hash and not image.error_code)]
    known = [image for image in images if image.content_hash and not image.error_code]
    for some in in_batches(known, QUERY_BATCH):
        kept = _kept_hashes(held.version, backend, [image.content_hash for image in some])
        progress.skip(sum(1 for image in some if image.content_hash in kept))
        waiting += [image for image in some if image.content_hash not in kept]
    progress.total = len(images)
    for pause in (0.0, *PAUSES):
        if not waiting:
            break
        _wait(pause, progress.tick)
        waiting = progress.read(waiting)
    progress.give_up(waiting)


def _kept_hashes(version: ModelVersion, backend: ClassifierBackend, hashes: Sequence[str]) -> set[str]:
    rows = PictureFeatures.objects.filter(team=version.team, version=backend.feature_version, content_hash__in=hashes)
    return set(rows.values_list("content_hash", flat=True))


def _wait(seconds: float, tick: Callable[[], None]) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, 0.5))
        tick()


class _Reading:
    """The fetching stage: how far it is, and what it writes of each picture."""

    def __init__(self, held: Claim, backend: ClassifierBackend) -> None:
        self.held, self.backend = held, backend
        self.total = self.fetched = self.embedded = self.failed = 0

    def skip(self, count: int) -> None:
        """Pictures whose features are kept already."""
        self.fetched += count
        self.embedded += count

    def tick(self) -> None:
        self.held.tick(**self._fields())

    def _fields(self) -> dict[str, Any]:
        return {
            "stage": "fetching",
            "done": self.embedded + self.failed,
            "total": self.total,
            "images_failed": self.failed,
            "details": self.held.version.details | {"fetched": self.fetched + self.failed, "embedded": self.embedded},
        }

    def read(self, images: list[TrainingImage]) -> list[TrainingImage]:
        """One try at each picture; returns those that failed for a passing reason."""
        again: list[TrainingImage] = []
        by_id = {image.pk: image for image in images}
        items = [(image.pk, image.image_url) for image in images]
        loaded = load_pictures(items, self.backend, stored_by=self.held.version.team, tick=self.tick)
        for batch in in_batches(self._counted(loaded), BATCH):
            self._embed([(by_id[pk], picture) for pk, picture in batch if isinstance(picture, Picture)])
            for pk, picture in batch:
                if isinstance(picture, Unreadable):
                    image = by_id[pk]
                    image.error_code, image.error_message = picture.code, picture.message[:300]
                    again += [image] if picture.transient else []
                    self.failed += not picture.transient
            TrainingImage.objects.bulk_update(
                [by_id[pk] for pk, _ in batch], ["content_hash", "error_code", "error_message"]
            )
            self.tick()
        return again

    def _counted(
        self, loaded: Iterable[tuple[int, Picture | Unreadable]]
    ) -> Iterable[tuple[int, Picture | Unreadable]]:
        for pk, picture in loaded:
            self.fetched += isinstance(picture, Picture)
            yield pk, picture

    def _embed(self, had: list[tuple[TrainingImage, Picture]]) -> None:
        if not had:
            return
        features_of(self.held.version.team, self.backend, [picture for _, picture in had], self.backend.feature_version)
        for image, picture in had:
            image.content_hash, image.error_code, image.error_message = picture.content_hash, "", ""
        self.embedded += len(had)

    def give_up(self, images: list[TrainingImage]) -> None:
        """What still fails after the last try is left out; the reason stands on the picture already."""
        self.failed += len(images)
        self.held.write(**self._fields())


def _load_ready(held: Claim, backend: ClassifierBackend) -> list[Ready]:
    ready: list[Ready] = []
    for some in in_batches(list(usable(_images_of(held.version))), QUERY_BATCH):
        kept = stored_features(held.version.team, backend.feature_version, {image.content_hash for image in some})
        ready += [Ready(image, kept[image.content_hash]) for image in some if image.content_hash in kept]
        held.tick()
    return ready


def _check_enough(held: Claim, backend: ClassifierBackend, ready: list[Ready]) -> None:
    """A class of which nothing is left counts too: it must not vanish from the model without a word."""
    counts = dict.fromkeys(_images_of(held.version).values_list("label", flat=True), 0)
    counts |= Counter(item.image.label for item in ready)
    errors = [problem.message for problem in backend.validate(counts) if problem.level == "error"]
    if errors:
        raise CannotTrain(
            "Too few pictures could be had. "
            + " ".join(errors)
            + " See which pictures failed and why on the Pictures tab."
        )


# --- fit and measure ----------------------------------------------------------------------------------


def _decide_holdout(backend: ClassifierBackend, ready: list[Ready]) -> None:
    """Set aside 20% of every class, near-duplicates together; what was decided earlier stays (design §6.5)."""
    labels = [item.image.label for item in ready]
    groups = backend.group([item.features for item in ready], labels)
    already = [item.image.holdout for item in ready]
    chosen = metrics.split_holdout(labels, groups, seed=SEED, already=already)
    for item, group, held_out in zip(ready, groups, chosen, strict=True):
        item.image.group, item.image.holdout = group, held_out
    TrainingImage.objects.bulk_update([item.image for item in ready], ["group", "holdout"], batch_size=QUERY_BATCH)


def _spec(held: Claim, ready: list[Ready], outcomes: list[str]) -> TrainingSpec:
    """What is to be trained. Raises CannotTrain when all pictures of a class are set aside."""
    version = held.version
    examples = [
        Example(item.image.label, item.features, item.image.group or 0) for item in ready if not item.image.holdout
    ]
    missing = set(outcomes) - {example.label for example in examples}
    if missing:
        raise CannotTrain(f"All pictures of {', '.join(sorted(missing))} are set aside; add more pictures of it.")
    return TrainingSpec(
        classes=tuple(outcomes),
        examples=examples,
        seed=SEED,
        name=f"{version.model.name} {version.number}",
        on_progress=lambda stage, done, total: held.tick(stage="fitting", done=done, total=total),
    )


def _fit(held: Claim, backend: ClassifierBackend, ready: list[Ready], outcomes: list[str]) -> TrainingState:
    state = backend.start_training(_spec(held, ready, outcomes), f"{held.version.pk}-{held.version.token}")
    while state.phase in {"queued", "training"}:
        _wait(state.retry_after or 5.0, lambda: held.tick(stage="fitting", done=0, total=0))
        state = backend.poll(state.ref)
    if state.phase != "ready":
        raise CannotTrain(state.message or "The classifier could not be trained on these pictures.")
    return state


def _measure(
    held: Claim, backend: ClassifierBackend, ref: str, holdout: list[Ready], outcomes: list[str]
) -> list[Measured]:
    """Ask the new version for every held-out picture."""
    measured: list[Measured] = []
    for some in in_batches(holdout, PREDICT_BATCH):
        results = backend.predict(ref, [item.features for item in some])
        for item, result in zip(some, results, strict=True):
            answer = as_answer(result, outcomes)
            if isinstance(answer, Scored):
                measured.append(Measured(item.image, answer))
        held.tick(stage="measuring", done=len(measured), total=len(holdout))
    return measured


def _doubts(
    trained: list[Ready], state: TrainingState, measured: list[Measured], outcomes: list[str]
) -> list[tuple[TrainingImage, Doubt]]:
    """Labels that are likely wrong; each picture is judged by a classifier that did not see it."""
    if state.out_of_fold is None:
        return []
    images = [item.image for item in trained] + [item.image for item in measured]
    scores = [*state.out_of_fold, *(item.answer.scores for item in measured)]
    found = find_doubts([image.label for image in images], np.array(scores), outcomes)
    return [(images[doubt.row], doubt) for doubt in found if not images[doubt.row].confirmed]


def measure_holdout(measured: Sequence[Measured], outcomes: list[str]) -> dict[str, Any]:
    """The figures of a version, as they are kept in ModelVersion.metrics.

    As metrics.Evaluation, with `accuracy` as a plain share (None without a holdout) and its Wilson interval
    in `accuracy_low` and `accuracy_high`, for which near-duplicates count once.
    """
    labels = [item.image.label for item in measured]
    figures = metrics.evaluate(labels, np.array([item.answer.scores for item in measured]), outcomes)
    accuracy = figures.accuracy
    groups = {item.image.pk if item.image.group is None else -1 - item.image.group for item in measured}
    low, high = metrics.wilson_of_groups(accuracy.hits, accuracy.count, len(groups))
    return figures.as_json() | {"accuracy": accuracy.value, "accuracy_low": low, "accuracy_high": high}


def _finish(
    held: Claim,
    state: TrainingState,
    measured: list[Measured],
    outcomes: list[str],
    *,
    rows_trained: int,
    doubts: list[tuple[TrainingImage, Doubt]],
) -> None:
    """Put the version in service, in one transaction. Raises Lost when the training is not ours any more."""
    version = held.version
    with transaction.atomic():
        moved = VersionState.move(
            held.rows(),
            VersionState.READY,
            ref=state.ref,
            outcomes=outcomes,
            metrics=measure_holdout(measured, outcomes),
            details=state.details | {"embedder": settings.EMBEDDER},
            rows_trained=rows_trained,
            rows_holdout=len(measured),
            stage="",
            lease_until=None,
            finished_at=Now(),
        )
        if not moved:
            raise Lost
        HoldoutPrediction.objects.bulk_create(
            [
                HoldoutPrediction(
                    team=version.team,
                    version=version,
                    image=item.image,
                    label=item.image.label,
                    scores=item.answer.scores,
                    predicted=item.answer.predicted,
                    confidence=item.answer.confidence,
                    distance=item.answer.distance,
                )
                for item in measured
            ],
            batch_size=QUERY_BATCH,
        )
        LabelDoubt.objects.bulk_create(
            LabelDoubt(
                team=version.team,
                version=version,
                image=image,
                given=image.label,
                suggested=doubt.suggested,
                given_score=doubt.given_score,
                suggested_score=doubt.suggested_score,
            )
            for image, doubt in doubts
        )
        CustomModel.objects.filter(pk=version.model_id).update(current=version)
        record(team=version.team, actor=None, verb="training finished", obj=version.model, version=version.number)
