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
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from jobs_app.services import NewUnit, add_units
from labeling_platform.accounts.models import User
from labeling_platform.accounts.services import record
from labeling_platform.lib import reading
from labeling_platform.lib.stopping import Stopping, interruptible, look, undisturbed
from labeling_platform.ops.counters import LEASE_EXPIRIES, count, count_chunk
from models_app.backends.base import Permanent
from models_app.classify import Scored, Unreadable, classify
from workflows_app.models import Workflow, WorkflowRow, WorkflowUpload
from workflows_app.routing import decide
from workflows_app.states import RowState

log = logging.getLogger(__name__)
MAX_ATTEMPTS = 5
FEW_AFTER, FEW, ALONE_AFTER = 2, 8, 3
LONGEST_DELAY = 300.0
WRITE_EVERY, WRITE_ROWS = 1.0, 256
ROUNDING = 1e-6
POISON = "stops_the_worker"
POISON_MESSAGE = "Working on this picture stopped the worker several times. Try another copy of the picture."
_spread: Callable[[], float] = random.random
BROKEN = Unreadable("prediction_failed", "The model could not answer because of a fault on our side.", True)

Answer = Scored | Unreadable


@dataclass(frozen=True)
class Claim:
    """A row that this worker may finish, as long as nobody claims it again (then the token has risen)."""

    row_id: int
    token: int
    attempts: int
    image_url: str
    suspect: bool = False


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
    uncounted: bool = False
    unit: int | None = None

    def as_json(self) -> dict[str, Any]:
        """What is not empty: the rest only takes time on its way."""
        return {name: value for name, value in vars(self).items() if value or isinstance(value, float)}


FREE = (
    "r.state = 'awaiting' AND (r.lease_until IS NULL OR r.lease_until < statement_timestamp())"
    " AND (r.not_before IS NULL OR r.not_before <= statement_timestamp())"
)
# A lease that ran out is a worker that died or hung. A row that was there twice is claimed with a few others, then
# alone, so that a picture that kills its worker cannot use up the attempts of its neighbours; after MAX_ATTEMPTS it is
# failed. A few first: when machines die, hundreds of innocent rows were there twice, and one by one takes minutes.
_SUSPECT = f"r.lease_until IS NOT NULL AND r.attempts >= {FEW_AFTER}"
_MINE = (
    "r.workflow_id = %(workflow)s AND EXISTS (SELECT 1 FROM workflows_app_workflow"
    " WHERE id = %(workflow)s AND team_id = %(team)s AND state = 'running' AND paused_at IS NULL"
    " AND NOT EXISTS (SELECT 1 FROM accounts_team"
    " WHERE id = %(team)s AND (paused_at IS NOT NULL OR closed_at IS NOT NULL)))"
)
_CLAIM = f"""
WITH several AS (
    SELECT r.id, r.lease_until IS NOT NULL AS expired FROM workflows_app_workflowrow r
    WHERE {_MINE} AND {FREE} AND NOT ({_SUSPECT}) AND r.id > %(after)s
    ORDER BY r.id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
), few AS (
    SELECT r.id FROM workflows_app_workflowrow r
    WHERE {_MINE} AND {FREE} AND {_SUSPECT} AND r.attempts < {ALONE_AFTER}
    ORDER BY r.id LIMIT CASE WHEN EXISTS (SELECT 1 FROM several) THEN 0 ELSE {FEW} END FOR UPDATE SKIP LOCKED
), alone AS (
    SELECT r.id FROM workflows_app_workflowrow r
    WHERE {_MINE} AND {FREE} AND {_SUSPECT} AND r.attempts >= {ALONE_AFTER} AND r.attempts < {MAX_ATTEMPTS}
    ORDER BY r.id LIMIT CASE WHEN EXISTS (SELECT 1 FROM several UNION ALL SELECT 1 FROM few) THEN 0 ELSE 1 END
    FOR UPDATE SKIP LOCKED
), suspects AS (
    SELECT id FROM few UNION ALL SELECT id FROM alone
), counted AS (
    INSERT INTO ops_count (name, n) SELECT '{LEASE_EXPIRIES}', count(*)
    FROM (SELECT expired FROM several UNION ALL SELECT true FROM suspects) AS again WHERE expired HAVING count(*) > 0
)
UPDATE workflows_app_workflowrow AS r
SET token = token + 1, attempts = attempts + 1, not_before = NULL,
    lease_until = statement_timestamp() + make_interval(secs => %(lease)s)
WHERE r.id = ANY (ARRAY(SELECT id FROM several UNION ALL SELECT id FROM suspects))
RETURNING r.id, r.token, r.attempts, r.image_url, r.id IN (SELECT id FROM suspects)
"""  # noqa: S608 - put together from constants of this module
_FINISH = """
UPDATE workflows_app_workflowrow AS r
SET state = d.state, reason = coalesce(d.reason, ''), error_message = coalesce(d.error_message, ''),
    scores = d.scores, predicted = coalesce(d.predicted, ''), confidence = d.confidence,
    "unlike" = coalesce(d.unlike, false), unit_id = d.unit,
    version_id = CASE WHEN d.scores IS NULL THEN NULL ELSE %(version)s END,
    predicted_at = CASE WHEN d.state = 'awaiting' THEN NULL ELSE clock_timestamp() END,
    lease_until = NULL, not_before = clock_timestamp() + d.delay * interval '1 second',
    attempts = r.attempts - coalesce(d.uncounted, false)::int
FROM json_to_recordset(%(lines)s::json) AS d(
    id bigint, token bigint, state text, reason text, error_message text, scores float8[],
    predicted text, confidence float8, "unlike" boolean, delay float8, uncounted boolean, unit bigint)
WHERE r.id = d.id AND r.id = ANY (%(ids)s) AND r.token = d.token
  AND r.state || '' = 'awaiting' AND r.workflow_id + 0 = %(workflow)s
RETURNING r.id
"""
"""An array of ids, here and in claiming, is looked up in the primary key whatever the statistics say; a set of ids
may be joined in other ways. `|| ''` and `+ 0` keep the planner from the other indexes: while a fresh table has no
statistics, it takes rows of a team, or of a workflow in a state, to be few, and would read a million of them."""


def claim_rows(*, workflow: Workflow, limit: int, after: int = 0) -> list[Claim]:
    """Claim up to `limit` waiting rows of a running workflow for LEASE_TIME, in one statement.

    Rows that somebody else is claiming at this moment are skipped, not waited for. A workflow that is not
    running, or is paused like its team may be, gives none. `after` is the id to look behind first, of the row
    claimed last: in front of it the index is full of entries of rows that are finished, until a vacuum comes.
    """
    if after:
        return _claim(workflow, limit, after) or _claim(workflow, limit, 0)
    return _claim(workflow, limit, 0)


def _claim(workflow: Workflow, limit: int, after: int) -> list[Claim]:
    with connection.cursor() as cursor:
        cursor.execute(
            _CLAIM,
            {
                "workflow": workflow.pk,
                "team": workflow.team_id,
                "limit": limit,
                "after": after,
                "lease": settings.LEASE_TIME.total_seconds(),
            },
        )
        claims = [Claim(*found) for found in cursor.fetchall()]
    return sorted(claims, key=lambda claim: claim.row_id)


@transaction.atomic
def finish_rows(*, workflow: Workflow, results: Sequence[tuple[Claim, Answer]], seconds: float = 0.0) -> set[int]:
    """Write the answers of claimed rows; return the ids of the rows that moved or went back to wait.

    Confident rows are done; routed ones get their unit in the workflow's job, in this transaction; pictures
    that could not be read fail, or wait for another attempt when the reason may pass. A claim whose token is
    no longer the row's newest changes nothing and makes no unit. Finishing goes on in a workflow that was
    turned off, so that what is under way ends cleanly. `seconds` is what the answers took, for the metrics.
    """
    _let_go_when_frozen()
    lines = {claim.row_id: _line(workflow, claim, answer) for claim, answer in results}
    if any(line.state == RowState.ROUTED for line in lines.values()):
        held = _lock(workflow, lines)
        lines = {row_id: line for row_id, line in lines.items() if row_id in held}
        for row_id, unit in _make_units(workflow, lines).items():
            lines[row_id].unit = unit
    moved: set[int] = set()
    if lines:
        with connection.cursor() as cursor:
            # Taking few rows to be one, the planner would compare each row with each answer.
            cursor.execute(
                "SET LOCAL enable_nestloop = off; " + _FINISH,
                {
                    "workflow": workflow.pk,
                    "version": workflow.version_id,
                    "ids": list(lines),
                    "lines": json.dumps([line.as_json() for line in lines.values()], allow_nan=False),
                },
            )
            moved = {row_id for (row_id,) in cursor.fetchall()}
    again = sum(lines[row_id].state == RowState.AWAITING for row_id in moved)
    count_chunk(images=len(moved), retries=again, seconds=seconds)
    if late := len(results) - len(moved):
        log.info("workflow %s: %s answers came too late and changed nothing", workflow.pk, late)
    return moved


def _let_go_when_frozen() -> None:
    """Whoever stops in the middle of this transaction holds the job's lock, and nobody else can send rows to people."""
    with connection.cursor() as cursor:
        milliseconds = int(settings.LEASE_TIME.total_seconds() * 1000)
        cursor.execute("SELECT set_config('idle_in_transaction_session_timeout', %s, true)", [str(milliseconds)])


def _line(workflow: Workflow, claim: Claim, answer: Answer) -> _Finished:
    """What becomes of one claimed row."""
    if isinstance(answer, Unreadable):
        return _failure(claim, answer)
    scores = [1.0 if 1 < score < 1 + ROUNDING else float(score) for score in answer.scores]
    try:
        if len(scores) != len(workflow.outcomes):
            raise ValueError
        decision = decide(scores, workflow.threshold, unlike=answer.unlike, route_unlike=workflow.route_unlike)
    except ValueError:
        return _failure(claim, Unreadable("bad_scores", "The model gave no usable confidences.", False))
    route = decision.route and workflow.routes_to_people
    return _Finished(
        claim.row_id,
        claim.token,
        RowState.ROUTED if route else RowState.CONFIDENT,
        reason=decision.reason if route else "",
        scores=scores,
        predicted=workflow.outcomes[decision.best],
        confidence=float(decision.confidence),
        unlike=answer.unlike,
    )


def _failure(claim: Claim, answer: Unreadable) -> _Finished:
    if answer.pause:
        delay = answer.pause * (1 + _spread() / 4)
        return _Finished(
            claim.row_id,
            claim.token,
            RowState.AWAITING,
            answer.code[:40],
            answer.message[:300],
            delay=delay,
            uncounted=True,
        )
    again = answer.transient and claim.attempts < MAX_ATTEMPTS
    return _Finished(
        claim.row_id,
        claim.token,
        RowState.AWAITING if again else RowState.FAILED,
        reason=answer.code[:40],
        error_message=answer.message[:300],
        delay=retry_delay(claim.attempts) if again else None,
    )


def retry_delay(attempts: int, *, jitter: Callable[[], float] = random.random) -> float:
    """Seconds to wait after attempt number `attempts` (from 1): half of it random, doubling up to LONGEST_DELAY."""
    delay = min(LONGEST_DELAY, settings.RETRY_DELAY.total_seconds() * 2 ** (attempts - 1))
    return float(delay * (0.5 + jitter() / 2))


def _lock(workflow: Workflow, lines: dict[int, _Finished]) -> set[int]:
    """Lock the rows whose token is still ours; without the lock a unit could be made for a row we lost."""
    rows = (
        WorkflowRow.objects.filter(workflow=workflow, pk__in=lines, state=RowState.AWAITING)
        .order_by("pk")
        .select_for_update()
        .values_list("pk", "token")
    )
    return {pk for pk, token in rows if lines[pk].token == token}


def _make_units(workflow: Workflow, lines: dict[int, _Finished]) -> dict[int, int]:
    """Make the units of the routed rows (or find them, when they are there) and return them by row id."""
    routed = [row_id for row_id, line in lines.items() if line.state == RowState.ROUTED]
    if not routed or workflow.job is None:
        return {}
    rows = WorkflowRow.objects.filter(pk__in=routed).values_list("pk", "image_url", "cells", "upload__columns")
    items = [
        NewUnit(
            key=f"workflow-row:{pk}",
            data=dict(zip(columns, cells, strict=True)),
            image_url=url,
            machine={"label": lines[pk].predicted, "confidence": lines[pk].confidence},
        )
        for pk, url, cells, columns in rows
    ]
    units = add_units(job=workflow.job, items=items)
    return {row_id: units[f"workflow-row:{row_id}"] for row_id in routed}


def extend_leases(*, workflow: Workflow, claims: Iterable[Claim]) -> None:
    """Keep claimed rows for another LEASE_TIME from now; those that were claimed by somebody else stay theirs."""
    _still_mine(workflow, claims).update(lease_until=Now() + settings.LEASE_TIME)


def release_rows(*, workflow: Workflow, claims: Iterable[Claim]) -> None:
    """Give claimed rows back unfinished without counting the attempt: the worker was asked to stop."""
    _still_mine(workflow, claims).update(lease_until=None, attempts=F("attempts") - 1)


def _still_mine(workflow: Workflow, claims: Iterable[Claim]) -> QuerySet[WorkflowRow]:
    """The rows of `claims` that nobody claimed since. (A token names one claim of one row.)"""
    mine = Q(pk__in=[])
    for claim in claims:
        mine |= Q(pk=claim.row_id, token=claim.token)
    return WorkflowRow.objects.filter(mine, workflow=workflow, state=RowState.AWAITING, lease_until__isnull=False)


def predict_rows(*, workflow: Workflow, seconds: float = 5.0) -> bool:
    """Claim, classify and finish waiting rows for about `seconds`; return whether there may be more to do.

    A process that is told to stop gives its rows back at once.
    """
    until, work = time.monotonic() + seconds, None
    try:
        with interruptible():
            while time.monotonic() < until:
                work = _Work(workflow, until)
                if not work.claim():
                    fail_poisoned(workflow=workflow)
                    return False
                work.answer(work.claims())
                if work.suspects:
                    work.answer(work.suspects)
    except Stopping:
        if work is not None:
            release_rows(workflow=workflow, claims=work.pending.values())
        log.info("workflow %s: told to stop, the rows are given back", workflow.pk)
    return True


class _Work:
    """One stretch of predicting: rows are claimed as the classifier asks for them, so that fetching never waits.

    `pending` are the rows that have no answer yet, `ready` those of them that the classifier has not seen.
    `suspects` may have stopped two workers and must not be worked on beside others.
    """

    def __init__(self, workflow: Workflow, until: float) -> None:
        self.workflow, self.until = workflow, until
        self.began = time.monotonic()
        self.pending: dict[int, Claim] = {}
        self.ready: list[Claim] = []
        self.suspects: list[Claim] = []
        self.kept, self.after = time.monotonic(), 0

    def claim(self) -> bool:
        """Claim some rows; False when there are none."""
        with undisturbed():
            claims = claim_rows(workflow=self.workflow, limit=settings.PREDICT_CHUNK, after=self.after)
            self.after = claims[-1].row_id if claims else 0
            self.pending.update((claim.row_id, claim) for claim in claims)
        if claims and claims[0].suspect:
            self.suspects = claims
        else:
            self.ready = claims
        return bool(claims)

    def claims(self) -> Iterator[Claim]:
        """The claimed rows, and more of them until the time is over."""
        while self.ready:
            yield from self.ready
            self.ready = []
            if time.monotonic() < self.until:
                self.claim()

    def answer(self, claims: Iterable[Claim]) -> None:
        """Answer the claims; write what is there every few seconds, and keep the leases of the rest."""
        assert self.workflow.version is not None
        answers: list[tuple[Claim, Answer]] = []
        written = time.monotonic()
        try:
            items = ((claim, claim.image_url) for claim in claims)
            for claim, answer in classify(version=self.workflow.version, items=items, tick=self.keep):
                answers.append((claim, answer))
                self.pending.pop(claim.row_id, None)
                if time.monotonic() - written > WRITE_EVERY or len(answers) >= WRITE_ROWS:
                    self._write(answers)
                    answers, written = [], time.monotonic()
        except Exception as error:
            log.exception("workflow %s: the model failed with %s rows open", self.workflow.pk, len(self.pending))
            reason = Unreadable(error.code, error.message) if isinstance(error, Permanent) else BROKEN
            answers += [(claim, reason) for claim in self.pending.values()]
            self.pending, self.suspects = {}, []
        except BaseException:
            release_rows(workflow=self.workflow, claims=self.pending.values())
            self._write(answers)
            raise
        self._write(answers)

    def _write(self, answers: list[tuple[Claim, Answer]]) -> None:
        now = time.monotonic()
        with undisturbed():
            finish_rows(workflow=self.workflow, results=answers, seconds=now - self.began)
            self.began = now
            self._extend()

    def keep(self) -> None:
        """While hosts are slow there is no answer to write, and the leases would run out."""
        look()
        if time.monotonic() - self.kept > settings.LEASE_TIME.total_seconds() / 4:
            with undisturbed():
                self._extend()

    def _extend(self) -> None:
        extend_leases(workflow=self.workflow, claims=self.pending.values())
        self.kept = time.monotonic()


@transaction.atomic
def retry_failed(*, workflow: Workflow, actor: User | None) -> int:
    """Let failed rows wait for a prediction again; return how many. Rows whose address is none stay failed.

    Those never were with the model (`attempts` is 0): trying again cannot help them.
    """
    rows = WorkflowRow.objects.filter(workflow=workflow, attempts__gt=0)
    moved = RowState.move(
        rows, RowState.AWAITING, attempts=0, reason="", error_message="", not_before=None, predicted_at=None
    )
    if moved:
        record(team=workflow.team, actor=actor, verb="failed rows retried", obj=workflow, rows=moved)
    return moved


def fail_poisoned(*, workflow: Workflow) -> int:
    """Fail the workflow's rows whose claim ran out MAX_ATTEMPTS times; return how many.

    Looks at every waiting row, so it is for the time when none of them can be claimed any more.
    """
    rows = WorkflowRow.objects.filter(workflow=workflow, attempts__gte=MAX_ATTEMPTS, lease_until__lt=Now())
    failed = RowState.move(
        rows, RowState.FAILED, reason=POISON, error_message=POISON_MESSAGE, lease_until=None, predicted_at=Now()
    )
    count(**{LEASE_EXPIRIES: failed})
    return failed


def find_unread() -> list[tuple[int, int]]:
    """(team id, upload id) of uploads whose reading nobody has begun, or whose reader died."""
    return reading.find_unread(WorkflowUpload.objects.all())
