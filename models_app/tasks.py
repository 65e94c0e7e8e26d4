"""The asynchronous story of models: a file is read, a version is trained, an evaluation is predicted.

Messages are hints: the tables say what is to be done, each service claims its work and does nothing when
somebody else has it, and the sweep sends again what was lost. What talks to services elsewhere has a queue and workers
of its own, so that a slow service holds up nothing else; `train` and `evaluate` pass on what belongs there.
"""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import Any

from celery import shared_task
from celery.exceptions import SoftTimeLimitExceeded
from django.db import transaction
from django_scopes import scopes_disabled

from labeling_platform.accounts.tasks import TeamTask

from . import ingest, services
from .models import Evaluation, ModelVersion, RemoteLeftover, TrainingUpload, WatsonConnection
from .remote import is_remote

log = logging.getLogger(__name__)
_sending = threading.BoundedSemaphore(2)
HINT_SECONDS = 15
"""Life of a message sent by the sweep, so that a full queue does not pile them up."""


@shared_task(base=TeamTask, name="models.read_training")
def read_training(*, team_id: int, upload_id: int) -> None:
    """Read an uploaded CSV of training data into pictures."""
    upload = TrainingUpload.objects.filter(pk=upload_id).first()
    if upload is not None:
        ingest.read_training(upload=upload)


@shared_task(base=TeamTask, name="models.train", acks_late=False, soft_time_limit=2100, time_limit=2400)
def train(*, team_id: int, version_id: int) -> None:
    """Train a queued version. Acknowledged early: it may run longer than the broker waits, the lease brings it back."""
    _train(remote=False, team_id=team_id, version_id=version_id)


@shared_task(base=TeamTask, name="models.train_remote", acks_late=False, soft_time_limit=2100, time_limit=2400)
def train_remote(*, team_id: int, version_id: int) -> None:
    """As `train`, for a service elsewhere: pictures are sent, or the trained version is measured.

    All pictures of a training are in memory then, so a process does few at once; the sweep brings back the others.
    """
    if _sending.acquire(blocking=False):
        try:
            _train(remote=True, team_id=team_id, version_id=version_id)
        finally:
            _sending.release()


def _train(*, remote: bool, team_id: int, version_id: int) -> None:
    version = ModelVersion.objects.filter(pk=version_id).first()
    if version is None:
        return
    if is_remote(version.backend) != remote:
        (train if remote else train_remote).delay(team_id=team_id, version_id=version_id)
        return
    try:
        services.run_training(version=version)
    except SoftTimeLimitExceeded:
        services.fail_training(version=version, reason="The training took longer than 35 minutes and was stopped.")


@shared_task(base=TeamTask, name="models.poll", soft_time_limit=90, time_limit=120)
def poll(*, team_id: int, version_id: int) -> None:
    """Ask the service elsewhere how a training is; when it is done, a worker measures it."""
    version = ModelVersion.objects.select_related("team", "model", "connection").filter(pk=version_id).first()
    if version is not None and services.poll_training(version=version):
        train_remote.delay(team_id=team_id, version_id=version_id)


@shared_task(base=TeamTask, name="models.delete_remote", for_closed=True, soft_time_limit=90, time_limit=120)
def delete_remote(*, team_id: int, leftover_id: int) -> None:
    """Delete a classifier on a service elsewhere that is no longer wanted, of a team that is being deleted, too."""
    leftover = RemoteLeftover.objects.select_related("team", "connection").filter(pk=leftover_id).first()
    if leftover is not None:
        services.delete_remote(leftover=leftover)


@shared_task(base=TeamTask, name="models.check_connection", soft_time_limit=110, time_limit=120)
def check_connection(*, team_id: int, connection_id: int) -> None:
    """Do a test of a connection that the team may use."""
    _check(connection_id)


@shared_task(name="models.check_for_staff", soft_time_limit=110, time_limit=120)
def check_for_staff(*, connection_id: int) -> None:
    """Do a test that staff asked for in the console."""
    with scopes_disabled():
        _check(connection_id)


def _check(connection_id: int) -> None:
    connection = WatsonConnection.everywhere.filter(pk=connection_id).exclude(test_asked_at=None).first()
    if connection is not None:
        services.check_connection(connection=connection)


@shared_task(base=TeamTask, name="models.evaluate", soft_time_limit=300, time_limit=330)
def evaluate(*, team_id: int, evaluation_id: int) -> None:
    """Read an evaluation's file, then predict its pictures, or leave that to a worker for services elsewhere."""
    evaluation = Evaluation.objects.select_related("version").filter(pk=evaluation_id).first()
    if evaluation is None or not ingest.read_evaluation(evaluation=evaluation):
        return
    if is_remote(evaluation.version.backend):
        kwargs = {"team_id": team_id, "evaluation_id": evaluation_id}
        evaluate_remote.apply_async(kwargs=kwargs, expires=HINT_SECONDS)
    else:
        services.run_evaluation(evaluation=evaluation)


@shared_task(base=TeamTask, name="models.evaluate_remote", soft_time_limit=300, time_limit=330)
def evaluate_remote(*, team_id: int, evaluation_id: int) -> None:
    """Have the pictures of an evaluation answered by a service elsewhere."""
    evaluation = Evaluation.objects.filter(pk=evaluation_id).first()
    if evaluation is not None:
        services.run_evaluation(evaluation=evaluation)


@shared_task(name="models.sweep")
def sweep() -> None:
    """Bring back work whose worker died, and send again the messages that were lost."""
    with scopes_disabled():
        services.release_expired_trainings()
        services.release_expired_evaluations()
        _resend(read_training, "upload_id", services.unread_uploads())
        _resend(train, "version_id", services.queued_trainings(remote=False))
        _resend(train_remote, "version_id", services.queued_trainings(remote=True))
        _resend(poll, "version_id", services.due_polls())
        _resend(delete_remote, "leftover_id", services.due_leftovers())
        _resend(evaluate, "evaluation_id", services.unfinished_evaluations())


def _resend(task: Any, name: str, waiting: list[tuple[int, int]]) -> None:
    for team_id, pk in waiting:
        kwargs = {"team_id": team_id, name: pk}
        transaction.on_commit(partial(task.apply_async, kwargs=kwargs, expires=HINT_SECONDS))
