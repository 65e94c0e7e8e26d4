"""A team is deleted with what it has on services elsewhere, and a service that is away does not hold it for ever."""

from __future__ import annotations

from datetime import timedelta

from django.db.models.functions import Now
from django.utils import timezone
from django_scopes import scopes_disabled

from labeling_platform.accounts import support
from labeling_platform.accounts.models import Activity, Team, TeamDeletion
from labeling_platform.console import tasks as console_tasks
from labeling_platform.console.deleting import delete_team
from models_app import services, tasks
from models_app.models import CustomModel, ModelVersion, RemoteLeftover, TrainingImage, WatsonConnection
from models_app.services.leftovers import NOT_TRIED
from tests.models_app.test_remote_training import link, queued, ready, wire  # noqa: F401
from tests.vr3.server import json_fault

DEAD = "http://127.0.0.1:9/api"
WAIT = json_fault(503, {"error": "busy"})


def ask(team: Team, csm) -> None:
    with scopes_disabled():
        asked = support.ask_for_deletion(team=team, typed=team.name, reason="left", actor=csm)
        TeamDeletion.objects.filter(pk=asked.pk).update(due_at=timezone.now())


def try_leftovers(team: Team) -> None:
    """The time of every leftover has come, and the sweep's tasks run."""
    with scopes_disabled():
        RemoteLeftover.objects.update(next_try_at=Now() - timedelta(seconds=1))
        due = services.due_leftovers()
    for team_id, pk in due:
        tasks.delete_remote(team_id=team_id, leftover_id=pk)


def exists(team: Team) -> bool:
    return Team.objects.filter(pk=team.pk).exists()


def test_what_the_team_has_there_is_deleted_first(wire, ready, csm) -> None:  # noqa: F811
    team = ready.team
    ask(team, csm)
    wire.fail("delete", *[WAIT] * 2)
    console_tasks.delete_teams()
    assert exists(team)
    assert (TrainingImage.objects.count(), CustomModel.objects.count()) == (0, 0)  # only the connection waits
    assert (WatsonConnection.objects.count(), RemoteLeftover.objects.count()) == (1, 1)
    for _ in range(2):
        try_leftovers(team)
        console_tasks.delete_teams()
        assert exists(team)
        assert len(wire.made) == 1
    try_leftovers(team)
    assert wire.made == {}
    console_tasks.delete_teams()
    assert not exists(team)
    with scopes_disabled():
        assert not Activity.objects.filter(verb="classifier left on service").exists()


def test_a_dead_service_holds_it_for_six_tries_and_the_staffs_log_says_so(wire, ready, settings, csm) -> None:  # noqa: F811
    team, ref = ready.team, ready.ref
    WatsonConnection.objects.update(url=DEAD)
    settings.WATSON_HOSTS = ("127.0.0.1:9",)
    ask(team, csm)
    assert not delete_team(team=team)
    for _ in range(5):
        try_leftovers(team)
        assert not delete_team(team=team)
    try_leftovers(team)
    assert delete_team(team=team)
    assert not exists(team)
    with scopes_disabled():
        line = Activity.objects.get(verb="classifier left on service")
        assert (line.team, line.object_name) == (None, ref)
        assert line.data == {
            "service": "127.0.0.1:9",
            "reason": "The service could not be reached.",
            "who": f"{team.name} ({team.slug})",
        }
        assert [entry.team for entry in Activity.objects.filter(verb="team deleted")] == [None]


def test_without_a_worker_for_it_the_deletion_goes_on_after_two_hours(wire, ready, csm) -> None:  # noqa: F811
    team = ready.team
    ask(team, csm)
    assert not delete_team(team=team)
    Team.objects.filter(pk=team.pk).update(closed_at=timezone.now() - timedelta(hours=2, seconds=1))
    assert delete_team(team=Team.objects.get(pk=team.pk))
    assert len(wire.made) == 1
    with scopes_disabled():
        assert Activity.objects.get(verb="classifier left on service").data["reason"] == NOT_TRIED


def test_what_has_more_tries_behind_it_gets_one_more(wire, ready, owner, csm) -> None:  # noqa: F811
    team = ready.team
    services.delete_model(model=ready.model, actor=owner)
    RemoteLeftover.objects.update(attempts=9, next_try_at=Now() + timedelta(hours=1))
    ask(team, csm)
    assert not delete_team(team=team)
    with scopes_disabled():
        ((team_id, pk),) = services.due_leftovers()
    tasks.delete_remote(team_id=team_id, leftover_id=pk)
    assert wire.made == {}
    assert delete_team(team=team)


def test_a_training_that_was_just_sent_is_looked_for_by_its_token(wire, queued, csm) -> None:  # noqa: F811
    services.run_training(version=queued)
    ModelVersion.objects.filter(pk=queued.pk).update(ref="")
    ask(queued.team, csm)
    assert not delete_team(team=queued.team)
    assert [bool(one.remote_token) for one in RemoteLeftover.objects.all()] == [True]
    try_leftovers(queued.team)
    assert wire.made == {}
    assert delete_team(team=queued.team)


def test_a_team_that_waits_does_not_hold_up_another(wire, ready, other_team, csm) -> None:  # noqa: F811
    ask(ready.team, csm)
    ask(other_team, csm)
    console_tasks.delete_teams()
    assert (exists(ready.team), exists(other_team)) == (True, False)


def test_a_service_that_cannot_be_asked_leaves_a_line_in_the_teams_log(wire, ready, owner) -> None:  # noqa: F811
    services.delete_model(model=ready.model, actor=owner)
    RemoteLeftover.objects.update(attempts=11, ref="", remote_token="v7-lost")
    wire.fail("list", WAIT)
    try_leftovers(ready.team)
    line = Activity.objects.get(verb="classifier left on service")
    assert (line.team, line.object_name) == (ready.team, "v7-lost")
    assert not RemoteLeftover.objects.exists()
