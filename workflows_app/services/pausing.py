"""Pausing a workflow from the console, with a message to the team. Its state stays what it is."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from labeling_platform.accounts.models import User
from labeling_platform.accounts.services import record
from labeling_platform.lib.errors import Refused
from workflows_app.models import Workflow
from workflows_app.states import WorkflowState

from .setup import lock

MESSAGE_LENGTH = 500


@transaction.atomic
def pause(*, workflow: Workflow, message: str, actor: User | None) -> Workflow:
    """Hand out no more of the workflow's rows; what is under way ends, and people go on with the rows they have.

    The message stands on the workflow's pages. Refuses (codes) without a message (`message`), and for a workflow that
    does not run or is paused already (`state`).
    """
    message = " ".join(message.split())
    if not message:
        raise Refused("Write a message: the team reads it on the workflow's pages.", code="message")
    if len(message) > MESSAGE_LENGTH:
        raise Refused(f"The message has {len(message)} characters; at most {MESSAGE_LENGTH} fit.", code="message")
    workflow = lock(workflow)
    if workflow.state != WorkflowState.RUNNING or workflow.paused_at is not None:
        raise Refused("Only a running workflow can be paused, and only once.", code="state")
    workflow.paused_at, workflow.pause_message = timezone.now(), message
    workflow.save(update_fields=["paused_at", "pause_message"])
    record(team=workflow.team, actor=actor, verb="workflow paused", obj=workflow, message=message)
    return workflow


@transaction.atomic
def resume(*, workflow: Workflow, actor: User | None) -> Workflow:
    """Hand out the workflow's rows again. Refuses for one that is not paused (code `state`)."""
    workflow = lock(workflow)
    if workflow.paused_at is None:
        raise Refused("This workflow is not paused.", code="state")
    workflow.paused_at, workflow.pause_message = None, ""
    workflow.save(update_fields=["paused_at", "pause_message"])
    record(team=workflow.team, actor=actor, verb="workflow resumed", obj=workflow)
    return workflow
