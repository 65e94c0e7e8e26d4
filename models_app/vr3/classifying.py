"""Pictures of a request, and what classifiers say of them.

The classifier runs in the web process, in the request's thread. A task would have to hand the pictures over through
the database or the broker, wait behind whatever the workers do, and poll for its answer. The price is the embedder: a
second at the first request and about 150 MB for each web process that is asked to classify, and for none while
VR3_API_ENABLED is off. Whoever wants to keep it out of the pages' processes runs a web process of its own with the
setting on. Two requests compute at the same time in one process and two more may wait; whoever comes then is told to
try again (429), so that pages keep their threads. Nothing is written to the database.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any

from labeling_platform.lib.images import FetchError, check_url, fetch_image, policy_from_settings

from ..backends.base import ClassifierBackend
from ..classify import Picture, Scored, Unreadable, as_answer, backend_of, prepare_picture, stored_features
from ..models import NEGATIVE, CustomModel, ModelVersion
from . import zips
from .classifiers import BUILT_IN, all_models, find_model, id_of
from .multipart import FILES, FilePart, Form, too_large
from .shapes import Problem, problem_of_picture

THRESHOLD = 0.5
MOST_CLASSIFIERS = 20
DIGITS = 6
PLACES, AT_ONCE = 4, 2
TRY_AGAIN = 5
_places = threading.BoundedSemaphore(PLACES)
_computing = threading.BoundedSemaphore(AT_ONCE)


@dataclass(frozen=True)
class Given:
    """One picture of a request: how the answer names it, and its bytes or why there are none."""

    names: Mapping[str, str]
    data: bytes = b""
    error: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Asked:
    """The classifiers that a request means, and what is to be said of those it cannot have."""

    models: list[CustomModel]
    warnings: list[dict[str, str]]


def threshold_of(texts: Mapping[str, str]) -> float:
    """The lowest score that is told. Raises Problem for what is no number from 0 to 1."""
    text = texts.get("threshold", "").strip()
    try:
        found = float(text) if text else THRESHOLD
    except ValueError:
        found = math.nan
    if not 0 <= found <= 1:
        raise Problem(400, "The threshold is a number from 0.0 to 1.0.")
    return found


def asked_for(texts: Mapping[str, str]) -> Asked:
    """The classifiers named by `classifier_ids`, or else meant by `owners`. Raises Problem when there are none."""
    ids = _listed(texts.get("classifier_ids", ""))
    if not ids:
        return _of_owners(_listed(texts.get("owners", "")))
    if len(ids) > MOST_CLASSIFIERS:
        raise Problem(400, f"At most {MOST_CLASSIFIERS} classifiers can be asked at once.")
    models: list[CustomModel] = []
    missing: list[str] = []
    status = 400
    for name in dict.fromkeys(ids):
        model = None if name in BUILT_IN else find_model(name)
        if name in BUILT_IN:
            missing.append(f"There is no built-in classifier {name} here; train one of your own.")
        elif model is None:
            missing.append(f"There is no classifier {name[:100]}.")
            status = 404
        elif model.current is None:
            missing.append(f"The classifier {name} is not ready: it has not been trained yet.")
        else:
            models.append(model)
    if not models:
        message = " ".join(missing)
        raise Problem(status, message, images=[{"error": {"code": status, "description": message}}])
    return Asked(models, [{"warning_id": "classifier_not_available", "description": text} for text in missing])


def _of_owners(owners: Sequence[str]) -> Asked:
    if "me" not in owners:
        message = "There are no built-in classifiers here: name yours in classifier_ids, or send owners=me."
        raise Problem(400, message)
    models = list(all_models().filter(current__isnull=False)[:MOST_CLASSIFIERS])
    if not models:
        raise Problem(400, "There is no classifier of yours that is ready.")
    built_in = {"warning_id": "classifier_not_available", "description": "There are no built-in classifiers here."}
    return Asked(models, [built_in] if "IBM" in owners else [])


def _listed(text: str) -> list[str]:
    return [part for part in (one.strip() for one in text.split(",")) if part]


# --- pictures -----------------------------------------------------------------------------------------


def pictures_of(form: Form) -> Iterator[Given]:
    """The pictures of the request, one by one.

    Raises Problem when there are none, for too many, for a bad zip, and for an address that is none.
    """
    url = form.texts.get("url", "").strip()
    if url:
        yield _of_url(url)
    count = 0
    for part in form.files:
        if part.name != FILES:
            continue
        for given in _of_zip(part) if zips.is_zip(part.file) else [_of_file(part)]:
            count += 1
            if count > zips.CLASSIFY.files:
                raise too_large(f"At most {zips.CLASSIFY.files} pictures can be classified at once.")
            yield given
    if not (url or count):
        raise Problem(400, "There is no picture: send images_file or url.", error_id="input_error")


def _of_file(part: FilePart) -> Given:
    return _given(part.filename or FILES, _read(part.file, part.size))


def _read(file: IO[bytes], size: int) -> bytes | None:
    return file.read() if size <= zips.CLASSIFY.file_bytes else None


def _given(name: str, data: bytes | None) -> Given:
    if data is None:
        most = zips.CLASSIFY.file_bytes // zips.MB
        error = problem_of_picture(413, f"The picture has more than {most} MB.", "limit_exceeded")
        return Given({"image": name}, error=error)
    return Given({"image": name}, data)


def _of_zip(part: FilePart) -> Iterator[Given]:
    archive = part.filename or f"{FILES}.zip"
    try:
        for path, data in zips.files_in(part.file, zips.CLASSIFY):
            yield _given(f"{archive}/{path}", data)
    except zips.BadZip as error:
        if error.too_large:
            raise too_large(error.message) from error
        raise Problem(400, error.message, error_id="input_error") from error


def _of_url(url: str) -> Given:
    """Fetched by the safe fetcher, which does not tell where redirects led: `resolved_url` is the given address."""
    names = {"source_url": url, "resolved_url": url}
    try:
        check_url(url)
    except FetchError as error:
        image = {"source_url": url, "error": problem_of_picture(400, error.message, "input_error")}
        raise Problem(400, error.message, error_id="input_error", images=[image]) from error
    try:
        return Given(names, fetch_image(url, policy_from_settings()).data)
    except FetchError as error:
        return Given({"source_url": url}, error=problem_of_picture(400, error.message, "input_error"))


# --- answers ------------------------------------------------------------------------------------------


@dataclass
class Line:
    """One picture's part of the answer: its names, what was made of its bytes for each backend, what came out."""

    names: Mapping[str, str]
    prepared: dict[int, Picture]
    error: Mapping[str, Any] | None = None
    classifiers: list[dict[str, Any]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {"classifiers": self.classifiers, **self.names}
        return found | {"classifiers": [], "error": dict(self.error)} if self.error else found


@contextmanager
def place() -> Iterator[None]:
    """One of the few places of this process. Raises Problem (429) when all are taken."""
    if not _places.acquire(blocking=False):
        raise Problem(
            429, "The server is classifying all that it can. Try again.", headers={"Retry-After": str(TRY_AGAIN)}
        )
    try:
        yield
    finally:
        _places.release()


def classify(*, asked: Asked, pictures: Iterable[Given], threshold: float) -> dict[str, Any]:
    """The answer to a request: for each picture the scores of each classifier, or why there are none.

    Pictures are taken one by one, and what is kept of each is small. Needs the team's scope to be open. A score is
    that of a class, never of negative_examples. Raises BackendError and what reading the pictures raises.
    """
    versions = [(model, model.current) for model in asked.models if model.current is not None]
    backends = {model.pk: backend_of(version) for model, version in versions}
    lines = [_line(given, list(backends.values())) for given in pictures]
    with _computing:
        features = _features(versions, backends, lines)
        for model, version in versions:
            backend = backends[model.pk]
            some = [line for line in lines if line.error is None]
            known = features[id(backend)]
            results = backend.predict(version.ref, [known[line.prepared[id(backend)].content_hash] for line in some])
            for line, result in zip(some, results, strict=True):
                answer = as_answer(result, version.outcomes)
                if isinstance(answer, Unreadable):
                    line.error = problem_of_picture(400, answer.message, "input_error")
                else:
                    line.classifiers.append(_told(model, version, answer, threshold))
    found: dict[str, Any] = {
        "images": [line.as_json() for line in lines],
        "images_processed": len(lines),
        "custom_classes": sum(name != NEGATIVE for _, version in versions for name in version.outcomes),
    }
    return found | {"warnings": asked.warnings} if asked.warnings else found


def _line(given: Given, backends: Sequence[ClassifierBackend]) -> Line:
    line = Line(given.names, {}, given.error)
    for backend in backends:
        if line.error is None and id(backend) not in line.prepared:
            picture = prepare_picture(backend, given.data)
            if isinstance(picture, Unreadable):
                line.error = problem_of_picture(400, picture.message, "input_error")
            else:
                line.prepared[id(backend)] = picture
    return line


def _features(
    versions: Sequence[tuple[CustomModel, ModelVersion]],
    backends: Mapping[int, ClassifierBackend],
    lines: Sequence[Line],
) -> dict[int, dict[str, bytes]]:
    """Features by backend and content: those that training has kept, the others computed and not kept."""
    found: dict[int, dict[str, bytes]] = {}
    for model, version in versions:
        backend = backends[model.pk]
        if id(backend) in found:
            continue
        wanted = [line.prepared[id(backend)] for line in lines if line.error is None]
        known = stored_features(version.team, version.feature_version, {picture.content_hash for picture in wanted})
        fresh = {picture.content_hash: picture for picture in wanted if picture.content_hash not in known}
        if fresh:
            computed = backend.features([picture.prepared for picture in fresh.values()])
            known |= dict(zip(fresh, computed, strict=True))
        found[id(backend)] = known
    return found


def _told(model: CustomModel, version: ModelVersion, answer: Scored, threshold: float) -> dict[str, Any]:
    classes = [
        {"class": name, "score": round(score, DIGITS)}
        for name, score in zip(version.outcomes, answer.scores, strict=True)
        if name != NEGATIVE and score >= threshold
    ]
    return {"classifier_id": id_of(model), "name": model.name, "classes": classes}
