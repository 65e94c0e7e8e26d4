"""Invitations: a role in a team, offered by e-mail or as a link. Pages and mail are elsewhere."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from datetime import timedelta

from allauth.account.models import EmailAddress
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.formats import date_format
from django_scopes import scopes_disabled

from labeling_platform.lib.errors import Refused
from labeling_platform.lib.sealing import hash_of

from .models import INVITATION_PATH, Acceptance, Invitation, Membership, Team, User
from .permissions import MANAGE, Role, may, may_give, stands_at
from .services import record
from .tenancy import team_scope

MAIL_DAYS, LINK_DAYS, MOST_DAYS = 7, 30, 365
MAILS_A_DAY = 500


@dataclass(frozen=True)
class Issued:
    """A new invitation with its token. The token exists only here: it is mailed, or shown once."""

    invitation: Invitation
    token: str = field(repr=False)


@dataclass(frozen=True)
class Accepted:
    """The person's place in the team; `changed` is False when the invitation gave nothing new."""

    membership: Membership
    invitation: Invitation
    changed: bool

    @property
    def leads_on(self) -> bool:
        """Whether the person may work where the invitation leads: a role that was kept can lack rights of the offer."""
        return Role.allows[self.invitation.role] <= Role.allows[self.membership.role]


@transaction.atomic
def invite_by_email(
    *, team: Team, email: str, role: Role, actor: User, path: str = "", days: int = MAIL_DAYS
) -> Issued:
    """Make an invitation for one address; one that is still open for it is taken back, so the newest mail counts.

    Refuses (codes): not an address (`email`), somebody in the team (`member`), a role the actor may not give
    (`role`), a path that is not one (`path`), too many in a day (`too_many`).
    """
    address = email.strip().lower()
    try:
        validate_email(address)
    except ValidationError as error:
        raise Refused(f"“{address}” is not an e-mail address.", code="email") from error
    found = Membership.objects.filter(team=team, user__email=address).first()
    if found is not None:
        raise Refused(f"{address} is in this team already, as {found.get_role_display().lower()}.", code="member")
    since = timezone.now() - timedelta(days=1)
    if Invitation.objects.filter(team=team, created_at__gt=since).exclude(email="").count() >= MAILS_A_DAY:
        raise Refused(
            f"This team has sent {MAILS_A_DAY} invitations by e-mail in a day, the most possible. Make a link instead.",
            code="too_many",
        )
    for older in Invitation.objects.filter(team=team, email=address, revoked_at=None, uses=0):
        path = path or older.path
        revoke_invitation(invitation=older, actor=actor)
    return _issue(team=team, role=role, actor=actor, path=path, email=address, max_uses=1, days=days)


@transaction.atomic
def make_invite_link(
    *, team: Team, role: Role, actor: User, path: str = "", max_uses: int | None = None, days: int = LINK_DAYS
) -> Issued:
    """Make a link that `max_uses` people (None: any number) may use.

    `path` is where they arrive inside the team, like `contribute/12/`. Refuses (codes): a role the actor may not
    give (`role`), a path that is not one (`path`), a link that would let several people manage the team (`max_uses`).
    """
    if may(role, MANAGE) and max_uses != 1:
        raise Refused("A link that makes owners or admins can be for one person only.", code="max_uses")
    return _issue(team=team, role=role, actor=actor, path=path, email="", max_uses=max_uses, days=days)


def _issue(*, team: Team, role: Role, actor: User, path: str, email: str, max_uses: int | None, days: int) -> Issued:
    given = Membership.objects.filter(team=team, user=actor).values_list("role", flat=True).first()
    if given is None or not may_give(given, role):
        raise Refused(f"Your role in this team does not let you invite people as {role.label.lower()}.", code="role")
    if len(path) > 200 or not re.fullmatch(INVITATION_PATH, path) or "\n" in path:
        raise Refused("An invitation can only lead to a page of its own team.", code="path")
    token = secrets.token_urlsafe(32)
    now = timezone.now()
    invitation = Invitation.objects.create(
        team=team,
        role=role,
        email=email,
        path=path,
        token_hash=hash_of(token),
        created_by=actor,
        created_at=now,
        expires_at=now + timedelta(days=min(max(days, 1), MOST_DAYS)),
        max_uses=max_uses,
    )
    record(team=team, actor=actor, verb="invitation made", obj=invitation, role=str(role), path=path)
    return Issued(invitation, token)


@transaction.atomic
def revoke_invitation(*, invitation: Invitation, actor: User) -> bool:
    """Take an invitation back; who came by it stays. Twice changes nothing: the answer is then False."""
    moved = Invitation.objects.filter(pk=invitation.pk, revoked_at=None).update(revoked_at=timezone.now())
    if moved:
        record(team=invitation.team, actor=actor, verb="invitation taken back", obj=invitation)
    return bool(moved)


def find_invitation(token: str, *, lock: bool = False) -> Invitation | None:
    """The invitation of a token, of whatever team and in whatever state; None when there is none."""
    with scopes_disabled():
        found = Invitation.objects.select_related("team__organization", "created_by")
        if lock:
            found = found.select_for_update(of=("self",))
        return found.filter(token_hash=hash_of(token)).first()


def is_meant_for(*, invitation: Invitation, user: User) -> bool:
    """Whether the invitation is a link, or mailed to this person's address."""
    return not invitation.email or invitation.email == user.email.lower()


def refusal(*, invitation: Invitation, user: User | None = None) -> Refused | None:
    """Why this person, or with None anybody, cannot accept the invitation now; None when it can be accepted."""
    with team_scope(invitation.team):
        inviter = Membership.objects.filter(team=invitation.team, user=invitation.created_by).first()
    if invitation.revoked_at is not None:
        return Refused("This invitation was taken back. Ask for a new one.", code="revoked")
    if invitation.expires_at <= timezone.now():
        until = date_format(invitation.expires_at, "j F Y")
        return Refused(f"This invitation was valid until {until}. Ask for a new one.", code="expired")
    if invitation.max_uses is not None and invitation.uses >= invitation.max_uses:
        return Refused("This invitation has been used already. Ask for a new one.", code="used_up")
    if inviter is None or not may_give(inviter.role, invitation.role):
        role = invitation.get_role_display().lower()
        return Refused(
            f"Who made this invitation can no longer invite people as {role}. Ask somebody else in the team.",
            code="inviter",
        )
    if user is not None and not is_meant_for(invitation=invitation, user=user):
        return Refused(
            f"This invitation is for {invitation.email}, and you are signed in as {user.email}. "
            "Sign out and sign in with the invited address, or ask for an invitation to your address.",
            code="wrong_email",
        )
    return None


@transaction.atomic
def accept_invitation(*, token: str, user: User) -> Accepted:
    """Give the person the role that the invitation offers. A role that is as high or higher stays as it is.

    Accepting again changes nothing and counts once. Refuses (codes): `unknown`, `revoked`, `expired`, `used_up`,
    `inviter`, `wrong_email`, and `removed` for a person who came by this invitation and was taken out of the team.
    """
    invitation = find_invitation(token, lock=True)
    if invitation is None:
        raise Refused("This invitation is not known. Ask for a new one.", code="unknown")
    with team_scope(invitation.team):
        membership = Membership.objects.select_for_update().filter(team=invitation.team, user=user).first()
        came_by_it = Acceptance.objects.filter(invitation=invitation, user=user).exists()
        has_it = membership is not None and stands_at(membership.role, invitation.role)
        if membership and is_meant_for(invitation=invitation, user=user) and (came_by_it or has_it):
            return Accepted(membership, invitation, changed=False)
        if came_by_it:
            raise Refused("You have left this team since you used this invitation. Ask for a new one.", code="removed")
        if reason := refusal(invitation=invitation, user=user):
            raise reason
        return _join(invitation, user)


def _join(invitation: Invitation, user: User) -> Accepted:
    team, role = invitation.team, Role(invitation.role)
    membership, is_new = Membership.objects.get_or_create(team=team, user=user, defaults={"role": role})
    if not is_new:
        membership = Membership.objects.select_for_update().get(pk=membership.pk)
        if not stands_at(membership.role, role):  # another invitation may have been accepted at this moment
            membership.role = role
            membership.save(update_fields=["role"])
    Acceptance.objects.create(team=team, invitation=invitation, user=user)
    invitation.uses += 1
    invitation.save(update_fields=["uses"])
    record(team=team, actor=user, verb="invitation accepted", obj=invitation, role=membership.role)
    return Accepted(membership, invitation, changed=True)


@transaction.atomic
def join_with_new_account(*, token: str, name: str, email: str, password: str) -> Accepted:
    """Make an account for who holds the invitation, open sign-up or not, and accept with it.

    The address is the invitation's own when it has one: its token came by mail, so the address counts as verified.
    Refuses as accept_invitation does, and when there is an account with the address (`account_exists`).
    """
    invitation = find_invitation(token)
    address = (invitation.email if invitation else "") or email.strip().lower()
    try:
        with transaction.atomic():
            user = User.objects.create_user(address, password, name=name)
    except IntegrityError as error:
        raise Refused(
            "There is an account with this address already. Sign in with it.", code="account_exists"
        ) from error
    accepted = accept_invitation(token=token, user=user)
    EmailAddress.objects.create(user=user, email=address, primary=True, verified=bool(accepted.invitation.email))
    return accepted
