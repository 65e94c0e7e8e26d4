"""Units: rows that come into a job, each at most once, and rows that are withdrawn."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from labeling_platform.accounts.models import User
from labeling_platform.accounts.services import record
from labeling_platform.lib.errors import Refused

from ..models import Job, Unit
from ..states import JobState, UnitState
from .results import finish_job_when_done

MAX_ROWS = 250_000
"""Rows that one job may have (reference/domain.md 2.4)."""


@dataclass(frozen=True)
class NewUnit:
    """A row for a job. `key` says where it comes from; the same key never becomes a second unit.

    `machine` is what a model thought of it: {"label": name, "confidence": share}, or None.
    """

    key: str
    image_url: str
    data: dict[str, str] = field(default_factory=dict)
    machine: dict[str, Any] | None = None


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
    wanted = job.judgments_per_unit if open_ else 0
    Unit.objects.bulk_create(
        [
            Unit(
                team_id=job.team_id,
                job=job,
                key=item.key,
                data=item.data,
                image_url=item.image_url,
                machine=item.machine,
                state=UnitState.JUDGABLE if open_ else UnitState.NEW,
                position=0 if job.in_upload_order else random.randrange(2**31),  # noqa: S311 - an order, no secret
                wanted=wanted,
                slots=wanted,
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


@transaction.atomic
def cancel_unit(*, unit: Unit, actor: User | None) -> None:
    """Withdraw a row that nobody has judged or holds. Refuses otherwise, and for test questions."""
    unit = Unit.objects.select_for_update(no_key=True, of=("self",)).select_related("job__team").get(pk=unit.pk)
    untouched = unit.judgments_count == 0 and unit.slots == unit.wanted and not unit.judgments.exists()
    if unit.is_golden:
        raise Refused("This is a test question. Switch it off on the Quality tab instead.", code="golden")
    if not untouched or not UnitState.move(Unit.objects.filter(pk=unit.pk), UnitState.CANCELED, slots=0):
        raise Refused("Only rows that nobody has answered or is answering can be withdrawn.", code="in_work")
    record(team=unit.job.team, actor=actor, verb="row withdrawn", obj=unit.job, unit=unit.pk)
    if unit.state == UnitState.JUDGABLE:
        finish_job_when_done(unit.job)
