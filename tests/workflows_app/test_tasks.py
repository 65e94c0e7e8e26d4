"""The tasks by their names, as a worker runs them: each may come twice, late, or for something that is gone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.models.functions import Now
from django_scopes import scopes_disabled

from jobs_app.models import Unit
from tests.workflows_app.conftest import csv_of
from workflows_app import services, tasks
from workflows_app.models import WorkflowRow, WorkflowUpload
from workflows_app.services import turns


@pytest.fixture
def sent(monkeypatch) -> list[tuple[str, dict]]:
    """What is sent to the broker, by task name."""
    messages: list[tuple[str, dict]] = []
    for task in (tasks.read_rows, tasks.predict, tasks.predict_remote):
        monkeypatch.setattr(
            task, "apply_async", lambda *a, task=task, kwargs=None, **o: messages.append((task.name, kwargs))
        )
        monkeypatch.setattr(task, "delay", lambda task=task, **kwargs: messages.append((task.name, kwargs)))
    return messages


def test_the_story_from_upload_to_units_with_every_message_twice(tiny, owner, sent):
    workflow = tiny.running(["97"], owner)
    file = SimpleUploadedFile("more.csv", tiny.csv(["60", "missing"]).encode())
    upload = services.receive_rows(workflow=workflow, file=file, actor=owner)
    for _ in range(2):
        tasks.read_rows(team_id=tiny.team.pk, upload_id=upload.pk)
    predict = {"team_id": tiny.team.pk, "workflow_id": workflow.pk}
    assert ("workflows.predict", predict) in sent
    for _ in range(2):
        tasks.predict(**predict)
    assert list(WorkflowRow.objects.values_list("state", flat=True)) == ["confident", "routed", "failed"]
    assert Unit.objects.count() == 1


def test_a_workflow_that_is_turned_off_is_left_alone(tiny, owner, sent):
    workflow = tiny.running(["97"], owner)
    services.turn_off(workflow=workflow, actor=owner)
    tasks.predict(team_id=tiny.team.pk, workflow_id=workflow.pk)
    assert WorkflowRow.objects.get().state == "awaiting"
    assert sent == []


@pytest.fixture
def elsewhere(tiny, owner, monkeypatch):
    """A workflow whose model counts as one on a service elsewhere."""
    monkeypatch.setattr(turns, "REMOTE", frozenset({"tiny"}))
    return tiny.running(["97", "98"], owner)


def test_rows_for_services_elsewhere_have_workers_of_their_own(tiny, elsewhere, sent):
    kwargs = {"team_id": tiny.team.pk, "workflow_id": elsewhere.pk}
    tasks.predict(**kwargs)
    assert sent == [("workflows.predict_remote", kwargs | {"spread": True})]
    assert set(WorkflowRow.objects.values_list("state", flat=True)) == {"awaiting"}
    tasks.sweep()
    assert sent[1:] == [("workflows.predict_remote", kwargs | {"spread": False})]
    tasks.predict_remote(**kwargs)
    assert set(WorkflowRow.objects.values_list("state", flat=True)) == {"confident"}
    assert len(sent) == 2


def test_turns_of_the_two_kinds_are_apart(elsewhere, monkeypatch):
    with scopes_disabled():
        assert services.next_turn() is None
        assert services.next_turn(remote=True) == services.Hint(elsewhere.team_id, elsewhere.pk, remote=True)
        monkeypatch.setattr(turns, "REMOTE", frozenset())
        assert services.next_turn(remote=True) is None
        assert services.next_turn() == services.Hint(elsewhere.team_id, elsewhere.pk)


@pytest.mark.parametrize(("waiting", "hands", "remote_hands"), [(0, 1, 1), (199, 1, 1), (200, 2, 2), (900, 4, 2)])
def test_many_rows_are_worth_more_hands_and_fewer_elsewhere(waiting, hands, remote_hands):
    assert (turns._hands(waiting, remote=False), turns._hands(waiting, remote=True)) == (hands, remote_hands)


def test_what_is_gone_ends_the_task_quietly(team, sent):
    tasks.read_rows(team_id=team.pk, upload_id=0)
    tasks.predict(team_id=team.pk, workflow_id=0)
    tasks.predict(team_id=0, workflow_id=0)
    assert sent == []


def test_the_sweeper_sends_what_got_lost(running, owner, sent):
    file = SimpleUploadedFile("lost.csv", csv_of(2, first=90).encode())
    upload = services.receive_rows(workflow=running, file=file, actor=owner)
    tasks.sweep()
    team = running.team_id
    assert sent == [
        ("workflows.read_rows", {"team_id": team, "upload_id": upload.pk}),
        ("workflows.predict", {"team_id": team, "workflow_id": running.pk, "spread": False}),
    ]


def test_the_sweeper_sends_nothing_for_what_is_held_or_worked_on(running, sent):
    services.claim_rows(workflow=running, limit=9)
    WorkflowUpload.objects.update(state="reading", lease_until=Now() + timedelta(seconds=60))
    tasks.sweep()
    assert sent == []
