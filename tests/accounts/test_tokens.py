"""API tokens: made and shown once, bound to what their maker may do, ended."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_scopes import scopes_disabled

from labeling_platform.accounts.models import Activity, ApiToken, Team, User
from labeling_platform.accounts.permissions import Role
from labeling_platform.accounts.scopes import OPERATIONS, Scope, scope_of, scopes_to_give
from labeling_platform.accounts.services import remove_member, set_role
from labeling_platform.accounts.tenancy import team_scope
from labeling_platform.accounts.tokens import PATTERN, find_token, make_token, note_use, revoke_token
from labeling_platform.lib.errors import Refused
from labeling_platform.lib.logs import scrub
from labeling_platform.lib.sealing import hash_of
from tests.conftest import PASSWORD

Clients = Callable[[User], Client]


def refusal(**given) -> str:
    with pytest.raises(Refused) as refused:
        make_token(**{"name": "nightly", "scopes": ["read"], **given})
    return refused.value.code


def test_a_token_is_random_and_only_its_hash_is_kept(in_team: Team, mate: User) -> None:
    issued = make_token(team=in_team, actor=mate, name="  nightly   upload ", scopes=["write", "read"])
    token = ApiToken.objects.get()
    assert PATTERN.fullmatch(issued.text)
    assert (token.name, token.scopes, token.prefix) == ("nightly upload", ["read", "write"], issued.text[:15])
    assert token.token_hash == hash_of(issued.text)
    assert issued.text not in str(vars(token))
    assert issued.text not in repr(issued)
    assert token.expires_at - token.created_at == timedelta(days=90)
    assert str(token) == f"nightly upload ({issued.text[:15]}…)"


def test_making_and_revoking_stand_in_the_activity_log(in_team: Team, mate: User) -> None:
    issued = make_token(team=in_team, actor=mate, name="nightly", scopes=["read"], days=7)
    assert revoke_token(token=issued.token, actor=mate)
    assert not revoke_token(token=issued.token, actor=mate)
    lines = list(Activity.objects.filter(object_type="apitoken").order_by("pk").values_list("verb", "data"))
    assert lines == [("API token made", {"scopes": ["read"], "days": 7}), ("API token revoked", {})]
    assert issued.text not in str(list(Activity.objects.values()))


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["read", "rule"]}, "scopes"),
        ({"days": 0}, "days"),
        ({"days": 366}, "days"),
    ],
)
def test_refuses(in_team: Team, mate: User, given: dict, code: str) -> None:
    assert refusal(team=in_team, actor=mate, **given) == code


def test_refuses_what_the_role_does_not_allow(in_team: Team, viewer: User, contributor: User, outsider: User) -> None:
    assert refusal(team=in_team, actor=viewer, scopes=["write"]) == "scopes"
    assert refusal(team=in_team, actor=contributor) == "scopes"
    assert refusal(team=in_team, actor=outsider) == "scopes"


def test_refuses_more_than_the_most(in_team: Team, mate: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labeling_platform.accounts.tokens.MOST_TOKENS", 1)
    issued = make_token(team=in_team, actor=mate, name="one", scopes=["read"])
    assert refusal(team=in_team, actor=mate) == "too_many"
    revoke_token(token=issued.token, actor=mate)
    assert make_token(team=in_team, actor=mate, name="two", scopes=["read"])


def test_only_its_maker_and_who_manages_the_team_revoke(in_team: Team, mate: User, owner: User, viewer: User) -> None:
    first, second = (make_token(team=in_team, actor=mate, name="n", scopes=["read"]).token for _ in range(2))
    with pytest.raises(Refused) as refused:
        revoke_token(token=first, actor=viewer)
    assert refused.value.code == "role"
    assert revoke_token(token=first, actor=mate)
    assert revoke_token(token=second, actor=owner)


@pytest.mark.parametrize(
    "wrong", [{"scopes": []}, {"scopes": ["rule"]}, {"token_hash": "x"}, {"expires_at": timezone.now() - timedelta(9)}]
)
def test_the_database_keeps_the_rules(in_team: Team, mate: User, wrong: dict) -> None:
    token = make_token(team=in_team, actor=mate, name="n", scopes=["read"]).token
    with pytest.raises(IntegrityError), transaction.atomic():
        ApiToken.objects.filter(pk=token.pk).update(**wrong)


def test_a_token_is_found_from_outside_of_any_team(team: Team, mate: User) -> None:
    with team_scope(team):
        issued = make_token(team=team, actor=mate, name="n", scopes=["read"])
    assert find_token(issued.text) == issued.token
    assert find_token(issued.text + "a") is None
    assert find_token(issued.text[:-1] + ("a" if issued.text[-1] != "a" else "b")) is None


def test_a_text_that_is_no_token_asks_nothing(django_assert_num_queries) -> None:
    with django_assert_num_queries(0):
        assert find_token("mll_live_" + "x" * 48) is None
        assert find_token("mll_live_" + "é" * 49) is None


def test_use_is_noted_once_a_minute(in_team: Team, mate: User, django_assert_num_queries) -> None:
    token = make_token(team=in_team, actor=mate, name="n", scopes=["read"]).token
    note_use(token=token)
    token.refresh_from_db()
    first = token.last_used_at
    assert first is not None
    with django_assert_num_queries(0):
        note_use(token=token)
    ApiToken.objects.filter(pk=token.pk).update(last_used_at=first - timedelta(minutes=1))
    token.refresh_from_db()
    note_use(token=token)
    token.refresh_from_db()
    assert token.last_used_at >= first


def test_logs_show_no_more_of_a_token_than_people_may_see(in_team: Team, mate: User) -> None:
    text = make_token(team=in_team, actor=mate, name="n", scopes=["read"]).text
    assert scrub(f"got {text} from") == f"got {text[:15]}... from"
    assert scrub(f"/x?token={text}&a=1") == f"/x?token={text[:15]}...&a=1"
    assert scrub(f"Authorization: Bearer {text}") == "Authorization: Bearer ..."


def test_scopes_follow_roles_and_every_operation_has_one() -> None:
    assert {role.value: [str(scope) for scope in scopes_to_give(role)] for role in Role} == {
        "owner": ["read", "write", "download"],
        "admin": ["read", "write", "download"],
        "member": ["read", "write", "download"],
        "viewer": ["read", "download"],
        "contributor": [],
    }
    named = [name for names in OPERATIONS.values() for name in names]
    assert len(named) == len(set(named))
    assert scope_of("download_report") == Scope.DOWNLOAD
    with pytest.raises(LookupError):
        scope_of("unheard_of")


# --- the page -----------------------------------------------------------------------------------------


def page(team: Team) -> str:
    return reverse("teams:tokens", args=[team.slug])


def make(client: Client, team: Team, **given) -> object:
    data = {"name": "nightly", "scopes": ["read"], "days": "30", **given}
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    return client.post(reverse("teams:token_make", args=[team.slug]), data)


def test_who_signed_in_long_ago_is_asked_for_the_password(team: Team, mate: User, client_for: Clients) -> None:
    client, url = client_for(mate), reverse("teams:token_make", args=[team.slug])
    answer = client.post(url, {"name": "nightly", "scopes": ["read"], "days": 90})
    assert answer["Location"] == "/accounts/reauthenticate/?next=%2Ft%2Ffootwear%2Fapi%2F"
    assert client.post(answer["Location"], {"password": PASSWORD, "next": page(team)})["Location"] == page(team)
    mate.set_unusable_password()  # comes in by single sign-on
    mate.save()
    assert client_for(mate).post(url, {"name": "", "scopes": ["read"], "days": 90}).status_code == 422
    with scopes_disabled():
        assert not ApiToken.objects.exists()


def test_the_page_shows_a_new_token_once(team: Team, mate: User, client_for: Clients) -> None:
    client = client_for(mate)
    assert "No tokens yet" in client.get(page(team)).content.decode()
    made = make(client, team)
    assert made.status_code == 200
    assert "no-store" in made["Cache-Control"]
    (text,) = re.findall(r"mll_live_[0-9A-Za-z]{49}", made.content.decode())
    assert find_token(text).name == "nightly"
    again = client.get(page(team)).content.decode()
    assert text not in again
    assert f"{text[:15]}…" in again
    assert "never" in again


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"name": ""}, "Give the token a name."),
        ({"scopes": []}, "Choose what the token may do."),
        ({"scopes": ["rule"]}, "Select a valid choice."),
        ({"days": "1000"}, "Select a valid choice."),
    ],
)
def test_what_is_wrong_stands_at_its_field(team: Team, mate: User, client_for: Clients, given: dict, says: str) -> None:
    answer = make(client_for(mate), team, **given)
    assert answer.status_code == 422
    assert says in answer.content.decode()
    with team_scope(team):
        assert ApiToken.objects.count() == 0


def test_members_see_their_own_tokens_and_managers_all(
    team: Team, mate: User, owner: User, client_for: Clients
) -> None:
    make(client_for(owner), team, name="of the owner")
    make(client_for(mate), team, name="of the member")
    assert "of the owner" not in client_for(mate).get(page(team)).content.decode()
    seen = client_for(owner).get(page(team)).content.decode()
    assert "of the owner" in seen
    assert "of the member" in seen


def test_revoking_on_the_page(team: Team, mate: User, owner: User, client_for: Clients) -> None:
    make(client_for(owner), team, name="of the owner")
    with team_scope(team):
        token = ApiToken.objects.get()
    url = reverse("teams:token_revoke", args=[team.slug, token.pk])
    assert client_for(mate).post(url).status_code == 404
    assert client_for(owner).post(url).status_code == 302
    assert "Revoked" in client_for(owner).get(page(team)).content.decode()


def test_the_page_says_when_a_token_does_less_than_it_says(
    team: Team, mate: User, owner: User, client_for: Clients
) -> None:

    make(client_for(mate), team, scopes=["read", "write"])
    set_role(team=team, user=mate, role=Role.VIEWER)
    seen = client_for(owner).get(page(team)).content.decode()
    assert "Works in part" in seen
    assert "no longer allows: write." in seen
    remove_member(team=team, user=mate)
    assert "Who made it is no longer in the team." in client_for(owner).get(page(team)).content.decode()


def test_the_same_queries_for_one_and_three_tokens(team: Team, owner: User, client_for: Clients) -> None:

    counts = []
    for number in range(3):
        make(client_for(owner), team, name=f"n{number}")
        client = client_for(owner)
        with CaptureQueriesContext(connection) as found:
            client.get(page(team))
        counts.append(len(found))
    assert counts[0] == counts[2]
