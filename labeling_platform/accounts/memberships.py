"""Which teams a person is in: the one question that is asked before the team is known.

It looks across teams, so it is asked here only, and always by the person.
"""

from __future__ import annotations

from django_scopes import scopes_disabled

from .models import Membership, Team, User


def memberships_of(user: User) -> list[Membership]:
    """The person's places in all teams, with their teams, by the team's name. One query."""
    with scopes_disabled():
        return list(Membership.objects.select_related("team").filter(user=user).order_by("team__name", "pk"))


def membership_in(user: User, slug: str) -> Membership | None:
    """The person's place in the team with this slug; None outside of it and where there is no such team. One query."""
    with scopes_disabled():
        return Membership.objects.select_related("team").filter(team__slug=slug, user=user).first()


def teams_of(user: User) -> list[Team]:
    """The person's teams, by name. One query."""
    return [membership.team for membership in memberships_of(user)]
