"""Uploading unlabelled data to a workflow."""

from __future__ import annotations

from typing import Any

from django.core.files import File
from django.db import transaction

from labeling_platform.accounts.models import User
from labeling_platform.accounts.services import record
from labeling_platform.lib.errors import Refused
from labeling_platform.lib.uploads import discard_held, hold_when_repeated, let_go, receive
from workflows_app.models import Workflow, WorkflowUpload

from .launching import upload_problem


@transaction.atomic
def receive_rows(*, workflow: Workflow, file: File[Any], actor: User | None) -> WorkflowUpload:
    """Keep an uploaded CSV for the workflow; reading it is a task's work.

    A file that the workflow has seen before (same bytes) is kept too, but `held` until confirm_upload or
    discard_upload. Refuses when the workflow can take no more rows.
    """
    if problem := upload_problem(workflow=workflow):
        raise Refused(problem, code="upload")
    upload = receive(WorkflowUpload, file, team=workflow.team, actor=actor, area="workflows", workflow=workflow)
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
