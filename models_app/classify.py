"""Pictures in, answers out: the one place where a version predicts.

Threads fetch and decode ahead; the caller's thread computes features in batches and predicts. What a backend
computes of a picture is kept by content, so a team never pays twice for the same picture.
"""

from __future__ import annotations

import hashlib
import hmac
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django_scopes import get_scope

from labeling_platform.accounts.models import Team
from labeling_platform.lib import storage, stored
from labeling_platform.lib.images import FetchError, FetchPolicy, fetch_image, inspect_image, policy_from_settings

from .backends import get_backend
from .backends.base import (
    BackendError,
    BadImage,
    ClassifierBackend,
    ItemResult,
    ModelNotFound,
    Permanent,
    RateLimited,
)
from .models import ModelVersion, PictureFeatures
from .pipeline import in_batches, load_ahead
from .remote import LOST, is_remote, open_remote, watched

Key = TypeVar("Key")
BATCH = 32
REQUEST = 20
"""Pictures that a service elsewhere takes at once; between requests the caller keeps its leases."""
WAITS, LONGEST_WAIT, LONGEST_PAUSE, ALL_BUSY_PAUSE = 2, 10.0, 3600.0, 10.0
"""How often and how long a pause of the service is waited for in place; for longer ones the pictures are put back."""
_spread: Callable[[], float] = random.random
_decoding = threading.BoundedSemaphore(4)  # a PNG of 40 million pixels takes 160 MB while it is decoded


@dataclass(frozen=True)
class Scored:
    """A version's answer for one picture. `scores` follow the version's outcomes; `confidence` is the highest.

    `distance` says how far the picture is from the training data, None when the backend cannot tell;
    `unlike` that it is farther than the cut that the training set.
    """

    scores: list[float]
    predicted: str
    confidence: float
    distance: float | None
    unlike: bool


@dataclass(frozen=True)
class Unreadable:
    """Why a picture has no answer. `transient`: trying again later may help; `of_service`: the service elsewhere that
    should have answered is why, not the picture. `pause`: seconds that are to be waited because too much was asked at
    once, which is no failed attempt.
    """

    code: str
    message: str
    transient: bool = False
    of_service: bool = False
    pause: float = 0.0


@dataclass(frozen=True)
class Picture:
    """A fetched picture: SHA-256 of its bytes in hex, and what the backend's `prepare` made of them."""

    content_hash: str
    prepared: Any


def file_of(ref: str) -> str:
    """The storage's name in a version's ref."""
    return ref.partition("#")[0]


class TeamArtifacts:
    """Model files in the storage, under the team whose scope is open.

    A ref is the file's name, `#` and the SHA-256 of its bytes. The version keeps it in the database, so whoever can
    write to the storage alone cannot give a version another model. Files of before that have a name only.
    """

    def save(self, hint: str, data: bytes) -> str:
        name = storage.save_bytes(data, team_id=get_scope()["team"].pk, area="models", suffix=".model")
        return f"{name}#{hashlib.sha256(data).hexdigest()}"

    def load(self, ref: str) -> bytes:
        """The bytes. Raises FileNotFoundError, and ModelNotFound when they are not those that were saved."""
        name, _, digest = ref.partition("#")
        data = storage.read_bytes(name)
        if digest and not hmac.compare_digest(hashlib.sha256(data).hexdigest(), digest):
            raise ModelNotFound(
                "The model file was changed after the training, so it is not used. Train the model again.",
                code="artifact_changed",
            )
        return data

    def delete(self, ref: str) -> None:
        storage.delete_file(file_of(ref))


_artifacts = TeamArtifacts()


def open_backend(kind: str, *, embedder: str = "") -> ClassifierBackend:
    """The backend called `kind`, made once per process; `embedder` other than the setting's for older versions.

    Raises ImproperlyConfigured for one that CLASSIFIER_BACKENDS does not name: a fault of ours, not of any data.
    """
    if kind not in settings.CLASSIFIER_BACKENDS:
        raise ImproperlyConfigured(f"CLASSIFIER_BACKENDS does not name “{kind}”.")
    options = {
        "embedder": embedder or settings.EMBEDDER,
        "cache_dir": settings.CLASSIFIER_CACHE_DIR,
        "threads": settings.CLASSIFIER_THREADS,
    }
    return get_backend(kind, artifacts=_artifacts, options=options)


def classify(
    *,
    version: ModelVersion,
    items: Iterable[tuple[Key, str]],
    policy: FetchPolicy | None = None,
    tick: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Key, Scored | Unreadable]]:
    """Predict the pictures at the addresses in `items`, (key, URL) pairs; yields (key, answer) in any order.

    Needs the team's scope to be open. A picture that cannot be had is its own answer; whatever else fails raises.
    `tick` runs in the caller's thread, at least once a second while pictures are waited for.
    """
    backend = backend_of(version)
    loaded = load_pictures(items, backend, policy=policy, tick=tick)
    for batch in in_batches(loaded, BATCH):
        had: list[tuple[Key, Picture]] = []
        for key, picture in batch:
            if isinstance(picture, Unreadable):
                yield key, picture
            else:
                had.append((key, picture))
        if not had:
            continue
        features = features_of(version.team, backend, [picture for _, picture in had], version.feature_version)
        results = _predict(version, backend, [features[picture.content_hash] for _, picture in had], tick)
        for (key, _), result in zip(had, results, strict=True):
            yield key, result if isinstance(result, Unreadable) else as_answer(result, version.outcomes)


def _predict(
    version: ModelVersion, backend: ClassifierBackend, features: Sequence[bytes], tick: Callable[[], None]
) -> Sequence[ItemResult | Unreadable]:
    """As the backend's. What hinders a service elsewhere becomes each picture's reason, which may be a passing one."""
    if not is_remote(version.backend):
        return backend.predict(version.ref, features)
    found: list[ItemResult | Unreadable] = []
    try:
        with watched(version.connection):
            for some in in_batches(features, REQUEST):
                tick()
                found += _ask(version, backend, some, tick)
    except BackendError as error:
        if isinstance(error, ModelNotFound):
            ModelVersion.objects.filter(pk=version.pk, error="").update(error=LOST)
            error = ModelNotFound(LOST, code="model_lost")
        reason = Unreadable(
            error.code, error.message, transient=error.retryable, of_service=True, pause=_pause_after(error)
        )
        found += [reason] * (len(features) - len(found))
    return found


def _ask(
    version: ModelVersion, backend: ClassifierBackend, features: Sequence[bytes], tick: Callable[[], None]
) -> Sequence[ItemResult]:
    """One request. A short pause that the service asks for is waited for here, a few times."""
    for _ in range(WAITS):
        try:
            return backend.predict(version.ref, features)
        except RateLimited as error:
            if error.retry_after > LONGEST_WAIT:
                raise
            # Not all that were sent away at once come back at once.
            until = time.monotonic() + error.retry_after * (1 + _spread() / 2)
            while (left := until - time.monotonic()) > 0:
                time.sleep(min(left, 0.5))
                tick()
    return backend.predict(version.ref, features)


def _pause_after(error: BackendError) -> float:
    if isinstance(error, RateLimited):
        return min(max(error.retry_after, 1.0), LONGEST_PAUSE)
    return ALL_BUSY_PAUSE if error.code == "all_busy" else 0.0


def backend_of(version: ModelVersion) -> ClassifierBackend:
    """The backend that makes features as the version knows them. Raises Permanent when there is none any more."""
    if is_remote(version.backend):
        # What is sent is a picture, whatever its size: a service reads those of another size as well.
        return open_remote(version.connection, details=version.details)
    backend = open_backend(version.backend, embedder=version.details.get("embedder", ""))
    if backend.feature_version != version.feature_version:
        raise Permanent(
            "This version was trained with an image network that is not in use any more. Train the model again.",
            code="features_changed",
        )
    return backend


def as_answer(result: ItemResult, outcomes: Sequence[str]) -> Scored | Unreadable:
    """A backend's result as scores in the order of `outcomes`. On a tie the earlier outcome wins."""
    if result.error is not None or result.scores is None:
        error = result.error
        if error is None:
            return Unreadable("no_answer", "The model gave no answer for this picture.", transient=True)
        return Unreadable(error.code, error.message, transient=error.retryable)
    scores = [float(result.scores[outcome]) for outcome in outcomes]
    confidence = max(scores)
    return Scored(scores, outcomes[scores.index(confidence)], confidence, result.distance, result.unlike)


def load_pictures(
    items: Iterable[tuple[Key, str]],
    backend: ClassifierBackend,
    *,
    policy: FetchPolicy | None = None,
    stored_by: Team | None = None,
    tick: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Key, Picture | Unreadable]]:
    """Fetch and decode the pictures in threads; (key, picture or reason) as they come. `tick` as in load_ahead.

    `stored_by`: names of pictures that this team has stored (lib/stored.py) are read, too. Without it they are refused.
    """
    load = partial(_load, backend, policy or policy_from_settings(), stored_by.pk if stored_by else None)
    return load_ahead(items, load, threads=settings.IMAGE_FETCH_THREADS, tick=tick)


def _load(backend: ClassifierBackend, policy: FetchPolicy, team_id: int | None, url: str) -> Picture | Unreadable:
    try:
        if team_id is not None and stored.is_stored(url):
            fetched = stored.read_picture(url, team_id=team_id)
        else:
            fetched = fetch_image(url, policy)
        with _decoding:
            return Picture(fetched.content_hash, backend.prepare(fetched.data))
    except FetchError as error:
        return Unreadable(error.code, error.message, transient=error.transient)
    except BadImage as error:
        return Unreadable(error.code, error.message)


def prepare_picture(backend: ClassifierBackend, data: bytes) -> Picture | Unreadable:
    """A picture whose bytes are here already."""
    try:
        inspect_image(data)
        with _decoding:
            return Picture(hashlib.sha256(data).hexdigest(), backend.prepare(data))
    except FetchError as error:
        return Unreadable(error.code, error.message, transient=error.transient)
    except BadImage as error:
        return Unreadable(error.code, error.message)


def features_of(
    team: Team, backend: ClassifierBackend, pictures: Sequence[Picture], feature_version: str
) -> dict[str, bytes]:
    """Features by content hash: those kept are read in one query, the others computed in one batch and kept."""
    wanted = {picture.content_hash: picture for picture in pictures}
    found = stored_features(team, feature_version, wanted)
    missing = [picture for content_hash, picture in wanted.items() if content_hash not in found]
    if missing:
        computed = backend.features([picture.prepared for picture in missing])
        fresh = {picture.content_hash: data for picture, data in zip(missing, computed, strict=True)}
        PictureFeatures.objects.bulk_create(
            [
                PictureFeatures(team=team, version=feature_version, content_hash=content_hash, data=data)
                for content_hash, data in fresh.items()
            ],
            ignore_conflicts=True,
        )
        found |= fresh
    return found


def stored_features(team: Team, feature_version: str, hashes: Iterable[str]) -> dict[str, bytes]:
    """The features that are kept of these contents, by content hash."""
    rows = PictureFeatures.objects.filter(team=team, version=feature_version, content_hash__in=list(hashes))
    return {content_hash: bytes(data) for content_hash, data in rows.values_list("content_hash", "data")}
