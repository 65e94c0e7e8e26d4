"""Handing rows to workers and taking their answers back (reference/reliability.md B2).

Postgres is the truth. A worker claims rows for a while (lease) and gets a number with each (token) that rises
with every claim. Only the holder of the newest token may finish a row, so whatever runs twice or comes too
late changes nothing. All times are the database's.
"""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now

from jobs_app.services import NewUnit, add_units
from labeling_platform.accounts.models import User
from labeling_platform.accounts.services import record
from models_app.classify import Scored, Unreadable, classify
from workflows_app.models import Workflow, WorkflowRow
from workflows_app.routing import decide
from workflows_app.states import RowState, WorkflowState

log = logging.getLogger(__name__)
MAX_ATTEMPTS = 5
ALONE_AFTER = 2
FIRST_DELAY, LONGEST_DELAY = 10.0, 300.0
POISON = "stops_the_worker"
POISON_MESSAGE = "Working on this picture stopped the worker several times. Try another copy of the picture."
BROKEN = Unreadable("prediction_failed", "The model could not answer because of a fault on our side.", True)

Answer = Scored | Unreadable


@dataclass(frozen=True)
class Claim:
    """A row that this worker may finish, as long as nobody claims it again (then the token has risen)."""

    row_id: int
    token: int
    attempts: int
    image_url: str


@dataclass(frozen=True)
class Hint:
    """A workflow that has claimable rows, and how many workers should be told."""

    team_id: int
    workflow_id: int
    count: int


@dataclass
class _Finished:
    """One line of the UPDATE that ends a claim."""

    id: int
    token: int
    state: str
    reason: str = ""
    error_message: str = ""
    scores: list[float] | None = None
    predicted: str = ""
    confidence: float | None = None
    unlike: bool = False
    delay: float | None = None
    unit: int | None = None


_FREE = (
    "state = 'awaiting' AND (lease_until IS NULL OR lease_until < statement_timestamp())"
    " AND (not_before IS NULL OR not_before <= statement_timestamp())"
)
# A lease that ran out is a worker that died or hung. A row that was there twice is claimed alone, so that a
# picture that kills its worker cannot use up the attempts of its neighbours; after MAX_ATTEMPTS it is failed.
_SUSPECT = f"lease_until IS NOT NULL AND attempts >= {ALONE_AFTER}"
_CLAIM = f"""
WITH running AS (
    SELECT id FROM workflows_app_workflow WHERE id = %(workflow)s AND team_id = %(team)s AND state = 'running'
), several AS (
    SELECT r.id FROM workflows_app_workflowrow r JOIN running ON r.workflow_id = running.id
    WHERE {_FREE.replace("state =", "r.state =")} AND NOT ({_SUSPECT})
    ORDER BY r.id LIMIT %(limit)s FOR UPDATE OF r SKIP LOCKED
), alone AS (
    SELECT r.id FROM workflows_app_workflowrow r JOIN running ON r.workflow_id = running.id
    WHERE {_FREE.replace("state =", "r.state =")} AND {_SUSPECT} AND attempts < {MAX_ATTEMPTS}
    ORDER BY r.id LIMIT CASE WHEN EXISTS (SELECT 1 FROM several) THEN 0 ELSE 1 END FOR UPDATE OF r SKIP LOCKED
)
UPDATE workflows_app_workflowrow AS r
SET token = token + 1, attempts = attempts + 1, lease_until = statement_timestamp() + %(lease)s, not_before = NULL
WHERE r.id IN (SELECT id FROM several UNION ALL SELECT id FROM alone)
RETURNING r.id, r.token, r.attempts, r.image_url
"""
_FINISH = """
UPDATE workflows_app_workflowrow AS r
SET state = d.state, reason = d.reason, error_message = d.error_message, scores = d.scores,
    predicted = d.predicted, confidence = d.confidence, unlike = d.unlike, unit_id = d.unit,
    version_id = CASE WHEN d.scores IS NULL THEN NULL ELSE %(version)s END,
    predicted_at = CASE WHEN d.state = 'awaiting' THEN NULL ELSE clock_timestamp() END,
    lease_until = NULL, not_before = clock_timestamp() + d.delay * interval '1 second'
FROM jsonb_to_recordset(%(lines)s::jsonb) AS d(
    id bigint, token bigint, state text, reason text, error_message text, scores float8[],
    predicted text, confidence float8, "unlike" boolean, delay float8, unit bigint)
WHERE r.id = d.id AND r.token = d.token AND r.state = 'awaiting' AND r.workflow_id = %(workflow)s
RETURNING r.id
"""
_HINTS = f"""
SELECT w.team_id, w.id, (
    SELECT count(*) FROM (
        SELECT 1 FROM workflows_app_workflowrow r WHERE r.workflow_id = w.id AND {_FREE.replace("state =", "r.state =")}
        LIMIT %(enough)s
    ) AS waiting
)
FROM workflows_app_workflow w WHERE w.state = 'running' ORDER BY w.id
"""


def claim_rows(*, workflow: Workflow, limit: int) -> list[Claim]:
    """Claim up to `limit` waiting rows of a running workflow for LEASE_TIME, in one statement.

    Rows that somebody else is claiming at this moment are skipped, not waited for. A workflow that is not
    running gives none.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _CLAIM,
            {
                "workflow": workflow.pk,
                "team": workflow.team_id,
                "limit": limit,
                "lease": settings.LEASE_TIME,
            },
        )
        claims = [Claim(pk, token, attempts, url) for pk, token, attempts, url in cursor.fetchall()]
    return sorted(claims, key=lambda claim: claim.row_id)


@transaction.atomic
def finish_rows(*, workflow: Workflow, results: Sequence[tuple[Claim, Answer]]) -> set[int]:
    """Write the answers of claimed rows; return the ids of the rows that moved.

    Confident rows are done; routed ones get their unit in the workflow's job, in this transaction; pictures
    that could not be read fail, or wait for another attempt when the reason may pass. A claim whose token is
    no longer the row's newest changes nothing and makes no unit. Finishing goes on in a workflow that was
    turned off.
    """
    lines = {claim.row_id: _line(workflow, claim, answer) for claim, answer in results}
    held = _lock(workflow, lines.values())
    lines = {row_id: line for row_id, line in lines.items() if row_id in held}
    routed = [row_id for row_id, line in lines.items() if line.state == RowState.ROUTED]
    if routed:
        units = _make_units(workflow, routed)
        for row_id in routed:
            lines[row_id].unit = units[row_id]
    if not lines:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            _FINISH,
            {
                "workflow": workflow.pk,
                "version": workflow.version_id,
                "lines": json.dumps([asdict(line) for line in lines.values()], allow_nan=False),
            },
        )
        return {row_id for (row_id,) in cursor.fetchall()}


def release_rows(*, workflow: Workflow, claims: Iterable[Claim]) -> None:
    """Give claimed rows back unfinished, without counting the attempt: the worker was asked to stop."""
    mine = Q()
    for claim in claims:
        mine |= Q(pk=claim.row_id, token=claim.token)
    if mine:
        rows = WorkflowRow.objects.filter(mine, workflow=workflow, state=RowState.AWAITING, attempts__gt=0)
        rows.update(lease_until=None, attempts=models_F_attempts())


def retry_delay(attempts: int, *, jitter: Callable[[], float] = random.random) -> float:
    """Seconds to wait after the attempt number `attempts` (from 1): doubling, at most LONGEST_DELAY, half of it random."""
    delay = min(LONGEST_DELAY, FIRST_DELAY * 2 ** (attempts - 1))
    return delay * (0.5 + jitter() / 2)
