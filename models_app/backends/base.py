"""What every classifier backend is to the rest of the product. Plain Python: no Django, no numpy.

Pictures are fetched, split into training and holdout, measured and routed outside of the backends
(reference/watson.md 4.2, 4.3). A backend keeps of one picture what it calls features: packed numbers for
the local one, a small JPEG for a remote one. The caller stores them by content and `feature_version`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


class BackendError(Exception):
    """A backend could not do something. `retryable`: the same call may work later."""

    retryable = False

    def __init__(self, message: str, *, code: str = "backend_error") -> None:
        super().__init__(message)
        self.message, self.code = message, code


class Transient(BackendError):
    retryable = True


class Permanent(BackendError):
    pass


class BadImage(Permanent):
    """One picture that cannot be used; it is that picture's error, nothing else's."""


class InvalidTrainingData(Permanent):
    pass


class ModelNotFound(Permanent):
    pass


class RateLimited(Transient):
    """The service asks for a pause of `retry_after` seconds."""

    def __init__(self, message: str, *, retry_after: float, code: str = "rate_limited") -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class QuotaExceeded(Permanent):
    """Nothing works over this connection until its plan allows more; all its work should pause."""


class AuthFailed(Permanent):
    """The service does not accept the credentials; the connection is broken until somebody changes them."""


class TooLarge(Permanent):
    """More bytes than the service takes."""


class Misconfigured(Permanent):
    """What answers is not the expected service, or it cannot be reached safely."""


class Canceled(Exception):
    """Raised by a progress callback to stop a training."""


@dataclass(frozen=True)
class Capabilities:
    """A backend's limits as data, so that forms and CSV checks speak of them before anything is sent.

    `min_per_class` counts all pictures of a class, those that will be held out included. Above `max_per_class` (None:
    no limit) a fixed sample is trained on. `charges`: each picture that is trained on or asked for may cost
    something. `aliases`: labels may be sent under other names. The byte limits (None: none) are what one class's
    pictures and all of them may take when they are sent, after they were made small.
    """

    remote: bool = False
    charges: bool = False
    aliases: bool = False
    min_per_class: int = 10
    max_per_class: int | None = None
    max_class_bytes: int | None = None
    max_total_bytes: int | None = None
    warn_per_class: int = 50
    advised_per_class: int = 150
    little_gain_above: int = 5000
    max_classes: int = 200
    label_rule: str = "letters, digits, and . _ - (no spaces), at most 60 characters"
    label_pattern: re.Pattern[str] = re.compile(r"[A-Za-z0-9._\-]{1,60}")


@dataclass(frozen=True)
class Problem:
    """What speaks against a training. Level: error (refuse), warning, or advice."""

    code: str
    level: str
    message: str


@dataclass(frozen=True)
class Example:
    """One labelled picture. Examples of one group are near-duplicates and stay in one fold."""

    label: str
    features: bytes
    group: int


ProgressCallback = Callable[[str, int, int], None]


def no_progress(stage: str, done: int, total: int) -> None:
    """The callback of callers who do not look."""


@dataclass
class TrainingSpec:
    """Everything a training needs. `classes` fixes the order of all scores."""

    classes: tuple[str, ...]
    examples: Sequence[Example]
    seed: int
    name: str
    on_progress: ProgressCallback = no_progress


@dataclass(frozen=True)
class TrainingState:
    """Where a training is: `ref` names its artifact or remote model.

    `phase` is queued, training, ready, failed or lost. `out_of_fold` has, for each example in order, the scores
    (in the order of the spec's classes) of a classifier that did not see it; None when the backend has none.
    """

    ref: str
    phase: str
    message: str = ""
    retry_after: float | None = None
    details: dict[str, Any] = field(default_factory=dict)
    out_of_fold: Sequence[Sequence[float]] | None = None


@dataclass(frozen=True)
class ItemError:
    code: str
    message: str
    retryable: bool = False


@dataclass(frozen=True)
class ItemResult:
    """Scores of one picture by class, or the reason why there are none.

    `distance` is how far the picture is from the training data (backend's own measure, None when it has
    none); `unlike` says that it is farther than the cut that the training set.
    """

    scores: dict[str, float] | None
    error: ItemError | None = None
    distance: float | None = None
    unlike: bool = False


@dataclass(frozen=True)
class Health:
    """What a test of a backend found; `code` is that of the error when it is not well."""

    ok: bool
    message: str = ""
    code: str = ""


class ArtifactStore(Protocol):
    """Where model files live; given by the caller."""

    def save(self, hint: str, data: bytes) -> str: ...
    def load(self, ref: str) -> bytes: ...
    def delete(self, ref: str) -> None: ...


class ClassifierBackend(Protocol):
    """A way to train and ask classifiers. `feature_version` names exactly how features are made."""

    kind: str

    @property
    def feature_version(self) -> str: ...

    def capabilities(self) -> Capabilities: ...

    def validate(self, counts: Mapping[str, int]) -> list[Problem]:
        """Problems of training on so many pictures per label; no input or output."""

    def prepare(self, data: bytes) -> Any:
        """Decode one picture (JPG or PNG bytes); for threads. Raises BadImage."""

    def features(self, prepared: Sequence[Any]) -> list[bytes]:
        """Features of pictures that `prepare` returned, in order."""

    def group(self, features: Sequence[bytes], labels: Sequence[str]) -> list[int]:
        """A group number per picture: near-duplicates share one."""

    def start_training(self, spec: TrainingSpec, token: str) -> TrainingState: ...

    def find_training(self, token: str) -> TrainingState | None: ...

    def poll(self, ref: str) -> TrainingState: ...

    def predict(self, ref: str, features: Sequence[bytes]) -> list[ItemResult]:
        """One result for each picture, in order. Raises ModelNotFound."""

    def delete(self, ref: str) -> None: ...

    def check(self) -> Health: ...


def check_counts(counts: Mapping[str, int], limits: Capabilities) -> list[Problem]:
    """The rules on numbers of pictures (design 6.7; the article's recommendations), in words for people."""
    problems = []
    if len(counts) < 2:
        what = f"only {next(iter(counts))}" if counts else "no label yet"
        problems.append(
            Problem("one_class", "error", f"A model needs at least two different labels; the data has {what}.")
        )
    if len(counts) > limits.max_classes:
        problems.append(
            Problem("too_many_classes", "error", f"{len(counts)} labels; at most {limits.max_classes} are possible.")
        )
    for label, count in sorted(counts.items()):
        if count < limits.min_per_class:
            missing = limits.min_per_class - count
            problems.append(
                Problem(
                    "too_few",
                    "error",
                    f"{label}: {count} pictures, at least {limits.min_per_class} are needed. Add {missing} more.",
                )
            )
        elif count < limits.warn_per_class:
            problems.append(
                Problem(
                    "few",
                    "warning",
                    f"{label}: {count} pictures. The model will be much better with at least {limits.warn_per_class}.",
                )
            )
    total = sum(counts.values())
    if total > limits.little_gain_above:
        message = f"{total:,} pictures: above {limits.little_gain_above:,} little more is gained."
        problems.append(Problem("little_gain", "advice", message))
    elif counts and min(counts.values()) < limits.advised_per_class and not any(p.level == "error" for p in problems):
        message = "150 to 200 pictures a class are a good balance of training time and accuracy."
        problems.append(Problem("more_is_better", "advice", message))
    return problems
