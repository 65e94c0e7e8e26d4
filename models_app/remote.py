"""Backends on services elsewhere: opened from a connection, with its turns and its ledger; what their errors mean.

What is opened here talks only to hosts that are allowed now (hosts.py), however long ago the connection was saved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connection as database
from django.db.models.functions import Now
from django.utils import timezone
from django_scopes import get_scope, scopes_disabled

from labeling_platform.accounts.models import Team
from labeling_platform.accounts.services import record
from labeling_platform.lib.sealing import Unsealable, unseal
from labeling_platform.lib.turns import AllBusy, turn

from .backends import REMOTE
from .backends.base import AuthFailed, BackendError, Capabilities, Misconfigured, QuotaExceeded, Transient
from .hosts import origin_of, url_problem
from .models import WatsonConnection
from .states import Auth, ConnectionState

if TYPE_CHECKING:  # it loads much, so a process that never asks a service does without
    from .backends.watson import Connection, WatsonBackend

NO_CONNECTION = "The connection of this model is gone. Make a new model with another one."
SWITCHED_OFF = "This installation does not allow services elsewhere now: CLASSIFIER_BACKENDS does not name “watson”."
LOST = (
    "The service does not know this classifier any more: it was deleted there, or the service lost it. Train the model "
    "again."
)
WAIT_FOR_TURN = 60.0


def is_remote(kind: str) -> bool:
    """Whether backends of this kind send pictures to a service elsewhere."""
    return kind in REMOTE


def limits_of(kind: str) -> Capabilities:
    """The limits of a kind of backend, without loading what it computes with."""
    if is_remote(kind):
        from .backends.watson import Connection, WatsonBackend

        return WatsonBackend(Connection(url="", auth=Auth.NONE)).capabilities()
    return Capabilities()


def open_remote(
    link: WatsonConnection | None,
    *,
    details: Mapping[str, Any] | None = None,
    even_if_ill: bool = False,
    wait: float = WAIT_FOR_TURN,
) -> WatsonBackend:
    """The backend behind a connection, for the team whose scope is open. A request waits `wait` seconds for its turn.

    Raises Misconfigured when the installation does not allow the backend or its hosts (any more) or its secret cannot
    be opened. Unless `even_if_ill`: AuthFailed when it is known to be broken, QuotaExceeded when it is paused; nothing
    is sent then.
    """
    if "watson" not in settings.CLASSIFIER_BACKENDS:
        raise Misconfigured(SWITCHED_OFF, code="switched_off")
    if link is None:
        raise Misconfigured(NO_CONNECTION, code="no_connection")
    if problem := hosts_problem(link):
        raise Misconfigured(f"The connection “{link}” cannot be used. {problem}", code="host_not_allowed")
    if not even_if_ill:
        _refuse_ill(link)
    from .backends.watson import WatsonBackend

    team = get_scope().get("team")
    return WatsonBackend(_access(link, team), details=details, gate=_gate_of(link, wait), meter=_meter_of(link, team))


def hosts_problem(link: WatsonConnection) -> str:
    """Why the addresses of a connection cannot be used now; empty when they can."""
    problem = url_problem(link.url, settings.WATSON_HOSTS)
    if not problem and link.auth == Auth.IAM:
        problem = url_problem(iam_of(link), settings.WATSON_HOSTS)
    return problem


def iam_of(link: WatsonConnection) -> str:
    """Where keys are exchanged for tokens: the address given, else the service's own."""
    return link.iam_url or origin_of(link.url)


def _refuse_ill(link: WatsonConnection) -> None:
    if link.state == ConnectionState.BROKEN:
        raise AuthFailed(f"The connection “{link}” is broken: {link.reason}", code="connection_broken")
    if link.state == ConnectionState.PAUSED:
        raise QuotaExceeded(f"The connection “{link}” is paused: {link.reason}", code="connection_paused")


def _access(link: WatsonConnection, team: Team | None) -> Connection:
    from .backends.watson import Connection

    try:
        secret = unseal(link.secret_sealed)
    except Unsealable:
        raise Misconfigured(
            f"The secret of the connection “{link}” cannot be opened: this installation's key was changed. "
            "Enter it anew.",
            code="secret_lost",
        ) from None
    return Connection(
        url=link.url,
        auth=link.auth,
        secret=secret,
        username=link.username,
        iam_url=iam_of(link) if link.auth == Auth.IAM else "",
        customer_id=f"team_{team.pk}" if team else "",
    )


def _gate_of(link: WatsonConnection, wait: float) -> Callable[[], Any]:
    @contextmanager
    def gate() -> Iterator[None]:
        held = turn(f"connection:{link.pk}", places=link.at_once, wait=wait)
        try:
            held.__enter__()
        except AllBusy:
            raise Transient(
                f"All {link.at_once} requests that “{link}” may have at once were taken all the time.",
                code="all_busy",
            ) from None
        try:
            yield
        finally:
            held.__exit__(None, None, None)

    return gate


def _meter_of(link: WatsonConnection, team: Team | None) -> Callable[[int], None]:
    def meter(images: int) -> None:
        if team is None or not images:
            return
        month = datetime.now(UTC).date().replace(day=1)
        with database.cursor() as cursor:
            cursor.execute(
                "INSERT INTO models_app_connectionuse (team_id, connection_id, connection_name, month, images)"
                " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (team_id, connection_id, month) DO UPDATE"
                " SET images = models_app_connectionuse.images + excluded.images,"
                " connection_name = excluded.connection_name",
                [team.pk, link.pk, link.name, month, images],
            )

    return meter


@contextmanager
def watched(link: WatsonConnection | None) -> Iterator[None]:
    """Run requests over a connection; one that does not accept us becomes broken, one without quota paused.

    The error goes on to the caller, with the connection's name in its words.
    """
    try:
        yield
    except (AuthFailed, QuotaExceeded) as error:
        if link is not None and error.code not in {"connection_broken", "connection_paused"}:
            state = ConnectionState.BROKEN if isinstance(error, AuthFailed) else ConnectionState.PAUSED
            note_state(link, state, error.message)
        raise


def note_state(link: WatsonConnection, state: ConnectionState, reason: str = "") -> bool:
    """Write down what a connection is now. A change is told in the activity log, once; returns whether it was one."""
    with scopes_disabled():  # a team may not write a connection that is for all; this is written for it
        rows = WatsonConnection.everywhere.filter(pk=link.pk)
        changed = bool(ConnectionState.move(rows, state, reason=reason[:500], checked_at=Now()))
        if not changed:
            rows.update(checked_at=Now(), reason=reason[:500])
        elif link.team_id is not None:
            team = Team.objects.get(pk=link.team_id)
            record(team=team, actor=None, verb=f"connection {state}", obj=link, reason=reason[:250])
    link.state, link.reason, link.checked_at = state, reason[:500], timezone.now()
    return changed


def is_of_service(error: BackendError) -> bool:
    """Whether an error says something of the connection, not of one picture or model."""
    return isinstance(error, (Transient, AuthFailed, QuotaExceeded, Misconfigured))
