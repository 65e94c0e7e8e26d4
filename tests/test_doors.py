"""Every address that belongs to no team, asked for by everybody against one written table.

Pages of teams are in test_tenancy.py, operations of the API in test_api_matrix.py, the console in its own matrix.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.test import Client
from django.urls import URLResolver, get_resolver
from django_scopes import scopes_disabled

from labeling_platform.accounts.models import User

from .test_tenancy import ROLES, make_world

LOGIN, HOME, REAUTH = "/accounts/login/", "/", "/accounts/reauthenticate/"
# Pattern -> what GET answers: to a stranger, to whoever is signed in. A text is where one is sent.
TABLE: dict[str, tuple[int | str, int | str]] = {
    "": (LOGIN, "their own team, or the console"),
    "healthz": (200, 200),
    "readyz": (200, 200),
    "metrics": (200, 200),
    "api/": (200, 200),
    "api/v1/openapi.json": (200, 200),
    "api/v1/": (404, 404),
    "invite/<str:token>/": (404, 404),
    "visual-recognition/api/v3/classify": (404, 404),  # off, as all of these
    "visual-recognition/api/v3/classifiers": (404, 404),
    "visual-recognition/api/v3/classifiers/<str:classifier_id>": (404, 404),
    "visual-recognition/api/v3/classifiers/<str:classifier_id>/core_ml_model": (404, 404),
    "visual-recognition/api/v3/user_data": (404, 404),
    "identity/token": (404, 404),
    "view-as/stop/": (405, 405),
    "samples/<str:name>.csv": (404, 404),
    "samples/<str:name>": (404, 404),
    "accounts/": ("/accounts/profile/", "/accounts/profile/"),
    "accounts/profile/": (LOGIN, 200),
    "accounts/login/": (200, HOME),
    "accounts/logout/": (HOME, 200),
    "accounts/inactive/": (200, 200),
    "accounts/signup/": (200, HOME),
    "accounts/reauthenticate/": (LOGIN, 200),
    "accounts/email/": (LOGIN, 200),
    "accounts/confirm-email/": (200, 200),
    r"accounts/^confirm-email/(?P<key>[-:\w]+)/$": (200, 200),
    "accounts/password/change/": (LOGIN, 200),
    "accounts/password/set/": (LOGIN, "/accounts/password/change/"),
    "accounts/password/reset/": (200, 200),
    "accounts/password/reset/done/": (200, 200),
    "accounts/password/reset/key/done/": (200, 200),
    r"accounts/^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$": (200, 200),
    "accounts/login/code/confirm/": (LOGIN, HOME),
    "accounts/sessions/": (LOGIN, 200),
    "accounts/2fa/": (LOGIN, 200),
    "accounts/2fa/authenticate/": (LOGIN, HOME),
    "accounts/2fa/reauthenticate/": (LOGIN, REAUTH),
    "accounts/2fa/totp/activate/": (LOGIN, "/accounts/2fa/"),
    "accounts/2fa/totp/deactivate/": (LOGIN, 404),
    "accounts/2fa/recovery-codes/": (LOGIN, 404),
    "accounts/2fa/recovery-codes/generate/": (LOGIN, REAUTH),
    "accounts/2fa/recovery-codes/download/": (LOGIN, 404),
    "accounts/2fa/webauthn/": (LOGIN, 200),
    "accounts/2fa/webauthn/add/": (LOGIN, "/accounts/2fa/"),
    "accounts/2fa/webauthn/reauthenticate/": (LOGIN, REAUTH),
    "accounts/2fa/webauthn/keys/<int:pk>/remove/": (LOGIN, REAUTH),
    "accounts/2fa/webauthn/keys/<int:pk>/edit/": (LOGIN, REAUTH),
    "accounts/2fa/webauthn/login/": (LOGIN, HOME),
    "accounts/3rdparty/": (LOGIN, 200),
    "accounts/3rdparty/signup/": (LOGIN, LOGIN),
    "accounts/3rdparty/login/cancelled/": (200, 200),
    "accounts/3rdparty/login/error/": (401, 401),
    "accounts/social/login/cancelled/": ("/accounts/3rdparty/login/cancelled/", "/accounts/3rdparty/login/cancelled/"),
    "accounts/social/login/error/": ("/accounts/3rdparty/login/error/", "/accounts/3rdparty/login/error/"),
    "accounts/social/signup/": ("/accounts/3rdparty/signup/", "/accounts/3rdparty/signup/"),
    "accounts/social/connections/": ("/accounts/3rdparty/", "/accounts/3rdparty/"),
    "accounts/sso/login/": (404, 404),  # not configured
    "accounts/sso/login/callback/": (404, 404),
    "accounts/sso/saml/login/": (404, 404),
    "accounts/sso/saml/acs/": (404, 404),
    "accounts/sso/saml/acs/finish/": (404, 404),
    "accounts/sso/saml/metadata/": (404, 404),
}
ELSEWHERE = ("t/<slug:team_slug>/", "admin/", "api/v1/")
PEOPLE = ["the other team's owner", *ROLES, "staff"]


def patterns(resolver: URLResolver, before: str = "") -> Iterator[str]:
    for item in resolver.url_patterns:
        path = before + str(item.pattern)
        if isinstance(item, URLResolver):
            yield from patterns(item, path)
        else:
            yield path


def address(pattern: str) -> str:
    """The pattern with something in its places that nobody has."""
    path = pattern.replace("^", "").replace("$", "")
    path = re.sub(r"\(\?P<uidb36>[^)]*\)-\(\?P<key>[^)]*\)", "1-x", path)
    path = re.sub(r"\(\?P<key>[^)]*\)", "x", path)
    return "/" + re.sub(r"<int:\w+>", "999999", re.sub(r"<str:\w+>", "nosuch", path))


@pytest.fixture
def everybody(db: None, csm: User) -> dict[str, User]:
    with scopes_disabled():
        ours, theirs = make_world("ours"), make_world("theirs")
    return {"the other team's owner": theirs["people"]["owner"], **ours["people"], "staff": csm}


def said(answer: Any) -> int | str:
    return answer["Location"].partition("?")[0] if answer.status_code in {301, 302} else answer.status_code


def test_the_table_names_every_address() -> None:
    found = {path for path in patterns(get_resolver()) if not path.startswith(ELSEWHERE)}
    assert found | {"api/v1/openapi.json", "api/v1/"} == set(TABLE)


@pytest.mark.parametrize("pattern", TABLE)
def test_strangers_get_what_the_table_says(pattern: str, db: None) -> None:
    assert said(Client().get(address(pattern))) == TABLE[pattern][0]


@pytest.mark.parametrize("who", PEOPLE)
def test_people_get_what_the_table_says(who: str, everybody: dict[str, User], client_for: Any) -> None:
    """A new session for each page, so that none has an effect on the next."""
    expected = {pattern: line[1] for pattern, line in TABLE.items()}
    homes = {"staff": "/admin/", "the other team's owner": "/t/theirs/"}
    expected[""] = homes.get(who, "/t/ours/")
    found = {pattern: said(client_for(everybody[who]).get(address(pattern))) for pattern in TABLE}
    assert found == expected


@pytest.mark.parametrize("page", ["edit", "remove"])
def test_a_passkey_of_somebody_else_is_not_found(page: str, everybody: dict[str, User], client_for: Any) -> None:
    key = Authenticator.objects.create(
        user=everybody["owner"], type="webauthn", data={"name": "Key", "passwordless": True, "credential": {}}
    )
    client = client_for(everybody["member"])
    assert said(client.post(REAUTH, {"password": "x"})) == HOME  # asked for the password again, as before each change
    for method in (client.get, client.post):
        assert method(f"/accounts/2fa/webauthn/keys/{key.pk}/{page}/").status_code == 404
    assert Authenticator.objects.filter(pk=key.pk).exists()
