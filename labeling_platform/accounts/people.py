"""What people of a team may do with the roles of others. The console, which may do everything, uses services.py."""

from __future__ import annotations

from django.db import transaction

from labeling_platform.lib.errors import Refused

from . import services
from .models import Membership, Team, User
from .permissions import MANAGE, Role, may, stands_at
from .second_factor import has_second_factor
from .tenancy import team_scope


@transaction.atomic
def change_role(*, team: Team, user: User, role: Role, actor: User) -> Membership:
    """Give a member of the team another role.

    Refuses (codes): the person is not in the team (`gone`), a role above the actor's own is given or taken
    (`role`), the team would be without an owner (`last_owner`).
    """
    with team_scope(team):
        membership = _changeable(team, user, actor)
        if not stands_at(_role_of(team, actor), role):
            raise Refused(f"You cannot make somebody {role.label.lower()}: that is above your own role.", code="role")
        if membership.role == role:
            return membership
        if role != Role.OWNER:
            _keep_an_owner(team, membership)
    return services.set_role(team=team, user=user, role=role, actor=actor)


@transaction.atomic
def remove_person(*, team: Team, user: User, actor: User) -> None:
    """Take a member out of the team; what they did stays. Invitations they made end with it.

    Refuses as change_role does.
    """
    with team_scope(team):
        _keep_an_owner(team, _changeable(team, user, actor))
    services.remove_member(team=team, user=user, actor=actor)


@transaction.atomic
def demand_second_factor(*, team: Team, on: bool, actor: User) -> None:
    """Let members in only with a second factor, or no longer. Twice changes nothing.

    Refuses (codes): the actor may not manage the team (`role`), or has no second factor and would shut themselves out
    (`own_factor`).
    """
    if not may(_role_of(team, actor), MANAGE):
        raise Refused("Only owners and admins can change this.", code="role")
    if on and not has_second_factor(actor):
        raise Refused(
            "Set up your own second factor first, or you could not come back into the team.", code="own_factor"
        )
    if Team.objects.filter(pk=team.pk, needs_second_factor=not on).update(needs_second_factor=on):
        verb = "second factor demanded" if on else "second factor no longer demanded"
        services.record(team=team, actor=actor, verb=verb, obj=team)


def _changeable(team: Team, user: User, actor: User) -> Membership:
    """The membership, when the actor may change it. One change at a time, or two last owners could leave at once."""
    Team.objects.select_for_update(no_key=True).get(pk=team.pk)
    membership = Membership.objects.filter(team=team, user=user).first()
    if membership is None:
        raise Refused("This person is no longer in the team.", code="gone")
    own = _role_of(team, actor)
    if not may(own, MANAGE) or not stands_at(own, membership.role):
        raise Refused(f"Only an owner can change the role of an {membership.role}.", code="role")
    return membership


def _role_of(team: Team, actor: User) -> str:
    found = Membership.objects.filter(team=team, user=actor).first()
    if found is None:
        raise Refused("You are no longer in this team.", code="role")
    return str(found.role)


def _keep_an_owner(team: Team, membership: Membership) -> None:
    others = Membership.objects.filter(team=team, role=Role.OWNER).exclude(pk=membership.pk)
    if membership.role == Role.OWNER and not others.exists():
        raise Refused("This is the last owner of the team. Make somebody else owner first.", code="last_owner")
