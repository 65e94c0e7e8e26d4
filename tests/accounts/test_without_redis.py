"""Signing in while Redis is away: everything works, and everything is still limited. Nothing is replaced: the address
of the cache is a port where nobody listens, or somebody who never answers."""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import redis
from allauth.account.models import EmailAddress
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from axes.models import AccessAttempt
from django.conf import settings as real
from django.core import mail
from django.core.cache import cache, caches
from django.db import transaction
from django.test import Client

from labeling_platform.accounts import invitation_views
from labeling_platform.accounts.addresses import vouch_for
from labeling_platform.accounts.invitations import make_invite_link
from labeling_platform.accounts.models import User
from labeling_platform.accounts.permissions import Role
from labeling_platform.lib import caching
from labeling_platform.lib.attempts import allow_attempt
from labeling_platform.lib.caching import SteadyCache, TableCache, close_connection

from ..conftest import PASSWORD
from .test_second_factor import SECRET, confirm
from .test_sign_in import NEW, at, lock, new_address, try_in
from .totp import code_at


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def use_redis_at(settings, url: str) -> None:
    """The product's cache as it is configured, with its Redis elsewhere and keys of this test alone."""
    settings.CACHES = {"default": real.CACHES["default"] | {"LOCATION": url, "KEY_PREFIX": secrets.token_hex(8)}}


@pytest.fixture
def no_redis(settings, db) -> Iterator[None]:
    use_redis_at(settings, f"redis://127.0.0.1:{closed_port()}/0")
    yield
    TableCache({}).clear()
    close_connection()


@pytest.fixture
def silent_redis(settings, db) -> Iterator[None]:
    """A host that takes connections and says nothing, as a stopped server or a firewall does."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:
        use_redis_at(settings, f"redis://127.0.0.1:{listener.getsockname()[1]}/0")
        yield
    TableCache({}).clear()
    close_connection()


def test_that_redis_is_away(no_redis) -> None:
    with pytest.raises(redis.ConnectionError):
        caches["default"].redis.get("x")
    assert Client().get("/readyz").json() == {"database": True, "redis": False}
    assert Client().get("/healthz").status_code == 200


# --- people --------------------------------------------------------------------------------------------


def test_people_sign_in_and_out(no_redis, owner) -> None:
    client = at(new_address())
    assert try_in(client, owner.email)["Location"] == "/"
    assert client.get("/t/footwear/jobs/").status_code == 200
    assert client.post("/accounts/logout/").status_code == 302
    assert try_in(client, owner.email, "wrong").status_code == 200


def test_nobody_waits_long_for_a_redis_that_says_nothing(silent_redis, owner) -> None:
    began = time.monotonic()
    assert try_in(at(new_address()), owner.email)["Location"] == "/"
    assert time.monotonic() - began < 6


def test_guessing_locks_the_pair(no_redis, owner, mate) -> None:
    here = new_address()
    assert lock(here, owner.email).status_code == 429
    assert try_in(at(here), owner.email).status_code == 429
    assert try_in(at(here), mate.email).status_code == 302
    assert AccessAttempt.objects.get().failures_since_start == 10


def test_an_address_that_tries_many_people_is_slowed_down(no_redis, owner) -> None:
    here = new_address()
    answers = [try_in(at(here), f"nobody{number}@example.com", "wrong") for number in range(31)]
    assert ["Wait a minute" in answer.content.decode() for answer in answers] == [False] * 30 + [True]
    assert "Wait a minute" in try_in(at(here), owner.email).content.decode()


def test_people_sign_up_and_are_limited(no_redis, settings) -> None:
    settings.SIGNUP_OPEN, settings.ACCOUNT_RATE_LIMITS = True, {"signup": "2/m/ip"}
    here = new_address()
    said = []
    for number in range(3):
        data = {"email": f"new{number}@example.com", "password1": NEW, "password2": NEW}
        said.append(at(here).post("/accounts/signup/", data).status_code)
    assert said == [302, 302, 429]
    assert User.objects.count() == 2


def test_a_password_is_set_anew_and_that_is_limited(no_redis, owner) -> None:
    vouch_for(user=owner)
    here = new_address()
    said = [at(here).post("/accounts/password/reset/", {"email": owner.email}).status_code for _ in range(6)]
    assert said == [302] * 5 + [429]
    link = next(line for line in mail.outbox[0].body.split() if "/password/reset/key/" in line)
    client = at(here)
    form = client.get(link, follow=True).redirect_chain[-1][0]
    assert client.post(form, {"password1": NEW, "password2": NEW}).status_code == 302
    assert try_in(at(new_address()), owner.email, NEW).status_code == 302


def test_an_address_is_confirmed(no_redis, owner, settings) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    client = at(new_address())
    assert try_in(client, owner.email)["Location"] == "/accounts/confirm-email/"
    link = next(line for line in mail.outbox[0].body.split() if "/confirm-email/" in line)
    client.post(link)
    assert EmailAddress.objects.get(user=owner).verified
    assert try_in(client, owner.email)["Location"] == "/"


def test_the_second_factor_is_asked_for_and_a_code_works_once(no_redis, owner) -> None:
    TOTP.activate(owner, SECRET)
    code = code_at(SECRET, time.time())
    said = []
    for _ in range(2):
        client = at(new_address())
        assert try_in(client, owner.email)["Location"] == "/accounts/2fa/authenticate/"
        said.append(client.post("/accounts/2fa/authenticate/", {"code": code}).status_code)
    assert said == [302, 200]


def test_wrong_codes_are_limited(no_redis, owner) -> None:
    TOTP.activate(owner, SECRET)
    client = at(new_address())
    try_in(client, owner.email)
    for _ in range(5):
        client.post("/accounts/2fa/authenticate/", {"code": "000000"})
    good = client.post("/accounts/2fa/authenticate/", {"code": code_at(SECRET, time.time())})
    assert (good.status_code, "_auth_user_id" in client.session) == (200, False)
    assert "too many" in good.content.decode().lower()


def test_a_recovery_code_opens(no_redis, owner) -> None:
    TOTP.activate(owner, SECRET)
    codes = RecoveryCodes.activate(owner).get_unused_codes()
    client = at(new_address())
    try_in(client, owner.email)
    assert client.post("/accounts/2fa/authenticate/", {"code": codes[0]}).status_code == 302
    assert "_auth_user_id" in client.session


def test_sensitive_changes_ask_again_and_that_is_limited(no_redis, owner) -> None:
    client = at(new_address())
    try_in(client, owner.email)
    confirm(client)
    data = {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW}
    assert client.post("/accounts/password/change/", data).status_code == 302
    said = [client.post("/accounts/reauthenticate/", {"password": "wrong"}).status_code for _ in range(11)]
    assert (set(said[:5]), said[-1]) == ({200}, 429)


def test_tries_at_invitations_are_limited(no_redis, team, owner, all_scopes, monkeypatch) -> None:
    monkeypatch.setattr(invitation_views, "ATTEMPTS", 2)
    token = make_invite_link(team=team, role=Role.MEMBER, actor=owner).token
    here = new_address()
    assert at(here).get(f"/invite/{token}/").status_code == 200
    assert [at(here).get("/invite/x/").status_code for _ in range(3)] == [404, 404, 429]


# --- the cache -----------------------------------------------------------------------------------------


@pytest.fixture(params=["redis", "table"])
def one(request, db) -> Iterator[object]:
    """Either side, which have to behave alike."""
    found = caches["default"].redis if request.param == "redis" else TableCache({})
    yield found
    if request.param == "table":
        found.clear()
    close_connection()


def test_both_sides_behave_alike(one) -> None:
    key = secrets.token_hex(8)
    assert (one.get(key), one.get(key, "none"), one.has_key(key), one.delete(key)) == (None, "none", False, False)
    assert (one.add(key, 1, 30), one.add(key, 2, 30), one.get(key), one.has_key(key)) == (True, False, 1, True)
    assert (one.incr(key), one.incr(key, 5), one.get(key)) == (2, 7, 7)
    one.set(key, [1.5, 2.25], 30)
    assert (one.get(key), one.touch(key, 30), one.delete(key), one.touch(key, 30)) == ([1.5, 2.25], True, True, False)
    with pytest.raises(ValueError, match="not found"):
        one.incr(key)
    one.set(key, "y", 0.05) if isinstance(one, TableCache) else one.set(key, "y", 1)
    time.sleep(0.1 if isinstance(one, TableCache) else 1.1)
    assert (one.get(key), one.add(key, "z", 30), one.get(key)) == (None, True, "z")
    one.set(key, True, None)
    assert one.get(key) is True


def test_what_is_counted_stays_counted_when_a_request_is_rolled_back(no_redis) -> None:
    with transaction.atomic():
        assert allow_attempt("test", "somebody", limit=1, seconds=3600)
        transaction.set_rollback(True)
    assert not allow_attempt("test", "somebody", limit=1, seconds=3600)


def test_many_at_once_are_counted_each(no_redis) -> None:
    said = []

    def attempt() -> None:
        said.append(allow_attempt("test", "crowd", limit=10, seconds=3600))
        close_connection()

    threads = [threading.Thread(target=attempt) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said) == [False] * 10 + [True] * 10


def test_redis_is_used_again_when_it_is_back(settings, db, monkeypatch) -> None:
    monkeypatch.setattr(caching, "AWAY_SECONDS", 0.2)
    good = real.CACHES["default"]["LOCATION"]
    port = closed_port()
    use_redis_at(settings, f"redis://127.0.0.1:{port}/0")
    cache.set("x", 1, 30)
    assert TableCache(settings.CACHES["default"] | {"OPTIONS": {}}).get("x") == 1
    settings.CACHES = {"default": settings.CACHES["default"] | {"LOCATION": good}}
    cache.set("x", 2, 30)
    assert (caches["default"].redis.get("x"), caches["default"].table.get("x")) == (2, 1)
    TableCache({}).clear()
    close_connection()


def test_the_same_server_is_asked_again_after_a_while(no_redis, monkeypatch, caplog) -> None:
    monkeypatch.setattr(caching, "AWAY_SECONDS", 0.2)
    for _ in range(3):
        cache.get("x")
    assert caplog.text.count("Redis is away") == 1
    time.sleep(0.25)
    cache.get("x")
    assert caplog.text.count("Redis is away") == 2


def test_a_used_code_is_remembered_whatever_becomes_of_redis(settings, db) -> None:
    """Used before Redis went away, tried again after; and as long as it is good, which is 90 seconds, not 30."""
    cache.clear()
    use_redis_at(settings, real.CACHES["default"]["LOCATION"])
    key = "allauth.mfa.totp.used?user=1&code=123456"
    assert cache.add(key, "y", timeout=30)
    settings.CACHES = {"default": settings.CACHES["default"] | {"LOCATION": f"redis://127.0.0.1:{closed_port()}/0"}}
    assert not cache.add(key, "y", timeout=30)
    steady = SteadyCache("redis://x", {"OPTIONS": {"kept": {"allauth.mfa.totp.used": 90}}})
    assert (steady._at_least(key, 30), steady._at_least("other", 30)) == (90, 30)
    TableCache({}).clear()
    close_connection()
