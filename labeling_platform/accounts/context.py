"""What every page needs to draw its navigation."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from .memberships import teams_of
from .viewing import viewing


def navigation(request: HttpRequest) -> dict[str, Any]:
    """Context processor: the person's teams, the features that are on, the part of the site we are in,
    and whether a member of staff only looks."""
    user = getattr(request, "user", None)
    match = request.resolver_match
    namespace = match.namespace if match else ""
    return {
        "nav_teams": teams_of(user) if user and user.is_authenticated else [],
        "features": getattr(request, "features", set()),
        "nav_active": namespace,
        "viewing": viewing(request),
    }
