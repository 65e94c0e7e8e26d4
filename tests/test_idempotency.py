"""Sending again through the API: the first answer again, nothing done twice, clear words for a key that is misused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from threading import Barrier, Thread
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone
from django_scopes import scopes_disabled

from jobs_app.models import Job, JobUpload
from labeling_platform.accounts import idempotency, tasks
from labeling_platform.accounts.models import ApiAnswer, ApiToken, Team, User
from labeling_platform.accounts.permissions import Role
from labeling_platform.accounts.services import set_role
from labeling_platform.accounts.tokens import revoke_token
from models_app.models import CustomModel
from workflows_app.models import Workflow

from .api_world import ROOT, Program, csv_upload, error_of, new_token
from .workflows_app.conftest import draft, job, model, scope

__all__ = ["draft", "job", "model", "scope"]
REPLAYED = idempotency.REPLAYED


@pytest.fixture
def token(team: Team, mate: User) -> str:
    return new_token(team, mate).text


def send(token: str, path: str, body: Any = None, *, key: str | None = "k-1", file: Any = None) -> Any:
    headers = {"Authorization": f"Bearer {token}"} | ({} if key is None else {idempotency.HEADER: key})
    if file is not None:
        return Client().post(f"{ROOT}{path}", {"file": file, **(body or {})}, headers=headers)
    sent = json.dumps(body) if body is not None else ""
    return Client().post(f"{ROOT}{path}", sent, "application/json", headers=headers)


def names() -> list[str]:
    with scopes_disabled():
        return list(CustomModel.objects.order_by("pk").values_list("name", flat=True))


def test_the_same_request_gets_the_first_answer_again(token: str) -> None:
    first, second = send(token, "/models", {"name": "A"}), send(token, "/models", {"name": "A"})
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.content == first.content
    assert second["Content-Type"] == first["Content-Type"] == "application/json; charset=utf-8"
    assert (first.get(REPLAYED), second.get(REPLAYED)) == (None, "true")
    assert names() == ["A"]


def test_the_answer_is_that_of_a_request_without_a_key(token: str) -> None:
    with_key = send(token, "/models", {"name": "A"}).json()
    without = send(token, "/models", {"name": "B"}, key=None).json()
    mine = {"id", "name", "created_at"}
    assert {name: with_key[name] for name in with_key if name not in mine} == {
        name: without[name] for name in without if name not in mine
    }
    assert Program(token).get(f"/models/{with_key['id']}").json() == with_key


def test_each_kind_of_making_is_done_once(team: Team, token: str, model: CustomModel) -> None:
    """Jobs, workflows, files; an answer without a body, whose thing is gone when it is asked for again."""
    made = send(token, "/jobs", {"model_id": model.pk, "title": "J"}, key="job").json()
    assert send(token, "/jobs", {"model_id": model.pk, "title": "J"}, key="job").json() == made
    flow = {"name": "W", "kind": "model_only", "model_id": model.pk}
    workflow = send(token, "/workflows", flow, key="workflow").json()
    assert send(token, "/workflows", flow, key="workflow").json() == workflow
    path = f"/jobs/{made['id']}/uploads"
    upload = send(token, path, key="file", file=csv_upload("image_url\nhttp://a.example/1.jpg\n"))
    again = send(token, path, key="file", file=csv_upload("image_url\nhttp://a.example/1.jpg\n"))
    assert (upload.status_code, again.status_code, again.json()) == (202, 202, upload.json())
    with scopes_disabled():
        assert (Job.objects.count(), Workflow.objects.count(), JobUpload.objects.count()) == (1, 1, 1)
        JobUpload.objects.update(held=True)
    gone = [send(token, f"{path}/{upload.json()['id']}/discard", key="gone") for _ in range(2)]
    assert [(answer.status_code, answer.content, answer.get(REPLAYED)) for answer in gone] == [
        (204, b"", None),
        (204, b"", "true"),
    ]


def test_another_body_address_or_file_with_the_key_is_refused(token: str) -> None:
    send(token, "/models", {"name": "A"})
    assert error_of(send(token, "/models", {"name": "B"})) == (422, "idempotency_key_used")
    assert error_of(send(token, "/models?x=1", {"name": "A"})) == (422, "idempotency_key_used")
    assert error_of(send(token, "/jobs", {"name": "A"})) == (422, "invalid")
    assert names() == ["A"]


def test_a_file_is_known_by_its_name_and_content(token: str, model: CustomModel) -> None:
    path = f"/models/{model.pk}/evaluations"
    text = "image_url\nhttp://a.example/1.jpg\n"
    first = send(token, path, file=csv_upload(text))
    assert first.status_code == 202
    assert send(token, path, file=csv_upload(text)).json() == first.json()
    for other in (csv_upload(text.replace("1.jpg", "2.jpg")), csv_upload(text, name="other.csv")):
        assert error_of(send(token, path, file=other)) == (422, "idempotency_key_used")


def test_what_was_refused_is_tried_again_with_the_same_key(token: str) -> None:
    send(token, "/models", {"name": "A"}, key=None)
    assert error_of(send(token, "/models", {"name": "A"})) == (409, "name_taken")
    assert error_of(send(token, "/models", {"nam": "A"})) == (422, "invalid")
    assert send(token, "/models", {"name": "B"}).status_code == 201
    assert names() == ["A", "B"]


def test_a_key_belongs_to_its_token(team: Team, mate: User, token: str) -> None:
    send(token, "/models", {"name": "A"})
    assert error_of(send(new_token(team, mate).text, "/models", {"name": "A"})) == (409, "name_taken")


@pytest.mark.parametrize("key", ["", " ", "two words", "x" * 256, "ä"])
def test_what_is_no_key_is_refused(key: str, token: str) -> None:
    assert error_of(send(token, "/models", {"name": "A"}, key=key)) == (400, "idempotency_key")
    assert names() == []


def test_reading_takes_no_notice_of_keys(token: str) -> None:
    headers = {"Authorization": f"Bearer {token}", idempotency.HEADER: "two words"}
    assert Client().get(f"{ROOT}/me", headers=headers).status_code == 200
    with scopes_disabled():
        assert ApiAnswer.objects.count() == 0


def test_after_a_day_the_key_is_new(token: str) -> None:
    send(token, "/models", {"name": "A"})
    with scopes_disabled():
        ApiAnswer.objects.update(created_at=timezone.now() - idempotency.KEPT + timedelta(minutes=1))
    assert send(token, "/models", {"name": "A"}).get(REPLAYED) == "true"
    with scopes_disabled():
        ApiAnswer.objects.update(created_at=timezone.now() - idempotency.KEPT)
    assert send(token, "/models", {"name": "B"}).status_code == 201


def test_the_sweep_deletes_old_answers_only(token: str) -> None:
    for name in "AB":
        send(token, "/models", {"name": name}, key=name)
    with scopes_disabled():
        ApiAnswer.objects.filter(key="A").update(created_at=timezone.now() - idempotency.KEPT)
    tasks.sweep()
    with scopes_disabled():
        assert list(ApiAnswer.objects.values_list("key", flat=True)) == ["B"]


def test_who_may_no_longer_do_it_gets_no_answer_again(team: Team, mate: User, token: str) -> None:
    send(token, "/models", {"name": "A"})
    set_role(team=team, user=mate, role=Role.VIEWER)
    assert error_of(send(token, "/models", {"name": "A"})) == (403, "role")
    with scopes_disabled():
        revoke_token(token=ApiToken.objects.get(), actor=mate)
    assert error_of(send(token, "/models", {"name": "A"})) == (401, "token_revoked")


def test_an_error_of_ours_keeps_nothing(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: Any) -> None:
        raise RuntimeError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(idempotency, "keep_answer", fail)
        client = Client(raise_request_exception=False)
        headers = {"Authorization": f"Bearer {token}", idempotency.HEADER: "k-1"}
        answer = client.post(f"{ROOT}/models", json.dumps({"name": "A"}), "application/json", headers=headers)
        assert error_of(answer) == (500, "server_error")
    assert names() == []
    assert send(token, "/models", {"name": "A"}).status_code == 201


# --- really at the same time ----------------------------------------------------------------------------------


@pytest.fixture
def held(transactional_db: None, token: str) -> Iterator[str]:
    """A token whose key k-1 another connection holds, as a request that is under way does."""
    with scopes_disabled():
        number = ApiToken.objects.get().pk
    ready, done = Barrier(2), Barrier(2)

    def hold() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"api answer {number} k-1"])
            ready.wait(20)
            done.wait(20)
        connection.close()

    thread = Thread(target=hold)
    thread.start()
    ready.wait(20)
    yield token
    done.wait(20)
    thread.join()


@pytest.mark.django_db(transaction=True)
def test_while_the_first_is_under_way_the_second_is_told(held: str) -> None:
    answer = send(held, "/models", {"name": "A"})
    assert error_of(answer) == (409, "idempotency_under_way")
    assert answer["Retry-After"] == "1"
    assert send(held, "/models", {"name": "A"}, key="k-2").status_code == 201


@pytest.mark.django_db(transaction=True)
def test_many_at_once_make_one_job(transactional_db: None, team: Team, token: str, model: CustomModel) -> None:
    answers: list[Any] = []
    start = Barrier(8)

    def ask() -> None:
        start.wait(20)
        answers.append(send(token, "/jobs", {"model_id": model.pk, "title": "J"}))
        connection.close()

    threads = [Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with scopes_disabled():
        (made,) = Job.objects.values_list("pk", flat=True)
    assert {answer.status_code for answer in answers} <= {201, 409}
    done = [answer for answer in answers if answer.status_code == 201]
    assert [answer.json()["id"] for answer in done] == [made] * len(done)
    assert sum(REPLAYED not in answer for answer in done) == 1
    assert {error_of(answer)[1] for answer in answers if answer.status_code == 409} <= {"idempotency_under_way"}
    assert send(token, "/jobs", {"model_id": model.pk, "title": "J"}).json()["id"] == made
