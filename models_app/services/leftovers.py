"""Classifiers that are left on services elsewhere: noted when they are no longer wanted, deleted there later.

Those of a team that is being deleted hold up the last step of its deletion, which needs their connection: for half an
hour of tries, or two hours if nobody tries. What is left on the service then stands in the staff's log.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from labeling_platform.accounts.models import Team
from labeling_platform.accounts.services import record

from ..backends.base import BackendError
from ..hosts import host_of
from ..models import ModelVersion, RemoteLeftover
from ..remote import open_remote
from ..states import VersionState

LEFT_ALREADY = (VersionState.FAILED, VersionState.CANCELED)
"""Versions whose classifier was noted when they came to this state."""
MOST_TRIES, TRIES_OF_CLOSED = 12, 6
PATIENCE = timedelta(hours=2)
NOT_TRIED = "nothing tried to delete it in two hours: does a worker serve the queue “remote”?"
FIRST_WAIT, LONGEST_WAIT = timedelta(minutes=1), timedelta(hours=1)
LATE_ARRIVAL = timedelta(minutes=30)
"""A training that was just being sent when it was canceled may appear on the service for so long."""


def leave_remote(*, version: ModelVersion) -> None:
    """Note that what a version has on a service elsewhere is to be deleted there. Nothing for local versions."""
    if version.connection_id is None or not (version.ref or version.remote_token):
        return
    RemoteLeftover.objects.create(
        team=version.team, connection_id=version.connection_id, ref=version.ref, remote_token=version.remote_token
    )


def leave_all(*, team: Team) -> None:
    """Note that all that a team has on services elsewhere is to be deleted there. Repeating it changes nothing."""
    with transaction.atomic():
        versions = ModelVersion.objects.filter(team=team).exclude(connection=None).exclude(state__in=LEFT_ALREADY)
        found = versions.exclude(ref="", remote_token="")
        for version in found.select_for_update(of=("self",)).select_related("team"):
            leave_remote(version=version)
        found.update(ref="", remote_token="")
        # Those of before may have more tries behind them than they get now: one more, at once.
        RemoteLeftover.objects.filter(team=team, attempts__gte=TRIES_OF_CLOSED).update(next_try_at=Now())


def waits_for_services(*, team: Team) -> bool:
    """Whether something of a team that is being deleted is still to be deleted elsewhere.

    Two hours after the deletion began it gives up what is left, with lines in the staff's log.
    """
    left = RemoteLeftover.objects.filter(team=team)
    if team.closed_at is not None and timezone.now() - team.closed_at > PATIENCE:
        for leftover in left.select_related("team", "connection"):
            _give_up(leftover, NOT_TRIED)
    return left.exists()


def delete_remote(*, leftover: RemoteLeftover) -> bool:
    """Try to delete one; what the service does not know counts as deleted. Returns whether it is done with.

    Does nothing when it is not due or another worker tries it. After MOST_TRIES it is given up, with a line in the log;
    that of a team that is being deleted after TRIES_OF_CLOSED.
    """
    wait = min(FIRST_WAIT * 2**leftover.attempts, LONGEST_WAIT)
    due = RemoteLeftover.objects.filter(pk=leftover.pk, next_try_at__lte=Now(), attempts=leftover.attempts)
    if not due.update(next_try_at=Now() + wait, attempts=F("attempts") + 1):
        return False
    try:
        gone, problem = _delete(leftover), ""
    except BackendError as error:
        gone, problem = False, error.message
    most = MOST_TRIES if leftover.team.closed_at is None else TRIES_OF_CLOSED
    if not gone and leftover.attempts + 1 < most:
        return False
    if problem:
        _give_up(leftover, problem)
    else:
        RemoteLeftover.objects.filter(pk=leftover.pk).delete()
    return True


def _give_up(leftover: RemoteLeftover, problem: str) -> None:
    """Forget one that may still be there. The log of a team that is being deleted goes with it: the staff's has it."""
    with transaction.atomic():
        team, link = leftover.team, leftover.connection
        facts: dict[str, Any] = {"service": host_of(link.url) if link else "", "reason": problem[:250]}
        if team.closed_at is not None:
            facts["who"] = f"{team.name} ({team.slug})"
        record(
            team=team if team.closed_at is None else None,
            actor=None,
            verb="classifier left on service",
            about=leftover.ref or leftover.remote_token,
            **facts,
        )
        RemoteLeftover.objects.filter(pk=leftover.pk).delete()


def _delete(leftover: RemoteLeftover) -> bool:
    backend = open_remote(leftover.connection, even_if_ill=True)
    ref = leftover.ref
    if not ref:
        found = backend.find_training(leftover.remote_token)
        if found is None:
            return timezone.now() - leftover.created_at > LATE_ARRIVAL
        ref = found.ref
    backend.delete(ref)
    return True


def due_leftovers() -> list[tuple[int, int]]:
    """(team id, leftover id) of those to be tried now. For the sweep: needs scopes disabled."""
    return list(RemoteLeftover.objects.filter(next_try_at__lte=Now()).values_list("team_id", "pk")[:100])
