"""The second factor: TOTP with recovery codes for real, and that staff reach no console page without one."""

from __future__ import annotations

import base64
import contextlib
import re
import time
from collections.abc import Iterator

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from django.test import Client, RequestFactory
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse

from labeling_platform.accounts.people import demand_second_factor
from labeling_platform.accounts.second_factor import address_for_passkeys, passkey_obstacle
from labeling_platform.lib.errors import Refused

from ..conftest import PASSWORD
from .test_sign_in import LOGIN, at, new_address, try_in
from .totp import code_at

pytestmark = pytest.mark.usefixtures("own_cache")
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


def test_the_code_of_the_standard() -> None:
    """RFC 6238, appendix B: the last six digits at 59 seconds."""
    assert code_at(base64.b32encode(b"12345678901234567890").decode(), 59) == "287082"


@pytest.fixture
def with_app(csm):
    TOTP.activate(csm, SECRET)
    RecoveryCodes.activate(csm)
    return csm


def signed_in(user) -> Client:
    client = at(new_address())
    assert try_in(client, user.email).status_code == 302
    return client


def confirm(client: Client) -> None:
    """Type the password once more, as sensitive pages demand."""
    assert client.post("/accounts/reauthenticate/", {"password": PASSWORD}).status_code == 302


# --- the person's own pages ----------------------------------------------------------------------------


def test_a_person_sets_up_an_app_and_signs_in_with_it(owner) -> None:
    client = signed_in(owner)
    assert client.get("/accounts/2fa/totp/activate/")["Location"].startswith("/accounts/reauthenticate/")
    confirm(client)
    page = client.get("/accounts/2fa/totp/activate/").content.decode()
    assert "data:image/svg+xml" in page
    secret = re.search(r'value="([A-Z2-7]{32})"', page).group(1)
    answer = client.post("/accounts/2fa/totp/activate/", {"code": code_at(secret, time.time())})
    assert answer["Location"] == "/accounts/2fa/recovery-codes/"
    [shown] = re.findall(r"(?s)<textarea.*?</textarea>", client.get(answer["Location"]).content.decode())
    assert len(re.findall(r"\b\d{8}\b", shown)) == 10

    again = at(new_address())
    assert try_in(again, owner.email)["Location"] == "/accounts/2fa/authenticate/"
    assert "_auth_user_id" not in again.session
    answer = again.post("/accounts/2fa/authenticate/", {"code": code_at(secret, time.time() + 30)})
    assert answer["Location"] == "/"
    assert again.session["_auth_user_id"] == str(owner.pk)


def test_a_wrong_code_lets_nobody_in(with_app) -> None:
    client = at(new_address())
    try_in(client, with_app.email)
    page = client.post("/accounts/2fa/authenticate/", {"code": "000000"}).content.decode()
    assert "The code is not right." in page
    assert "_auth_user_id" not in client.session


def test_a_code_works_once(with_app) -> None:
    code = code_at(SECRET, time.time())
    clients = [at(new_address()), at(new_address())]
    for client in clients:
        try_in(client, with_app.email)
        client.post("/accounts/2fa/authenticate/", {"code": code})
    assert ["_auth_user_id" in client.session for client in clients] == [True, False]


def test_a_recovery_code_works_once(with_app) -> None:
    codes = Authenticator.objects.get(user=with_app, type="recovery_codes").wrap().get_unused_codes()
    clients = [at(new_address()), at(new_address())]
    for client in clients:
        try_in(client, with_app.email)
        client.post("/accounts/2fa/authenticate/", {"code": codes[0]})
    assert ["_auth_user_id" in client.session for client in clients] == [True, False]


def test_codes_cannot_be_guessed_from_many_addresses(with_app) -> None:
    pages = []
    for number in range(6):
        client = at(new_address())
        try_in(client, with_app.email)
        pages.append(client.post("/accounts/2fa/authenticate/", {"code": f"00000{number}"}).content.decode())
    assert "There were too many wrong tries." in pages[-1]


def test_recovery_codes_are_downloaded_and_made_anew(owner) -> None:
    TOTP.activate(owner, SECRET)
    RecoveryCodes.activate(owner)
    client = at(new_address())
    try_in(client, owner.email)
    client.post("/accounts/2fa/authenticate/", {"code": code_at(SECRET, time.time())})
    confirm(client)
    first = client.get("/accounts/2fa/recovery-codes/download/").content.decode()
    assert len(re.findall(r"^\d{8}$", first, re.MULTILINE)) == 10
    client.post("/accounts/2fa/recovery-codes/generate/")
    second = client.get("/accounts/2fa/recovery-codes/download/").content.decode()
    assert set(first.split()).isdisjoint(second.split())


def test_removing_the_app_needs_the_password_again(with_app, client_for) -> None:
    answer = client_for(with_app).post("/accounts/2fa/totp/deactivate/")
    assert answer["Location"].startswith("/accounts/reauthenticate/")
    assert Authenticator.objects.filter(user=with_app, type="totp").exists()


# --- staff ---------------------------------------------------------------------------------------------


@pytest.fixture
def demanded(settings) -> None:
    settings.STAFF_NEEDS_SECOND_FACTOR = True


def console_pages(patterns: list, space: str = "admin") -> Iterator[str]:
    """Addresses of all console pages that need no argument, besides the door and the way out."""
    for item in patterns:
        if isinstance(item, URLResolver) and item.namespace in {None, space}:
            yield from console_pages(item.url_patterns, space)
        elif isinstance(item, URLPattern) and item.name not in {None, "login", "logout"}:
            with contextlib.suppress(NoReverseMatch):
                yield reverse(f"{space}:{item.name}")


def test_staff_without_a_second_factor_reach_no_console_page(csm, client_for, demanded) -> None:
    client = client_for(csm)
    [console] = [item for item in get_resolver().url_patterns if getattr(item, "namespace", "") == "admin"]
    answers = {page: client.get(page) for page in console_pages(console.url_patterns)}
    assert len(answers) > 30
    assert {page: answer.get("Location") for page, answer in answers.items()} == dict.fromkeys(
        answers, "/accounts/2fa/"
    )
    assert client.post(reverse("admin:accounts_team_changelist"), {"action": "switch_off"})["Location"] == (
        reverse("mfa_index")
    )
    assert "The console needs a second factor." in client.get(reverse("mfa_index")).content.decode()


def test_staff_with_an_app_reach_the_console(with_app, demanded) -> None:
    client = at(new_address())
    answer = client.post(LOGIN, {"login": with_app.email, "password": PASSWORD, "next": "/admin/"})
    assert answer["Location"].startswith("/accounts/2fa/authenticate/")
    assert client.get("/admin/")["Location"].startswith("/admin/login/")
    answer = client.post(answer["Location"], {"code": code_at(SECRET, time.time())})
    assert client.get("/admin/").status_code == 200


def test_recovery_codes_alone_are_no_second_factor(csm, client_for, demanded) -> None:
    RecoveryCodes.activate(csm)
    assert client_for(csm).get("/admin/")["Location"] == reverse("mfa_index")


def test_the_demo_may_do_without(csm, client_for) -> None:
    assert client_for(csm).get("/admin/").status_code == 200


def test_the_console_has_no_door_of_its_own(csm, owner, client_for, demanded) -> None:
    anonymous = at(new_address())
    assert anonymous.get("/admin/login/?next=/admin/")["Location"] == "/accounts/login/?next=%2Fadmin%2F"
    anonymous.post("/admin/login/", {"username": csm.email, "password": PASSWORD, "next": "/admin/"})
    assert "_auth_user_id" not in anonymous.session
    assert client_for(owner).get("/admin/login/").status_code == 403
    assert client_for(owner).get("/admin/", follow=True).status_code == 403


# --- teams that demand one ------------------------------------------------------------------------------

DEMAND = "/t/footwear/people/second-factor/"


def test_a_team_lets_in_only_members_with_a_second_factor(team, owner, mate, client_for) -> None:
    TOTP.activate(owner, SECRET)
    client_for(owner).post(DEMAND, {"on": "yes"})
    answer = client_for(mate).get("/t/footwear/jobs/")
    assert answer.status_code == 403
    assert '<a href="/accounts/2fa/">' in answer.content.decode()
    TOTP.activate(mate, SECRET)
    assert client_for(mate).get("/t/footwear/jobs/").status_code == 200
    client_for(owner).post(DEMAND, {"on": ""})
    team.refresh_from_db()
    assert not team.needs_second_factor


def test_an_owner_cannot_shut_themselves_out(team, owner, client_for) -> None:
    page = client_for(owner).post(DEMAND, {"on": "yes"}, follow=True).content.decode()
    assert "Set up your own second factor first" in page
    team.refresh_from_db()
    assert not team.needs_second_factor


def test_members_cannot_demand_it(team, mate, in_team) -> None:
    with pytest.raises(Refused, match="Only owners and admins"):
        demand_second_factor(team=team, on=True, actor=mate)


# --- passkeys: what the pages say (the browser test makes one) ------------------------------------------


@pytest.mark.parametrize(
    ("address", "works", "better"),
    [
        ("http://localhost:8000/", True, ""),
        ("https://labeling.example.com/", True, ""),
        ("http://labeling.example.com/", False, ""),
        ("http://127.0.0.1:8000/accounts/2fa/", False, "http://localhost:8000/accounts/2fa/"),
        ("https://10.0.0.7/", False, ""),
    ],
)
def test_pages_say_where_passkeys_work(settings, address, works, better) -> None:
    settings.ALLOWED_HOSTS = ["*", "localhost"]
    scheme, _, rest = address.partition("://")
    host, _, path = rest.partition("/")
    request = RequestFactory(HTTP_HOST=host).get(f"/{path}", secure=scheme == "https")
    assert (passkey_obstacle(request) == "") is works
    assert address_for_passkeys(request) == better


def test_the_page_of_a_number_offers_the_name(owner, client_for) -> None:
    client = client_for(owner)
    client.defaults["HTTP_HOST"] = "127.0.0.1:8000"
    page = client.get("/accounts/2fa/").content.decode()
    assert "Passkeys are bound to a host name" in page
