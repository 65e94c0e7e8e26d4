"""Staff look at a team's pages: in a role, read-only, for half an hour, and every page is written down."""

from __future__ import annotations

import time

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import reverse
from django_scopes import scopes_disabled

from labeling_platform.accounts import viewing
from labeling_platform.accounts.models import Activity, Team, User
from labeling_platform.accounts.permissions import EDIT, VIEW
from labeling_platform.accounts.tenancy import team_view
from labeling_platform.lib.errors import Refused
from tests.conftest import make_person
from tests.test_tenancy import TABLE, address, ask, make_world


@pytest.fixture
def success(db) -> User:
    return make_person("success", is_staff=True)


@pytest.fixture
def world(db):
    with scopes_disabled():
        yield make_world("ours")


def begin(client: Client, team: Team, role: str = "viewer") -> None:
    answer = client.post(reverse("admin:team_do", args=[team.pk, "view-as"]), {"role": role, "reason": "a question"})
    assert (answer.status_code, answer.url) == (302, f"/t/{team.slug}/")


@pytest.fixture
def looking(success, world, client_for) -> Client:
    client = client_for(success)
    begin(client, world["team"])
    return client


def test_pages_of_the_role_are_shown_with_a_banner(looking, world) -> None:
    page = looking.get(reverse("jobs:list", args=["ours"])).content.decode()
    assert "You look at" in page
    assert "Stop viewing" in page
    assert "as a viewer" in page
    assert looking.get(reverse("teams:people", args=["ours"])).status_code == 403
    assert looking.get(reverse("jobs:new", args=["ours"])).status_code == 403


@pytest.mark.parametrize("role", ["viewer", "member"])
def test_every_page_is_shown_or_refused_and_nothing_is_changed(role, success, world, client_for) -> None:
    """Each line of the table of pages: GET shows what the role may see, everything else is refused."""
    client = client_for(success)
    begin(client, world["team"], role)
    may = {"enter", "view"} | ({"edit"} if role == "member" else set())
    refused = set()
    for name, (methods, action) in TABLE.items():
        for method in {*methods.split(), "POST"}:
            answer = ask(client, method, address(name, world, world["team"]))
            if method == "POST":
                assert answer.status_code in {403, 405}, (name, method, answer.status_code)
            elif action in may:
                assert answer.status_code in {200, 302, 403, 404}, (name, answer.status_code)
                refused |= {name} if answer.status_code == 403 else set()
            else:
                assert answer.status_code == 403, (name, answer.status_code)
    closed = {
        "jobs:upload_problems",
        "jobs:sample",
        "jobs:gold_example",
        "workflows:upload_problems",
        "reports:download",
    }
    if role == "member":
        closed |= {"models:upload_file", "models:evaluation_file", "jobs:upload_file", "workflows:upload_file"}
        closed |= {"teams:tokens"}
    assert refused == closed  # files, and a page with tokens


def test_other_methods_are_refused_in_words(looking, world) -> None:
    answer = looking.post(reverse("jobs:action", args=["ours", world["job"].pk, "pause"]))
    assert answer.status_code == 403
    assert viewing.READ_ONLY.replace("'", "&#x27;") in answer.content.decode()
    with scopes_disabled():
        world["job"].refresh_from_db()
    assert world["job"].state == "running"


def test_labeling_pages_and_downloads_are_refused(success, world, client_for) -> None:
    client = client_for(success)
    begin(client, world["team"], "member")
    for name, words in (
        ("contribute:work", "Labeling pages hand out rows"),
        ("jobs:upload_file", "cannot be downloaded"),
        ("reports:download", "cannot be downloaded"),
    ):
        answer = client.get(address(name, world, world["team"]))
        assert (name, answer.status_code) == (name, 403)
        assert words in answer.content.decode()


def test_the_database_refuses_a_page_that_writes(success, world, rf: RequestFactory) -> None:
    """Should a page write when it is only looked at, nothing is written, and the page says so."""

    @team_view(may=VIEW)
    def careless(request):
        Team.objects.filter(pk=request.team.pk).update(name="Changed")
        return HttpResponse("done")

    request = rf.get("/")
    request.user, request.resolver_match, request.htmx = success, None, False
    seen = {"team": world["team"].pk, "slug": "ours", "name": "Ours", "role": "viewer", "pages": 0}
    request.session = {viewing.KEY: {**seen, "until": time.time() + 60}}
    answer = careless(request, team_slug="ours")
    assert answer.status_code == 403
    assert Team.objects.get(pk=world["team"].pk).name == "Ours"
    Team.objects.filter(pk=world["team"].pk).update(slug="ours")  # the read-only time is over


def test_pages_with_secrets_are_refused() -> None:
    class Match:
        view_name = "teams:api_tokens"

    class Request:
        method, resolver_match = "GET", Match

    assert viewing.refusal(Request, EDIT) == viewing.NO_SECRETS


def test_other_teams_stay_closed(looking, other_team) -> None:
    assert looking.get(reverse("jobs:list", args=[other_team.slug])).status_code == 404


def test_staff_without_it_find_nothing(success, world, client_for) -> None:
    assert client_for(success).get(reverse("jobs:list", args=["ours"])).status_code == 404


def test_it_is_written_down(looking, world, success) -> None:
    looking.get(reverse("jobs:list", args=["ours"]))
    looking.get(reverse("models:list", args=["ours"]))
    answer = looking.post(reverse("view_as_stop"))
    assert (answer.status_code, answer.url) == (302, "/admin/")
    assert looking.get(reverse("jobs:list", args=["ours"])).status_code == 404
    with scopes_disabled():
        lines = list(
            Activity.objects.filter(team=world["team"], actor=success, verb__contains="support").order_by("pk")
        )
    assert [(line.verb, line.object_name) for line in lines] == [
        ("viewing as support began", "Ours"),
        ("page viewed by support", "/t/ours/jobs/"),
        ("page viewed by support", "/t/ours/models/"),
        ("viewing as support ended", "Ours"),
    ]
    assert lines[0].data == {"role": "viewer", "reason": "a question"}
    assert lines[-1].data == {"pages": 2, "why": "stopped"}


def test_it_ends_after_half_an_hour(looking, world, monkeypatch) -> None:
    now = time.time()
    monkeypatch.setattr(viewing.time, "time", lambda: now + viewing.SECONDS - 5)
    assert looking.get(reverse("jobs:list", args=["ours"])).status_code == 200
    monkeypatch.setattr(viewing.time, "time", lambda: now + viewing.SECONDS + 5)
    answer = looking.get(reverse("jobs:list", args=["ours"]))
    assert answer.status_code == 403
    assert "Half an hour is over" in answer.content.decode()
    assert looking.get(reverse("jobs:list", args=["ours"])).status_code == 404


def test_who_is_no_longer_staff_sees_nothing(looking, success) -> None:
    User.objects.filter(pk=success.pk).update(is_staff=False)
    assert looking.get(reverse("jobs:list", args=["ours"])).status_code == 404


@pytest.mark.parametrize(
    ("role", "reason", "code"), [("owner", "x", "role"), ("contributor", "x", "role"), ("viewer", " ", "reason")]
)
def test_beginning_is_refused(role, reason, code, success, team, rf) -> None:
    request = rf.get("/")
    request.user, request.session = success, {}
    with pytest.raises(Refused) as refused:
        viewing.begin(request, team=team, role=role, reason=reason)
    assert refused.value.code == code
    assert request.session == {}


def test_only_staff_begin(owner, team, rf) -> None:
    request = rf.get("/")
    request.user, request.session = owner, {}
    with pytest.raises(Refused) as refused:
        viewing.begin(request, team=team, role="viewer", reason="x")
    assert refused.value.code == "staff"
