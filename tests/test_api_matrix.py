"""Every operation of the API, asked by everybody for everything: one written table says what each gets.

The operations come from the registry; one that has no line here fails.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone
from django_scopes import scopes_disabled

from labeling_platform.accounts.models import ApiToken, Feature, Team, User
from labeling_platform.accounts.permissions import Role
from labeling_platform.accounts.services import remove_member, set_role, switch_feature
from labeling_platform.api_docs import document
from labeling_platform.api_docs import operations as documented

from .api_world import Program, csv_upload, new_token, operations
from .test_tenancy import World, make_world


@dataclass(frozen=True)
class Line:
    """The scope that an operation takes, whether it takes the feature, what a token that may all gets for own ids."""

    scope: str
    ml: bool
    status: int
    body: Any = None


FILE = {"file": csv_upload()}
TABLE: dict[str, Line] = {
    "get_me": Line("read", False, 200),
    "list_models": Line("read", True, 200),
    "create_model": Line("write", True, 201, {"name": "New"}),
    "get_model": Line("read", True, 200),
    "upload_training_data": Line("write", True, 202, FILE),
    "get_training_upload": Line("read", True, 200),
    "start_training": Line("write", True, 409),
    "list_versions": Line("read", True, 200),
    "get_version": Line("read", True, 200),
    "cancel_training": Line("write", True, 200),
    "create_evaluation": Line("write", True, 202, FILE),
    "list_evaluations": Line("read", True, 200),
    "get_evaluation": Line("read", True, 200),
    "list_evaluation_rows": Line("read", True, 200),
    "list_workflows": Line("read", True, 200),
    "create_workflow": Line("write", True, 422, {"name": "New", "kind": "model_only", "model_id": "model"}),
    "get_workflow": Line("read", True, 200),
    "get_workflow_launch": Line("read", True, 200),
    "launch_workflow": Line("write", True, 409, {}),
    "turn_off_workflow": Line("write", True, 200),
    "turn_on_workflow": Line("write", True, 409),
    "retry_failed_rows": Line("write", True, 200),
    "upload_workflow_rows": Line("write", True, 202, FILE),
    "list_workflow_uploads": Line("read", True, 200),
    "get_workflow_upload": Line("read", True, 200),
    "confirm_workflow_upload": Line("write", True, 200),
    "discard_workflow_upload": Line("write", True, 409),
    "list_workflow_rows": Line("read", True, 200),
    "list_jobs": Line("read", False, 200),
    "create_job": Line("write", True, 201, {"model_id": "model"}),
    "get_job": Line("read", False, 200),
    "upload_job_rows": Line("write", False, 202, FILE),
    "list_job_uploads": Line("read", False, 200),
    "get_job_upload": Line("read", False, 200),
    "confirm_job_upload": Line("write", False, 200),
    "discard_job_upload": Line("write", False, 409),
    "list_units": Line("read", False, 200),
    "get_job_launch": Line("read", False, 200),
    "launch_job": Line("write", False, 409, {}),
    "pause_job": Line("write", False, 200),
    "resume_job": Line("write", False, 200),
    "list_reports": Line("read", False, 200),
    "request_workflow_report": Line("write", True, 202, {}),
    "request_job_report": Line("write", False, 202, {}),
    "get_report": Line("read", False, 200),
    "cancel_report": Line("write", False, 409),
    "download_report": Line("download", False, 200),
}
REGISTRY = {name: (method, path) for name, method, path, _ in operations()}
ABSENT = 2**40
CALLERS = 18
IDS_ASKED = ("own", "absent", "foreign", "malformed")
MALFORMED = ("x", "0", str(2**63))
IDS = {
    "model_id": "model", "workflow_id": "workflow", "job_id": "job", "report_id": "report",
    "evaluation_id": "evaluation", "number": 1,
}  # fmt: skip
UPLOADS = {"models": "upload", "workflows": "sent", "jobs": "rows"}


def test_the_table_names_every_operation_and_what_it_takes() -> None:
    found = {name: operation.view_func.api_access for name, _, _, operation in operations()}  # type: ignore[attr-defined]
    assert {name: (line.scope, line.ml) for name, line in TABLE.items()} == {
        name: (scope.value, feature != "") for name, (scope, feature) in found.items()
    }
    assert set(TABLE) == {details["operationId"] for _, _, details in documented(document())}
    assert len(list(operations())) == len(TABLE)


def path_of(name: str, ids: str, ours: World, theirs: World) -> list[str]:
    """The paths of an operation with ids of this kind; none when it has no ids."""
    path = REGISTRY[name][1]
    parts = re.findall(r"{(\w+)}", path)
    if not parts:
        return [path] if ids == "own" else []

    def filled(value: Any) -> str:
        return re.sub(r"{(\w+)}", lambda part: str(value(part[1])), path)

    def of(world: World) -> Any:
        space = path.split("/")[1]
        names = IDS | {"upload_id": UPLOADS.get(space, "")}
        return lambda part: 1 if part == "number" else world[names[part]].pk

    if ids == "own":
        return [filled(of(ours))]
    if ids == "foreign":
        # Theirs as a whole, and (where there are two) theirs below ours.
        last = parts[-1]
        below = filled(lambda part: of(theirs if part == last and part != "number" else ours)(part))
        return [filled(of(theirs)), *([below] if len(parts) > 1 and last != "number" else [])]
    if ids == "absent":
        return [filled(lambda part: ABSENT if part != "number" else 1)]
    return [filled(lambda part, value=value: value) for value in MALFORMED]


def body_of(name: str, world: World) -> Any:
    """The body of a line; where it names a thing, that thing's id."""
    body = TABLE[name].body
    return body and {key: world[value].pk if key.endswith("_id") else value for key, value in body.items()}


@pytest.fixture
def worlds(db: None) -> tuple[World, World]:
    with scopes_disabled():
        return make_world("ours"), make_world("theirs")


def programs(ours: World, theirs: World, staff: User) -> dict[str, Program]:
    """Everybody who asks. Tokens of people who lost their role were made before."""
    team: Team = ours["team"]
    people = ours["people"]
    with scopes_disabled():
        late, gone = (new_token(team, people["owner"]) for _ in range(2))
        now = timezone.now()
        ApiToken.objects.filter(pk=late.token.pk).update(
            created_at=now - timedelta(days=2), expires_at=now - timedelta(seconds=1)
        )
        ApiToken.objects.filter(pk=gone.token.pk).update(revoked_at=now)
        fired, lowered, labeler, out = (
            User.objects.create_user(f"{name}@ours.example", "x") for name in ("fired", "lowered", "labeler", "out")
        )
        for person in (fired, lowered, labeler, out):
            set_role(team=team, user=person, role=Role.MEMBER)
        ended, demoted, leaver = new_token(team, fired), new_token(team, lowered), new_token(team, out)
        reduced = new_token(team, labeler)
        User.objects.filter(pk=fired.pk).update(is_active=False)
        set_role(team=team, user=lowered, role=Role.VIEWER)
        set_role(team=team, user=labeler, role=Role.CONTRIBUTOR)
        remove_member(team=team, user=out)
    signed_in = Client()
    signed_in.force_login(staff, backend="django.contrib.auth.backends.ModelBackend")
    own_session = Client()
    own_session.force_login(people["owner"], backend="django.contrib.auth.backends.ModelBackend")
    return {
        "nobody": Program(None),
        "malformed token": Program("mll_live_short"),
        "unknown token": Program("mll_live_" + "a" * 49),
        "expired": Program(late.text),
        "revoked": Program(gone.text),
        "creator not active": Program(ended.text),
        "creator left": Program(leaver.text),
        "session of staff": Program(None, signed_in),
        "session of the owner": Program(None, own_session),
        "other team": Program(new_token(theirs["team"], theirs["people"]["owner"]).text),
        "viewer": Program(new_token(team, people["viewer"], "read", "download").text),
        "now viewer": Program(demoted.text),
        "now contributor": Program(reduced.text),
        "read only": Program(new_token(team, people["owner"], "read").text),
        "write only": Program(new_token(team, people["owner"], "write").text),
        "download only": Program(new_token(team, people["owner"], "download").text),
        "member": Program(new_token(team, people["member"]).text),
        "owner": Program(new_token(team, people["owner"]).text),
    }


UNKNOWN = {
    "nobody": "token_missing", "malformed token": "token_unknown", "unknown token": "token_unknown",
    "expired": "token_expired", "revoked": "token_revoked", "creator not active": "token_ended",
    "creator left": "token_ended", "session of staff": "token_missing", "session of the owner": "token_missing",
}  # fmt: skip
SCOPES = {"viewer": {"read", "download"}, "read only": {"read"}, "write only": {"write"}, "download only": {"download"}}


def expected(name: str, who: str, ids: str) -> tuple[int, str]:
    """Status and error code (empty: whatever the line says) by the rules."""
    line = TABLE[name]
    if who in UNKNOWN:
        return 401, UNKNOWN[who]
    if line.scope not in SCOPES.get(who, {"read", "write", "download"}):
        return 403, "scope"
    if who == "now contributor" or (who == "now viewer" and line.scope == "write"):
        return 403, "role"
    if ids != "own":
        return 404, "not_found"
    return line.status, ""


def content_of(answer: Any) -> bytes:
    """The answer's bytes without what differs with each request."""
    return re.sub(rb'"request_id": "[0-9a-f]+"', b'"request_id": ""', answer.content)


@pytest.mark.parametrize("name", TABLE)
def test_everybody_gets_what_the_table_says(name: str, worlds: tuple[World, World], csm: User) -> None:
    ours, theirs = worlds
    method, _ = REGISTRY[name]
    asking = programs(ours, theirs, csm)
    assert len(asking) == CALLERS
    for who, program in asking.items():
        absent: set[bytes] = set()
        own, other = (theirs, ours) if who == "other team" else (ours, theirs)
        for ids in IDS_ASKED:
            for path in path_of(name, ids, own, other):
                with transaction.atomic():
                    answer = program.ask(method, path, body_of(name, own))
                    transaction.set_rollback(True)
                status, code = expected(name, who, ids)
                assert answer.status_code == status, (who, ids, path, answer.content)
                assert answer["X-Request-ID"]
                assert "Set-Cookie" not in answer.headers
                assert answer.cookies == {}
                if status >= 400:
                    error = json.loads(answer.content)["error"]
                    assert set(error) - {"fields"} == {"code", "message", "request_id"}
                    assert error["request_id"] == answer["X-Request-ID"]
                    assert code in {"", error["code"], *error.get("fields", {})}, (who, ids, path, error)
                    assert (status == 401) == ("WWW-Authenticate" in answer.headers)
                elif answer.streaming:
                    assert b"".join(answer.streaming_content)
                if ids != "own":
                    absent.add(content_of(answer))
        assert len(absent) <= 1, (who, absent)


@pytest.mark.parametrize("name", [name for name, line in TABLE.items() if line.ml])
def test_without_the_feature_the_answer_says_whom_to_ask(name: str, worlds: tuple[World, World]) -> None:
    ours, theirs = worlds
    switch_feature(team=ours["team"], feature=Feature.ML_ASSISTED_LABELING, on=False, actor=None)
    program = Program(new_token(ours["team"], ours["people"]["owner"]).text)
    for ids in ("own", "foreign", "absent"):
        for path in path_of(name, ids, ours, theirs):
            answer = program.ask(REGISTRY[name][0], path, body_of(name, ours))
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "feature")


@pytest.mark.parametrize(
    ("name", "field"), [("create_workflow", "model_id"), ("create_workflow", "job_id"), ("create_job", "model_id")]
)
def test_ids_of_another_team_in_a_body_are_as_absent_ones(name: str, field: str, worlds: tuple[World, World]) -> None:
    ours, theirs = worlds
    program = Program(new_token(ours["team"], ours["people"]["owner"]).text)
    answers = []
    for pk in (theirs[field.removesuffix("_id")].pk, ABSENT):
        answer = program.ask("POST", REGISTRY[name][1], body_of(name, ours) | {field: pk})
        assert answer.status_code == 422
        assert set(answer.json()["error"]["fields"]) == {field}
        answers.append(content_of(answer))
    assert answers[0] == answers[1]


def test_reports_of_workflows_take_the_feature(worlds: tuple[World, World]) -> None:
    ours, _ = worlds
    switch_feature(team=ours["team"], feature=Feature.ML_ASSISTED_LABELING, on=False, actor=None)
    program = Program(new_token(ours["team"], ours["people"]["owner"]).text)
    report = f"/reports/{ours['report'].pk}"
    for method, path in (("GET", report), ("GET", f"{report}/file"), ("POST", f"{report}/cancel")):
        assert program.ask(method, path).status_code == 403
    assert program.get("/reports").json() == {"items": [], "next": None}


@pytest.mark.parametrize("method", ["HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_other_methods_are_told_which_there_are(method: str, worlds: tuple[World, World]) -> None:
    ours, theirs = worlds
    for name, (_, path) in REGISTRY.items():
        (address,) = path_of(name, "own", ours, theirs)
        answer = Client().generic(method, f"/api/v1{address}")
        assert answer.status_code == 405
        assert set(answer["Allow"].split(", ")) == {other for other, same in REGISTRY.values() if same == path}
        if method != "HEAD":
            assert answer.json()["error"]["code"] == "method_not_allowed"


def test_the_documentation_says_how_many_requests_these_are(pytestconfig: pytest.Config) -> None:
    world: Any = defaultdict(lambda: SimpleNamespace(pk=1))
    paths = [path_of(name, ids, world, world) for name in TABLE for ids in IDS_ASKED]
    requests = sum(len(found) for found in paths) * CALLERS
    text = (pytestconfig.rootpath / "docs" / "api.md").read_text()
    assert f"{len(TABLE)} operations, {requests:,} requests" in text
