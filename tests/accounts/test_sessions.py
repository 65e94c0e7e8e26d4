"""Sessions: the list, sign-out everywhere else, and what a new password ends."""

from __future__ import annotations

import time

import pytest
from allauth.usersessions.models import UserSession
from django.test import Client

from labeling_platform.accounts.sessions import SEEN, device

from ..conftest import PASSWORD
from .test_sign_in import NEW, new_address, try_in

pytestmark = pytest.mark.usefixtures("own_cache")
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
SAFARI = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Version/17.5 Mobile Safari/604.1"
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
)
SESSIONS = "/accounts/sessions/"


def enter(user, agent: str = FIREFOX) -> Client:
    client = Client(REMOTE_ADDR=new_address(), HTTP_USER_AGENT=agent)
    assert try_in(client, user.email).status_code == 302
    return client


def is_in(client: Client) -> bool:
    return client.get("/accounts/profile/").status_code == 200


def test_sessions_are_listed_with_device_and_address(owner) -> None:
    here, phone = enter(owner), enter(owner, SAFARI)
    page = here.get(SESSIONS).content.decode()
    assert "Firefox on Linux" in page
    assert "Safari on iPhone" in page
    assert here.defaults["REMOTE_ADDR"] in page
    assert phone.defaults["REMOTE_ADDR"] in page
    assert page.count("This one") == 1


def test_sign_out_everywhere_else(owner, mate) -> None:
    here, there, other = enter(owner), enter(owner, SAFARI), enter(mate)
    here.post(SESSIONS)
    assert [is_in(client) for client in (here, there, other)] == [True, False, True]
    assert UserSession.objects.filter(user=owner).count() == 1


def test_a_new_password_ends_the_other_sessions(owner) -> None:
    here, there = enter(owner), enter(owner)
    data = {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW}
    assert here.post("/accounts/password/change/", data).status_code == 302
    assert [is_in(client) for client in (here, there)] == [True, False]
    assert "Firefox on Linux" in here.get(SESSIONS).content.decode()


def test_signing_out_takes_the_session_off_the_list(owner) -> None:
    here, there = enter(owner), enter(owner, SAFARI)
    there.post("/accounts/logout/")
    assert "Safari on iPhone" not in here.get(SESSIONS).content.decode()


def test_last_seen_is_written_once_in_five_minutes(owner, django_assert_num_queries) -> None:
    client = enter(owner)
    first = UserSession.objects.get(user=owner).last_seen_at
    client.get("/accounts/profile/")
    assert UserSession.objects.get(user=owner).last_seen_at == first
    session = client.session
    session[SEEN] = time.time() - 301
    session.save()
    client.get("/accounts/profile/", REMOTE_ADDR="10.9.8.7")
    seen = UserSession.objects.get(user=owner)
    assert seen.last_seen_at > first
    assert seen.ip == "10.9.8.7"


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (FIREFOX, "Firefox on Linux"),
        (SAFARI, "Safari on iPhone"),
        (CHROME, "Chrome on Windows"),
        (CHROME + " Edg/126.0", "Edge on Windows"),
        ("curl/8.5", "Unknown device"),
        ("", "Unknown device"),
    ],
)
def test_devices_are_named(agent: str, words: str) -> None:
    assert device(agent) == words
