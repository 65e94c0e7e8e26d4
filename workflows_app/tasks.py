"""The asynchronous story of workflows. Messages are hints: losing or doubling one changes nothing.

read_rows -> predict -> predict -> ... ; the sweeper sends again what got lost.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from celery import shared_task
from django.db import transaction
from django_scopes import scopes_disabled

from labeling_platform.accounts.tasks import TeamTask
from labeling_platform.lib.tallies import compact

from . import services
from .models import RowTally, Workflow, WorkflowUpload
from .states import WorkflowState

log = logging.getLogger(__name__)
SWEEP_SECONDS = 5
CLEAR_SECONDS = 20.0


@shared_task(base=TeamTask, name="workflows.read_rows")
def read_rows(*, team_id: int, upload_id: int) -> None:
    """Read an uploaded file into rows, then let the workflow's model see them."""
    upload = WorkflowUpload.objects.select_related("workflow").filter(pk=upload_id).first()
    if upload is None:
        log.info("upload %s is gone", upload_id)
        return
    if services.read_rows(upload=upload):
        read_rows.delay(team_id=team_id, upload_id=upload_id)
    elif upload.workflow.state == WorkflowState.RUNNING:
        predict.delay(team_id=team_id, workflow_id=upload.workflow_id)


@shared_task(base=TeamTask, name="workflows.clear_canceled")
def clear_canceled(*, team_id: int, upload_id: int) -> None:
    """Take the rows of a canceled upload out, for some seconds at a time."""
    upload = WorkflowUpload.objects.filter(pk=upload_id).first()
    until = time.monotonic() + CLEAR_SECONDS
    while upload is not None and services.clear_canceled(upload=upload):
        if time.monotonic() > until:
            clear_canceled.delay(team_id=team_id, upload_id=upload_id)
            return


@shared_task(base=TeamTask, name="workflows.predict")
def predict(*, team_id: int, workflow_id: int, spread: bool = True) -> None:
    """Predict rows for a few seconds, then call for whoever's turn it is: teams take turns.

    With `spread`, other free workers are called to the same workflow at once when it has many rows.
    """
    _predict(remote=False, team_id=team_id, workflow_id=workflow_id, spread=spread)


@shared_task(base=TeamTask, name="workflows.predict_remote")
def predict_remote(*, team_id: int, workflow_id: int, spread: bool = True) -> None:
    """As `predict`, for rows that a service elsewhere answers: it may be slow, so it has workers of its own."""
    _predict(remote=True, team_id=team_id, workflow_id=workflow_id, spread=spread)


def _predict(*, remote: bool, team_id: int, workflow_id: int, spread: bool) -> None:
    workflow = Workflow.objects.select_related("version__model", "job", "team").filter(pk=workflow_id).first()
    if workflow is None or workflow.state != WorkflowState.RUNNING:
        return
    if services.runs_elsewhere(workflow) != remote:
        _send(not remote, team_id, workflow_id, spread=spread)
        return
    if spread:
        for _ in range(services.hands_wanted(workflow=workflow) - 1):
            _send(remote, team_id, workflow_id, spread=False)
    services.take_turn(workflow=workflow)
    if not services.predict_rows(workflow=workflow):
        services.flush_routed(workflow=workflow)
    with scopes_disabled():
        turn = services.next_turn(remote=remote)
    if turn is not None:
        _task(remote).delay(team_id=turn.team_id, workflow_id=turn.workflow_id, spread=False)


def _task(remote: bool) -> Any:
    return predict_remote if remote else predict


def _send(remote: bool, team_id: int, workflow_id: int, *, spread: bool) -> None:
    kwargs = {"team_id": team_id, "workflow_id": workflow_id, "spread": spread}
    _task(remote).apply_async(kwargs=kwargs, expires=SWEEP_SECONDS)


@shared_task(name="workflows.sweep")
def sweep() -> None:
    """Send hints again for whatever waits and nobody works on; they expire before the next sweep."""
    with scopes_disabled():
        with transaction.atomic():
            compact(RowTally, "workflow")
        hints, unread, canceled = services.find_hints(), services.find_unread(), services.find_canceled()
    for team_id, upload_id in unread:
        read_rows.apply_async(kwargs={"team_id": team_id, "upload_id": upload_id}, expires=SWEEP_SECONDS)
    for team_id, upload_id in canceled:
        clear_canceled.apply_async(kwargs={"team_id": team_id, "upload_id": upload_id}, expires=SWEEP_SECONDS)
    for hint in hints:
        _send(hint.remote, hint.team_id, hint.workflow_id, spread=False)
