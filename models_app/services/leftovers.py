"""Classifiers that are left on services elsewhere: noted when they are no longer wanted, deleted there later."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from labeling_platform.accounts.services import record

from ..backends.base import BackendError
from ..models import ModelVersion, RemoteLeftover
from ..remote import open_remote

MOST_TRIES = 12
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


def delete_remote(*, leftover: RemoteLeftover) -> bool:
    """Try to delete one; what the service does not know counts as deleted. Returns whether it is done with.

    Does nothing when it is not due or another worker tries it. After MOST_TRIES it is given up, with a line in the log.
    """
    wait = min(FIRST_WAIT * 2**leftover.attempts, LONGEST_WAIT)
    due = RemoteLeftover.objects.filter(pk=leftover.pk, next_try_at__lte=Now(), attempts=leftover.attempts)
    if not due.update(next_try_at=Now() + wait, attempts=F("attempts") + 1):
        return False
    try:
        gone, problem = _delete(leftover), "it did not appear"
    except BackendError as error:
        gone, problem = False, error.message
    if not gone and leftover.attempts + 1 < MOST_TRIES:
        return False
    if not gone and leftover.ref:
        record(
            team=leftover.team, actor=None, verb="classifier left on service", about=leftover.ref, reason=problem[:250]
        )
    RemoteLeftover.objects.filter(pk=leftover.pk).delete()
    return True


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
