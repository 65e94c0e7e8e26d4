"""What the console has done in the background. Each task can be repeated, and goes on where it was interrupted."""

from __future__ import annotations

import logging

from celery import shared_task
from django_scopes import scopes_disabled

from labeling_platform.accounts import support

from . import deleting, usage

log = logging.getLogger(__name__)


@shared_task(name="console.delete_teams")
def delete_teams() -> None:
    """Delete the teams whose waiting time is over, for some seconds at a time."""
    with scopes_disabled():
        due = support.due_deletions()
    for team in due[:1]:
        gone = deleting.delete_team(team=team)
        log.info("deletion of team %s: %s", team.pk, "done" if gone else "goes on")


@shared_task(name="console.collect_usage")
def collect_usage() -> None:
    """Bring the usage of all teams up to date."""
    with scopes_disabled():
        usage.collect_usage()
