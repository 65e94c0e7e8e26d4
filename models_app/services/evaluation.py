"""Evaluations: at most 100 pictures predicted by one version, and what the predictions snapshot shows of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from labeling_platform.lib.uploads import UploadState

from .. import metrics
from ..backends.base import BackendError
from ..classify import Scored, Unreadable, classify
from ..models import Evaluation, EvaluationRow, ModelVersion
from ..pipeline import in_batches
from ..querysets import holdout_points
from ..states import PredictionState

MAX_ATTEMPTS = 3
SAVE_EVERY = 8
RESEND_AFTER = timedelta(seconds=15)


def run_evaluation(*, evaluation: Evaluation) -> bool:
    """Predict the rows that have no answer yet, a few at a time, and finish the evaluation.

    Returns False when another worker has it or there is nothing to do. A worker that lost its lease writes nothing.
    """
    with transaction.atomic():
        rows = Evaluation.objects.filter(pk=evaluation.pk, state=UploadState.READY)
        if not PredictionState.move(
            rows, PredictionState.PREDICTING, token=F("token") + 1, attempts=F("attempts") + 1, lease_until=_lease()
        ):
            return False
        claimed = Evaluation.objects.select_related("version", "team").get(pk=evaluation.pk)
    try:
        return _predict(claimed)
    except BackendError as error:
        if error.retryable:
            raise
        held = Evaluation.objects.filter(pk=claimed.pk, token=claimed.token)
        return bool(PredictionState.move(held, PredictionState.FAILED, error=error.message, lease_until=None))


def _predict(evaluation: Evaluation) -> bool:
    waiting = {row.pk: row for row in _unanswered(evaluation)}
    answers = classify(version=evaluation.version, items=[(pk, row.image_url) for pk, row in waiting.items()])
    trouble = ""
    for batch in in_batches(answers, SAVE_EVERY):
        changed = []
        for pk, answer in batch:
            if isinstance(answer, Unreadable) and answer.of_service and answer.transient:
                trouble = answer.message
            else:
                changed.append(_fill(waiting[pk], answer))
        if not _save(evaluation, changed):
            return False
    if trouble:
        return _put_back(evaluation, trouble)
    held = Evaluation.objects.filter(pk=evaluation.pk, token=evaluation.token)
    return bool(PredictionState.move(held, PredictionState.DONE, lease_until=None))


def _put_back(evaluation: Evaluation, trouble: str) -> bool:
    """The service had a passing trouble: the sweep sends the evaluation again, until MAX_ATTEMPTS."""
    held = Evaluation.objects.filter(pk=evaluation.pk, token=evaluation.token)
    if evaluation.attempts >= MAX_ATTEMPTS:
        return bool(PredictionState.move(held, PredictionState.FAILED, error=trouble, lease_until=None))
    return bool(PredictionState.move(held, PredictionState.WAITING, lease_until=None))


def _lease() -> object:
    return Now() + settings.LEASE_TIME


def _unanswered(evaluation: Evaluation) -> Iterable[EvaluationRow]:
    return EvaluationRow.objects.filter(evaluation=evaluation, confidence=None, error_code="")


def _fill(row: EvaluationRow, answer: Scored | Unreadable) -> EvaluationRow:
    if isinstance(answer, Unreadable):
        row.error_code, row.error_message = answer.code, answer.message[:300]
        return row
    row.scores, row.predicted, row.confidence = answer.scores, answer.predicted, answer.confidence
    row.distance, row.unlike = answer.distance, answer.unlike
    return row


def _save(evaluation: Evaluation, rows: list[EvaluationRow]) -> bool:
    """Write the answers and extend the lease, if it is still ours."""
    with transaction.atomic():
        held = Evaluation.objects.filter(
            pk=evaluation.pk, token=evaluation.token, prediction_state=PredictionState.PREDICTING
        )
        if not held.update(lease_until=_lease()):
            return False
        fields = ["scores", "predicted", "confidence", "distance", "unlike", "error_code", "error_message"]
        EvaluationRow.objects.bulk_update(rows, fields)
    return True


def release_expired_evaluations() -> int:
    """Put evaluations whose worker went silent back to waiting, or fail them after MAX_ATTEMPTS.

    For the sweep: needs scopes disabled. Returns how many it found.
    """
    expired = list(Evaluation.objects.filter(prediction_state=PredictionState.PREDICTING, lease_until__lt=Now()))
    for evaluation in expired:
        held = Evaluation.objects.filter(pk=evaluation.pk, token=evaluation.token)
        if evaluation.attempts >= MAX_ATTEMPTS:
            reason = f"The predictions stopped {evaluation.attempts} times without a word. Upload the file again."
            PredictionState.move(held, PredictionState.FAILED, error=reason, lease_until=None)
        else:
            PredictionState.move(held, PredictionState.WAITING, lease_until=None)
    return len(expired)


def unfinished_evaluations() -> list[tuple[int, int]]:
    """(team id, evaluation id) of evaluations that wait for a worker. For the sweep: needs scopes disabled."""
    waiting = Evaluation.objects.filter(
        ~Q(state=UploadState.REFUSED),
        prediction_state=PredictionState.WAITING,
        created_at__lt=Now() - RESEND_AFTER,
    )
    return list(waiting.order_by("pk").values_list("team_id", "pk")[:200])


@dataclass(frozen=True)
class Snapshot:
    """The predictions snapshot under a filter.

    `by_class` counts predictions at or above the minimum confidence per outcome, whatever class is chosen;
    `errors` counts the pictures without a prediction.
    """

    rows: list[EvaluationRow]
    by_class: list[tuple[str, int]]
    total: int
    errors: int
    waiting: int


ERRORS = "!"
"""The filter value that shows the pictures without a prediction."""


def take_snapshot(*, evaluation: Evaluation, label: str = "", minimum: float = 0.0, order: str = "") -> Snapshot:
    """The evaluation's rows with the chosen predicted class ("" = all, ERRORS = failed ones) and confidence >= minimum.

    `order` is "" (as uploaded), "low" or "high" (by confidence). With no class chosen and minimum 0, failed and
    waiting rows are shown too.
    """
    rows = list(EvaluationRow.objects.filter(evaluation=evaluation))
    sure = [row for row in rows if row.confidence is not None and row.confidence >= minimum]
    failed = [row for row in rows if row.error_code]
    counts = Counter(row.predicted for row in sure)
    if label == ERRORS:
        shown = failed
    elif label:
        shown = [row for row in sure if row.predicted == label]
    else:
        shown = sure if minimum > 0 else rows
    if order:
        shown = sorted(shown, key=lambda row: _rank(row, order))
    return Snapshot(
        rows=shown,
        by_class=[(outcome, counts[outcome]) for outcome in evaluation.version.outcomes],
        total=len(sure),
        errors=len(failed),
        waiting=sum(1 for row in rows if row.confidence is None and not row.error_code),
    )


def _rank(row: EvaluationRow, order: str) -> tuple[bool, float]:
    confidence = row.confidence if row.confidence is not None else 0.0
    return row.confidence is None, confidence if order == "low" else -confidence


@dataclass(frozen=True)
class HoldoutAccuracy:
    """Accuracy on the holdout under the snapshot's filter, with words that say what it is."""

    share: metrics.Share
    words: str


def holdout_accuracy(*, version: ModelVersion, label: str = "", minimum: float = 0.0) -> HoldoutAccuracy:
    """Of the held-out pictures predicted as `label` ("", ERRORS = any) with at least `minimum`: the share right."""
    label = "" if label == ERRORS else label
    points = holdout_points(version)
    truths, predicted, confidences = zip(*points, strict=True) if points else ((), (), ())
    share = metrics.accuracy_at(truths, predicted, confidences, label=label, minimum=minimum)
    what = f"predicted as {label}" if label else "of all classes"
    sure = f" with a confidence of at least {minimum:g}" if minimum > 0 else ""
    if not points:
        return HoldoutAccuracy(share, "This version has no holdout, so nothing can be said.")
    if share.value is None:
        return HoldoutAccuracy(share, f"No held-out picture {what}{sure}, so nothing can be said of it.")
    words = (
        f"{share.hits:,} of {share.count:,} held-out pictures {what}{sure} were right. The true share lies between "
        f"{share.low:.0%} and {share.high:.0%} (95% interval)."
    )
    if share.count < len(points):
        words += f" {share.count:,} of the {len(points):,} held-out pictures fit the filter."
    return HoldoutAccuracy(share, words)
