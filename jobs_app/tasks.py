"""The asynchronous story of jobs: pages whose time ran out are given back, contributors are settled."""

from __future__ import annotations

import logging

from celery import shared_task
from django_scopes import scopes_disabled

from labeling_platform.accounts.tasks import TeamTask
from labeling_platform.lib.tallies import compact

from . import services
from .models import Contributor, Job, UnitTally

log = logging.getLogger(__name__)
SWEEP_SECONDS = 10
AT_ONCE = 200


@shared_task(base=TeamTask, name="jobs.settle")
def settle(*, team_id: int, contributor_id: int) -> None:
    """Bring one contributor's standing and the results that rest on their trust up to date."""
    contributor = Contributor.objects.select_related("job").filter(pk=contributor_id, stale=True).first()
    if contributor is not None:
        services.settle_contributor(contributor=contributor)


def settle_stale(job: Job) -> None:
    """Send hints for those contributors of a job who are to be settled; if there are many, the sweep finds the rest."""
    stale = Contributor.objects.filter(job=job, stale=True).order_by("pk").values_list("pk", flat=True)
    for contributor_id in stale[:AT_ONCE]:
        settle.delay_on_commit(team_id=job.team_id, contributor_id=contributor_id)


@shared_task(name="jobs.sweep")
def sweep() -> None:
    """Of all teams: give back expired pages, finish jobs that are done, send the hints for who is to be settled."""
    with scopes_disabled():
        released = services.release_expired_pages()
        services.finish_done_jobs()
        stale = services.find_stale()
        compact(UnitTally, "job")
    if released:
        log.info("gave back %s expired pages", released)
    for team_id, contributor_id in stale:
        settle.apply_async(kwargs={"team_id": team_id, "contributor_id": contributor_id}, expires=SWEEP_SECONDS)
