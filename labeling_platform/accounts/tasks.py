"""The base of every task that works on a team's data, and what the team's own tables need now and then."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from celery import shared_task
from celery.contrib.django.task import DjangoTask
from django.db import transaction
from django_scopes import scopes_disabled

from .idempotency import forget_answers
from .models import Team
from .tenancy import team_scope

log = logging.getLogger(__name__)


class TeamTask(DjangoTask):
    """Loads the team named by the keyword `team_id` and runs the task inside its scope.

    A team that is gone ends the task quietly: there is nothing left to do. Messages are hints: what they
    announce stands in the database, and a sweep sends them again, so a broker that is away when the
    transaction commits must not turn a done request into an error. A task made with `for_closed=True` also runs for a
    team whose deletion has begun.
    """

    for_closed = False

    def delay_on_commit(self, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]  # celery-types is wrong here
        transaction.on_commit(partial(self.delay, *args, **kwargs), robust=True)

    def __call__(self, *args: Any, team_id: int, **kwargs: Any) -> Any:
        team = Team.objects.filter(pk=team_id).first()
        if team is None or (team.closed_at is not None and not self.for_closed):
            log.info("%s: team %s is gone, or its deletion has begun", self.name, team_id)
            return None
        with team_scope(team):
            return super().__call__(*args, team_id=team_id, **kwargs)


@shared_task(name="accounts.sweep")
def sweep() -> None:
    """Delete the answers of the API that are too old to be given again."""
    with scopes_disabled():
        forget_answers()
