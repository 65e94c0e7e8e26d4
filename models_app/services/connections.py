"""Connections to services elsewhere: made, changed, tried, deleted; which of them a team may use."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django_scopes import scopes_disabled

from labeling_platform.accounts.models import Team, User
from labeling_platform.accounts.services import record
from labeling_platform.lib.errors import Refused
from labeling_platform.lib.sealing import Unsealable, reseal, seal

from ..access import Access
from ..backends.base import BackendError, Health
from ..hosts import host_of, url_problem
from ..models import (
    MOST_AT_ONCE,
    TEST_LIFE,
    ConnectionUse,
    CustomModel,
    ModelVersion,
    RemoteLeftover,
    WatsonConnection,
)
from ..remote import note_state, open_remote
from ..states import Auth, ConnectionState

NAME_LENGTH = 100
TEST_WAIT = 5.0
BREAKS = {"auth_failed"}
"""Answers to a test that break a connection; a service that is away for a while does not."""


def connections_of(team: Team) -> list[WatsonConnection]:
    """The connections that a team may use: its own, and those for all teams."""
    found = WatsonConnection.everywhere.filter(Q(team=team) | Q(team=None))
    return list(found.select_related("created_by").order_by("team", "name", "pk"))


def choosable_connections(team: Team) -> list[WatsonConnection]:
    """What “Create Custom Model” offers; none while this installation does not allow the backend."""
    return connections_of(team) if "watson" in settings.CLASSIFIER_BACKENDS else []


def save_connection(
    *, team: Team | None, actor: User | None, access: Access, connection: WatsonConnection | None = None
) -> WatsonConnection:
    """Make a connection (for all teams when `team` is None) or change one. It counts as working until it is tried.

    Refuses (the code is the field's name) an address that is not allowed, a missing secret or user name, and a name
    that is taken. When the service, the user or the way to sign in changes, the secret has to be entered anew: a secret
    goes only where the person who knows it sends it.
    """
    saved = connection or WatsonConnection(team=team, created_by=actor)
    fill_connection(connection=saved, access=access)
    verb = "connection changed" if connection else "connection made"
    try:
        with transaction.atomic():
            saved.save()
            if team is not None:
                record(team=team, actor=actor, verb=verb, obj=saved, service=host_of(saved.url))
    except IntegrityError as error:
        if "connection_name_once" not in str(error):
            raise
        raise Refused(f"There is already a connection named “{saved.name}”.", code="name") from None
    return saved


def fill_connection(*, connection: WatsonConnection, access: Access) -> None:
    """Put what a person said into a connection, without saving it. Refuses as save_connection, but for the name."""
    saved = connection
    before = (saved.url, saved.auth, saved.iam_url, saved.username) if saved.pk else None
    saved.name, saved.at_once = " ".join(access.name.split()), access.at_once
    saved.url, saved.auth = access.url.strip().rstrip("/"), access.auth
    saved.iam_url = access.iam_url.strip().rstrip("/") if access.auth == Auth.IAM else ""
    saved.username = access.username.strip() if access.auth == Auth.BASIC else ""
    _refuse_wrong(saved)
    moved = before is not None and before != (saved.url, saved.auth, saved.iam_url, saved.username)
    _put_secret(saved, access.secret, moved=moved)
    saved.state, saved.reason, saved.checked_at = ConnectionState.OK, "", None
    saved.tested_at, saved.test_ok, saved.test_words = None, None, ""


def _refuse_wrong(saved: WatsonConnection) -> None:
    if not saved.name or len(saved.name) > NAME_LENGTH:
        raise Refused(f"Give the connection a name of at most {NAME_LENGTH} characters.", code="name")
    if problem := url_problem(saved.url, settings.WATSON_HOSTS):
        raise Refused(problem, code="url")
    if saved.iam_url and (problem := url_problem(saved.iam_url, settings.WATSON_HOSTS)):
        raise Refused(problem, code="iam_url")
    if saved.auth not in Auth.values:
        raise Refused("Choose how to sign in.", code="auth")
    if saved.auth == Auth.BASIC and not saved.username:
        raise Refused("Enter the user name.", code="username")
    if not 1 <= saved.at_once <= MOST_AT_ONCE:
        raise Refused(f"Between 1 and {MOST_AT_ONCE} requests at once are possible.", code="at_once")


def _put_secret(saved: WatsonConnection, secret: str, *, moved: bool) -> None:
    if saved.auth == Auth.NONE:
        saved.secret_sealed = ""
        return
    if secret:
        if any(ord(sign) < 33 or ord(sign) > 126 for sign in secret):
            raise Refused("A key has plain letters, digits and signs only, and no spaces.", code="secret")
        saved.secret_sealed = seal(secret)
    elif moved:
        raise Refused("The service or the way to sign in changed: enter the secret again.", code="secret")
    elif not saved.secret_sealed:
        raise Refused("Enter the key, password or token.", code="secret")


def ask_for_test(*, connection: WatsonConnection) -> bool:
    """Note that a test is asked for; the caller sends the task. False when one is under way already."""
    with scopes_disabled():  # a team may not write a connection that is for all; this is written for it
        rows = WatsonConnection.everywhere.filter(pk=connection.pk)
        free = Q(test_asked_at=None) | Q(test_asked_at__lt=Now() - TEST_LIFE)
        asked = bool(rows.filter(free).update(test_asked_at=Now()))
        connection.refresh_from_db(fields=["test_asked_at"], from_queryset=rows)
    return asked


def check_connection(*, connection: WatsonConnection) -> Health:
    """Ask the service whether it is there and accepts us, and write the answer down. Takes up to a minute and a half.

    A good answer makes a broken or paused connection work again.
    """
    try:
        health = open_remote(connection, even_if_ill=True, wait=TEST_WAIT).check()
    except BackendError as error:
        health = Health(False, error.message, error.code)
    state = ConnectionState.OK if health.ok else connection.status
    if health.code in BREAKS:
        state = ConnectionState.BROKEN
    note_state(connection, state, "" if health.ok else health.message)
    said = {"tested_at": Now(), "test_ok": health.ok, "test_words": health.message[:500], "test_asked_at": None}
    with scopes_disabled():
        WatsonConnection.everywhere.filter(pk=connection.pk).update(**said)
    return health


def connection_refusal(*, connection: WatsonConnection) -> str:
    """Why a connection cannot be deleted now; empty when it can."""
    models = CustomModel.objects.filter(connection=connection)
    names = [f"“{model.name}”" for model in models[:3]]
    if names:
        return f"Models use this connection: {', '.join(names)}. Delete them first."
    if ModelVersion.objects.filter(connection=connection).exists():
        return "Versions of models use this connection. Delete these models first."
    if RemoteLeftover.objects.filter(connection=connection).exists():
        return "Classifiers of deleted models are still being deleted on the service. Try again in some minutes."
    return ""


def delete_connection(*, connection: WatsonConnection, actor: User | None) -> None:
    """Delete a connection that nothing uses, with its secret; its ledger stays. Refuses while something uses it."""
    with transaction.atomic():
        if reason := connection_refusal(connection=connection):
            raise Refused(reason, code="in_use")
        if connection.team is not None:
            record(team=connection.team, actor=actor, verb="connection deleted", obj=connection)
        connection.delete()


def reseal_secrets() -> int:
    """Encrypt every secret anew with the newest key; returns how many. Needs scopes disabled.

    Raises Unsealable at one that no key opens; those before it are done.
    """
    done = 0
    for link in WatsonConnection.everywhere.exclude(secret_sealed="").order_by("pk"):
        try:
            fresh = reseal(link.secret_sealed)
        except Unsealable:
            raise Unsealable(f"connection {link.pk} ({link.name})") from None
        done += WatsonConnection.everywhere.filter(pk=link.pk, secret_sealed=link.secret_sealed).update(
            secret_sealed=fresh
        )
    return done


def ledger(*, team: Team) -> list[dict[str, Any]]:
    """Pictures sent by month and connection, newest first."""
    found = ConnectionUse.objects.filter(team=team)[:60]
    return [{"month": line.month, "name": line.connection_name, "images": line.images} for line in found]
