"""Single sign-on against a real OpenID Connect provider on loopback: the way in, and every reason to refuse."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Iterator
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
from allauth.account.models import EmailAddress
from allauth.mfa.totp.internal.auth import TOTP
from allauth.socialaccount.models import SocialAccount, SocialToken
from cryptography.hazmat.primitives.asymmetric import rsa
from django.test import Client

from labeling_platform.accounts.addresses import vouch_for
from labeling_platform.accounts.models import User

from ..conftest import PASSWORD
from .oidc import Provider
from .test_second_factor import SECRET, confirm
from .test_sign_in import at, new_address, try_in
from .totp import code_at

pytestmark = pytest.mark.usefixtures("own_cache")
START = "/accounts/sso/login/"


@pytest.fixture
def provider(db, settings) -> Iterator[Provider]:
    provider = Provider()
    settings.SOCIALACCOUNT_PROVIDERS = provider.app()
    yield provider
    provider.stop()


def begin(client: Client, address: str = START) -> str:
    """Press the button; the address at the provider that the page leads to."""
    page = client.post(address)
    assert page.status_code == 200, page.content.decode()
    return html.unescape(re.search(r'content="0;url=([^"]+)"', page.content.decode()).group(1))


def at_provider(address: str) -> str:
    """What the browser does at the provider: the address it is sent back to, without the host."""
    back = urlsplit(requests.get(address, allow_redirects=False, timeout=5).headers["Location"])
    return f"{back.path}?{back.query}"


def sign_on(client: Client, address: str = START):
    return client.get(at_provider(begin(client, address)))


def refused(client: Client, answer, words: str) -> None:
    assert words in answer.content.decode()
    assert answer.status_code in {400, 401, 403, 502}
    assert "_auth_user_id" not in client.session


def test_somebody_new_comes_in_and_is_told_about_teams(provider) -> None:
    client = at(new_address())
    assert "Sign in with Corp" in client.get("/accounts/login/").content.decode()
    address = begin(client)
    asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    assert asked["code_challenge_method"] == "S256"
    assert min(len(asked[name]) for name in ("state", "nonce", "code_challenge")) >= 16
    assert (asked["response_type"], set(asked["scope"].split())) == ("code", {"openid", "profile", "email"})
    answer = client.get(at_provider(address), follow=True)
    assert "You are not in a team yet" in answer.content.decode()
    user = User.objects.get(email="new@corp.example")
    assert (user.name, user.has_usable_password(), user.is_staff) == ("New", False, False)
    assert EmailAddress.objects.get(user=user).verified
    assert provider.failures == []
    assert SocialToken.objects.count() == 0


def test_a_second_visit_is_the_same_person(provider) -> None:
    sign_on(at(new_address()))
    provider.person["email"] = "renamed@corp.example"
    client = at(new_address())
    sign_on(client)
    assert client.session["_auth_user_id"] == str(User.objects.get().pk)


def test_an_account_is_joined_by_its_verified_address(provider, owner) -> None:
    vouch_for(user=owner)
    provider.person["email"] = "Owner@Example.com"
    client = at(new_address())
    assert sign_on(client)["Location"] == "/"
    assert client.session["_auth_user_id"] == str(owner.pk)
    assert SocialAccount.objects.get().user == owner
    assert try_in(at(new_address()), owner.email).status_code == 302


def test_who_took_an_address_without_confirming_it_loses_the_account(provider, owner) -> None:
    """Else somebody could make an account with a stranger's address and wait for the stranger to join it."""
    EmailAddress.objects.create(user=owner, email=owner.email, primary=True, verified=False)
    provider.person["email"] = owner.email
    client = at(new_address())
    sign_on(client)
    owner.refresh_from_db()
    assert not owner.has_usable_password()
    assert try_in(at(new_address()), owner.email).status_code == 200


def test_a_second_factor_is_asked_for_all_the_same(provider, owner) -> None:
    vouch_for(user=owner)
    TOTP.activate(owner, SECRET)
    provider.person["email"] = owner.email
    client = at(new_address())
    assert sign_on(client)["Location"] == "/accounts/2fa/authenticate/"
    assert "_auth_user_id" not in client.session
    client.post("/accounts/2fa/authenticate/", {"code": code_at(SECRET, time.time())})
    assert client.session["_auth_user_id"] == str(owner.pk)


def test_a_person_connects_and_disconnects(provider, owner) -> None:
    vouch_for(user=owner)
    provider.person["email"] = "private@corp.example"
    client = at(new_address())
    try_in(client, owner.email)
    confirm(client)
    assert "Connect Corp" in client.get("/accounts/3rdparty/").content.decode()
    sign_on(client, f"{START}?process=connect")
    account = SocialAccount.objects.get(user=owner)
    assert "Corp, since" in client.get("/accounts/3rdparty/").content.decode()
    client.post("/accounts/3rdparty/", {"account": account.pk})
    assert SocialAccount.objects.count() == 0


# --- refusals ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [False, None, "no"])
def test_an_address_that_is_not_verified_opens_nothing(provider, owner, value) -> None:
    provider.person |= {"email": owner.email, "email_verified": value}
    client = at(new_address())
    refused(client, sign_on(client), "has not verified your e-mail address")
    assert SocialAccount.objects.count() == 0


@pytest.mark.parametrize(
    ("email", "may"), [("a@corp.example", True), ("a@evil.example", False), ("a@x.corp.example", False)]
)
def test_only_addresses_of_allowed_domains_come_in(provider, settings, email, may) -> None:
    settings.SSO_EMAIL_DOMAINS = ("corp.example",)
    provider.person["email"] = email
    client = at(new_address())
    answer = sign_on(client)
    if may:
        assert "_auth_user_id" in client.session
    else:
        refused(client, answer, "may not sign in here")


def test_a_state_of_another_browser_is_refused(provider) -> None:
    back = at_provider(begin(at(new_address())))
    client = at(new_address())
    refused(client, client.get(back), "does not fit this browser")


def test_a_state_works_once(provider) -> None:
    client = at(new_address())
    back = at_provider(begin(client))
    client.get(back)
    client.post("/accounts/logout/")
    refused(client, client.get(back), "does not fit this browser")


def test_a_code_without_state_is_refused(provider) -> None:
    client = at(new_address())
    refused(client, client.get(f"{START}callback/?code=x"), "does not fit this browser")


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another program"},
        {"iss": "http://127.0.0.1:1"},
        {"nonce": "of another visit"},
        {"nonce": None},
        {"exp": 1},
        {"exp": None},
        {"sub": None},
        {"azp": "another program", "aud": ["labeling", "another program"]},
    ],
    ids=str,
)
def test_a_token_that_is_not_for_this_visit_is_refused(provider, claims) -> None:
    provider.claims = claims
    client = at(new_address())
    refused(client, sign_on(client), "an answer that we cannot trust")
    assert User.objects.count() == 0


def test_a_token_signed_by_another_key_is_refused(provider) -> None:
    provider.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    client = at(new_address())
    refused(client, sign_on(client), "an answer that we cannot trust")


@pytest.mark.parametrize("algorithm", ["HS256", "none"])
def test_a_token_without_the_providers_signature_is_refused(provider, algorithm) -> None:
    provider.algorithm = algorithm
    client = at(new_address())
    refused(client, sign_on(client), "an answer that we cannot trust")


def test_facts_about_another_person_are_refused(provider) -> None:
    provider.info = {"sub": "2", "email": "boss@corp.example"}
    client = at(new_address())
    refused(client, sign_on(client), "an answer that we cannot trust")


def test_a_stolen_code_is_worth_nothing(provider) -> None:
    """PKCE: the code of one visit, put into another."""
    stolen = parse_qs(urlsplit(at_provider(begin(at(new_address())))).query)["code"][0]
    client = at(new_address())
    state = parse_qs(urlsplit(begin(client)).query)["state"][0]
    answer = client.get(f"{START}callback/?{urlencode({'code': stolen, 'state': state})}")
    refused(client, answer, "an answer that we cannot trust")
    assert provider.failures == ["PKCE"]


@pytest.mark.parametrize("part", ["openid-configuration", "token", "userinfo", "jwks"])
def test_a_provider_that_is_down_is_said(provider, part) -> None:
    client = at(new_address())
    if part == "openid-configuration":
        provider.broken.add(part)
        refused(client, client.post(START), "does not answer now")
        return
    back = at_provider(begin(client))
    provider.broken.add(part)
    answer = client.get(back)
    assert answer.status_code == 502
    assert "_auth_user_id" not in client.session


def test_a_provider_that_cannot_be_reached_is_said(provider) -> None:
    provider.stop()
    client = at(new_address())
    refused(client, client.post(START), "does not answer now")


def test_a_description_of_another_issuer_is_refused(provider, settings) -> None:
    app = provider.app()
    app["sso"]["APPS"][0]["settings"]["server_url"] = f"{provider.base}/elsewhere"
    settings.SOCIALACCOUNT_PROVIDERS = app
    client = at(new_address())
    refused(client, client.post(START), "an answer that we cannot trust")


def test_canceling_at_the_provider_is_no_error(provider) -> None:
    client = at(new_address())
    state = parse_qs(urlsplit(begin(client)).query)["state"][0]
    answer = client.get(f"{START}callback/?{urlencode({'error': 'access_denied', 'state': state})}", follow=True)
    assert "Nothing has changed." in answer.content.decode()


def test_a_link_cannot_decide_what_is_asked(provider) -> None:
    address = begin(at(new_address()), f"{START}?scope=admin&auth_params=nonce%3Dmine%26prompt%3Dnone")
    asked = parse_qs(urlsplit(address).query)
    assert set(asked["scope"][0].split()) == {"openid", "profile", "email"}
    assert "prompt" not in asked
    assert asked["nonce"] != ["mine"]


def test_a_link_alone_signs_nobody_in(provider) -> None:
    page = at(new_address()).get(START).content.decode()
    assert "http-equiv" not in page
    assert "Continue" in page


def test_somebody_switched_off_stays_out(provider, owner) -> None:
    vouch_for(user=owner)
    provider.person["email"] = owner.email
    sign_on(at(new_address()))
    User.objects.update(is_active=False)
    client = at(new_address())
    sign_on(client)
    assert "_auth_user_id" not in client.session


def test_without_a_provider_there_is_no_button_and_no_page(db, settings) -> None:
    settings.SOCIALACCOUNT_PROVIDERS = {}
    client = at(new_address())
    assert "/accounts/sso/" not in client.get("/accounts/login/").content.decode()
    assert client.post(START).status_code == 404
    assert client.get(f"{START}callback/?code=x&state=y").status_code == 404
    assert try_in(client, "x@example.com", PASSWORD).status_code == 200
