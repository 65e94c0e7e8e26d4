"""API tokens: made, shown once, found by their hash, revoked. What they open is in api_access.py."""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django_scopes import scopes_disabled

from labeling_platform.lib.errors import Refused
from labeling_platform.lib.sealing import hash_of

from .models import ApiToken, Membership, Team, User
from .permissions import MANAGE
from .scopes import Scope, scopes_to_give
from .services import record

PREFIX = "mll_live_"
SHOWN, SECRET = 6, 43
"""Characters after the prefix that people may see, and those that nobody may: 43 of 62 kinds are 256 bits."""
LETTERS = string.ascii_letters + string.digits
PATTERN = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{SHOWN + SECRET}}}")
DAYS, MOST_DAYS = 90, 365
NAME_LENGTH = 100
MOST_TOKENS = 100
"""Tokens that work at the same time in one team."""
USED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True)
class IssuedToken:
    """A new token. Its text exists only here, and is shown once."""

    token: ApiToken
    text: str = field(repr=False)


@transaction.atomic
def make_token(*, team: Team, actor: User, name: str, scopes: Collection[str], days: int = DAYS) -> IssuedToken:
    """Make a token that works for `days` days.

    Refuses (codes): no name or too long a one (`name`), no scope, or one that the actor's role does not allow
    (`scopes`), days outside 1 to MOST_DAYS (`days`), too many tokens in the team (`too_many`).
    """
    name = " ".join(name.split())
    if not name or len(name) > NAME_LENGTH:
        raise Refused(f"Give the token a name of at most {NAME_LENGTH} characters.", code="name")
    if not 1 <= days <= MOST_DAYS:
        raise Refused(f"A token works for 1 to {MOST_DAYS} days.", code="days")
    # One at a time, or two could both be the last one that there is room for.
    Team.objects.select_for_update(no_key=True).get(pk=team.pk)
    role = Membership.objects.filter(team=team, user=actor).values_list("role", flat=True).first()
    allowed = scopes_to_give(role) if role else []
    if not scopes or not set(scopes) <= {scope.value for scope in allowed}:
        raise Refused("Choose what the token may do, within what your own role allows.", code="scopes")
    now = timezone.now()
    if ApiToken.objects.filter(team=team, revoked_at=None, expires_at__gt=now).count() >= MOST_TOKENS:
        raise Refused(f"The team has {MOST_TOKENS} tokens that work. Revoke one that is not needed.", code="too_many")
    text = PREFIX + "".join(secrets.choice(LETTERS) for _ in range(SHOWN + SECRET))
    token = ApiToken.objects.create(
        team=team,
        name=name,
        prefix=text[: len(PREFIX) + SHOWN],
        token_hash=hash_of(text),
        scopes=[scope.value for scope in Scope if scope.value in scopes],
        created_by=actor,
        created_at=now,
        expires_at=now + timedelta(days=days),
    )
    record(team=team, actor=actor, verb="API token made", obj=token, scopes=token.scopes, days=days)
    return IssuedToken(token, text)


@transaction.atomic
def revoke_token(*, token: ApiToken, actor: User) -> bool:
    """End a token now. Twice changes nothing: the answer is then False.

    Refuses when it is somebody else's and the actor does not manage the team (`role`).
    """
    membership = Membership.objects.filter(team=token.team_id, user=actor).first()
    if membership is None or not (token.created_by_id == actor.pk or membership.may(MANAGE)):
        raise Refused("Only who made a token, an owner or an admin can revoke it.", code="role")
    moved = ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now())
    if moved:
        record(team=token.team, actor=actor, verb="API token revoked", obj=token)
    return bool(moved)


def find_token(text: str) -> ApiToken | None:
    """The token of whatever team and in whatever state; None when there is none. The team is not known before."""
    if not PATTERN.fullmatch(text):
        return None
    with scopes_disabled():
        return ApiToken.objects.select_related("team", "created_by").filter(token_hash=hash_of(text)).first()


def find_token_by_id(pk: int) -> ApiToken | None:
    """As find_token, for one that somebody has shown before and that we have signed since."""
    with scopes_disabled():
        return ApiToken.objects.select_related("team", "created_by").filter(pk=pk).first()


def note_use(*, token: ApiToken) -> None:
    """Write when the token was last used, once a minute at most. Does not wait for others who write the same."""
    now = timezone.now()
    if token.last_used_at is not None and token.last_used_at > now - USED_EVERY:
        return
    old = Q(last_used_at=None) | Q(last_used_at__lte=now - USED_EVERY)
    with transaction.atomic():
        free = ApiToken.objects.select_for_update(skip_locked=True, of=("self",)).filter(old, pk=token.pk)
        if free.exists():
            ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
