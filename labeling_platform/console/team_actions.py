"""What a member of staff can do from a team's page: each is a form, a service, and words about what was done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms
from django.http import HttpRequest
from django.shortcuts import get_object_or_404

from labeling_platform.accounts import quotas, services, support, viewing
from labeling_platform.accounts.models import Feature, Team, TeamNote
from labeling_platform.lib.words import count_of
from models_app import services as models
from models_app.models import ModelVersion
from workflows_app import services as workflows
from workflows_app import tasks as workflow_tasks
from workflows_app.models import Workflow

from .forms import (
    DeleteForm,
    FeatureForm,
    MessageForm,
    NoteForm,
    QuotaForm,
    ThingForm,
    ViewAsForm,
    WorkflowMessageForm,
)

Done = Callable[[HttpRequest, Team, dict[str, Any]], str]


@dataclass(frozen=True)
class Action:
    """The form that is asked for, what is done with it, and the section of the page it belongs to."""

    form: type[forms.Form]
    do: Done
    section: str


def switch_on(request: Any, team: Team, data: dict[str, Any]) -> str:
    until = data["until"] and datetime.combine(data["until"] + timedelta(days=1), time(), UTC)
    feature = Feature(data["feature"])
    services.switch_feature(
        team=team, feature=feature, on=True, actor=request.user, reason=data["reason"], until=until or None
    )
    return f"{feature.label} is on."


def switch_off(request: Any, team: Team, data: dict[str, Any]) -> str:
    feature = Feature(data["feature"])
    services.switch_feature(team=team, feature=feature, on=False, actor=request.user, reason=data["reason"])
    return f"{feature.label} is off."


def change_quota(request: Any, team: Team, data: dict[str, Any]) -> str:
    limits = {name: data[name] for name in quotas.NAMES}
    quotas.set_quota(team=team, actor=request.user, reason=data["reason"], limits=limits)
    return "The quota is changed."


def add_note(request: Any, team: Team, data: dict[str, Any]) -> str:
    support.add_note(team=team, text=data["text"], actor=request.user, pinned=data["pinned"])
    return "The note is kept."


def turn_pin(request: Any, team: Team, data: dict[str, Any]) -> str:
    note = get_object_or_404(TeamNote, pk=data["pk"], team=team)
    TeamNote.objects.filter(pk=note.pk).update(pinned=not note.pinned)
    return "The note stays at the top." if not note.pinned else "The note stands among the others."


def pause_team(request: Any, team: Team, data: dict[str, Any]) -> str:
    support.pause_team(team=team, message=data["message"], actor=request.user)
    return "The team is paused and reads your message on its pages."


def resume_team(request: Any, team: Team, data: dict[str, Any]) -> str:
    support.resume_team(team=team, actor=request.user)
    return "The team goes on."


def pause_workflow(request: Any, team: Team, data: dict[str, Any]) -> str:
    workflow = get_object_or_404(Workflow, pk=data["workflow"], team=team)
    workflows.pause(workflow=workflow, message=data["message"], actor=request.user)
    return f"{workflow} is paused; the team reads your message on its pages."


def resume_workflow(request: Any, team: Team, data: dict[str, Any]) -> str:
    workflow = get_object_or_404(Workflow, pk=data["pk"], team=team)
    workflows.resume(workflow=workflow, actor=request.user)
    workflow_tasks.predict.delay_on_commit(team_id=team.pk, workflow_id=workflow.pk)
    return f"{workflow} goes on."


def retry_rows(request: Any, team: Team, data: dict[str, Any]) -> str:
    workflow = get_object_or_404(Workflow, pk=data["pk"], team=team)
    count = workflows.retry_failed(workflow=workflow, actor=request.user)
    workflow_tasks.predict.delay_on_commit(team_id=team.pk, workflow_id=workflow.pk)
    return f"{count_of(count, 'failed row')} of {workflow} will be tried again."


def cancel_training(request: Any, team: Team, data: dict[str, Any]) -> str:
    versions = ModelVersion.objects.select_related("model", "team")
    version: ModelVersion = get_object_or_404(versions, pk=data["pk"], team=team)
    if models.cancel_training(version=version, actor=request.user):
        return f"The training of {version} is canceled."
    return f"The training of {version} had ended already."


def look(request: Any, team: Team, data: dict[str, Any]) -> str:
    viewing.begin(request, team=team, role=data["role"], reason=data["reason"])
    return ""


def delete(request: Any, team: Team, data: dict[str, Any]) -> str:
    asked = support.ask_for_deletion(team=team, typed=data["typed"], reason=data["reason"], actor=request.user)
    return f"The team will be deleted on {asked.due_at:%d %B %Y at %H:%M} UTC. Until then it can be taken back."


def take_back(request: Any, team: Team, data: dict[str, Any]) -> str:
    support.take_back_deletion(team=team, actor=request.user)
    return "The team stays."


ACTIONS: dict[str, Action] = {
    "feature-on": Action(FeatureForm, switch_on, "features"),
    "feature-off": Action(FeatureForm, switch_off, "features"),
    "quota": Action(QuotaForm, change_quota, "quota"),
    "note": Action(NoteForm, add_note, "notes"),
    "pin": Action(ThingForm, turn_pin, "notes"),
    "pause": Action(MessageForm, pause_team, "pause"),
    "resume": Action(forms.Form, resume_team, "pause"),
    "pause-workflow": Action(WorkflowMessageForm, pause_workflow, "workflows"),
    "resume-workflow": Action(ThingForm, resume_workflow, "workflows"),
    "retry-rows": Action(ThingForm, retry_rows, "workflows"),
    "cancel-training": Action(ThingForm, cancel_training, "models"),
    "view-as": Action(ViewAsForm, look, "view"),
    "delete": Action(DeleteForm, delete, "delete"),
    "take-back": Action(forms.Form, take_back, "delete"),
}
