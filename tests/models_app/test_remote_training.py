"""Models on a service elsewhere, from the create to the report of a row, with the service's troubles on the way.

The service is the wire server of tests/vr3: it answers with canned scores, so nothing here says anything of accuracy.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from labeling_platform.accounts.models import Activity
from labeling_platform.lib.errors import Refused
from models_app import ingest, services, tasks
from models_app.classify import Scored, Unreadable, classify
from models_app.models import (
    ConnectionUse,
    CustomModel,
    EvaluationRow,
    HoldoutPrediction,
    ModelVersion,
    RemoteLeftover,
    WatsonConnection,
)
from models_app.remote import LOST
from models_app.services import Access
from models_app.services.remote_training import TOO_LATE
from tests.vr3.server import Fault, WireServer, json_fault, wire_server

SHAPES = ("circles", "squares")
QUOTA = json_fault(403, {"status": "ERROR", "statusInfo": "daily-transaction-limit-exceeded"})
DENIED = json_fault(401, {"code": 401, "error": "Unauthorized"})


@pytest.fixture
def wire(settings) -> Iterator[WireServer]:
    with wire_server() as server:
        settings.WATSON_HOSTS = (server.url.split("/")[2],)
        settings.CLASSIFIER_BACKENDS = ("local", "watson")
        yield server


@pytest.fixture
def link(wire, in_team, owner) -> WatsonConnection:
    return services.save_connection(team=in_team, actor=owner, access=Access("Wire", wire.url, auth="none"))


@pytest.fixture
def queued(link, in_team, owner, pictures, add_data) -> ModelVersion:
    """A training of two classes of 15 pictures, asked for."""
    model = services.create_model(team=in_team, name="Far away", actor=owner, connection=link)
    add_data(model, pictures.training_csv(15, shapes=SHAPES))
    return services.start_training(model=model, actor=owner)


def fresh(version: ModelVersion) -> ModelVersion:
    return ModelVersion.objects.select_related("connection", "model", "team").get(pk=version.pk)


def due(version: ModelVersion) -> ModelVersion:
    """Its time to be asked for, or to be tried again, has come."""
    ModelVersion.objects.filter(pk=version.pk).update(next_poll_at=Now() - timedelta(seconds=1))
    return fresh(version)


def to_the_end(version: ModelVersion) -> ModelVersion:
    services.run_training(version=fresh(version))
    for _ in range(5):
        if services.poll_training(version=due(version)):
            services.run_training(version=fresh(version))
            break
    return fresh(version)


@pytest.fixture
def ready(queued) -> ModelVersion:
    version = to_the_end(queued)
    assert version.state == "ready", version.error
    return version


def test_a_model_is_trained_there_and_measured_here(wire, queued, link) -> None:
    services.run_training(version=queued)
    waiting = fresh(queued)
    assert (waiting.state, waiting.stage, waiting.lease_until) == ("training", "remote", None)
    assert waiting.remote_token.startswith(f"v{queued.pk}-")
    made = next(iter(wire.made.values()))
    assert made.name.endswith(waiting.remote_token)
    assert waiting.ref == made.id
    assert {name: len(sent) for name, sent in made.learned.items()} == dict.fromkeys(SHAPES, 12)
    assert services.queued_trainings(remote=True) == []
    assert services.due_polls() == []
    assert not services.poll_training(version=waiting)  # not due
    wire.polls_until_ready = 2
    assert not services.poll_training(version=due(queued))
    assert fresh(queued).poll_seconds == 15.0
    assert services.poll_training(version=due(queued))
    assert fresh(queued).state == "queued"
    assert services.run_training(version=fresh(queued))
    version = fresh(queued)
    assert (version.state, version.outcomes, version.rows_trained, version.rows_holdout) == (
        "ready", list(SHAPES), 24, 6,
    )  # fmt: skip
    assert HoldoutPrediction.objects.filter(version=version).count() == 6
    assert CustomModel.objects.get(pk=version.model_id).current == version
    assert len(wire.of("create")) == 1
    assert ConnectionUse.objects.get().images == 24 + 6
    assert not RemoteLeftover.objects.exists()


def test_the_sweep_asks_and_a_worker_goes_on(queued, django_capture_on_commit_callbacks, monkeypatch) -> None:
    services.run_training(version=queued)
    due(queued)
    sent: list[tuple[str, dict]] = []
    for task in (tasks.poll, tasks.train_remote):
        monkeypatch.setattr(
            task, "apply_async", lambda task=task, **options: sent.append((task.name, options["kwargs"]))
        )
    with django_capture_on_commit_callbacks(execute=True):
        tasks.sweep()
    assert sent == [("models.poll", {"team_id": queued.team_id, "version_id": queued.pk})]


def test_what_is_for_elsewhere_is_passed_on_to_its_own_workers(
    wire, queued, pictures, owner, csv_file, monkeypatch
) -> None:
    sent: list[tuple[str, dict]] = []
    for task in (tasks.train, tasks.train_remote):
        monkeypatch.setattr(task, "delay", lambda task=task, **ids: sent.append((task.name, ids)))
    ids = {"team_id": queued.team_id, "version_id": queued.pk}
    tasks.train(**ids)
    assert (sent, fresh(queued).state, wire.requests) == ([("models.train_remote", ids)], "queued", [])
    assert services.queued_trainings(remote=False) == []
    assert services.queued_trainings(remote=True) == [(queued.team_id, queued.pk)]
    wire.polls_until_ready = 0
    with tasks._sending, tasks._sending:
        tasks.train_remote(**ids)
    assert (fresh(queued).state, wire.requests) == ("queued", [])
    tasks.train_remote(**ids)
    tasks.poll(team_id=queued.team_id, version_id=due(queued).pk)
    tasks.train_remote(**ids)
    assert (fresh(queued).state, sent[1:]) == ("ready", [("models.train_remote", ids)])
    monkeypatch.setattr(tasks.evaluate_remote, "apply_async", lambda **options: sent.append(options["kwargs"]))
    model = CustomModel.objects.get(pk=queued.model_id)
    text = "image_url\n" + pictures.at("circles", 80) + "\n"
    found = services.receive_evaluation(model=model, file=csv_file(text, "new.csv"), actor=owner)
    asked, ids = len(wire.requests), {"team_id": queued.team_id, "evaluation_id": found.pk}
    tasks.evaluate(**ids)
    assert (len(wire.requests), sent[2:]) == (asked, [ids])
    tasks.evaluate_remote(**ids)
    found.refresh_from_db()
    assert found.prediction_state == "done"


def test_labels_that_the_protocol_does_not_know_come_back_as_they_were(wire, link, in_team, owner, pictures, add_data):
    model = services.create_model(team=in_team, name="Names", actor=owner, connection=link)
    text = pictures.training_csv(15, shapes=SHAPES)
    add_data(model, text.replace(",circles", ",high-heels").replace(",squares", ",negative_examples"))
    version = to_the_end(services.start_training(model=model, actor=owner))
    assert (version.state, version.outcomes) == ("ready", ["high-heels", "negative_examples"])
    answers = list(classify(version=version, items=[(1, pictures.at("circles", 0))]))
    assert isinstance(answers[0][1], Scored)
    assert answers[0][1].scores == [0.9, pytest.approx(0.1)]


# --- restarts and unclear answers ---------------------------------------------------------------------------------


def test_a_create_whose_answer_was_lost_is_adopted(wire, queued, monkeypatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    wire.fail("create", Fault(drop=True, work=True))
    assert to_the_end(queued).state == "ready"
    assert len(wire.made) == 1


def test_a_worker_that_died_after_the_create_is_followed_by_one_that_finds_it(wire, queued) -> None:
    services.run_training(version=queued)
    ModelVersion.objects.filter(pk=queued.pk).update(
        ref="", stage="submitting", next_poll_at=None, lease_until=Now() - timedelta(seconds=1)
    )
    assert services.release_expired_trainings() == 1
    assert fresh(queued).state == "queued"
    wire.polls_until_ready = 0
    services.run_training(version=fresh(queued))
    assert fresh(queued).state == "ready"
    assert len(wire.of("create")) == 1


def test_a_service_in_trouble_is_tried_again_later_and_given_up_after_two_hours(wire, queued, monkeypatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    wire.fail("create", *[json_fault(503, {"error": "busy"})] * 20)
    services.run_training(version=queued)
    version = fresh(queued)
    assert (version.state, version.attempts, version.error) == ("queued", 0, "")
    assert services.queued_trainings(remote=True) == []
    due(queued)
    assert services.queued_trainings(remote=True) == [(queued.team_id, queued.pk)]
    ModelVersion.objects.filter(pk=queued.pk).update(submitted_at=Now() - timedelta(hours=3))
    services.run_training(version=fresh(queued))
    assert fresh(queued).state == "failed"
    assert fresh(queued).error.startswith(TOO_LATE)


def test_a_pause_that_the_service_asks_for_is_kept(wire, queued) -> None:
    services.run_training(version=queued)
    wire.fail("get", json_fault(429, {}, headers={"Retry-After": "600"}))
    assert not services.poll_training(version=due(queued))
    left = fresh(queued).next_poll_at - ModelVersion.objects.annotate(now=Now()).get(pk=queued.pk).now
    assert timedelta(minutes=9) < left <= timedelta(minutes=10)


def test_no_result_in_two_hours(queued) -> None:
    services.run_training(version=queued)
    ModelVersion.objects.filter(pk=queued.pk).update(submitted_at=Now() - timedelta(hours=2, seconds=1))
    assert not services.poll_training(version=due(queued))
    assert (fresh(queued).state, fresh(queued).error) == ("failed", TOO_LATE)


# --- refusals -----------------------------------------------------------------------------------------------------


def test_a_training_that_failed_there_says_why(wire, queued) -> None:
    services.run_training(version=queued)
    wire.status, wire.explanation = "failed", "The pictures are all alike."
    assert not services.poll_training(version=due(queued))
    assert fresh(queued).state == "failed"
    assert "The pictures are all alike." in fresh(queued).error


def test_a_classifier_that_vanished_is_lost(wire, queued) -> None:
    services.run_training(version=queued)
    wire.made.clear()
    assert not services.poll_training(version=due(queued))
    assert (fresh(queued).state, fresh(queued).error) == ("failed", LOST)


@pytest.mark.parametrize(("fault", "state"), [(DENIED, "broken"), (QUOTA, "paused")])
def test_a_connection_that_is_refused_stops_with_a_reason(wire, queued, link, owner, fault, state) -> None:
    wire.fail("list", fault)
    wire.fail("create", fault)
    services.run_training(version=queued)
    link.refresh_from_db()
    assert (fresh(queued).state, link.state) == ("failed", state)
    assert link.reason
    assert Activity.objects.filter(verb=f"connection {state}").count() == 1
    asked = len(wire.requests)
    with pytest.raises(Refused, match=f"The connection “Wire” is {state}"):
        services.start_training(model=queued.model, actor=owner)
    assert len(wire.requests) == asked
    assert services.check_connection(connection=link).ok
    services.start_training(model=queued.model, actor=owner)


# --- predicting -----------------------------------------------------------------------------------------------------


def answers_of(version: ModelVersion, pictures) -> list[Scored | Unreadable]:
    items = [(number, pictures.at("circles", 70 + number)) for number in range(3)]
    return [answer for _, answer in classify(version=fresh(version), items=items)]


def test_passing_trouble_makes_rows_that_are_tried_again(wire, ready, pictures) -> None:
    wire.fail("classify", *[json_fault(503, {"error": "busy"})] * 5)
    assert [(answer.transient, answer.pause) for answer in answers_of(ready, pictures)] == [(True, 0.0)] * 3
    wire.faults.clear()
    assert all(isinstance(answer, Scored) for answer in answers_of(ready, pictures))


def test_a_short_pause_that_the_service_asks_for_is_waited_for(wire, ready, pictures, monkeypatch) -> None:
    monkeypatch.setattr("models_app.classify._spread", lambda: 0.0)
    asked = json_fault(429, {}, headers={"Retry-After": "1"})
    wire.fail("classify", asked, asked)
    began = time.monotonic()
    assert all(isinstance(answer, Scored) for answer in answers_of(ready, pictures))
    assert time.monotonic() - began >= 2.0
    wire.fail("classify", *[asked] * 3)
    assert [(one.code, one.pause, one.of_service) for one in answers_of(ready, pictures)] == [
        ("rate_limited", 1.0, True)
    ] * 3


def test_a_long_pause_puts_the_rows_back_for_as_long(wire, ready, pictures) -> None:
    wire.fail("classify", json_fault(429, {}, headers={"Retry-After": "600"}))
    asked = len(wire.of("classify"))
    assert [(one.transient, one.pause) for one in answers_of(ready, pictures)] == [(True, 600.0)] * 3
    assert len(wire.of("classify")) == asked + 1


def test_answers_from_before_the_trouble_are_kept(wire, ready, pictures, monkeypatch) -> None:
    monkeypatch.setattr("models_app.classify.REQUEST", 2)
    wire.fail("classify", json_fault(503, {}, work=True))
    found = answers_of(ready, pictures)
    assert [isinstance(answer, Scored) for answer in found] == [False, False, False]
    wire.change = lambda images: wire.fail("classify", json_fault(503, {})) or images
    found = answers_of(ready, pictures)
    assert [isinstance(answer, Scored) for answer in found] == [True, True, False]


def test_lasting_trouble_is_a_readable_reason(wire, ready, pictures, link) -> None:
    wire.fail("classify", *[DENIED] * 5)
    found = answers_of(ready, pictures)
    assert [(answer.code, answer.transient) for answer in found] == [("auth_failed", False)] * 3
    link.refresh_from_db()
    assert link.state == "broken"


def test_a_version_whose_classifier_is_gone_says_so(wire, ready, pictures) -> None:
    wire.made.clear()
    assert [(answer.code, answer.message) for answer in answers_of(ready, pictures)] == [("model_lost", LOST)] * 3
    assert fresh(ready).error == LOST


def test_an_evaluation_waits_for_the_service(wire, ready, pictures, owner, csv_file) -> None:
    text = "image_url\n" + "\n".join(pictures.at("circles", 80 + n) for n in range(3)) + "\n"
    found = services.receive_evaluation(
        model=CustomModel.objects.get(pk=ready.model_id), file=csv_file(text, "new.csv"), actor=owner
    )
    assert ingest.read_evaluation(evaluation=found)
    wire.fail("classify", *[json_fault(503, {})] * 9)
    services.run_evaluation(evaluation=found)
    found.refresh_from_db()
    assert found.prediction_state == "waiting"
    wire.faults.clear()
    services.run_evaluation(evaluation=found)
    found.refresh_from_db()
    assert found.prediction_state == "done"
    assert not EvaluationRow.objects.filter(confidence=None).exists()


# --- deleting -------------------------------------------------------------------------------------------------------


def sweep_leftovers() -> list[bool]:
    RemoteLeftover.objects.update(next_try_at=Now() - timedelta(seconds=1))
    return [services.delete_remote(leftover=one) for one in RemoteLeftover.objects.select_related("team", "connection")]


def test_a_deleted_model_is_deleted_there(wire, ready, owner) -> None:
    services.delete_model(model=ready.model, actor=owner)
    assert len(wire.made) == 1
    wire.fail("delete", json_fault(503, {}))
    assert sweep_leftovers() == [False]
    assert sweep_leftovers() == [True]
    assert (wire.made, RemoteLeftover.objects.count()) == ({}, 0)


def test_what_is_gone_there_counts_as_deleted(wire, ready, owner) -> None:
    wire.made.clear()
    services.delete_model(model=ready.model, actor=owner)
    assert sweep_leftovers() == [True]


def test_a_canceled_training_is_deleted_there(wire, queued, owner) -> None:
    services.run_training(version=queued)
    assert services.cancel_training(version=fresh(queued), actor=owner)
    assert not services.poll_training(version=due(queued))
    assert sweep_leftovers() == [True]
    assert wire.made == {}


def test_a_training_canceled_while_it_is_sent_is_found_by_its_token(wire, queued, owner) -> None:
    services.run_training(version=queued)
    ModelVersion.objects.filter(pk=queued.pk).update(ref="")
    services.cancel_training(version=fresh(queued), actor=owner)
    hidden, wire.made = wire.made, {}
    assert sweep_leftovers() == [False]  # it may still arrive
    wire.made = hidden
    assert sweep_leftovers() == [True]
    assert wire.made == {}


def test_the_pages_say_where_it_is(wire, queued, owner, client_for) -> None:
    services.run_training(version=queued)
    page = client_for(owner).get(f"/t/footwear/models/{queued.model_id}/").content.decode()
    assert "trained and asked over the connection “Wire”" in page
    assert "Sent to Wire" in page
    assert "At least 13 pictures of every class" in page
