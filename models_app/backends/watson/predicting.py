"""Asking a classifier over there, so that one bad picture costs one answer (reference/watson.md 4.6)."""

from __future__ import annotations

import io
import logging
import math
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..base import ItemError, ItemResult, Misconfigured, TooLarge
from .client import Client
from .errors import NOT_THE_SERVICE, Rejected, clean
from .names import NEGATIVE

logger = logging.getLogger(__name__)

BATCH_IMAGES = 20
BATCH_BYTES = 90_000_000
MAX_IMAGE = 10_000_000
THRESHOLD: Any = "0.0"
"""A text: the SDK drops the number 0.0 without a word (trap 1), and classes under 0.5 would be missing."""
FINAL_ERRORS = {"input_error", "limit_exceeded"}

NO_RESULT = ItemError("no_result", "The service gave no answer for this picture.", retryable=True)
NO_CLASSIFIER = ItemError("no_result", "The service did not ask the model about this picture.", retryable=True)
BAD_SCORES = ItemError("bad_scores", "The service gave scores that are no numbers from 0 to 1.")


@dataclass(frozen=True)
class Names:
    """What labels are called over there. None: every class keeps its name."""

    aliases: Mapping[str, str] | None
    negatives: bool

    @classmethod
    def of(cls, details: Mapping[str, Any]) -> Names:
        """From the details of a version, as training.plan wrote them."""
        kept = details.get("watson")
        if not isinstance(kept, Mapping):
            return cls(None, negatives=False)
        return cls(dict(kept["aliases"]), negatives=bool(kept["negatives"]))


class Predictor:
    """Asks one classifier about many pictures."""

    def __init__(self, client: Client, *, meter: Callable[[int], None], names: Names) -> None:
        self.client, self.meter, self.names = client, meter, names

    def predict(self, ref: str, pictures: Sequence[bytes]) -> list[ItemResult]:
        """One result for each picture, in order. Raises ModelNotFound and whatever stops every request."""
        results: dict[int, ItemResult] = {}
        fitting = []
        for place, data in enumerate(pictures):
            if len(data) > MAX_IMAGE:
                results[place] = ItemResult(None, ItemError("limit_exceeded", "The picture is too large to be sent."))
            else:
                fitting.append(place)
        for batch in batches(fitting, pictures):
            results |= self._ask(ref, batch, pictures)
        for place, result in list(results.items()):
            if result.error is not None and result.error.retryable:
                results[place] = self._ask(ref, [place], pictures)[place]
        return [results[place] for place in range(len(pictures))]

    def _ask(self, ref: str, batch: Sequence[int], pictures: Sequence[bytes]) -> dict[int, ItemResult]:
        """One request; refused as a whole it is halved, so that the culprit ends alone."""
        try:
            answer = self.client.call(
                "classify",
                "classify",
                images_file=_archive(batch, pictures),
                images_filename="batch.zip",
                images_file_content_type="application/zip",
                threshold=THRESHOLD,
                classifier_ids=[ref],
            )
        except (Rejected, TooLarge) as error:
            if len(batch) == 1:
                code = "too_large" if isinstance(error, TooLarge) else "rejected"
                return {batch[0]: ItemResult(None, ItemError(code, error.message))}
            middle = len(batch) // 2
            return self._ask(ref, batch[:middle], pictures) | self._ask(ref, batch[middle:], pictures)
        self.meter(len(batch))
        return self._read(ref, batch, answer)

    def _read(self, ref: str, batch: Sequence[int], answer: Mapping[str, Any]) -> dict[int, ItemResult]:
        """The answers by base name: neither the order nor what stands before the name means anything."""
        wanted = {entry_name(place): place for place in batch}
        found: dict[int, ItemResult] = {}
        images = answer.get("images")
        if not isinstance(images, list):
            raise Misconfigured(NOT_THE_SERVICE, code="not_the_service")
        for image in images:
            name = image.get("image") if isinstance(image, dict) else None
            place = wanted.get(name.replace("\\", "/").rpartition("/")[2]) if isinstance(name, str) else None
            if place is None or place in found:
                logger.warning("watson: an answer is for %s", "a picture twice" if place is not None else "no picture")
                continue
            found[place] = self._result(ref, image)
        return {place: found.get(place, ItemResult(None, NO_RESULT)) for place in batch}

    def _result(self, ref: str, image: Mapping[str, Any]) -> ItemResult:
        error = image.get("error")
        if error:
            return ItemResult(None, _item_error(error))
        classifiers = image.get("classifiers")
        for entry in classifiers if isinstance(classifiers, list) else []:
            if isinstance(entry, dict) and entry.get("classifier_id") == ref:
                return self._scores(entry.get("classes"))
        return ItemResult(None, NO_CLASSIFIER)

    def _scores(self, classes: Any) -> ItemResult:
        """Every class, 0 when it is not mentioned; negatives are what the highest leaves (design 6.1)."""
        given: dict[str, float] = {}
        for item in classes if isinstance(classes, list) else []:
            name, score = (item.get("class"), item.get("score")) if isinstance(item, dict) else (None, None)
            number = _number(score)
            if number is None:
                return ItemResult(None, BAD_SCORES)
            given[str(name)] = min(1.0, max(0.0, number))
        if self.names.aliases is None:
            return ItemResult(given)
        scores = {label: given.get(name, 0.0) for label, name in self.names.aliases.items()}
        if self.names.negatives:
            scores[NEGATIVE] = 1.0 - max(scores.values(), default=0.0)
        return ItemResult(scores)


def _number(score: Any) -> float | None:
    """The score as a finite number; None for anything else."""
    if isinstance(score, bool) or not isinstance(score, (int, float)):
        return None
    try:
        number = float(score)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _item_error(error: Any) -> ItemError:
    """Shape C; older servers left out some of its fields."""
    body = error if isinstance(error, dict) else {"description": str(error)}
    code = body.get("error_id")
    code = clean(code)[:60] if isinstance(code, str) and code.strip() else "image_error"
    said = body.get("description")
    words = clean(said) if isinstance(said, str) and said.strip() else "The service cannot use this picture."
    return ItemError(code, words, retryable=code not in FINAL_ERRORS)


def entry_name(place: int) -> str:
    """The name of a picture inside the zip."""
    return f"{place:06}.jpg"


def batches(places: Sequence[int], pictures: Sequence[bytes]) -> Iterator[list[int]]:
    """Up to BATCH_IMAGES pictures and BATCH_BYTES bytes together."""
    batch: list[int] = []
    size = 0
    for place in places:
        if batch and (len(batch) == BATCH_IMAGES or size + len(pictures[place]) > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(place)
        size += len(pictures[place])
    if batch:
        yield batch


def _archive(batch: Sequence[int], pictures: Sequence[bytes]) -> io.BytesIO:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for place in batch:
            archive.writestr(entry_name(place), pictures[place])
    out.seek(0)
    return out
