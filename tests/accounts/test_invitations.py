"""Invitations by e-mail and link, the page that accepts them, and the page People."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from secrets import randbelow

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.core.cache import cache
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_scopes import scopes_disabled

from labeling_platform.accounts import invitation_views, invitations
from labeling_platform.accounts.invitations import (
    accept_invitation,
    invite_by_email,
    join_with_new_account,
    make_invite_link,
    revoke_invitation,
)
from labeling_platform.accounts.mail import invitation_url
from labeling_platform.accounts.memberships import memberships_of
from labeling_platform.accounts.models import Acceptance, Activity, Invitation, Membership, Team, User
from labeling_platform.accounts.people import change_role, remove_person
from labeling_platform.accounts.permissions import Role
from labeling_platform.accounts.services import remove_member, set_role
from labeling_platform.lib.attempts import allow_attempt
from labeling_platform.lib.errors import Refused
from labeling_platform.lib.logs import HideTokens
from labeling_platform.lib.sealing import hash_of

from ..conftest import PASSWORD, make_person

ANSWERS = {"name": "Ann", "email": "ann@example.com", "password1": PASSWORD, "password2": PASSWORD}


def refused(code: str, call: Callable[..., object], **arguments: object) -> str:
    """The words of the refusal, whose code must be `code`."""
    with pytest.raises(Refused) as caught:
        call(**arguments)
    assert caught.value.code == code
    return caught.value.message


def page(token: str) -> str:
    return reverse("invitation", args=[token])


@pytest.fixture
def ann(db) -> User:
    return make_person("ann")


@pytest.fixture
def link(in_team: Team, owner: User) -> invitations.Issued:
    return make_invite_link(team=in_team, role=Role.CONTRIBUTOR, actor=owner, path="contribute/12/")


@pytest.fixture
def admin(team: Team) -> User:
    user = make_person("admin")
    set_role(team=team, user=user, role=Role.ADMIN)
    return user


@pytest.fixture
def stranger() -> Client:
    """Somebody who is not signed in, from an address of their own so that attempts of other tests do not count."""
    return Client(REMOTE_ADDR=f"10.{randbelow(250)}.{randbelow(250)}.{randbelow(250)}")


# --- services: making ----------------------------------------------------------------------------------


def test_only_the_hash_of_a_token_is_kept(link, in_team, owner) -> None:
    found = Invitation.objects.get()
    assert found.token_hash == hash_of(link.token)
    assert len(link.token) == 43
    assert link.token not in repr(link)
    line = Activity.objects.filter(verb="invitation made").get()
    assert (line.actor, line.object_name, line.data) == (
        owner, "Contributor, by link", {"role": "contributor", "path": "contribute/12/"},
    )  # fmt: skip


def test_defaults_are_seven_days_and_one_use_by_mail_thirty_and_any_by_link(link, in_team, owner) -> None:
    mailed = invite_by_email(team=in_team, email=" New@Example.com ", role=Role.VIEWER, actor=owner).invitation
    assert mailed.email == "new@example.com"
    assert (mailed.expires_at - mailed.created_at, mailed.max_uses) == (timedelta(days=7), 1)
    assert (link.invitation.expires_at - link.invitation.created_at, link.invitation.max_uses) == (
        timedelta(days=30), None,
    )  # fmt: skip


@pytest.mark.parametrize(
    "path",
    ["/", "//evil.example/", "../../admin/", "contribute/12", "contribute/../", "a//", "https://x/", "a/?x=1/", "a\\b/",
     "a/%2e%2e/", "a/\n", "a" * 200 + "/"],
)  # fmt: skip
def test_a_path_can_only_be_inside_the_team(path, in_team, owner) -> None:
    refused("path", make_invite_link, team=in_team, role=Role.CONTRIBUTOR, actor=owner, path=path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"path": "//evil.example/"},
        {"role": "boss"},
        {"token_hash": "plain"},
        {"max_uses": 0},
        {"max_uses": 1, "uses": 2},
        {"email": "a@example.com", "max_uses": None},
        {"expires_at": timezone.now() - timedelta(days=400)},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_the_database_refuses_what_services_would_not_write(wrong, in_team) -> None:
    right = {"team": in_team, "role": "viewer", "token_hash": hash_of("x"),
             "expires_at": timezone.now() + timedelta(days=1)}  # fmt: skip
    with pytest.raises(IntegrityError), transaction.atomic():
        Invitation.objects.create(**right | wrong)
    Invitation.objects.create(**right)


@pytest.mark.parametrize(
    ("giver", "may_give"),
    [
        ("owner", ["owner", "admin", "member", "viewer", "contributor"]),
        ("admin", ["admin", "member", "viewer", "contributor"]),
        ("member", ["contributor"]),
        ("viewer", []),
        ("contributor", []),
    ],
)
def test_nobody_gives_a_role_above_the_own(giver, may_give, in_team) -> None:
    actor = make_person("giver")
    set_role(team=in_team, user=actor, role=Role(giver))
    given = []
    for role in Role:
        try:
            make_invite_link(team=in_team, role=role, actor=actor, max_uses=1)
        except Refused as no:
            assert no.code == "role"
        else:
            given.append(role.value)
    assert given == may_give


def test_who_is_not_in_the_team_cannot_invite(in_team, outsider) -> None:
    refused("role", make_invite_link, team=in_team, role=Role.CONTRIBUTOR, actor=outsider)


@pytest.mark.parametrize("role", [Role.OWNER, Role.ADMIN])
def test_a_link_for_several_cannot_let_them_manage_the_team(role, in_team, owner) -> None:
    refused("max_uses", make_invite_link, team=in_team, role=role, actor=owner)


def test_what_is_not_an_address_is_refused(in_team, owner) -> None:
    words = refused("email", invite_by_email, team=in_team, email="ann", role=Role.VIEWER, actor=owner)
    assert words == "“ann” is not an e-mail address."


def test_who_is_in_the_team_is_not_invited(in_team, owner, viewer) -> None:
    words = refused("member", invite_by_email, team=in_team, email=viewer.email, role=Role.MEMBER, actor=owner)
    assert words == "viewer@example.com is in this team already, as viewer."


def test_inviting_again_replaces_the_open_invitation_and_keeps_where_it_leads(in_team, owner, ann) -> None:
    first = invite_by_email(
        team=in_team, email=ann.email, role=Role.CONTRIBUTOR, actor=owner, path="contribute/3/"
    )  # fmt: skip
    second = invite_by_email(team=in_team, email=ann.email, role=Role.CONTRIBUTOR, actor=owner)
    refused("revoked", accept_invitation, token=first.token, user=ann)
    assert accept_invitation(token=second.token, user=ann).invitation.path == "contribute/3/"


def test_a_team_sends_so_many_mails_a_day(in_team, owner, monkeypatch) -> None:
    monkeypatch.setattr(invitations, "MAILS_A_DAY", 1)
    invite_by_email(team=in_team, email="a@example.com", role=Role.VIEWER, actor=owner)
    refused("too_many", invite_by_email, team=in_team, email="b@example.com", role=Role.VIEWER, actor=owner)


# --- services: accepting -------------------------------------------------------------------------------


def test_accepting_gives_the_role_and_is_logged(link, in_team, ann) -> None:
    accepted = accept_invitation(token=link.token, user=ann)
    assert (accepted.membership.role, accepted.changed, accepted.leads_on) == ("contributor", True, True)
    assert Invitation.objects.get().uses == 1
    line = Activity.objects.filter(verb="invitation accepted").get()
    assert (line.team, line.actor, line.data) == (in_team, ann, {"role": "contributor"})


def test_accepting_twice_counts_once(link, in_team, ann) -> None:
    accept_invitation(token=link.token, user=ann)
    assert not accept_invitation(token=link.token, user=ann).changed
    assert (Invitation.objects.get().uses, Acceptance.objects.count()) == (1, 1)
    assert Activity.objects.filter(verb="invitation accepted").count() == 1


def test_a_role_is_raised_but_never_lowered(in_team, owner, viewer, mate) -> None:
    token = make_invite_link(team=in_team, role=Role.MEMBER, actor=owner).token
    assert accept_invitation(token=token, user=viewer).membership.role == "member"
    assert accept_invitation(token=token, user=owner).membership.role == "owner"
    assert not accept_invitation(token=token, user=mate).changed
    assert Invitation.objects.get().uses == 1


def test_a_role_that_was_lowered_since_is_not_raised_by_the_old_link(in_team, owner, ann) -> None:
    token = make_invite_link(team=in_team, role=Role.MEMBER, actor=owner).token
    accept_invitation(token=token, user=ann)
    change_role(team=in_team, user=ann, role=Role.VIEWER, actor=owner)
    assert accept_invitation(token=token, user=ann).membership.role == "viewer"


def test_who_was_removed_needs_a_new_invitation(link, in_team, owner, ann) -> None:
    accept_invitation(token=link.token, user=ann)
    remove_person(team=in_team, user=ann, actor=owner)
    refused("removed", accept_invitation, token=link.token, user=ann)


def test_an_unknown_token_is_refused(db, ann) -> None:
    refused("unknown", accept_invitation, token="x", user=ann)


def test_an_expired_invitation_is_refused(link, ann) -> None:
    then = timezone.now() - timedelta(days=40)
    Invitation.objects.update(created_at=then, expires_at=then + timedelta(days=30))
    until = (then + timedelta(days=30)).strftime("%-d %B %Y")
    words = refused("expired", accept_invitation, token=link.token, user=ann)
    assert words == f"This invitation was valid until {until}. Ask for a new one."


def test_a_revoked_invitation_is_refused_and_revoking_twice_changes_nothing(link, ann, owner) -> None:
    assert revoke_invitation(invitation=link.invitation, actor=owner)
    assert not revoke_invitation(invitation=link.invitation, actor=owner)
    refused("revoked", accept_invitation, token=link.token, user=ann)
    assert Activity.objects.filter(verb="invitation taken back").count() == 1


def test_a_used_up_link_is_refused_but_not_to_who_used_it(in_team, owner, ann, outsider) -> None:
    token = make_invite_link(team=in_team, role=Role.VIEWER, actor=owner, max_uses=1).token
    accept_invitation(token=token, user=ann)
    refused("used_up", accept_invitation, token=token, user=outsider)
    assert not accept_invitation(token=token, user=ann).changed


def test_an_invitation_by_mail_is_for_one_address(in_team, owner, ann, outsider) -> None:
    token = invite_by_email(team=in_team, email="ANN@example.com", role=Role.VIEWER, actor=owner).token
    words = refused("wrong_email", accept_invitation, token=token, user=outsider)
    assert words.startswith("This invitation is for ann@example.com, and you are signed in as outsider@example.com.")
    refused("wrong_email", accept_invitation, token=token, user=owner)
    assert accept_invitation(token=token, user=ann).membership.role == "viewer"


@pytest.mark.parametrize("then", ["removed", "lowered", "deleted"])
def test_an_invitation_ends_when_who_made_it_may_no_longer_invite(then, in_team, admin, ann) -> None:
    token = make_invite_link(team=in_team, role=Role.MEMBER, actor=admin).token
    if then == "removed":
        remove_member(team=in_team, user=admin)
    elif then == "lowered":
        set_role(team=in_team, user=admin, role=Role.MEMBER)
    else:
        admin.delete()
    refused("inviter", accept_invitation, token=token, user=ann)


def test_a_new_account_by_mail_has_a_verified_address_by_link_not(link, in_team, owner) -> None:
    mailed = invite_by_email(team=in_team, email="bo@example.com", role=Role.VIEWER, actor=owner).token
    join_with_new_account(token=mailed, name="Bo", email="other@example.com", password=PASSWORD)
    join_with_new_account(token=link.token, name="Ann", email="Ann@example.com", password=PASSWORD)
    assert list(EmailAddress.objects.order_by("email").values_list("email", "verified", "primary")) == [
        ("ann@example.com", False, True), ("bo@example.com", True, True),
    ]  # fmt: skip


def test_no_account_is_left_when_the_invitation_is_refused(link, owner) -> None:
    revoke_invitation(invitation=link.invitation, actor=owner)
    refused("revoked", join_with_new_account, token=link.token, name="A", email="a@example.com", password=PASSWORD)
    assert not User.objects.filter(email="a@example.com").exists()


@pytest.mark.django_db(transaction=True)
def test_many_at_once_never_use_a_link_too_often(team, owner) -> None:
    people = [make_person(f"p{number}") for number in range(8)]
    with scopes_disabled():
        token = make_invite_link(team=team, role=Role.VIEWER, actor=owner, max_uses=3).token

    def accept(user: User) -> str:
        try:
            return str(accept_invitation(token=token, user=user).changed)
        except Refused as no:
            return no.code
        finally:
            connection.close()

    with ThreadPoolExecutor(16) as pool:
        outcomes = list(pool.map(accept, people + people))
    with scopes_disabled():
        assert Invitation.objects.get().uses == 3
        assert Acceptance.objects.count() == 3
        assert Membership.objects.filter(team=team, role="viewer").count() == 3
    assert sorted(outcomes) == ["False"] * 3 + ["True"] * 3 + ["used_up"] * 10


@pytest.mark.django_db(transaction=True)
def test_two_owners_cannot_both_leave_at_once(team, owner) -> None:
    second = make_person("second")
    set_role(team=team, user=second, role=Role.OWNER)

    def leave(user: User) -> str:
        try:
            remove_person(team=team, user=user, actor=user)
        except Refused as no:
            return no.code
        finally:
            connection.close()
        return "left"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(leave, [owner, second])) == ["last_owner", "left"]


# --- the page of an invitation ----------------------------------------------------------------------------


def test_the_page_says_who_invites_where_and_as_what_and_keeps_the_token_to_itself(link, stranger) -> None:
    answer = stranger.get(page(link.token))
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", answer.content.decode()))
    assert "Owner (owner@example.com) invites you to the team Footwear of Acme, as contributor." in text
    assert "no-store" in answer["Cache-Control"]
    assert answer["Referrer-Policy"] == "strict-origin"


def test_somebody_signed_in_accepts_and_lands_where_the_link_leads(link, team, ann, client_for) -> None:
    client = client_for(ann)
    assert "Accept and join" in client.get(page(link.token)).content.decode()
    assert memberships_of(ann) == []
    assert client.post(page(link.token))["Location"] == "/t/footwear/contribute/12/"
    assert place(ann).role == "contributor"
    assert "Go to the team" in client.get(page(link.token)).content.decode()


def test_somebody_new_makes_an_account_although_sign_up_is_closed(link, team, settings, stranger) -> None:
    assert not settings.SIGNUP_OPEN
    assert stranger.post(page(link.token), ANSWERS)["Location"] == "/t/footwear/contribute/12/"
    person = User.objects.get(email="ann@example.com")
    assert (person.name, person.check_password(PASSWORD), person.is_staff) == ("Ann", True, False)
    assert place(person).role == "contributor"
    assert stranger.get("/", follow=True).redirect_chain[-1][0] == "/t/footwear/contribute/"


def test_the_address_of_an_invitation_by_mail_is_fixed(in_team, owner, stranger) -> None:
    token = invite_by_email(team=in_team, email="bo@example.com", role=Role.VIEWER, actor=owner).token
    assert 'value="bo@example.com"' in stranger.get(page(token)).content.decode()
    stranger.post(page(token), ANSWERS)
    assert User.objects.filter(memberships__role="viewer").get().email == "bo@example.com"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"password1": "short", "password2": "short"}, "This password is too short."),
        ({"password1": "ann@example.com", "password2": "ann@example.com"}, "too similar to the e-mail address"),
        ({"password2": "another one that is long"}, "The two passwords are not the same."),
        ({"name": ""}, "This field is required."),
        ({"email": "ann"}, "Enter a valid email address."),
    ],
)
def test_a_bad_answer_is_said_at_its_field(wrong, says, link, stranger) -> None:
    answer = stranger.post(page(link.token), ANSWERS | wrong)
    assert answer.status_code == 422
    assert says in answer.content.decode()
    assert not User.objects.filter(name="Ann").exists()


def test_who_has_an_account_is_told_to_sign_in_and_comes_back(link, ann, stranger) -> None:
    answer = stranger.post(page(link.token), ANSWERS | {"email": "ANN@example.com"})
    assert answer.status_code == 422
    assert "There is an account with this address already." in answer.content.decode()
    sign_in = f"{reverse('account_login')}?next={page(link.token)}"
    assert f'href="{sign_in}"' in answer.content.decode().replace("%2F", "/")
    answer = stranger.post(sign_in, {"login": ann.email, "password": PASSWORD})
    assert answer["Location"] == page(link.token)
    assert "You are signed in as ann@example.com." in stranger.get(page(link.token)).content.decode()


def test_an_invited_address_with_an_account_is_only_asked_to_sign_in(in_team, owner, ann, stranger) -> None:
    token = invite_by_email(team=in_team, email=ann.email, role=Role.VIEWER, actor=owner).token
    text = stranger.get(page(token)).content.decode()
    assert "There is an account for ann@example.com." in text
    assert "password1" not in text


def test_the_wrong_person_can_sign_out_and_comes_back(in_team, owner, outsider, client_for) -> None:
    token = invite_by_email(team=in_team, email="bo@example.com", role=Role.VIEWER, actor=owner).token
    client = client_for(outsider)
    for answer in (client.get(page(token)), client.post(page(token))):
        assert answer.status_code == 403
        assert "This invitation is for bo@example.com" in answer.content.decode()
    assert client.post(reverse("account_logout"), {"next": page(token)})["Location"] == page(token)


def test_a_viewer_who_follows_a_contributors_link_stays_viewer_and_lands_at_home(link, viewer, client_for) -> None:
    client = client_for(viewer)
    answer = client.post(page(link.token), follow=True)
    assert answer.redirect_chain[0][0] == "/t/footwear/"
    assert "You are in the team Footwear already, as viewer. Your role was not changed." in answer.content.decode()


def test_an_unknown_token_gives_404_with_what_to_do(db, stranger) -> None:
    for answer in (stranger.get(page("x")), stranger.post(page("x"))):
        assert answer.status_code == 404
        assert "Ask whoever sent it for a new link." in answer.content.decode()
        assert answer["Referrer-Policy"] == "strict-origin"


def test_an_invitation_that_is_over_says_so(link, owner, stranger) -> None:
    revoke_invitation(invitation=link.invitation, actor=owner)
    for answer in (stranger.get(page(link.token)), stranger.post(page(link.token), ANSWERS)):
        assert answer.status_code == 410
        assert "This invitation was taken back. Ask for a new one." in answer.content.decode()


def test_many_attempts_are_stopped(db, stranger, monkeypatch) -> None:
    monkeypatch.setattr(invitation_views, "ATTEMPTS", 2)
    statuses = [stranger.get(page("x")).status_code, stranger.post(page("x")).status_code]
    assert [*statuses, stranger.get(page("x")).status_code, stranger.post(page("x")).status_code] == [
        404, 404, 429, 429,
    ]  # fmt: skip


def test_attempts_are_counted_for_each_and_by_window() -> None:
    who = f"test {timezone.now()}"
    assert [allow_attempt("test", who, limit=2, seconds=3600) for _ in range(3)] == [True, True, False]
    assert allow_attempt("test", f"{who} other", limit=2, seconds=3600)
    assert allow_attempt("other", who, limit=2, seconds=3600)
    assert cache.get("attempts:test") is None


def test_logs_do_not_name_tokens(link, stranger, caplog) -> None:
    with caplog.at_level(logging.WARNING):
        stranger.post(page(link.token), ANSWERS | {"name": ""})
    assert "Unprocessable Entity: /invite/.../" in caplog.text
    assert link.token not in caplog.text
    record = logging.LogRecord("x", logging.INFO, "x", 1, "%s then %s", ("/invite/abc/", "/t/a/"), None)
    assert HideTokens().filter(record)
    assert record.getMessage() == "/invite/.../ then /t/a/"


# --- the page People -------------------------------------------------------------------------------------


def team_url(name: str, team: Team, **arguments: int) -> str:
    return reverse(f"teams:{name}", kwargs={"team_slug": team.slug, **arguments})


def place(user: User) -> Membership:
    (found,) = memberships_of(user)
    return found


def test_the_page_lists_members_and_open_invitations(link, team, owner, viewer, client_for) -> None:
    text = client_for(owner).get(team_url("people", team)).content.decode()
    assert "viewer@example.com" in text
    assert "leads to contribute/12/" in text
    assert link.token not in text
    assert "The last owner." in text


def test_closed_invitations_are_not_listed(in_team, owner, ann, client_for) -> None:
    made = [make_invite_link(team=in_team, role=Role.VIEWER, actor=owner, max_uses=1) for _ in range(3)]
    revoke_invitation(invitation=made[0].invitation, actor=owner)
    accept_invitation(token=made[1].token, user=ann)
    then = timezone.now() - timedelta(days=40)
    Invitation.objects.filter(pk=made[2].invitation.pk).update(created_at=then, expires_at=then + timedelta(days=1))
    assert "No open invitations" in client_for(owner).get(team_url("people", in_team)).content.decode()


def test_the_page_takes_as_many_queries_for_many_as_for_one(
    in_team, owner, client_for, django_assert_num_queries
) -> None:
    client = client_for(owner)
    make_invite_link(team=in_team, role=Role.VIEWER, actor=owner)
    with django_assert_num_queries(12):
        client.get(team_url("people", in_team))
    for number in range(3):
        actor = make_person(f"a{number}")
        set_role(team=in_team, user=actor, role=Role.ADMIN)
        make_invite_link(team=in_team, role=Role.VIEWER, actor=actor)
    with django_assert_num_queries(12):
        client.get(team_url("people", in_team))


def test_several_are_invited_by_mail_after_the_commit(
    in_team, owner, viewer, client_for, django_capture_on_commit_callbacks
) -> None:
    lines = "ann@example.com\n\n Bo@example.com, \nann@example.com\nviewer@example.com"
    client = client_for(owner)
    with django_capture_on_commit_callbacks() as waiting:
        answer = client.post(team_url("invite", in_team), {"emails": lines, "role": "member"})
    assert (answer.status_code, len(mail.outbox), len(waiting)) == (302, 0, 1)
    waiting[0]()
    assert [message.to for message in mail.outbox] == [["ann@example.com"], ["bo@example.com"]]
    text = client.get(team_url("people", in_team)).content.decode()
    assert "viewer@example.com is in this team already, as viewer." in text
    message = mail.outbox[0]
    assert message.subject == "Owner invites you to Footwear"
    assert message.reply_to == ["owner@example.com"]
    assert "Owner (owner@example.com) invites you to the team Footwear of Acme" in message.body
    token = re.search(r"/invite/([\w-]+)/", message.body).group(1)
    assert invitation_url(token) in message.body
    assert Invitation.objects.get(email="ann@example.com").token_hash == hash_of(token)


def test_a_line_break_in_a_name_does_not_break_the_mail(
    in_team, owner, client_for, django_capture_on_commit_callbacks
) -> None:
    User.objects.filter(pk=owner.pk).update(name="O\nBcc: all@example.com")
    with django_capture_on_commit_callbacks(execute=True):
        client_for(owner).post(team_url("invite", in_team), {"emails": "ann@example.com", "role": "member"})
    assert mail.outbox[0].subject == "O Bcc: all@example.com invites you to Footwear"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("server", "says"),
    [
        ("django.core.mail.backends.locmem.EmailBackend", "Invited: ann@example.com."),
        ("django.core.mail.backends.smtp.EmailBackend", "The mail to ann@example.com could not be sent."),
    ],
    ids=["sent", "not sent"],
)
def test_the_next_page_says_how_the_mail_went(server, says, team, owner, client_for, settings) -> None:
    settings.EMAIL_BACKEND, settings.EMAIL_HOST, settings.EMAIL_PORT = server, "127.0.0.1", 9
    data = {"emails": "ann@example.com", "role": "member"}
    assert says in client_for(owner).post(team_url("invite", team), data, follow=True).content.decode()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"emails": "ann@example.com\nbo\n@x\n"}, ["Line 2: “bo” is not an e-mail address.", "Line 3: “@x” is not"]),
        ({"emails": " \n"}, ["Write at least one address."]),
        ({"emails": "\n".join(f"p{n}@example.com" for n in range(51))}, ["These are 51 addresses; at most 50"]),
        ({"role": "boss"}, ["Select a valid choice."]),
    ],
)
def test_bad_lines_are_named_and_nothing_is_sent(
    data, says, in_team, owner, client_for, django_capture_on_commit_callbacks
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        answer = client_for(owner).post(
            team_url("invite", in_team), {"emails": "ann@example.com", "role": "member"} | data
        )
    assert answer.status_code == 422
    assert [text for text in says if text not in answer.content.decode()] == []
    assert (Invitation.objects.count(), mail.outbox) == (0, [])


def test_an_admin_cannot_invite_an_owner(in_team, admin, client_for) -> None:
    data = {"emails": "ann@example.com", "role": "owner"}
    assert client_for(admin).post(team_url("invite", in_team), data).status_code == 422
    assert Invitation.objects.count() == 0


def test_a_link_is_shown_once(in_team, owner, client_for) -> None:
    client = client_for(owner)
    answer = client.post(team_url("invite_link", in_team), {"role": "contributor", "max_uses": "5", "days": "7"})
    token = re.search(r'value="http[^"]*/invite/([\w-]+)/"', answer.content.decode()).group(1)
    found = Invitation.objects.get(token_hash=hash_of(token))
    assert (found.role, found.max_uses, found.expires_at - found.created_at) == ("contributor", 5, timedelta(days=7))
    assert "no-store" in answer["Cache-Control"]
    assert token not in client.get(team_url("people", in_team)).content.decode()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"max_uses": "0"}, "greater than or equal to 1"),
        ({"days": "9999"}, "Select a valid choice."),
        ({"role": "admin"}, "A link that makes owners or admins can be for one person only."),
    ],
)
def test_a_bad_link_is_not_made(data, says, in_team, owner, client_for) -> None:
    data = {"role": "contributor", "max_uses": "", "days": "7"} | data
    answer = client_for(owner).post(team_url("invite_link", in_team), data)
    assert answer.status_code == 422
    assert says in answer.content.decode()
    assert Invitation.objects.count() == 0


@pytest.mark.parametrize(
    ("job", "path"), [("12", "contribute/12/"), ("", "contribute/"), ("../x", "contribute/"), ("²", "contribute/")]
)
def test_a_member_makes_a_link_for_contributors_of_a_job(job, path, in_team, mate, client_for) -> None:
    data = {"job": job, "role": "owner"}
    answer = client_for(mate).post(team_url("contributor_link", in_team), data, headers={"HX-Request": "true"})
    assert "<html" not in answer.content.decode()
    assert 'data-copy="new-link"' in answer.content.decode()
    found = Invitation.objects.get()
    assert (found.role, found.path, found.created_by) == ("contributor", path, mate)


def test_without_script_the_link_for_contributors_is_a_page(in_team, mate, client_for) -> None:
    answer = client_for(mate).post(team_url("contributor_link", in_team), {"job": "12"})
    assert "<html" in answer.content.decode()


def test_an_invitation_is_taken_back(link, team, owner, ann, client_for) -> None:
    url = team_url("revoke", team, invitation_pk=link.invitation.pk)
    for _ in range(2):
        assert client_for(owner).post(url).status_code == 302
    refused("revoked", accept_invitation, token=link.token, user=ann)


def test_a_role_is_changed_and_logged(team, owner, viewer, client_for, all_scopes) -> None:
    answer = client_for(owner).post(team_url("role", team, membership_pk=place(viewer).pk), {"role": "member"})
    assert (answer.status_code, place(viewer).role) == (302, "member")
    line = Activity.objects.filter(verb="role set").first()
    assert (line.actor, line.data) == (owner, {"role": "member"})


def test_a_member_is_removed(team, owner, viewer, client_for) -> None:
    client_for(owner).post(team_url("remove", team, membership_pk=place(viewer).pk))
    assert memberships_of(viewer) == []


def test_a_bad_role_is_said_in_its_line(team, owner, viewer, client_for) -> None:
    answer = client_for(owner).post(team_url("role", team, membership_pk=place(viewer).pk), {"role": "boss"})
    assert answer.status_code == 422
    assert "Choose one of: Owner, Admin, Member, Viewer, Contributor." in answer.content.decode()


def test_the_last_owner_is_neither_lowered_nor_removed(team, owner, client_for) -> None:
    client, pk = client_for(owner), place(owner).pk
    for answer in (
        client.post(team_url("role", team, membership_pk=pk), {"role": "viewer"}),
        client.post(team_url("remove", team, membership_pk=pk)),
    ):
        assert answer.status_code == 409
        assert "This is the last owner of the team. Make somebody else owner first." in answer.content.decode()
    assert place(owner).role == "owner"


def test_an_admin_changes_no_owner_and_makes_none(team, owner, admin, viewer, client_for) -> None:
    client = client_for(admin)
    assert client.post(team_url("role", team, membership_pk=place(owner).pk), {"role": "admin"}).status_code == 409
    assert client.post(team_url("remove", team, membership_pk=place(owner).pk)).status_code == 409
    assert client.post(team_url("role", team, membership_pk=place(viewer).pk), {"role": "owner"}).status_code == 422
    refused("role", change_role, team=team, user=viewer, role=Role.OWNER, actor=admin)
    assert (place(owner).role, place(viewer).role) == ("owner", "viewer")


def test_who_leaves_or_steps_down_is_led_to_where_they_may_be(team, owner, admin, client_for) -> None:
    client = client_for(admin)
    stepped = client.post(team_url("role", team, membership_pk=place(admin).pk), {"role": "member"})
    assert stepped["Location"] == team_url("home", team)
    set_role(team=team, user=admin, role=Role.ADMIN)
    assert client.post(team_url("remove", team, membership_pk=place(admin).pk))["Location"] == "/"


@pytest.mark.parametrize(("who", "sees"), [("owner", True), ("mate", False), ("contributor", False)])
def test_the_menu_leads_to_people_for_who_may_manage(who, sees, team, client_for, request) -> None:
    client = client_for(request.getfixturevalue(who))
    text = client.get("/", follow=True).content.decode()
    assert (team_url("people", team) in text, team_url("activity", team) in text) == (sees, sees)
