"""The door to a team's data: every page under /t/<slug>/ and every task goes through here."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.functional import SimpleLazyObject
from django.utils.html import format_html
from django_scopes import scope

from labeling_platform.lib.wall import acting

from .features import CONTACT, enabled_features
from .memberships import membership_in
from .models import Membership, Team, User
from .second_factor import has_second_factor


class TeamRequest(HttpRequest):
    """What a view under /t/<slug>/ gets: a request of a signed-in member, inside the team's scope."""

    user: User
    team: Team
    membership: Membership
    features: set[str]
    htmx: Any


def team_scope(team: Team) -> AbstractContextManager[None]:
    """Open the team's scope: inside it, tenant tables show this team's rows and no others."""
    return scope(team=team)  # type: ignore[no-any-return]


def team_view(
    *, may: str, feature: str = ""
) -> Callable[[Callable[..., HttpResponseBase]], Callable[..., HttpResponseBase]]:
    """Make a function a page of a team.

    Anonymous visitors go to the sign-in page; people outside the team get 404, as for a team that does not
    exist; a role that may not do `may` gets 403, and so does a team without `feature`, and a member without a second
    factor where the team demands one. The view is called
    as view(request, **rest of the URL's arguments) inside the team's scope, with request.team,
    request.membership and request.features set.
    """

    def decorate(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def guarded(request: Any, team_slug: str, **kwargs: Any) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path())
            membership = membership_in(request.user, team_slug)
            if membership is None:
                raise Http404
            request.membership, request.team = membership, membership.team
            team = membership.team
            request.features = SimpleLazyObject(lambda: enabled_features(team))
            if team.needs_second_factor and not has_second_factor(request.user):
                return render(request, "403.html", {"exception": _factor_reason()}, status=403)
            if not membership.may(may):
                return render(request, "403.html", {"exception": _role_reason(membership)}, status=403)
            if feature and feature not in request.features:
                return render(request, "403.html", {"exception": CONTACT}, status=403)
            with team_scope(membership.team), acting(request.user.pk):
                return view(request, **kwargs)

        guarded.team_access = (may, feature)  # type: ignore[attr-defined]
        return guarded

    return decorate


def _factor_reason() -> str:
    words = (
        'This team needs a second factor. <a href="{}">Set up an authenticator app or a passkey</a>, then come back.'
    )
    return format_html(words, reverse("mfa_index"))


def _role_reason(membership: Membership) -> str:
    role = membership.get_role_display().lower()
    return f"Your role in this team ({role}) does not allow this. An owner or admin of the team can change it."
