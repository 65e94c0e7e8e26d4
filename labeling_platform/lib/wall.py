"""The second wall between teams: every data statement tells PostgreSQL for which team it is.

Row-level security (migrations named `*_wall`) shows and accepts only the rows of the team in the setting `app.team`.
The setting comes from the scope that is open (django-scopes, the first wall): inside a team's scope it is that team;
where scopes are disabled, the statement runs as the role OPERATOR, whose policy sees all teams; outside both it is
empty, and tables of teams show nothing and take nothing. It is sent in the same message as the statement and holds for
the transaction only (`set_config(..., true)`), so a connection that is used again never carries it along
(reference/reliability.md C5).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django_scopes import get_scope
from psycopg2.extensions import TRANSACTION_STATUS_IDLE

from .logs import request_id

OPERATOR = "labeling_operator"
"""The role that looks across teams: the application may become it, and is not it by itself."""
_DATA = re.compile(
    r"\s*(?:--[^\n]*\n\s*)*\(?\s*(?:SELECT|INSERT|UPDATE|DELETE|WITH|MERGE|EXPLAIN|VALUES|TABLE|CREATE\s+TEMP\w*)\b",
    re.IGNORECASE,
)
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9-]")
_actor: ContextVar[int | None] = ContextVar("actor", default=None)


@dataclass(frozen=True)
class _Sent:
    """What the database was told."""

    team: int | None
    everybody: bool
    actor: int | None
    request: str


@contextmanager
def acting(user_id: int | None) -> Iterator[None]:
    """Say who acts: triggers that write the activity log read it as the setting `app.actor`.

    The id of the request goes along as `app.request_id`.
    """
    token = _actor.set(user_id)
    try:
        yield
    finally:
        _actor.reset(token)


def _wanted() -> _Sent:
    scope = get_scope()
    everybody = not scope.get("_enabled", True)
    team = None if everybody else scope.get("team")
    return _Sent(
        team=team.pk if team is not None else None,
        everybody=everybody,
        actor=_actor.get(),
        request=_NOT_PLAIN.sub("", request_id())[:64],
    )


class Wall:
    """Sits on one database connection and puts the team in front of what is asked (`execute_wrappers`)."""

    def __init__(self) -> None:
        self.sent: _Sent | None = None

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        cursor = context["cursor"].cursor
        fresh = context["connection"].connection.info.transaction_status == TRANSACTION_STATUS_IDLE
        if not _DATA.match(sql):
            # What is no data may begin a transaction or go back to a savepoint: what was told before is uncertain.
            self.sent = None
            return execute(sql, params, many, context)
        wanted = _wanted()
        if not fresh and wanted == self.sent:
            return execute(sql, params, many, context)
        words = self._words(wanted, fresh=fresh)
        if getattr(cursor, "name", None):
            self._tell_first(context["connection"], words, fresh=fresh)
        else:
            sql = f"{words}; {sql}"
        self.sent = None
        try:
            return execute(sql, params, many, context)
        finally:
            self.sent = wanted

    def _words(self, wanted: _Sent, *, fresh: bool) -> str:
        """The settings as SQL; all values are numbers of ours, constants, or letters and digits."""
        words = (
            f"SELECT set_config('app.team', '{'' if wanted.team is None else int(wanted.team)}', true),"
            f" set_config('app.actor', '{'' if wanted.actor is None else int(wanted.actor)}', true),"
            f" set_config('app.request_id', '{wanted.request}', true)"
        )
        if wanted.everybody:
            return f"{words}, set_config('role', '{OPERATOR}', true)"
        return words if fresh else f"{words}, set_config('role', 'none', true)"

    @staticmethod
    def _tell_first(connection: BaseDatabaseWrapper, words: str, *, fresh: bool) -> None:
        """A cursor on the server is declared by one statement, so the setting goes ahead of it, in its transaction."""
        if fresh and connection.get_autocommit():
            raise RuntimeError("iterator() needs a transaction: without one, rows of no team would be read.")
        with connection.connection.cursor() as plain:
            plain.execute(words)


def copy(cursor: Any, statement: str, file: Any, **options: Any) -> None:
    """COPY with the team told ahead of it: `copy_expert` does not go through `execute`. Needs a transaction."""
    cursor.execute("SELECT 1")
    cursor.copy_expert(statement, file, **options)


def _build(connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    """A new connection knows of no team; its wall forgets what the one before was told."""
    if connection.vendor != "postgresql":
        return
    for wrapper in connection.execute_wrappers:
        if isinstance(wrapper, Wall):
            wrapper.sent = None
            return
    connection.execute_wrappers.append(Wall())


connection_created.connect(_build, dispatch_uid="labeling_platform.wall")
