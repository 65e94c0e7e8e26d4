"""Every page of a team, asked for by everybody: one written table says who may, and each cell is tried."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_scopes import scopes_disabled

from jobs_app.models import Contributor, Job, JobUpload, Judgment, Page, TestQuestion, Unit
from jobs_app.templates_cml import routing_template
from labeling_platform.accounts.invitations import make_invite_link
from labeling_platform.accounts.models import Feature, Membership, Team, User
from labeling_platform.accounts.permissions import Role, may
from labeling_platform.accounts.pictures import picture_url
from labeling_platform.accounts.services import create_team, set_role, switch_feature
from labeling_platform.accounts.tokens import make_token
from labeling_platform.lib import storage
from models_app.models import (
    CustomModel,
    Evaluation,
    EvaluationRow,
    ModelVersion,
    TrainingImage,
    TrainingUpload,
    WatsonConnection,
)
from reports_app.models import Report
from workflows_app.models import Workflow, WorkflowRow, WorkflowUpload

from .test_architecture import get_resolver, team_patterns

OUTCOMES = ["boots", "sneakers"]
# URL name: (methods that do something, what a role must be allowed to do)
TABLE: dict[str, tuple[str, str]] = {
    "teams:home": ("GET", "enter"),
    "teams:activity": ("GET", "manage"),
    "teams:activity_csv": ("GET", "manage"),
    "teams:picture": ("GET", "enter"),
    "teams:people": ("GET", "manage"),
    "teams:second_factor": ("POST", "manage"),
    "teams:invite": ("POST", "manage"),
    "teams:invite_link": ("POST", "manage"),
    "teams:contributor_link": ("POST", "edit"),
    "teams:revoke": ("POST", "manage"),
    "teams:role": ("POST", "manage"),
    "teams:remove": ("POST", "manage"),
    "teams:tokens": ("GET", "edit"),
    "teams:token_make": ("POST", "edit"),
    "teams:token_revoke": ("POST", "edit"),
    "models:list": ("GET", "view"),
    "models:new": ("GET POST", "edit"),
    "models:connections": ("GET", "manage"),
    "models:connection_new": ("GET POST", "manage"),
    "models:connection_edit": ("GET POST", "manage"),
    "models:connection_test": ("GET POST", "manage"),
    "models:connection_delete": ("GET POST", "manage"),
    "models:detail": ("GET", "view"),
    "models:upload": ("POST", "edit"),
    "models:train": ("POST", "edit"),
    "models:cancel": ("POST", "edit"),
    "models:delete": ("GET POST", "edit"),
    "models:upload_detail": ("GET", "view"),
    "models:upload_file": ("GET", "edit"),
    "models:version": ("GET", "view"),
    "models:holdout": ("GET", "view"),
    "models:threshold": ("GET", "view"),
    "models:care": ("GET", "view"),
    "models:change_data": ("POST", "edit"),
    "models:compare": ("GET", "view"),
    "models:images": ("GET", "view"),
    "models:evaluate": ("GET", "view"),
    "models:evaluate_upload": ("POST", "edit"),
    "models:evaluation": ("GET", "view"),
    "models:evaluation_file": ("GET", "edit"),
    "jobs:list": ("GET", "view"),
    "jobs:new": ("GET POST", "edit"),
    "jobs:detail": ("GET", "view"),
    "jobs:part": ("GET", "view"),
    "jobs:against": ("GET", "view"),
    "jobs:against_rows": ("GET", "view"),
    "jobs:contributors": ("GET", "view"),
    "jobs:contributor": ("GET", "view"),
    "jobs:contributor_action": ("POST", "edit"),
    "jobs:design": ("GET", "view"),
    "jobs:preview": ("POST", "edit"),
    "jobs:data": ("GET", "view"),
    "jobs:upload": ("POST", "edit"),
    "jobs:upload_detail": ("GET", "view"),
    "jobs:upload_file": ("GET", "edit"),
    "jobs:upload_problems": ("GET", "view"),
    "jobs:upload_confirm": ("POST", "edit"),
    "jobs:upload_discard": ("POST", "edit"),
    "jobs:sample": ("GET", "view"),
    "jobs:unit": ("GET", "view"),
    "jobs:unit_withdraw": ("POST", "edit"),
    "jobs:settings": ("GET", "view"),
    "jobs:quality": ("GET", "view"),
    "jobs:gold_make": ("GET POST", "edit"),
    "jobs:gold_row": ("GET POST", "edit"),
    "jobs:distribution": ("GET", "view"),
    "jobs:gold_example": ("GET", "view"),
    "jobs:gold": ("GET", "view"),
    "jobs:gold_action": ("POST", "edit"),
    "jobs:launch": ("GET", "view"),
    "jobs:launch_queued": ("POST", "edit"),
    "jobs:copy": ("GET POST", "edit"),
    "jobs:action": ("POST", "edit"),
    "contribute:list": ("GET", "label"),
    "contribute:job": ("GET", "label"),
    "contribute:work": ("GET POST", "label"),
    "contribute:give_back": ("POST", "label"),
    "contribute:acknowledge": ("POST", "label"),
    "contribute:contest": ("POST", "label"),
    "workflows:list": ("GET", "view"),
    "workflows:new": ("GET POST", "edit"),
    "workflows:preview": ("GET", "edit"),
    "workflows:detail": ("GET", "view"),
    "workflows:edit": ("GET POST", "edit"),
    "workflows:delete": ("GET POST", "edit"),
    "workflows:launch": ("GET", "view"),
    "workflows:start": ("POST", "edit"),
    "workflows:turn_off": ("POST", "edit"),
    "workflows:turn_on": ("POST", "edit"),
    "workflows:retry": ("POST", "edit"),
    "workflows:data": ("GET", "view"),
    "workflows:upload": ("POST", "edit"),
    "workflows:upload_detail": ("GET", "view"),
    "workflows:upload_file": ("GET", "edit"),
    "workflows:upload_confirm": ("POST", "edit"),
    "workflows:upload_discard": ("POST", "edit"),
    "workflows:upload_cancel": ("POST", "edit"),
    "workflows:upload_problems": ("GET", "view"),
    "workflows:rows": ("GET", "view"),
    "workflows:row": ("GET", "view"),
    "reports:list": ("GET", "view"),
    "reports:workflow": ("GET", "view"),
    "reports:request": ("POST", "edit"),
    "reports:job": ("GET", "view"),
    "reports:job_request": ("POST", "edit"),
    "reports:download": ("GET", "view"),
    "reports:cancel": ("POST", "edit"),
}
ROLES = ["owner", "member", "viewer", "contributor"]
World = dict[str, Any]


def names() -> dict[str, Any]:
    """URL name -> view of every page of a team."""
    found = {}
    for path, item in team_patterns(get_resolver()):
        part = path.removeprefix("t/<slug:team_slug>/").split("/")[0]
        space = part if part in {"models", "jobs", "contribute", "workflows", "reports"} else "teams"
        found[f"{space}:{item.name}"] = item.callback
    return found


def make_world(slug: str) -> World:
    """A team with one of everything, and a person of every role."""
    team = create_team(organization=slug, name=slug.title(), slug=slug)
    switch_feature(team=team, feature=Feature.ML_ASSISTED_LABELING, on=True, actor=None)
    people = {}
    for role in ROLES:
        people[role] = User.objects.create_user(f"{role}@{slug}.example", "x", name=role)
        set_role(team=team, user=people[role], role=Role(role))
    file = storage.save_bytes(
        b"image_url,label\nhttp://a/1.jpg,boots\n", team_id=team.pk, area="uploads", suffix=".csv"
    )
    kept = {"team": team, "file": file, "original_name": "mine.csv", "state": "ready", "columns": ["image_url"]}
    model = CustomModel.objects.create(team=team, name="M")
    version = ModelVersion.objects.create(
        team=team, model=model, number=1, state="ready", outcomes=OUTCOMES, backend="local", finished_at=timezone.now()
    )
    model.current = version
    model.save()
    upload = TrainingUpload.objects.create(model=model, **kept)
    TrainingImage.objects.create(
        team=team, model=model, upload=upload, line=2, image_url="http://127.0.0.1:9/1.jpg", label="boots"
    )
    evaluation = Evaluation.objects.create(model=model, version=version, prediction_state="done", **kept)
    EvaluationRow.objects.create(
        team=team, evaluation=evaluation, line=2, image_url="http://127.0.0.1:9/2.jpg", scores=[0.9, 0.1],
        predicted="boots", confidence=0.9,
    )  # fmt: skip
    job = Job.objects.create(
        team=team, title="J", model=model, outcomes=OUTCOMES, cml=routing_template(OUTCOMES), state="running",
        auto_launch=True, instructions="<p>x</p>",
    )  # fmt: skip
    unit = Unit.objects.create(
        team=team, job=job, key="k1", image_url="http://127.0.0.1:9/3.jpg", state="judgable", slots=1
    )
    golden = Unit.objects.create(team=team, job=job, key="g1", image_url="http://127.0.0.1:9/5.jpg", state="golden")
    gold = TestQuestion.objects.create(team=team, job=job, unit=golden, answers={"image_category": ["boots"]})
    rows = JobUpload.objects.create(job=job, **kept)
    place = Contributor.objects.create(team=team, job=job, user=people["contributor"])
    page = Page.objects.create(
        team=team,
        job=job,
        contributor=place,
        unit_ids=[unit.pk],
        expires_at=timezone.now() + timezone.timedelta(hours=1),
    )
    miss = Judgment.objects.create(
        team=team,
        job=job,
        unit=golden,
        contributor=place,
        page=page,
        answers={},
        missed=True,
        started_at=timezone.now(),
    )
    workflow = Workflow.objects.create(
        team=team,
        name="W",
        kind="model_then_job",
        model=model,
        job=job,
        state="running",
        version=version,
        outcomes=OUTCOMES,
    )
    sent = WorkflowUpload.objects.create(workflow=workflow, **kept)
    row = WorkflowRow.objects.create(
        team=team, workflow=workflow, upload=sent, line=2, image_url="http://127.0.0.1:9/4.jpg", cells=["x"]
    )
    report = Report.objects.create(team=team, workflow=workflow, state="ready", file=file, size=10)
    invitation = make_invite_link(team=team, role=Role.CONTRIBUTOR, actor=people["owner"]).invitation
    membership = Membership.objects.get(team=team, user=people["viewer"])
    connection = WatsonConnection.objects.create(team=team, name="C", url="http://127.0.0.1:9")
    token = make_token(team=team, actor=people["member"], name="nightly", scopes=["read"]).token
    return {
        "team": team, "people": people, "model": model, "upload": upload, "evaluation": evaluation, "job": job,
        "page": page, "workflow": workflow, "sent": sent, "row": row, "report": report, "version": version,
        "invitation": invitation, "membership": membership, "gold": gold, "judgment": miss, "place": place,
        "rows": rows, "unit": unit, "file": file, "token": token,
        "connection": connection,
    }  # fmt: skip


@pytest.fixture
def worlds(db: None) -> tuple[World, World]:
    with scopes_disabled():
        return make_world("ours"), make_world("theirs")


def _named(path: str, item: Any, name: str) -> bool:
    space, _, own = name.partition(":")
    part = path.removeprefix("t/<slug:team_slug>/").split("/")[0]
    of_teams = {"", "activity", "api", "pictures", "people"}
    return item.name == own and (part == space or (space == "teams" and part in of_teams))


def parameters(name: str) -> list[str]:
    """The names of what is variable in the address of a page; the team's slug is the first."""
    path = next(path for path, item in team_patterns(get_resolver()) if _named(path, item, name))
    return re.findall(r"<(?:\w+:)?(\w+)>", path)


def address(name: str, world: World, team: Team) -> str:
    """The page `name` with the objects of `world` under the address of `team`."""
    space = name.split(":", maxsplit=1)[0]
    if name == "teams:picture":
        token = picture_url(world["team"], "http://127.0.0.1:9/1.jpg").rpartition("/")[2]
        return reverse(name, kwargs={"team_slug": team.slug, "size": "small", "token": token})
    main = {"models": "model", "jobs": "job", "contribute": "job", "workflows": "workflow", "reports": "report"}.get(
        space
    )
    wanted: dict[str, Any] = {"team_slug": team.slug}
    for part in parameters(name)[1:]:
        wanted[part] = {
            "pk": world[main].pk if main else None,
            "upload_pk": world[{"models": "upload", "jobs": "rows"}.get(space, "sent")].pk,
            "evaluation_pk": world["evaluation"].pk,
            "row_pk": world["row"].pk,
            "judgment_pk": world["judgment"].pk,
            "workflow_pk": world["workflow"].pk,
            "invitation_pk": world["invitation"].pk,
            "membership_pk": world["membership"].pk,
            "job_pk": world["job"].pk,
            "unit_pk": world["unit"].pk,
            "token_pk": world["token"].pk,
            "connection_pk": world["connection"].pk,
            "sample": "rows",
            "number": 1,
            "action": "pause",
            "gold_pk": world["gold"].pk,
            "what": "review",
            "part": "pace",
            "contributor_pk": world["place"].pk,
            "deed": "stop",
        }[part]
    return reverse(name, kwargs=wanted)


def ask(client: Client, method: str, url: str, **data: Any) -> Any:
    return client.get(url) if method == "GET" else client.post(url, data)


def test_the_table_names_every_page_and_what_it_takes() -> None:
    views = names()
    assert set(views) == set(TABLE)
    assert {name: view.team_access[0] for name, view in views.items()} == {
        name: line[1] for name, line in TABLE.items()
    }


def test_pages_of_models_and_workflows_take_the_feature() -> None:
    without = {name for name, view in names().items() if view.team_access[1] == ""}
    of_jobs = {"reports:list", "reports:job", "reports:job_request", "reports:download", "reports:cancel"}
    assert {name.split(":")[0] for name in without - of_jobs} <= {"teams", "jobs", "contribute"}


def without_token(page: bytes) -> bytes:
    """The page without the parts that differ each time or repeat the address."""
    return re.sub(rb'(content|value|nonce|href)="[^"]*"', b"", page)


WITH_IDS = [name for name in TABLE if len(parameters(name)) > 1]


def strangers_sign_in(method: str, url: str) -> None:
    answer = ask(Client(), method, url)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/accounts/login/")


def finds_nothing(client: Client, method: str, url: str) -> None:
    """The same answer as for a team that does not exist."""
    answer = ask(client, method, url)
    absent = ask(client, method, url.replace("/t/ours/", "/t/nosuch/"))
    assert (answer.status_code, absent.status_code) == (404, 404)
    assert without_token(answer.content) == without_token(absent.content)


def foreign_as_absent(client: Client, method: str, url: str) -> None:
    """Neither the status nor the page tells ids of another team from ids that nobody has."""
    answer = ask(client, method, url)
    absent = [ask(client, method, re.sub(r"/\d+/", f"/{number}/", url)) for number in (2**31, 2**63, 2**80)]
    assert [one.status_code for one in (answer, *absent)] == [404] * 4
    assert without_token(answer.content) == without_token(absent[0].content)


@pytest.mark.parametrize("name", TABLE)
def test_everybody_gets_what_the_table_says(
    name: str, worlds: tuple[World, World], client_for: Callable[[User], Client], csm: User
) -> None:
    """What a request changes is undone before the next one. Staff are outsiders here."""
    ours, theirs = worlds
    methods, action = TABLE[name]
    url, foreign = address(name, ours, ours["team"]), address(name, theirs, ours["team"])
    for method in methods.split():
        strangers_sign_in(method, url)
        for person in (theirs["people"]["owner"], csm):
            finds_nothing(client_for(person), method, url)
        if foreign != url:
            foreign_as_absent(client_for(ours["people"]["owner"]), method, foreign)
        for role in ROLES:
            point = transaction.savepoint()
            status = ask(client_for(ours["people"][role]), method, url, page=ours["page"].pk).status_code
            transaction.savepoint_rollback(point)
            allowed = {200, 302, 409, 422} if may(role, action) else {403}
            assert status in allowed, f"{method} as {role}: {status}"


@pytest.mark.parametrize("name", ["jobs:design", "jobs:settings", "jobs:launch", "jobs:gold"])
def test_a_viewer_cannot_save(name: str, worlds: tuple[World, World], client_for) -> None:
    ours, _ = worlds
    url = address(name, ours, ours["team"])
    assert client_for(ours["people"]["viewer"]).post(url, {"title": "New", "cml": "x"}).status_code == 403
    with scopes_disabled():
        assert Job.objects.get(pk=ours["job"].pk).title == "J"


def test_without_the_feature_the_page_says_whom_to_ask(worlds: tuple[World, World], client_for) -> None:
    ours, _ = worlds
    switch_feature(team=ours["team"], feature=Feature.ML_ASSISTED_LABELING, on=False, actor=None)
    client = client_for(ours["people"]["owner"])
    for name in ("models:list", "workflows:list", "reports:workflow", "reports:download"):
        answer = client.get(address(name, ours, ours["team"]))
        assert answer.status_code == 403
        assert "Contact your Customer Success Manager for access to this feature." in answer.content.decode()
    jobs = client.get(address("jobs:list", ours, ours["team"])).content.decode()
    assert "/t/ours/models/" not in jobs
    assert "/t/ours/workflows/" not in jobs
