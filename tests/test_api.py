"""What programs do through the API, and what they are told when they cannot."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs_app.ingest import read_rows as read_job_rows
from jobs_app.models import Job, JobUpload, Unit
from jobs_app.services import NewUnit, add_units
from labeling_platform.accounts.models import Activity, ApiToken, Team, User
from labeling_platform.lib.uploads import UploadState
from models_app.ingest import read_training
from models_app.models import CustomModel, Evaluation, EvaluationRow, ModelVersion, TrainingImage, TrainingUpload
from reports_app.models import Report
from reports_app.services import build_report
from workflows_app import services as workflows
from workflows_app.models import Workflow, WorkflowRow, WorkflowUpload

from .api_world import Program, csv_upload, error_of, new_token
from .workflows_app.conftest import csv_of, draft, job, launch_all, make_model, model, running, scope, upload_csv

__all__ = ["draft", "job", "model", "running", "scope"]
ROWS = "image_url,sku\nhttps://p.example/1.jpg,a\nhttps://p.example/2.jpg,b\n"


@pytest.fixture
def program(team: Team, mate: User) -> Program:
    return Program(new_token(team, mate).text)


# --- the token ----------------------------------------------------------------------------------------


def test_me(team: Team, mate: User) -> None:
    issued = new_token(team, mate, "read", "download", days=30)
    assert Program(issued.text).get("/me").json() == {
        "team": {"name": "Footwear", "slug": "footwear"},
        "role": "member",
        "token": {
            "name": "test",
            "prefix": issued.text[:15],
            "scopes": ["read", "download"],
            "expires_at": issued.token.expires_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        },
        "features": ["ml_assisted_labeling"],
        "limits": {
            "requests_per_minute": 600,
            "file_bytes": 500_000_000,
            "file_rows": 1_000_000,
            "evaluation_rows": 100,
        },
    }


def test_a_request_is_noted_at_the_token(scope: Team, program: Program) -> None:
    program.get("/me")
    assert ApiToken.objects.get().last_used_at is not None


def test_a_team_that_is_being_deleted_lets_nobody_in(team: Team, program: Program) -> None:
    Team.objects.filter(pk=team.pk).update(closed_at=timezone.now())
    assert error_of(program.get("/me")) == (401, "token_ended")


def test_where_a_second_factor_is_needed_tokens_of_people_without_one_do_nothing(
    team: Team, program: Program, mate: User
) -> None:
    Team.objects.filter(pk=team.pk).update(needs_second_factor=True)
    assert error_of(program.get("/me")) == (403, "second_factor")
    Authenticator.objects.create(user=mate, type=Authenticator.Type.TOTP, data={})
    assert program.get("/me").status_code == 200


def test_in_a_paused_team_nothing_new_begins(team: Team, program: Program, model: CustomModel) -> None:
    Team.objects.filter(pk=team.pk).update(paused_at=timezone.now(), pause_message="Call us.")
    assert program.get("/models").status_code == 200
    refused = program.post(f"/models/{model.pk}/uploads", {"file": csv_upload()})
    assert refused.status_code == 409
    assert "Call us." in refused.json()["error"]["message"]


def test_what_a_program_did_names_its_token(team: Team, program: Program, scope: Team, mate: User) -> None:
    program.post("/models", {"name": "Footwear"})
    line = Activity.objects.get(verb="model created")
    assert (line.actor, line.data) == (mate, {"token": ApiToken.objects.get().prefix})


def test_an_error_says_how_to_get_a_token(db: None) -> None:
    answer = Program(None).get("/models")
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == 'Bearer realm="labeling platform"'
    assert answer.json() == {
        "error": {
            "code": "token_missing",
            "message": "This needs a token. Make a token on the page API of your team and send it as: "
            "Authorization: Bearer mll_live_...",
            "request_id": answer["X-Request-ID"],
        }
    }


def test_answers_are_kept_nowhere(program: Program) -> None:
    answer = program.get("/models")
    assert (answer["Cache-Control"], answer["X-Content-Type-Options"]) == ("no-store", "nosniff")


def test_the_callers_request_id_comes_back(db: None) -> None:
    answer = Client().get("/api/v1/me", headers={"X-Request-ID": "from-a-program.1"})
    assert answer.json()["error"]["request_id"] == answer["X-Request-ID"] == "from-a-program.1"


def test_too_many_requests_have_to_wait(program: Program, settings: Any) -> None:
    settings.API_REQUESTS_PER_MINUTE = 2
    answers = [program.get("/me") for _ in range(5)]  # a minute may end between them
    late = next(answer for answer in answers[2:] if answer.status_code == 429)
    assert late.json()["error"]["code"] == "too_many_requests"
    assert 1 <= int(late["Retry-After"]) <= 60


def test_without_the_cache_requests_are_not_counted(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*args: Any) -> None:
        raise ConnectionError

    monkeypatch.setattr(cache, "add", away)
    assert program.get("/me").status_code == 200


@pytest.mark.parametrize("path", ["/nothing", "/models/", "/models/1/nothing", "/"])
def test_an_address_that_is_none(program: Program, path: str) -> None:
    assert error_of(program.get(path)) == (404, "not_found")


@pytest.mark.parametrize("body", [b"{", b"\xff", b'{"name": "x"} more'])
def test_a_body_that_is_no_json(program: Program, body: bytes) -> None:
    answer = Client().post("/api/v1/models", body, content_type="application/json", headers=program.headers)
    assert error_of(answer) == (400, "bad_request")


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"name"}),
        ({"name": "x", "nmae": "y"}, {"nmae"}),
        ({"name": 5}, {"name"}),
        ({"name": "a\x00b"}, {"name"}),
        ({"name": " "}, {"name"}),
        ({"name": "x" * 151}, {"name"}),
        ([], {"body"}),
    ],
)
def test_fields_that_are_wrong_are_named(program: Program, body: Any, fields: set[str]) -> None:
    answer = program.post("/models", body)
    assert answer.status_code == 422
    assert set(answer.json()["error"]["fields"]) == fields


def test_a_form_that_is_cut_off(program: Program, scope: Team, model: CustomModel) -> None:
    url, kind = f"/api/v1/models/{model.pk}/uploads", "multipart/form-data; boundary="
    answer = Client().post(url, b"--x", content_type=kind, headers=program.headers)
    assert error_of(answer) == (400, "bad_request")


def test_bodies_that_are_too_large_are_not_read(program: Program, model: CustomModel, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    assert error_of(program.post("/models", {"name": "x" * 100})) == (413, "too_large")
    settings.CSV_MAX_BYTES = 10
    answer = program.post(f"/models/{model.pk}/uploads", {"file": csv_upload()})
    assert error_of(answer) == (413, "too_large")
    assert not TrainingUpload.objects.exclude(file="none").exists()


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 101}, {"after": "x y"}, {"limit": "many"}])
def test_pages_that_make_no_sense(program: Program, query: dict[str, Any]) -> None:
    answer = program.get("/models", **query)
    assert answer.status_code == 422
    assert set(answer.json()["error"]["fields"]) == set(query)


# --- models -------------------------------------------------------------------------------------------


def test_making_a_model(program: Program, scope: Team, mate: User) -> None:
    answer = program.post("/models", {"name": " Foot  wear "})
    model = CustomModel.objects.get()
    assert answer.status_code == 201
    assert answer.json() == {
        "id": model.pk,
        "name": "Foot wear",
        "backend": "local",
        "connection_id": None,
        "training_data": {"rows": 0, "classes": 0},
        "current_version": None,
        "outcomes": [],
        "latest_state": None,
        "created_at": answer.json()["created_at"],
    }
    assert model.created_by == mate
    assert program.get(f"/models/{model.pk}").json() == answer.json()
    assert error_of(program.post("/models", {"name": "FOOT WEAR"})) == (409, "name_taken")


def test_training_data(program: Program, scope: Team, mate: User) -> None:
    model = CustomModel.objects.create(team=scope, name="M")
    text = "image_url,label\nhttps://p.example/1.jpg,boots\nftp://p.example/2.jpg,boots\n"
    answer = program.post(f"/models/{model.pk}/uploads", {"file": csv_upload(text)})
    assert answer.status_code == 202
    upload = TrainingUpload.objects.get()
    assert (answer.json()["id"], answer.json()["state"], upload.created_by) == (upload.pk, "received", mate)
    assert error_of(program.post(f"/models/{model.pk}/versions")) == (409, "still_reading")
    read_training(upload=upload)
    told = program.get(f"/models/{model.pk}/uploads/{upload.pk}").json()
    assert (told["state"], told["rows_ok"], told["rows_bad"]) == ("ready", 1, 1)
    assert told["problems"] == [
        {
            "line": 3,
            "column": "image_url",
            "code": told["problems"][0]["code"],
            "message": "The URL must begin with http://, https:// or s3://.",
        }
    ]
    assert program.get(f"/models/{model.pk}").json()["training_data"] == {"rows": 1, "classes": 1}
    assert error_of(program.post(f"/models/{model.pk}/versions")) == (409, "not_enough_data")


def test_a_file_is_needed(program: Program, model: CustomModel) -> None:
    answer = program.post(f"/models/{model.pk}/uploads", {})
    assert answer.status_code == 422
    assert answer.json()["error"]["fields"] == {"file": "Field required"}


def test_starting_and_canceling_a_training(program: Program, scope: Team) -> None:
    model = CustomModel.objects.create(team=scope, name="M")
    upload = TrainingUpload.objects.create(team=scope, model=model, file="none", original_name="t.csv", state="ready")
    for label in ("boots", "sneakers"):
        for n in range(10):
            url = f"https://p.example/{label}-{n}.jpg"
            TrainingImage.objects.create(team=scope, model=model, upload=upload, line=n, image_url=url, label=label)
    started = program.post(f"/models/{model.pk}/versions")
    assert started.status_code == 202
    assert (started.json()["number"], started.json()["state"], started.json()["accuracy"]) == (1, "queued", None)
    assert error_of(program.post(f"/models/{model.pk}/versions")) == (409, "already_training")
    canceled = program.post(f"/models/{model.pk}/versions/1/cancel").json()
    assert canceled["state"] == "canceled"
    assert program.get(f"/models/{model.pk}/versions/1").json() == canceled
    assert program.get(f"/models/{model.pk}").json()["latest_state"] == "canceled"


def test_versions_tell_their_accuracy(program: Program, model: CustomModel) -> None:
    figures = [{"label": "boots", "support": 5, "precision": 0.8, "recall": 1.0, "f1": 0.9}]
    metrics = {"accuracy": 0.8, "accuracy_low": 0.4, "accuracy_high": 0.9, "per_class": figures}
    ModelVersion.objects.filter(model=model).update(metrics=metrics)
    assert program.get(f"/models/{model.pk}/versions").json()["items"][0]["accuracy"] == {
        "share": 0.8,
        "low": 0.4,
        "high": 0.9,
        "classes": [{"label": "boots", "count": 5, "precision": 0.8, "recall": 1.0}],
    }


def test_evaluations(program: Program, model: CustomModel, scope: Team) -> None:
    made = program.post(f"/models/{model.pk}/evaluations", {"file": csv_upload("image_url\nhttps://p.example/1.jpg\n")})
    assert made.status_code == 202
    evaluation = Evaluation.objects.get()
    assert (made.json()["id"], made.json()["version"], made.json()["prediction_state"]) == (evaluation.pk, 1, "waiting")
    for line, sure in enumerate([0.9, 0.6], 2):
        EvaluationRow.objects.create(
            team=scope, evaluation=evaluation, line=line, image_url="https://p.example/1.jpg",
            scores=[sure, 1 - sure, 0.0], predicted="boots", confidence=sure,
        )  # fmt: skip
    EvaluationRow.objects.create(
        team=scope, evaluation=evaluation, line=4, image_url="x", error_code="http_404", error_message="Not there."
    )
    path = f"/models/{model.pk}/evaluations/{evaluation.pk}"
    told = program.get(path).json()
    assert (told["rows"], told["rows_done"], told["rows_failed"]) == (3, 3, 1)
    rows = program.get(f"{path}/rows").json()["items"]
    assert [(row["line"], row["predicted"], row["confidence"], row["error"]) for row in rows] == [
        (2, "boots", 0.9, None),
        (3, "boots", 0.6, None),
        (4, None, None, "Not there."),
    ]
    assert rows[0]["scores"] == {"boots": 0.9, "sneakers": pytest.approx(0.1), "negative_examples": 0.0}
    assert [row["line"] for row in program.get(f"{path}/rows", label="boots", at_least=0.7).json()["items"]] == [2]
    assert program.get(f"{path}/rows", label="sneakers").json() == {"items": [], "next": None}


def test_an_evaluation_needs_a_trained_model(program: Program, scope: Team) -> None:
    model = CustomModel.objects.create(team=scope, name="M")
    answer = program.post(f"/models/{model.pk}/evaluations", {"file": csv_upload("image_url\nx\n")})
    assert error_of(answer) == (409, "not_trained")


# --- workflows ----------------------------------------------------------------------------------------


def test_making_a_workflow(program: Program, model: CustomModel, job: Job) -> None:
    body = {"name": "Shop", "kind": "model_then_job", "model_id": model.pk, "job_id": job.pk, "threshold": 0.875}
    answer = program.post("/workflows", body)
    workflow = Workflow.objects.get()
    assert answer.status_code == 201
    assert answer.json() == {
        "id": workflow.pk,
        "name": "Shop",
        "kind": "model_then_job",
        "state": "draft",
        "model_id": model.pk,
        "job_id": job.pk,
        "threshold": 0.875,
        "route_unlike": True,
        "version": None,
        "rows": 0,
        "rows_done": 0,
        "created_at": answer.json()["created_at"],
        "launched_at": None,
        "outcomes": [],
        "counts": {
            "awaiting_prediction": 0,
            "model_labeled": 0,
            "awaiting_human": 0,
            "human_labeled": 0,
            "error": 0,
            "unlike": 0,
            "canceled_units": 0,
            "per_second": None,
        },
    }
    assert program.get(f"/workflows/{workflow.pk}").json() == answer.json()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"threshold": 0.5}, "threshold"),
        ({"threshold": 1.01}, "threshold"),
        ({"threshold": 0.8001}, "threshold"),
        ({"kind": "job_only"}, "kind"),
        ({"model_id": 10**9}, "model_id"),
        ({"job_id": 10**9}, "job_id"),
        ({"job_id": None}, "job_id"),
        ({"name": " "}, "name"),
    ],
)
def test_a_workflow_that_cannot_be(
    program: Program, model: CustomModel, job: Job, change: dict[str, Any], field: str
) -> None:
    body = {"name": "Shop", "kind": "model_then_job", "model_id": model.pk, "job_id": job.pk, **change}
    answer = program.post("/workflows", body)
    assert answer.status_code == 422
    assert set(answer.json()["error"]["fields"]) == {field}
    assert Workflow.objects.count() == 0


def test_launching_a_workflow(program: Program, draft: Workflow) -> None:
    path = f"/workflows/{draft.pk}"
    problems = program.get(f"{path}/launch").json()
    assert [(one["code"], one["warning"]) for one in problems] == [
        ("no_test_questions", True),
        ("template_instructions", True),
    ]
    refused = program.post(f"{path}/launch", {"confirm": ["no_test_questions"]})
    assert error_of(refused) == (409, "unconfirmed")
    assert "GET this address" in refused.json()["error"]["message"]
    launched = program.post(f"{path}/launch", {"confirm": [one["code"] for one in problems]})
    assert launched.status_code == 200
    assert (launched.json()["state"], launched.json()["version"], launched.json()["rows"]) == ("running", 1, 3)
    assert launched.json()["counts"]["awaiting_prediction"] == 3
    assert error_of(program.post(f"{path}/launch", {})) == (409, "already_launched")
    assert Activity.objects.filter(verb="workflow launched").count() == 1


def test_turning_off_and_on(program: Program, running: Workflow) -> None:
    path = f"/workflows/{running.pk}"
    assert program.post(f"{path}/off").json()["state"] == "off"
    assert error_of(program.post(f"{path}/off")) == (409, "state")
    assert program.post(f"{path}/on").json()["state"] == "running"
    assert error_of(program.post(f"{path}/on")) == (409, "state")


def test_retrying_failed_rows(program: Program, running: Workflow) -> None:
    assert program.post(f"/workflows/{running.pk}/retry").json() == {"retried": 0}
    WorkflowRow.objects.filter(workflow=running).update(state="failed", attempts=1, error_message="Not there.")
    assert program.post(f"/workflows/{running.pk}/retry").json() == {"retried": 3}
    assert program.get(f"/workflows/{running.pk}").json()["counts"]["awaiting_prediction"] == 3


def test_uploading_rows_twice_adds_them_once(program: Program, draft: Workflow) -> None:
    path = f"/workflows/{draft.pk}/uploads"
    first = program.post(path, {"file": csv_upload(ROWS), "key_column": ""})
    assert first.status_code == 202
    assert (first.json()["state"], first.json()["held"]) == ("received", False)
    second = program.post(path, {"file": csv_upload(ROWS)}).json()
    assert second["held"] is True
    assert program.post(f"{path}/{second['id']}/discard").status_code == 204
    assert error_of(program.get(f"{path}/{second['id']}")) == (404, "not_found")
    third = program.post(path, {"file": csv_upload(ROWS)}).json()
    assert program.post(f"{path}/{third['id']}/confirm").json()["held"] is False
    assert error_of(program.post(f"{path}/{third['id']}/discard")) == (409, "state")
    workflows.read_rows(upload=WorkflowUpload.objects.get(pk=first.json()["id"]))
    told = program.get(f"{path}/{first.json()['id']}").json()
    assert (told["state"], told["rows_ok"], told["key_column"]) == ("ready", 2, "")
    assert [one["id"] for one in program.get(path).json()["items"]][:2] == [third["id"], first.json()["id"]]


def test_a_key_column_leaves_out_what_is_there(program: Program, draft: Workflow) -> None:
    sent = program.post(f"/workflows/{draft.pk}/uploads", {"file": csv_upload(ROWS), "key_column": "sku"}).json()
    assert (sent["key_column"], sent["held"]) == ("sku", False)
    again = program.post(f"/workflows/{draft.pk}/uploads", {"file": csv_upload(ROWS), "key_column": "sku"}).json()
    assert again["held"] is False
    for upload in WorkflowUpload.objects.filter(key_column="sku").order_by("pk"):
        workflows.read_rows(upload=upload)
    told = program.get(f"/workflows/{draft.pk}/uploads/{again['id']}").json()
    assert (told["rows_ok"], told["rows_repeated"]) == (0, 2)


def test_rows_of_a_workflow(program: Program, running: Workflow, scope: Team) -> None:
    first, second, third = WorkflowRow.objects.filter(workflow=running).order_by("pk")
    unit_id = add_units(job=running.job, items=[NewUnit("k", second.image_url)])["k"]
    Unit.objects.filter(pk=unit_id).update(state="finalized", shares={"boots": 0.75, "sneakers": 0.25})
    scores = [0.9, 0.1, 0.0]
    WorkflowRow.objects.filter(pk=first.pk).update(state="confident", scores=scores, predicted="boots", confidence=0.9)
    WorkflowRow.objects.filter(pk=second.pk).update(
        state="routed", scores=[0.6, 0.4, 0.0], predicted="boots", confidence=0.6, unit_id=unit_id,
        reason="low_confidence",
    )  # fmt: skip
    path = f"/workflows/{running.pk}/rows"
    rows = program.get(path).json()["items"]
    assert rows[0] == {
        "id": first.pk,
        "upload_id": first.upload_id,
        "line": 2,
        "key": None,
        "image_url": first.image_url,
        "cells": dict(zip(first.upload.columns, first.cells, strict=True)),
        "status": "model_labeled",
        "machine": {"boots": 0.9, "sneakers": 0.1, "negative_examples": 0.0},
        "predicted": "boots",
        "confidence": 0.9,
        "unlike": False,
        "human": None,
        "reason": None,
    }
    assert (rows[1]["status"], rows[1]["human"], rows[1]["reason"]) == (
        "human_labeled",
        {"boots": 0.75, "sneakers": 0.25},
        "low_confidence",
    )
    ids = [first.pk, second.pk, third.pk]

    def found(**query: Any) -> list[int]:
        return [ids.index(row["id"]) + 1 for row in program.get(path, **query).json()["items"]]

    assert found(status="awaiting_prediction") == [3]
    assert found(label="boots") == [2, 1]
    assert found(label="boots", at_least=0.7) == [1]
    assert found(at_most=0.7, status="human_labeled") == [2]
    answer = program.get(path, status="done")
    assert (answer.status_code, set(answer.json()["error"]["fields"])) == (422, {"status"})


def test_rows_come_in_pages(program: Program, running: Workflow) -> None:
    path, seen, after = f"/workflows/{running.pk}/rows", [], ""
    while after is not None:
        page = program.get(path, limit=2, after=after).json()
        seen += [row["line"] for row in page["items"]]
        after = page["next"]
    assert seen == [2, 3, 4]


# --- jobs ---------------------------------------------------------------------------------------------


def test_making_a_job(program: Program, model: CustomModel) -> None:
    answer = program.post("/jobs", {"model_id": model.pk, "title": "Which?", "judgments_per_unit": 3})
    job = Job.objects.get()
    assert answer.status_code == 201
    assert answer.json() == {
        "id": job.pk,
        "title": "Which?",
        "state": "unordered",
        "model_id": model.pk,
        "outcomes": ["boots", "sneakers", "negative_examples"],
        "judgments_per_unit": 3,
        "rows": 0,
        "rows_finalized": 0,
        "test_questions": 0,
        "created_at": answer.json()["created_at"],
        "launched_at": None,
        "counts": {"new": 0, "queued": 0, "waiting": 0, "finalized": 0, "canceled": 0, "held": 0, "judgments": 0},
    }
    assert program.get(f"/jobs/{job.pk}").json() == answer.json()


def test_a_job_needs_a_trained_model(program: Program, scope: Team) -> None:
    model = CustomModel.objects.create(team=scope, name="M")
    answer = program.post("/jobs", {"model_id": model.pk})
    assert (answer.status_code, set(answer.json()["error"]["fields"])) == (422, {"model_id"})


def test_a_job_from_rows_to_pause(program: Program, job: Job) -> None:
    path = f"/jobs/{job.pk}"
    assert error_of(program.post(f"{path}/pause")) == (409, "wrong_state")
    sent = program.post(f"{path}/uploads", {"file": csv_upload(ROWS)})
    assert (sent.status_code, sent.json()["held"], sent.json()["rows_golden"]) == (202, False, 0)
    read_job_rows(upload=JobUpload.objects.select_related("job__team").get())
    assert program.get(f"{path}/uploads/{sent.json()['id']}").json()["rows_ok"] == 2
    assert program.get(f"{path}/uploads").json()["items"][0]["state"] == "ready"
    problems = program.get(f"{path}/launch").json()
    assert [one["warning"] for one in problems] == [True, True]
    assert error_of(program.post(f"{path}/launch", {"count": 1})) == (409, "unconfirmed")
    launched = program.post(f"{path}/launch", {"count": 1, "confirm": [one["message"] for one in problems]}).json()
    assert (launched["launched"], launched["job"]["state"]) == (1, "running")
    assert (launched["job"]["counts"]["new"], launched["job"]["counts"]["waiting"]) == (1, 1)
    units = program.get(f"{path}/units").json()["items"]
    assert [(one["state"], one["data"]) for one in units] == [
        ("judgable", {"image_url": "https://p.example/1.jpg", "sku": "a"}),
        ("new", {"image_url": "https://p.example/2.jpg", "sku": "b"}),
    ]
    assert [one["state"] for one in program.get(f"{path}/units", state="new").json()["items"]] == ["new"]
    assert program.get(f"{path}/units", state="golden").status_code == 422
    assert program.post(f"{path}/pause").json()["state"] == "paused"
    assert program.post(f"{path}/resume").json()["state"] == "running"


def test_rows_with_other_columns_need_a_word(program: Program, job: Job) -> None:
    path = f"/jobs/{job.pk}/uploads"
    program.post(path, {"file": csv_upload(ROWS)})
    read_job_rows(upload=JobUpload.objects.select_related("job__team").get())
    other = "image_url,price\nhttps://p.example/3.jpg,5\n"
    refused = program.post(path, {"file": csv_upload(other)})
    assert (refused.status_code, set(refused.json()["error"]["fields"])) == (422, {"file"})
    assert program.post(path, {"file": csv_upload(other), "forced": "true"}).status_code == 202
    held = program.post(path, {"file": csv_upload(ROWS)}).json()
    assert held["held"] is True
    assert program.post(f"{path}/{held['id']}/discard").status_code == 204


# --- reports ------------------------------------------------------------------------------------------


def test_a_report_from_the_request_to_the_file(program: Program, running: Workflow, mate: User) -> None:
    asked = program.post(f"/workflows/{running.pk}/reports", {"format": "jsonl", "diagnostics": False})
    assert asked.status_code == 202
    report = Report.objects.get()
    path = f"/reports/{report.pk}"
    assert (asked.json()["id"], asked.json()["state"]) == (report.pk, "queued")
    again = program.post(f"/workflows/{running.pk}/reports", {"format": "jsonl", "diagnostics": False})
    assert again.json()["id"] == report.pk
    assert error_of(program.get(f"{path}/file")) == (409, "not_ready")
    build_report(report=report)
    told = program.get(path).json()
    assert (told["state"], told["rows_done"], told["workflow_id"]) == ("ready", 3, running.pk)
    file = program.get(f"{path}/file")
    assert file["Content-Type"] == "application/jsonl; charset=utf-8"
    assert file["Content-Disposition"] == f'attachment; filename="shoes-report-{report.pk}.jsonl"'
    lines = b"".join(file.streaming_content).decode().splitlines()
    assert [json.loads(line)["sku"] for line in lines] == ["SKU-1", "SKU-2", "SKU-3"]
    token = program.headers["Authorization"].removeprefix("Bearer ")
    (line,) = Activity.objects.filter(verb="report downloaded")
    assert (line.actor, line.object_name) == (mate, f"shoes-report-{report.pk}.jsonl")
    assert line.data == {"path": f"/api/v1{path}/file", "token": token[:15]}
    assert error_of(program.post(f"{path}/cancel")) == (409, "not_under_way")
    assert [one["id"] for one in program.get("/reports").json()["items"]] == [report.pk]


def test_canceling_a_report(program: Program, running: Workflow) -> None:
    asked = program.post(f"/workflows/{running.pk}/reports", {}).json()
    assert program.post(f"/reports/{asked['id']}/cancel").json()["state"] == "canceled"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"since": "2999-01-01"}, "since"),
        ({"since": "yesterday"}, "since"),
        ({"since": "last"}, "since"),
        ({"format": "xlsx"}, "format"),
    ],
)
def test_a_report_that_cannot_be(program: Program, running: Workflow, body: dict[str, Any], field: str) -> None:
    answer = program.post(f"/workflows/{running.pk}/reports", body)
    assert (answer.status_code, set(answer.json()["error"]["fields"])) == (422, {field})


def test_a_draft_has_no_report(program: Program, draft: Workflow) -> None:
    assert error_of(program.post(f"/workflows/{draft.pk}/reports", {})) == (409, "not_launched")


def test_reports_of_a_job(program: Program, running: Workflow, job: Job) -> None:
    assert error_of(program.post(f"/jobs/{job.pk}/reports", {"kind": "workset"})) == (409, "empty")
    add_units(job=job, items=[NewUnit("k", "https://p.example/1.jpg")])
    asked = program.post(f"/jobs/{job.pk}/reports", {"kind": "aggregated", "unfinished": True, "min_confidence": 0.7})
    assert asked.status_code == 202
    assert (asked.json()["job_id"], asked.json()["options"]["min_confidence"]) == (job.pk, "0.7")
    build_report(report=Report.objects.get())
    file = program.get(f"/reports/{asked.json()['id']}/file")
    assert file["Content-Type"] == "application/zip"
    assert b"".join(file.streaming_content)[:2] == b"PK"


def test_a_file_that_is_gone_is_not_found(program: Program, running: Workflow) -> None:
    asked = program.post(f"/workflows/{running.pk}/reports", {}).json()
    Report.objects.filter(pk=asked["id"]).update(state="ready", file="t/1/reports/none.csv")
    assert error_of(program.get(f"/reports/{asked['id']}/file")) == (404, "not_found")


# --- lists --------------------------------------------------------------------------------------------


def add_model(team: Team, owner: User, number: int) -> str:
    make_model(team, f"Model {number}")
    return "/models"


def add_version(team: Team, owner: User, number: int) -> str:
    model = CustomModel.objects.first() or make_model(team)
    ModelVersion.objects.create(team=team, model=model, number=number + 2, state="canceled", backend="local")
    return f"/models/{model.pk}/versions"


def add_evaluation(team: Team, owner: User, number: int) -> str:
    model = CustomModel.objects.first() or make_model(team)
    Evaluation.objects.create(team=team, model=model, version=model.current, file="f", original_name="f.csv")
    return f"/models/{model.pk}/evaluations"


def add_evaluation_row(team: Team, owner: User, number: int) -> str:
    if not Evaluation.objects.exists():
        add_evaluation(team, owner, 0)
    evaluation = Evaluation.objects.get()
    EvaluationRow.objects.create(team=team, evaluation=evaluation, line=number + 2, image_url="https://p.example/1.jpg")
    return f"/models/{evaluation.model_id}/evaluations/{evaluation.pk}/rows"


def add_workflow(team: Team, owner: User, number: int) -> str:
    model = make_model(team, f"Model {number}")
    made = workflows.create_workflow(team=team, actor=owner, name="W", kind="model_only", model=model)
    upload_csv(made, csv_of(1), owner)
    launch_all(made, owner)
    return "/workflows"


def add_workflow_upload(team: Team, owner: User, number: int) -> str:
    if not Workflow.objects.exists():
        add_workflow(team, owner, 0)
        WorkflowUpload.objects.all().delete()
    workflow = Workflow.objects.get()
    upload_csv(workflow, csv_of(1, first=number * 10), owner)
    return f"/workflows/{workflow.pk}/uploads"


def add_workflow_row(team: Team, owner: User, number: int) -> str:
    return add_workflow_upload(team, owner, number).replace("uploads", "rows")


def add_job(team: Team, owner: User, number: int) -> str:
    Job.objects.create(team=team, title=f"Job {number}")
    return "/jobs"


def add_job_upload(team: Team, owner: User, number: int) -> str:
    job = Job.objects.first() or Job.objects.create(team=team, title="J")
    JobUpload.objects.create(team=team, job=job, file="f", original_name="f.csv", state=UploadState.READY)
    return f"/jobs/{job.pk}/uploads"


def add_unit(team: Team, owner: User, number: int) -> str:
    job = Job.objects.first() or Job.objects.create(team=team, title="J")
    add_units(job=job, items=[NewUnit(f"k{number}", "https://p.example/1.jpg")])
    return f"/jobs/{job.pk}/units"


def add_report(team: Team, owner: User, number: int) -> str:
    job = Job.objects.first() or Job.objects.create(team=team, title="J")
    Report.objects.create(team=team, job=job, kind="aggregated")
    return "/reports"


LISTS = [
    add_model, add_version, add_evaluation, add_evaluation_row, add_workflow, add_workflow_upload, add_workflow_row,
    add_job, add_job_upload, add_unit, add_report,
]  # fmt: skip


@pytest.mark.parametrize("add", LISTS, ids=lambda add: add.__name__)
def test_lists_ask_the_same_for_one_and_three_things(
    add: Callable[[Team, User, int], str], program: Program, scope: Team, owner: User
) -> None:
    program.get("/me")  # notes the use of the token
    asked, there = {}, []
    for number in range(3):
        path = add(scope, owner, number)
        with CaptureQueriesContext(connection) as queries:
            answer = program.get(path)
        assert answer.status_code == 200
        there.append(len(answer.json()["items"]))
        asked[number] = len(queries)
    assert there == [there[0], there[0] + 1, there[0] + 2]
    assert asked[0] == asked[2]


# --- the document and its page ------------------------------------------------------------------------


def test_the_document_describes_every_operation_and_its_errors(db: None) -> None:
    answer = Client().get("/api/v1/openapi.json")
    found = answer.json()
    assert found["openapi"].startswith("3.1")
    assert answer["Cache-Control"] == "public, max-age=300"
    for path, methods in found["paths"].items():
        for method, details in methods.items():
            assert details["summary"], path
            assert "Scope: `" in details["description"], path
            assert {"400", "401", "403", "413", "429"} <= set(details["responses"]), path
            assert ("404" in details["responses"]) == ("{" in path)
            assert details["security"] == [{"ApiTokenAuth": []}]
            assert method in {"get", "post"}


def test_the_page_lists_every_operation_without_scripts_of_its_own(db: None) -> None:
    page = Client().get("/api/")
    text = page.content.decode()
    assert page.status_code == 200
    paths = Client().get("/api/v1/openapi.json").json()["paths"].values()
    for details in [one for methods in paths for one in methods.values()]:
        assert f'id="{details["operationId"]}"' in text
    assert "http://testserver/api/v1/me" in text
    assert "<script>" not in text


def test_nothing_of_a_server_error_is_told(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("a secret of ours")

    monkeypatch.setattr("models_app.api.page_by_key", broken)
    program.client.raise_request_exception = False
    answer = program.get("/models")
    assert error_of(answer) == (500, "server_error")
    assert b"secret" not in answer.content
