"""The asynchronous story of jobs: files are read, pages whose time ran out are given back, contributors are settled."""

from __future__ import annotations

import logging

from celery import shared_task
from django_scopes import scopes_disabled

from labeling_platform.accounts.tasks import TeamTask
from labeling_platform.lib.tallies import compact

from . import ingest, services
from .models import Contributor, Job, JobUpload, UnitTally

log = logging.getLogger(__name__)
SWEEP_SECONDS = 10
AT_ONCE = 200


@shared_task(base=TeamTask, name="jobs.read_rows")
def read_rows(*, team_id: int, upload_id: int) -> None:
    """Read an uploaded file into rows and test questions, a while at a time."""
    upload = JobUpload.objects.select_related("job__team", "created_by").filter(pk=upload_id).first()
    if upload is None:
        log.info("upload %s is gone", upload_id)
    elif ingest.read_rows(upload=upload):
        read_rows.delay(team_id=team_id, upload_id=upload_id)


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
    """Of all teams: give back expired pages, launch rows that waited long enough, finish jobs that are done.

    And send hints for what waits to be done.
    """
    with scopes_disabled():
        released, launched = services.release_expired_pages(), services.launch_overdue()
        services.finish_done_jobs()
        stale, unread = services.find_stale(), services.find_unread()
        compact(UnitTally, "job")
    if released:
        log.info("gave back %s expired pages", released)
    if launched:
        log.info("launched %s rows that had waited long enough", launched)
    for team_id, contributor_id in stale:
        settle.apply_async(kwargs={"team_id": team_id, "contributor_id": contributor_id}, expires=SWEEP_SECONDS)
    for team_id, upload_id in unread:
        read_rows.apply_async(kwargs={"team_id": team_id, "upload_id": upload_id}, expires=SWEEP_SECONDS)
