"""Sign-in: limits that lock nobody else out, which address counts, confirmed addresses, passwords, the last team."""

from __future__ import annotations

import secrets
from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from axes.models import AccessAttempt
from django.core import mail
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from labeling_platform.accounts.invitations import invite_by_email, make_invite_link
from labeling_platform.accounts.limits import counted_address
from labeling_platform.accounts.models import User
from labeling_platform.accounts.permissions import Role
from labeling_platform.accounts.services import set_role
from labeling_platform.lib.clients import client_address

from ..conftest import PASSWORD

pytestmark = pytest.mark.usefixtures("own_cache")
LOGIN = "/accounts/login/"
NEW = "a long new password"


def new_address() -> str:
    """A client address of this test alone: limits by address live in the cache, across tests."""
    return "10." + ".".join(str(part) for part in secrets.token_bytes(3))


def at(address: str) -> Client:
    return Client(REMOTE_ADDR=address)


def try_in(client: Client, email: str, password: str = PASSWORD):
    return client.post(LOGIN, {"login": email, "password": password})


def lock(address: str, email: str, times: int = 10):
    client = at(address)
    for _ in range(times):
        answer = try_in(client, email, "wrong")
    return answer


def test_each_wrong_try_counts_once(owner) -> None:
    lock(new_address(), owner.email, 3)
    assert AccessAttempt.objects.values_list("username", "failures_since_start").get() == (owner.email, 3)


def test_ten_wrong_tries_lock_this_person_at_this_address_only(owner, mate) -> None:
    here, elsewhere = new_address(), new_address()
    answer = lock(here, owner.email)
    assert answer.status_code == 429
    assert "Try again in 15 minutes" in answer.content.decode()
    assert try_in(at(here), owner.email).status_code == 429
    assert try_in(at(here), mate.email).status_code == 302
    assert try_in(at(elsewhere), owner.email).status_code == 302


def test_nine_wrong_tries_do_not_lock(owner) -> None:
    here = new_address()
    assert lock(here, owner.email, 9).status_code == 200
    assert try_in(at(here), owner.email).status_code == 302
    assert AccessAttempt.objects.count() == 0


def test_a_lock_survives_an_emptied_cache(owner) -> None:
    here = new_address()
    lock(here, owner.email)
    cache.clear()
    assert try_in(at(here), owner.email).status_code == 429


def test_a_lock_ends(owner) -> None:
    here = new_address()
    lock(here, owner.email)
    try_in(at(here), owner.email)  # tries during the lock do not make it longer
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=16))
    assert try_in(at(here), owner.email).status_code == 302


def test_an_address_written_otherwise_counts_the_same(owner) -> None:
    here = new_address()
    lock(here, owner.email, 5)
    lock(here, owner.email.upper(), 5)
    assert try_in(at(here), owner.email).status_code == 429


def test_another_browser_does_not_help(owner) -> None:
    here = new_address()
    for number in range(10):
        try_in(Client(REMOTE_ADDR=here, HTTP_USER_AGENT=f"browser {number}"), owner.email, "wrong")
    assert try_in(at(here), owner.email).status_code == 429


def test_one_address_that_tries_many_people_is_slowed_down(owner, settings) -> None:
    settings.ACCOUNT_RATE_LIMITS = {"sign_in_failed": "5/m/ip"}
    here = new_address()
    for number in range(5):
        try_in(at(here), f"nobody{number}@example.com", "wrong")
    answer = try_in(at(here), owner.email)
    assert "Wait a minute" in answer.content.decode()


def test_passwords_are_not_kept(owner) -> None:
    lock(new_address(), owner.email, 2)
    assert "wrong" not in AccessAttempt.objects.get().post_data


def test_unknown_people_get_the_same_answer(owner) -> None:
    here = new_address()
    pages = [try_in(at(here), email, "wrong").content.decode() for email in (owner.email, "nobody@example.com")]
    assert ["The e-mail address or the password is not right." in page for page in pages] == [True, True]


def test_a_password_reset_tells_nothing(owner) -> None:
    here = new_address()
    answers = [
        at(here).post("/accounts/password/reset/", {"email": email}) for email in (owner.email, "no@example.com")
    ]
    assert {(answer.status_code, answer["Location"]) for answer in answers} == {(302, "/accounts/password/reset/done/")}


# --- whose address it is ------------------------------------------------------------------------------


def seen(settings, forwarded: str, remote: str, *proxies: str) -> str | None:
    settings.TRUSTED_PROXIES = proxies
    return client_address(RequestFactory().get("/", REMOTE_ADDR=remote, HTTP_X_FORWARDED_FOR=forwarded))


@pytest.mark.parametrize(
    ("forwarded", "remote", "proxies", "expected"),
    [
        ("1.2.3.4", "9.9.9.9", (), "9.9.9.9"),
        ("1.2.3.4", "9.9.9.9", ("10.0.0.0/8",), "9.9.9.9"),
        ("1.2.3.4", "10.0.0.1", ("10.0.0.0/8",), "1.2.3.4"),
        ("6.6.6.6, 1.2.3.4", "10.0.0.1", ("10.0.0.0/8",), "1.2.3.4"),
        ("6.6.6.6, 1.2.3.4, 10.0.0.2", "10.0.0.1", ("10.0.0.0/8",), "1.2.3.4"),
        ("nonsense", "10.0.0.1", ("10.0.0.1",), "10.0.0.1"),
        ("", "10.0.0.1", ("10.0.0.1",), "10.0.0.1"),
        ("", "::ffff:1.2.3.4", (), "1.2.3.4"),
        ("", "", (), None),
    ],
)
def test_the_address_of_the_client(settings, forwarded, remote, proxies, expected) -> None:
    assert seen(settings, forwarded, remote, *proxies) == expected


def test_a_forged_header_opens_no_lock(owner) -> None:
    here = new_address()
    lock(here, owner.email)
    client = Client(REMOTE_ADDR=here, HTTP_X_FORWARDED_FOR="1.2.3.4")
    assert try_in(client, owner.email).status_code == 429


def test_ipv6_counts_by_network() -> None:
    def counted(address: str) -> str | None:
        return counted_address(RequestFactory().get("/", REMOTE_ADDR=address))

    assert counted("2001:db8::1") == counted("2001:db8::ffff:2") == "2001:db8::"
    assert counted("2001:db8:0:1::1") != counted("2001:db8::1")


# --- e-mail verification ------------------------------------------------------------------------------


@pytest.fixture
def mandatory(settings) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"


def test_who_has_not_confirmed_the_address_gets_a_mail_and_not_in(owner, mandatory) -> None:
    client = at(new_address())
    assert try_in(client, owner.email)["Location"] == "/accounts/confirm-email/"
    assert "_auth_user_id" not in client.session
    [message] = mail.outbox
    assert message.to == [owner.email]
    link = next(line for line in message.body.split() if "/confirm-email/" in line)
    client.post(link)
    assert try_in(client, owner.email)["Location"] == "/"


def test_an_invitation_by_mail_counts_as_confirmed(team, owner, mandatory, all_scopes) -> None:
    token = invite_by_email(team=team, email="new@example.com", role=Role.MEMBER, actor=owner).token
    data = {"name": "New", "email": "new@example.com", "password1": NEW, "password2": NEW}
    client = at(new_address())
    assert client.post(f"/invite/{token}/", data)["Location"] == "/t/footwear/"
    assert "_auth_user_id" in client.session
    assert EmailAddress.objects.get(email="new@example.com").verified


def test_an_invitation_by_link_does_not(team, owner, mandatory, all_scopes) -> None:
    token = make_invite_link(team=team, role=Role.MEMBER, actor=owner).token
    data = {"name": "New", "email": "new@example.com", "password1": NEW, "password2": NEW}
    client = at(new_address())
    assert client.post(f"/invite/{token}/", data)["Location"] == "/accounts/confirm-email/"
    assert "_auth_user_id" not in client.session
    assert mail.outbox[-1].to == ["new@example.com"]


def test_accounts_made_by_the_operator_count_as_confirmed(db, monkeypatch) -> None:
    User.objects.create_superuser("boss@example.com", PASSWORD)
    monkeypatch.setenv("TEAM_PASSWORD", PASSWORD)
    call_command("make_team", "Shoes", "owner:a@example.com", verbosity=0)
    assert set(EmailAddress.objects.values_list("email", "verified", "primary")) == {
        ("boss@example.com", True, True),
        ("a@example.com", True, True),
    }


def test_a_mail_server_that_is_away_does_not_break_the_page(owner, mandatory, settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    client = at(new_address())
    page = client.get(try_in(client, owner.email)["Location"]).content.decode()
    assert "The mail could not be sent." in page


def test_sign_up_does_not_tell_who_has_an_account(owner, mandatory, settings) -> None:
    settings.SIGNUP_OPEN = True
    answers = []
    for email in (owner.email, "unknown@example.com"):
        data = {"email": email, "password1": NEW, "password2": NEW}
        answers.append(at(new_address()).post("/accounts/signup/", data))
    assert {(answer.status_code, answer["Location"]) for answer in answers} == {(302, "/accounts/confirm-email/")}
    assert [message.to for message in mail.outbox] == [[owner.email], ["unknown@example.com"]]
    assert ["/confirm-email/" in message.body for message in mail.outbox] == [False, True]


# --- passwords, addresses ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("short", "at least 12 characters"),
        ("owner@example.com", "too similar"),
        ("1qaz2wsx3edc", "too common"),
    ],
)
def test_bad_passwords_are_refused_at_the_field(owner, client_for, password, reason) -> None:
    data = {"oldpassword": PASSWORD, "password1": password, "password2": password}
    page = client_for(owner).post("/accounts/password/change/", data).content.decode()
    assert reason in page


def test_the_rules_of_passwords_stand_at_the_field(owner, client_for) -> None:
    page = client_for(owner).get("/accounts/password/change/").content.decode()
    assert "at least 12 characters" in page


def test_another_address_needs_the_password_again(owner, client_for) -> None:
    client = client_for(owner)
    answer = client.post("/accounts/email/", {"action_add": "", "email": "second@example.com"})
    assert answer["Location"].startswith("/accounts/reauthenticate/")
    assert not EmailAddress.objects.filter(email="second@example.com").exists()
    client.post(answer["Location"], {"password": PASSWORD, "next": "/accounts/email/"})
    client.post("/accounts/email/", {"action_add": "", "email": "second@example.com"})
    assert EmailAddress.objects.filter(user=owner, email="second@example.com", verified=False).exists()


# --- profile, teams ------------------------------------------------------------------------------------


def test_a_person_changes_their_name(owner, client_for) -> None:
    client = client_for(owner)
    assert client.post("/accounts/profile/", {"name": "Olivia"}).status_code == 302
    owner.refresh_from_db()
    assert owner.name == "Olivia"
    assert client.post("/accounts/profile/", {"name": "x" * 151}).status_code == 422


def test_home_is_the_team_one_was_in_last(owner, team, other_team, client_for) -> None:
    set_role(team=other_team, user=owner, role=Role.MEMBER)
    client = client_for(owner)
    assert client.get("/")["Location"] == "/t/footwear/"
    client.get("/t/rivals/")
    assert client_for(owner).get("/")["Location"] == "/t/rivals/"
    page = client.get("/accounts/profile/").content.decode()
    assert 'href="/t/footwear/"' in page
    assert 'href="/t/rivals/"' in page


def test_a_team_one_has_left_is_not_home(owner, team, other_team, client_for) -> None:
    owner.last_team = other_team
    owner.save()
    assert client_for(owner).get("/")["Location"] == "/t/footwear/"


def test_profile_is_for_people_who_are_signed_in(db) -> None:
    assert Client().get(reverse("account_profile"))["Location"].startswith(LOGIN)


# --- check --deploy ------------------------------------------------------------------------------------


def deploy_findings(settings) -> str:
    settings.PUBLIC_URL = "https://labeling.example.com"
    try:
        call_command("check", deploy=True, fail_level="WARNING", verbosity=0)
    except CommandError as error:
        return str(error)
    return ""


def test_the_deployment_check_finds_what_is_open(settings) -> None:
    settings.STAFF_NEEDS_SECOND_FACTOR, settings.ACCOUNT_EMAIL_VERIFICATION = False, "optional"
    found = deploy_findings(settings)
    assert "accounts.W001" in found
    assert "accounts.W002" in found


def test_a_proxy_that_is_no_address_is_found(settings) -> None:
    settings.TRUSTED_PROXIES = ("10.0.0.0/8", "proxy.local")
    with pytest.raises(CommandError, match=r"(?s)proxy\.local.*accounts\.E001|accounts\.E001.*proxy\.local"):
        call_command("check", verbosity=0)


def test_the_deployment_check_is_content_with_the_defaults(settings) -> None:
    settings.STAFF_NEEDS_SECOND_FACTOR, settings.ACCOUNT_EMAIL_VERIFICATION = True, "mandatory"
    assert "accounts." not in deploy_findings(settings)
