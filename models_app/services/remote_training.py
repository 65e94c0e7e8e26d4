"""Trainings on a service elsewhere: sent by a worker, then waited for in the database, not in a worker.

Before anything is sent, `remote_token` and the stage `submitting` are written; the service gets the token as part of
the classifier's name. Whatever happens then (a time-out, a killed worker), the training is found again by it.
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from ..backends.base import BackendError, TrainingSpec, TrainingState
from ..models import ModelVersion
from ..remote import LOST, open_remote, watched
from ..states import VersionState
from .claims import Claim
from .training import fail_training

if TYPE_CHECKING:
    from ..backends.watson import WatsonBackend

FIRST_POLL, GROWTH, LONGEST_POLL = 10.0, 1.5, 60.0
DEADLINE = timedelta(hours=2)
LONGEST_PAUSE = 3600.0
WAITING = "remote"
"""The stage of a training that runs on the service while no worker looks."""
TOO_LATE = "The service gave no result in two hours."


def find_again(held: Claim, backend: WatsonBackend) -> TrainingState | None:
    """Where the training is that an earlier worker sent; None when nothing was sent yet."""
    version = held.version
    if not version.remote_token:
        return None
    with held.kept_alive(), watched(version.connection):
        if version.ref:
            return backend.poll(version.ref)
        found = backend.find_training(version.remote_token)
    if found is not None:
        held.write(ref=found.ref)
        version.ref = found.ref
    return found


def submit(held: Claim, backend: WatsonBackend, spec: TrainingSpec) -> TrainingState:
    """Send a training, or adopt the one that carries the version's token. Raises the backend's errors, and Lost."""
    version = held.version
    version.remote_token = version.remote_token or f"v{version.pk}-{secrets.token_hex(4)}"
    version.outcomes = list(spec.classes)
    version.details = version.details | backend.plan(spec.classes)
    version.rows_trained = len(spec.examples)
    held.write(
        stage="submitting",
        remote_token=version.remote_token,
        outcomes=version.outcomes,
        details=version.details,
        rows_trained=version.rows_trained,
        submitted_at=Coalesce("submitted_at", Now()),
    )
    with watched(version.connection):
        state = backend.start_training(spec, version.remote_token)
    version.ref = state.ref
    version.details = version.details | state.details
    held.write(ref=version.ref, details=version.details)
    return state


def leave_waiting(held: Claim, state: TrainingState) -> None:
    """Let the worker go while the service trains: the lease ends, and the database says when to ask again."""
    wait = state.retry_after or FIRST_POLL
    held.write(stage=WAITING, done=0, total=0, next_poll_at=Now() + timedelta(seconds=wait), poll_seconds=FIRST_POLL)
    held.rows().update(lease_until=None)


def postpone(*, version: ModelVersion, error: BackendError) -> bool:
    """Put a training whose service has a passing trouble back into the queue for a while; fail it after two hours.

    Only its holder may (`version.token`). Returns whether it goes on.
    """
    began = version.submitted_at or version.started_at or timezone.now()
    if timezone.now() - began > DEADLINE:
        fail_training(version=version, reason=f"{TOO_LATE} {error.message}", token=version.token)
        return False
    wait = min(float(getattr(error, "retry_after", 0.0)) or LONGEST_POLL, LONGEST_PAUSE)
    rows = ModelVersion.objects.filter(pk=version.pk, token=version.token)
    again = timezone.now() + timedelta(seconds=wait)
    return bool(VersionState.move(rows, VersionState.QUEUED, lease_until=None, attempts=0, next_poll_at=again))


def poll_training(*, version: ModelVersion) -> bool:
    """Ask the service once how a waiting training is. Returns whether it is to go on in a worker (send the task).

    Does nothing when it is not due, or somebody else just asked: the next time is written before the question, each
    1.5 times as far away, up to a minute.
    """
    wait = min(version.poll_seconds * GROWTH, LONGEST_POLL)
    waiting = ModelVersion.objects.filter(pk=version.pk, state=VersionState.TRAINING, stage=WAITING)
    due = waiting.filter(next_poll_at__lte=Now())
    if not due.update(next_poll_at=Now() + timedelta(seconds=wait), poll_seconds=wait):
        return False
    if version.submitted_at and timezone.now() - version.submitted_at > DEADLINE:
        fail_training(version=version, reason=TOO_LATE, token=version.token)
        return False
    try:
        with watched(version.connection):
            state = open_remote(version.connection, details=version.details).poll(version.ref)
    except BackendError as error:
        if not error.retryable:
            fail_training(version=version, reason=error.message, token=version.token)
        elif pause := float(getattr(error, "retry_after", 0.0)):
            waiting.update(next_poll_at=Now() + timedelta(seconds=min(pause, LONGEST_PAUSE)))
        return False
    if state.phase in {"failed", "lost"}:
        fail_training(version=version, reason=reason_of(state), token=version.token)
    if state.phase != "ready":
        return False
    return bool(VersionState.move(waiting, VersionState.QUEUED, lease_until=None, attempts=0, next_poll_at=None))


def reason_of(state: TrainingState) -> str:
    """Why a training came to nothing, in words."""
    if state.phase == "lost":
        return LOST
    return state.message or "The classifier could not be trained on these pictures."


def due_polls() -> list[tuple[int, int]]:
    """(team id, version id) of trainings that are to be asked for now. For the sweep: needs scopes disabled."""
    found = ModelVersion.objects.filter(state=VersionState.TRAINING, stage=WAITING, next_poll_at__lte=Now())
    return list(found.order_by("next_poll_at").values_list("team_id", "pk")[:100])
