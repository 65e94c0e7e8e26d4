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

from . import viewing
from .features import CONTACT, enabled_features
from .memberships import membership_in
from .models import Membership, Team, User
from .second_factor import has_second_factor
from .services import record


class TeamRequest(HttpRequest):
    """What a view under /t/<slug>/ gets: a request of a signed-in member, inside the team's scope."""

    user: User
    team: Team
    membership: Membership
    features: set[str]
    looks_only: bool
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
    factor where the team demands one. The view is called as view(request, **rest of the URL's arguments) inside the
    team's scope, with request.team, request.membership and request.features set. Files that it answers with are noted
    in the activity log.

    A member of staff who looks at the team (viewing.py) gets what the role that they look from may see, read-only.
    """

    def decorate(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def guarded(request: Any, team_slug: str, **kwargs: Any) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path())
            try:
                looking = viewing.place_of_viewer(request, team_slug)
            except viewing.Over:
                return _refuse(request, viewing.OVER)
            membership = looking or membership_in(request.user, team_slug)
            if membership is None or membership.team.closed_at is not None:
                raise Http404
            request.membership, request.team, request.looks_only = membership, membership.team, looking is not None
            team = membership.team
            request.features = SimpleLazyObject(lambda: enabled_features(team))
            if looking is not None and (why := viewing.refusal(request, may)):
                return _refuse(request, why)
            if team.needs_second_factor and not has_second_factor(request.user):
                return _refuse(request, _factor_reason())
            if not membership.may(may):
                return _refuse(request, _role_reason(membership))
            if feature and feature not in request.features:
                return _refuse(request, CONTACT)
            with team_scope(membership.team), acting(request.user.pk):
                if looking is not None:
                    return _look(request, lambda: view(request, **kwargs))
                response = view(request, **kwargs)
                _note_download(request, response)
                return response

        guarded.team_access = (may, feature)  # type: ignore[attr-defined]
        return guarded

    return decorate


def _refuse(request: Any, why: str) -> HttpResponseBase:
    return render(request, "403.html", {"exception": why}, status=403)


def _look(request: Any, page: Callable[[], HttpResponseBase]) -> HttpResponseBase:
    """The page for a member of staff who looks at the team, or why they do not get it."""
    answer = viewing.look(request, page)
    return _refuse(request, answer) if isinstance(answer, str) else answer


def _note_download(request: Any, response: HttpResponseBase) -> None:
    """Every file that leaves a team is in its log, whichever page gave it."""
    disposition = response.headers.get("Content-Disposition", "")
    if request.method != "GET" or not disposition.startswith("attachment"):
        return
    name = getattr(response, "filename", "") or disposition.partition("filename=")[2].strip('"')
    page = request.resolver_match.view_name if request.resolver_match else ""
    verb = "report downloaded" if page == "reports:download" else "file downloaded"
    record(team=request.team, actor=request.user, verb=verb, about=name, page=page, path=request.path)


def _factor_reason() -> str:
    words = (
        'This team needs a second factor. <a href="{}">Set up an authenticator app or a passkey</a>, then come back.'
    )
    return format_html(words, reverse("mfa_index"))


def _role_reason(membership: Membership) -> str:
    role = membership.get_role_display().lower()
    return f"Your role in this team ({role}) does not allow this. An owner or admin of the team can change it."
