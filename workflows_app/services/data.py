"""Uploading unlabelled data to a workflow."""

from __future__ import annotations

from typing import Any

from django.core.files import File
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from labeling_platform.accounts import quotas
from labeling_platform.accounts.models import User
from labeling_platform.accounts.services import record
from labeling_platform.lib.errors import Refused
from labeling_platform.lib.uploads import UploadState, discard_held, hold_when_repeated, let_go, receive
from workflows_app.ingest import URL_COLUMN
from workflows_app.models import Workflow, WorkflowRow, WorkflowUpload
from workflows_app.states import RowState

from .launching import upload_problem

CLEARED_AT_ONCE = 5000


@transaction.atomic
def receive_rows(*, workflow: Workflow, file: File[Any], actor: User | None, key_column: str = "") -> WorkflowUpload:
    """Keep an uploaded CSV for the workflow; reading it is a task's work.

    A file that the workflow has seen before (same bytes) is kept too, but `held` until confirm_upload or
    discard_upload; not so with a `key_column`, whose values tell the rows that are there from new ones. Refuses when
    the workflow can take no more rows, when the team is paused, and when its files take all the room they may.
    """
    if problem := upload_problem(workflow=workflow):
        raise Refused(problem, code="upload")
    quotas.refuse_when_paused(workflow.team)
    quotas.use_storage(team=workflow.team, size=file.size or 0)
    key = URL_COLUMN if key_column.lower() == URL_COLUMN else key_column
    upload = receive(
        WorkflowUpload, file, team=workflow.team, actor=actor, area="workflows", workflow=workflow, key_column=key
    )
    if not key:
        hold_when_repeated(upload, among=WorkflowUpload.objects.filter(workflow=workflow))
    record(team=workflow.team, actor=actor, verb="rows uploaded", obj=workflow, file=upload.original_name)
    return upload


@transaction.atomic
def confirm_upload(*, upload: WorkflowUpload, actor: User | None) -> WorkflowUpload:
    """Let a held file be read although the workflow has seen it before. Confirming twice changes nothing more."""
    if let_go(upload):
        record(team=upload.team, actor=actor, verb="repeated file accepted", obj=upload)
    upload.refresh_from_db()
    return upload


@transaction.atomic
def discard_upload(*, upload: WorkflowUpload, actor: User | None) -> None:
    """Delete a held file and its record. Refuses when its reading has begun."""
    if not discard_held(upload):
        raise Refused("This file is in the workflow already.", code="state")
    record(team=upload.team, actor=actor, verb="repeated file discarded", obj=upload)


@transaction.atomic
def cancel_upload(*, upload: WorkflowUpload, actor: User | None) -> None:
    """Stop the reading of a file. Its rows that have no answer yet are then taken out by clear_canceled.

    Refuses when the file has been read to its end.
    """
    unread = WorkflowUpload.objects.filter(pk=upload.pk)
    if not UploadState.move(unread, UploadState.CANCELED, held=False, lease_until=None):
        raise Refused("This file has been read already; its rows are in the workflow.", code="state")
    record(team=upload.team, actor=actor, verb="upload canceled", obj=upload)


def clear_canceled(*, upload: WorkflowUpload) -> bool:
    """Take a batch of rows without an answer out of a canceled upload; return whether there may be more.

    Rows that the model or people answered stay: their work is not thrown away. So do those that a worker has claimed,
    until it gives them back or answers them. Repeating it, or two at once, does no harm.
    """
    with transaction.atomic():
        mine = WorkflowRow.objects.filter(upload=upload, unit=None, lease_until=None)
        mine = mine.filter(Q(state=RowState.AWAITING) | Q(state=RowState.FAILED, attempts=0))
        batch = list(mine.select_for_update(skip_locked=True).values_list("pk", flat=True)[:CLEARED_AT_ONCE])
        WorkflowRow.objects.filter(pk__in=batch).delete()
    if batch:
        return True
    left = WorkflowRow.objects.filter(upload=upload)
    if not left.filter(state=RowState.AWAITING).exists():
        WorkflowUpload.objects.filter(pk=upload.pk, state=UploadState.CANCELED, finished_at=None).update(
            finished_at=Now(), rows_ok=left.count()
        )
    return False


def find_canceled() -> list[tuple[int, int]]:
    """(team id, upload id) of canceled uploads that still have rows to take out."""
    found = WorkflowUpload.objects.filter(state=UploadState.CANCELED, finished_at=None)
    return list(found.order_by("pk").values_list("team_id", "pk")[:100])
