"""Whose rows a free worker should predict: teams take turns; rows for services elsewhere have workers of their own."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection
from django.db.models.functions import Now

from models_app.backends import REMOTE
from workflows_app.models import Workflow, WorkflowRow
from workflows_app.states import RowState

from .dispatch import FREE

ROWS_PER_HINT, MOST_HINTS = 200, 4
MOST_REMOTE = 2
"""Hands for a workflow whose model is on a service elsewhere: the worker for those has four, for all teams."""


@dataclass(frozen=True)
class Hint:
    """A workflow that has claimable rows: tells a worker to look there.

    `remote`: its model is on a service elsewhere.
    """

    team_id: int
    workflow_id: int
    remote: bool = False


_WORKING = (
    "state = 'running' AND paused_at IS NULL"
    " AND team_id NOT IN (SELECT id FROM accounts_team WHERE paused_at IS NOT NULL OR closed_at IS NOT NULL)"
)
_REMOTE = """EXISTS (
    SELECT 1 FROM models_app_modelversion v WHERE v.id = w.version_id AND v.backend = ANY (%(remote_kinds)s))"""
_HINTS = f"""
SELECT w.team_id, w.id, (
    SELECT count(*) FROM (
        SELECT 1 FROM workflows_app_workflowrow r WHERE r.workflow_id = w.id AND {FREE}
        LIMIT %(enough)s
    ) AS waiting
), {_REMOTE}
FROM workflows_app_workflow w WHERE {_WORKING} ORDER BY w.id
"""  # noqa: S608 - put together from constants of this module

_NEXT = f"""
SELECT w.team_id, w.id FROM (
    SELECT team_id, id, version_id, served_at, max(served_at) OVER (PARTITION BY team_id) AS team_served_at
    FROM workflows_app_workflow w WHERE {_WORKING} AND {_REMOTE} = %(remote)s
) AS w
WHERE EXISTS (SELECT 1 FROM workflows_app_workflowrow r WHERE r.workflow_id = w.id AND {FREE})
ORDER BY w.team_served_at NULLS FIRST, w.served_at NULLS FIRST, w.id LIMIT 1
"""  # noqa: S608 - put together from constants of this module


def find_hints() -> list[Hint]:
    """Running workflows of all teams with claimable rows: one hint per 200 rows, at most four each.

    In the order to send them: the first of each workflow, then the second of each, so that a small workflow
    never stands behind all hints of a big one. Called by the sweeper outside of any team's scope.
    """
    with connection.cursor() as cursor:
        cursor.execute(_HINTS, {"enough": (MOST_HINTS - 1) * ROWS_PER_HINT, "remote_kinds": list(REMOTE)})
        found = [
            (Hint(team, workflow, remote), _hands(waiting, remote=remote))
            for team, workflow, waiting, remote in cursor
            if waiting
        ]
    return [hint for turn in range(MOST_HINTS) for hint, wanted in found if wanted > turn]


def _hands(waiting: int, *, remote: bool) -> int:
    return min(1 + waiting // ROWS_PER_HINT, MOST_REMOTE if remote else MOST_HINTS)


def take_turn(*, workflow: Workflow) -> None:
    """Note that the workflow is worked on now; next_turn then prefers others."""
    Workflow.objects.filter(pk=workflow.pk).update(served_at=Now())


def next_turn(*, remote: bool = False) -> Hint | None:
    """Whose rows a free worker should predict next: teams take turns, and in a team its workflows.

    The team that was served longest ago comes first, however many rows or workflows the others have. None when no row
    can be claimed. Called outside of any team's scope. With `remote` it is about workflows whose model is on a service
    elsewhere, without about the others.
    """
    with connection.cursor() as cursor:
        cursor.execute(_NEXT, {"remote": remote, "remote_kinds": list(REMOTE)})
        found = cursor.fetchone()
    return Hint(found[0], found[1], remote) if found else None


def hands_wanted(*, workflow: Workflow) -> int:
    """How many workers the waiting rows of a workflow are worth: one per 200 rows, at least one, at most four.

    At most two when its model is on a service elsewhere.
    """
    enough = (MOST_HINTS - 1) * ROWS_PER_HINT
    waiting = WorkflowRow.objects.filter(workflow=workflow, state=RowState.AWAITING)[:enough].count()
    return _hands(waiting, remote=runs_elsewhere(workflow))


def runs_elsewhere(workflow: Workflow) -> bool:
    """Whether the workflow's rows are answered by a service elsewhere."""
    return workflow.version is not None and workflow.version.backend in REMOTE
