"""Units: rows that come into a job, each at most once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db import transaction

from ..models import Job, Unit
from ..states import JobState, UnitState


@dataclass(frozen=True)
class NewUnit:
    """A row for a job. `key` says where it comes from; the same key never becomes a second unit."""

    key: str
    image_url: str
    data: dict[str, str] = field(default_factory=dict)


@transaction.atomic
def add_units(*, job: Job, items: Sequence[NewUnit]) -> dict[str, int]:
    """Add rows to a job; returns the unit id of each key, new or not. Repeating it changes nothing.

    With automatic launching the rows of a launched job can be worked on at once, and a finished job runs
    again; otherwise they wait for a launch.
    """
    if not items:
        return {}
    # Held against `submit_page`, which may be about to find that nothing is left and finish the job.
    job = Job.objects.select_for_update(no_key=True).get(pk=job.pk)
    open_ = job.auto_launch and job.state not in {JobState.UNORDERED, JobState.CANCELED}
    Unit.objects.bulk_create(
        [
            Unit(
                team_id=job.team_id,
                job=job,
                key=item.key,
                data=item.data,
                image_url=item.image_url,
                state=UnitState.JUDGABLE if open_ else UnitState.NEW,
                slots=job.judgments_per_unit if open_ else 0,
            )
            for item in items
        ],
        ignore_conflicts=True,
        batch_size=1000,
    )
    if open_ and job.state == JobState.FINISHED:
        JobState.move(Job.objects.filter(pk=job.pk), JobState.RUNNING)
    keys = [item.key for item in items]
    return dict(Unit.objects.filter(job=job, key__in=keys).values_list("key", "id"))
