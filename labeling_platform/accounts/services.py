"""What can be done with teams, people and switches. Each service writes the activity log."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Model
from django.utils import timezone
from django.utils.text import slugify
from django_scopes import scope, scopes_disabled

from labeling_platform.lib.addresses import shortened
from labeling_platform.lib.logs import current_request, request_id

from .models import Activity, Feature, Membership, Organization, Team, TeamFeature, User
from .permissions import Role


def record(
    *, team: Team | None, actor: User | None, verb: str, obj: Model | None = None, about: str = "", **data: Any
) -> Activity:
    """Write one line of the activity log, with the shortened address and the id of the request it was asked by.

    Without a team it is one about a person, or about all teams.

    `about` says what it happened to where there is no object, as the name of a file.
    """
    request = current_request()
    with scope(team=team) if team is not None else scopes_disabled():
        return Activity.objects.create(  # type: ignore[no-any-return]
            team=team,
            actor=actor,
            actor_name=str(actor)[:254] if actor is not None else "",
            verb=verb,
            object_type=(obj._meta.model_name or "") if obj is not None else "",
            object_id=obj.pk if obj is not None else None,
            object_name=str(obj)[:255] if obj is not None else about[:255],
            data=data,
            ip=shortened(request.META.get("REMOTE_ADDR", "")) if request is not None else "",
            request_id=request_id()[:64],
        )


@transaction.atomic
def create_team(*, organization: str, name: str, actor: User | None = None, slug: str = "") -> Team:
    """Make a team, and its organization when there is none of that name. The slug is made unique."""
    org, _ = Organization.objects.get_or_create(name=organization)
    base = (slug or slugify(name) or "team")[:50]
    candidate, number = base, 2
    while Team.objects.filter(slug=candidate).exists():
        candidate, number = f"{base}-{number}", number + 1
    team = Team.objects.create(organization=org, name=name, slug=candidate)
    record(team=team, actor=actor, verb="team created", obj=team)
    return team


@transaction.atomic
def set_role(*, team: Team, user: User, role: Role, actor: User | None = None) -> Membership:
    """Give a person a role in a team, adding them when they are not in it yet."""
    with scope(team=team):
        membership, _ = Membership.objects.update_or_create(team=team, user=user, defaults={"role": role})
    record(team=team, actor=actor, verb="role set", obj=user, role=str(role))
    return membership


@transaction.atomic
def remove_member(*, team: Team, user: User, actor: User | None = None) -> None:
    """Take a person out of a team; what they did stays."""
    with scope(team=team):
        removed, _ = Membership.objects.filter(team=team, user=user).delete()
    if removed:
        record(team=team, actor=actor, verb="member removed", obj=user)


@transaction.atomic
def switch_feature(
    *,
    team: Team,
    feature: Feature,
    on: bool,
    actor: User | None,
    reason: str = "",
    until: datetime | None = None,
) -> None:
    """Switch a feature on (until a date, when given) or off for a team. Switching twice changes nothing more."""
    by = {"enabled_by": actor, "enabled_at": timezone.now(), "until": until, "reason": reason}
    with scope(team=team):
        if on:
            TeamFeature.objects.update_or_create(team=team, name=feature, defaults=by)
        else:
            TeamFeature.objects.filter(team=team, name=feature).delete()
    record(
        team=team, actor=actor, verb=f"feature switched {'on' if on else 'off'}", feature=str(feature), reason=reason
    )
