"""What the console has done in the background. Each task can be repeated, and goes on where it was interrupted."""

from __future__ import annotations

import logging
import time

from celery import shared_task
from django_scopes import scopes_disabled

from labeling_platform.accounts import support

from . import deleting, usage

log = logging.getLogger(__name__)
SECONDS = 45.0


@shared_task(name="console.delete_teams")
def delete_teams() -> None:
    """Delete the teams whose waiting time is over, for some seconds at a time."""
    with scopes_disabled():
        due = support.due_deletions()
    until = time.monotonic() + SECONDS
    for team in due:
        if (left := until - time.monotonic()) <= 0:
            return
        gone = deleting.delete_team(team=team, seconds=left)
        log.info("deletion of team %s: %s", team.pk, "done" if gone else "goes on")


@shared_task(name="console.collect_usage")
def collect_usage() -> None:
    """Bring the usage of all teams up to date."""
    with scopes_disabled():
        usage.collect_usage()
