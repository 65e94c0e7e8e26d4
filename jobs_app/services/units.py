"""Units: rows that come into a job, each at most once, and rows that are withdrawn."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, transaction

from labeling_platform.accounts.models import User
from labeling_platform.accounts.services import record
from labeling_platform.lib import wall
from labeling_platform.lib.errors import Refused
from labeling_platform.lib.reading import copy_lines

from ..models import Job, Unit
from ..states import JobState, UnitState
from .arrivals import arrival_state, launch_when_enough
from .results import finish_job_when_done

MAX_ROWS = 250_000
"""Rows that one job may have (reference/domain.md 2.4)."""


_INSERT = """
INSERT INTO jobs_app_unit (team_id, job_id, key, data, image_url, machine, state, position, wanted, slots,
    judgments_count, result, created_at)
SELECT %(team)s, %(job)s, key, data, image_url, machine, %(state)s,
    CASE WHEN %(in_order)s THEN 0 ELSE floor(random() * 2147483647)::int END,
    %(wanted)s, %(wanted)s, 0, '{}'::jsonb, statement_timestamp()
FROM"""
_ONCE = "ORDER BY place ON CONFLICT DO NOTHING"  # naming the key here would hide from script/chaos that it is gone
_INSERT_LISTED = (
    f"{_INSERT} ROWS FROM (json_to_recordset(%(rows)s::json) AS (k text, i text, d jsonb, m jsonb))"
    f" WITH ORDINALITY AS new_units (key, image_url, data, machine, place) {_ONCE}"
)
_INSERT_COPIED = f"{_INSERT} new_units {_ONCE}"


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
    again, or they wait until the job has as many as it launches together; otherwise they wait for a launch.
    """
    if not items:
        return {}
    job, state, wanted = _lock_for_rows(job)
    rows = [{"k": item.key, "i": item.image_url, "d": item.data, "m": item.machine} for item in items]
    given = _common(job, state, wanted) | {"rows": json.dumps(rows, ensure_ascii=False)}
    with connection.cursor() as cursor:
        cursor.execute(_INSERT_LISTED, given)
    if state == UnitState.QUEUED:
        launch_when_enough(job)
    keys = [item.key for item in items]
    return dict(Unit.objects.filter(job=job, key__in=keys).values_list("key", "id"))


def _common(job: Job, state: UnitState, wanted: int) -> dict[str, Any]:
    return {
        "team": job.team_id,
        "job": job.pk,
        "state": state.value,
        "in_order": job.in_upload_order,
        "wanted": wanted,
    }


def _lock_for_rows(job: Job) -> tuple[Job, UnitState, int]:
    """Lock a job that gets rows, and run it again when it had finished; state and wanted judgments of the rows.

    The lock is held against `submit_page`, which may be about to find that nothing is left and finish the job.
    Arrivals do not shut out each other, so that workers write at the same time; only those that count the queued
    rows, or wake a job that had finished, are alone with it.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM jobs_app_job WHERE id = %s FOR SHARE", [job.pk])
        job = Job.objects.get(pk=job.pk)
        alone = arrival_state(job) == UnitState.QUEUED or job.state == JobState.FINISHED
        if alone:
            transaction.set_rollback(True)  # gives the shared lock back: two who hold it would wait for each other
    if alone:
        job = Job.objects.select_for_update(no_key=True).get(pk=job.pk)
    state = arrival_state(job)
    if state != UnitState.JUDGABLE:
        return job, state, 0
    JobState.move(Job.objects.filter(pk=job.pk, state=JobState.FINISHED), JobState.RUNNING)
    return job, state, job.judgments_per_unit


@transaction.atomic
def copy_units(*, job: Job, items: Sequence[NewUnit]) -> None:
    """Add rows to a job as add_units does, but thousands at a time, and without asking for their ids.

    COPY goes to a temporary table because Postgres refuses COPY FROM into a table with row security.
    """
    if not items:
        return
    job, state, wanted = _lock_for_rows(job)
    lines = ((item.key, item.image_url, json.dumps(item.data, ensure_ascii=False)) for item in items)
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMPORARY TABLE IF NOT EXISTS new_units"
            " (place bigint GENERATED ALWAYS AS IDENTITY, key text, image_url text, data jsonb, machine jsonb)"
            " ON COMMIT DROP"
        )
        wall.copy(cursor, "COPY new_units (key, image_url, data) FROM STDIN", copy_lines(lines))
        cursor.execute(_INSERT_COPIED, _common(job, state, wanted))
        cursor.execute("TRUNCATE new_units")
    if state == UnitState.QUEUED:
        launch_when_enough(job)


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
