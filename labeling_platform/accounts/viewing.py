"""Looking at a team's pages as its people see them: for staff, read-only, for half an hour, written down.

What begins it is the console; `team_view` asks here on each page. Nothing can be changed meanwhile: other methods than
GET are refused, and the database refuses to write for a page that is looked at. Downloads, labeling pages (which hand
out rows) and pages with tokens or invitations are refused, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import InternalError, connection, transaction
from django.http.response import HttpResponseBase
from django_scopes import scopes_disabled
from psycopg2.errors import ReadOnlySqlTransaction

from labeling_platform.lib.errors import Refused

from .models import Membership, Team, User
from .permissions import LABEL, Role
from .services import record

KEY, SECONDS = "view_as", 30 * 60
ROLES = (Role.VIEWER, Role.MEMBER)
QUIET = {"teams:picture"}
"""Pages that are not written down one by one: the pictures in others."""
SECRETS = ("token", "invite", "people", "link")
READ_ONLY = "You are looking at this team's pages; nothing can be changed. Stop viewing to work as yourself."
NO_DOWNLOAD = "Files of a team cannot be downloaded while you look at its pages. Ask the team for the file."
NO_LABELING = "Labeling pages hand out rows to people. They cannot be looked at this way."
NO_SECRETS = "Pages with invitations and tokens are not shown to people who only look."
OVER = "Half an hour is over, so looking at this team's pages ended. Begin again in the console when you need to."


class Over(Exception):
    """The half hour is over."""


@dataclass(frozen=True)
class Viewing:
    """That a member of staff looks at a team's pages in a role, until a time (seconds since 1970)."""

    team_id: int
    team_name: str
    role: str
    until: float

    @property
    def role_name(self) -> str:
        return str(Role(self.role).label).lower()

    @property
    def minutes_left(self) -> int:
        return max(1, round((self.until - time.time()) / 60))


def begin(request: Any, *, team: Team, role: str, reason: str) -> None:
    """Let the member of staff look at the team's pages. Refuses (codes) without staff rights, role or reason."""
    if not request.user.is_staff:
        raise Refused("Only staff can look at a team's pages.", code="staff")
    if role not in ROLES:
        raise Refused("Choose viewer or member: in other roles there is more to see than is needed.", code="role")
    if not reason.strip():
        raise Refused("Say why you look at the team's pages; the team can read it.", code="reason")
    end(request, why="another view began")
    request.session[KEY] = {
        "team": team.pk, "slug": team.slug, "name": team.name, "role": role, "until": time.time() + SECONDS, "pages": 0
    }  # fmt: skip
    with scopes_disabled():
        record(team=team, actor=request.user, verb="viewing as support began", obj=team, role=role, reason=reason[:250])


def end(request: Any, *, why: str) -> bool:
    """End it, and write down how many pages were looked at. False when nothing was begun."""
    found = request.session.pop(KEY, None)
    if found is None:
        return False
    with scopes_disabled():
        team = Team.objects.filter(pk=found["team"]).first()
        record(team=team, actor=request.user, verb="viewing as support ended", obj=team, pages=found["pages"], why=why)
    return True


def viewing(request: Any) -> Viewing | None:
    """What this member of staff looks at now, for the banner; None for everybody else."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated or not user.is_staff:
        return None
    found = request.session.get(KEY)
    if not found or found["until"] < time.time():
        return None
    return Viewing(found["team"], found["name"], found["role"], found["until"])


def place_of_viewer(request: Any, slug: str) -> Membership | None:
    """The place in the team that the member of staff looks from, kept nowhere. Raises Over after half an hour."""
    user: User = request.user
    found = request.session.get(KEY) if user.is_staff and user.is_active else None
    if not found or found["slug"] != slug:
        return None
    if found["until"] < time.time():
        end(request, why="half an hour was over")
        raise Over
    team = Team.objects.filter(pk=found["team"], slug=slug).first()
    return Membership(team=team, user=user, role=found["role"]) if team else None


def refusal(request: Any, may: str) -> str:
    """Why somebody who only looks does not get this page; empty when they do."""
    match = request.resolver_match
    name = match.view_name if match else ""
    if request.method not in {"GET", "HEAD"}:
        return READ_ONLY
    if may == LABEL:
        return NO_LABELING
    return NO_SECRETS if any(word in name for word in SECRETS) else ""


def look(request: Any, page: Callable[[], HttpResponseBase]) -> HttpResponseBase | str:
    """The page, or why there is none. It is written down and counted; the database refuses whatever it would write."""
    match = request.resolver_match
    if match is None or match.view_name not in QUIET:
        request.session[KEY] = {**request.session[KEY], "pages": request.session[KEY]["pages"] + 1}
        name = match.view_name if match else ""
        record(team=request.team, actor=request.user, verb="page viewed by support", about=request.path, page=name)
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL transaction_read_only = on")
            response = page()
            # Nothing was written; rolling back ends the read-only mode together with the savepoint.
            transaction.set_rollback(True)
    except InternalError as error:
        if isinstance(error.__cause__, ReadOnlySqlTransaction):
            return READ_ONLY
        raise
    if response.headers.get("Content-Disposition", "").startswith("attachment"):
        # Not response.close(): that tells Django that the whole request is over.
        if (file := getattr(response, "file_to_stream", None)) is not None:
            file.close()
        return NO_DOWNLOAD
    return response
