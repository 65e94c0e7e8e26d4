"""Deleting a team for good: every row of every table, every file, its log; in steps that lock little.

Which tables there are, and in which order, is read from the models: whatever has a team goes, referring rows before
those that they refer to. Nothing here has to be changed for a new table. Each step is a transaction of its own; a
deletion that is interrupted goes on with the next sweep, until the team's own row is gone.

What the team has on services elsewhere is deleted there first, by tasks that are tried again (models_app/services/
leftovers.py); only the connections wait for them, and not for ever.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import islice

from django.apps import apps
from django.db import connection, models, transaction
from django_scopes import scopes_disabled

from labeling_platform.accounts import support
from labeling_platform.accounts.models import Activity, Team, TeamDeletion
from labeling_platform.accounts.services import record
from labeling_platform.accounts.tenancy import team_scope
from labeling_platform.lib import storage
from labeling_platform.lib.tallies import Tally
from models_app import services as models_of_teams
from models_app.models import RemoteLeftover, WatsonConnection
from workflows_app.models import Workflow, WorkflowRow

BATCH = 5000
FILES = 500
Kind = type[models.Model]
THROUGH: dict[Kind, tuple[str, Kind]] = {WorkflowRow: ("workflow_id", Workflow)}
"""Tables without an index on the team: rows are found by what they belong to, or each step would read all teams'."""
LAST = (Activity, TeamDeletion)
"""What goes in the last steps: the log allows it only while the deletion stands beside it."""
FOR_SERVICES = (RemoteLeftover, WatsonConnection)
"""What stays while something is still to be deleted on services elsewhere."""


def delete_team(*, team: Team, seconds: float = 45.0, batch: int = BATCH) -> bool:
    """Delete the team with all it has, as far as `seconds` reach; return whether it is gone.

    Does nothing for a team whose deletion is not due (support.begin_deletion). While services elsewhere are still to
    delete something of it, the team's own row, its log and its connections stay.
    """
    until = time.monotonic() + seconds
    with team_scope(team):
        if not support.begin_deletion(team=team):
            return False
        models_of_teams.leave_all(team=team)
        waits = models_of_teams.waits_for_services(team=team)
        _untie(team)
        for kind in tables():
            if waits and kind in FOR_SERVICES:
                continue
            while _delete_some(kind, team, batch):
                if time.monotonic() > until:
                    return False
        while names := list(islice(storage.files_of_team(team.pk), FILES)):
            for name in names:
                storage.delete_file(name)
            if time.monotonic() > until:
                return False
        storage.delete_folders_of_team(team.pk)
        if waits:
            return False
        while _purge(team, batch):
            if time.monotonic() > until:
                return False
    return _finish(team)


def _delete_some(kind: Kind, team: Team, batch: int) -> int:
    table, (column, owner) = kind._meta.db_table, THROUGH.get(kind, ("team_id", None))
    with transaction.atomic(), connection.cursor() as cursor:
        # An array of ids, and not a join, which statistics may turn into reading the whole table.
        mine = [team.pk] if owner is None else list(owner._default_manager.values_list("pk", flat=True))
        cursor.execute(
            f"DELETE FROM {table} WHERE ctid = ANY(ARRAY("  # noqa: S608 - names of a model's table and column
            f"SELECT ctid FROM {table} WHERE {column} = ANY(%s) AND team_id = %s LIMIT %s))",
            [mine, team.pk, batch],
        )
        return int(cursor.rowcount)


def _untie(team: Team) -> None:
    """Take away the references that go round in a circle (a model's version in service, a file's earlier twin)."""
    for kind, column in _knots():
        table = kind._meta.db_table
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {table} SET {column} = NULL WHERE team_id = %s AND {column} IS NOT NULL",  # noqa: S608
                [team.pk],
            )


def _purge(team: Team, batch: int) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT activity_purge(%s, %s)", [team.pk, batch])
        return int(cursor.fetchone()[0])


def _finish(team: Team) -> bool:
    """Delete the team itself. Whatever was added to it meanwhile makes the database refuse; the next sweep goes on."""
    with transaction.atomic():
        with team_scope(team):
            asked = TeamDeletion.objects.filter(team=team, canceled_at=None).select_related("asked_by").first()
            _purge(team, BATCH)
            TeamDeletion.objects.filter(team=team).delete()
        with scopes_disabled():
            with connection.cursor() as cursor:
                cursor.execute("DELETE FROM accounts_team WHERE id = %s", [team.pk])
            record(
                team=None,
                actor=asked.asked_by if asked else None,
                verb="team deleted",
                about=f"{team.name} ({team.slug})",
                reason=asked.reason if asked else "",
            )
    return True


def team_models() -> list[Kind]:
    """Every model whose rows belong to a team."""
    found = []
    for kind in apps.get_models(include_auto_created=True):
        field = next((field for field in kind._meta.local_fields if field.name == "team"), None)
        if field is not None and field.related_model is Team:
            found.append(kind)
    return found


def tables() -> list[Kind]:
    """The models whose rows go, in the order in which they go; those of LAST come later."""
    return [kind for kind in _order()[0] if kind not in LAST]


def _knots() -> list[tuple[Kind, str]]:
    return _order()[1]


@cache
def _order() -> tuple[list[Kind], list[tuple[Kind, str]]]:
    kinds, knots = team_models(), list[tuple[Kind, str]]()
    refers = {kind: dict(_references(kind, set(kinds))) for kind in kinds}
    for kind, columns in refers.items():
        for column in [column for column, target in columns.items() if target is kind]:
            knots.append((kind, column))
            del columns[column]
    while True:
        try:
            return list(TopologicalSorter(_before(refers)).static_order()), knots
        except CycleError as error:
            knots.append(_cut(refers, error.args[1]))


def _before(refers: dict[Kind, dict[str, Kind]]) -> dict[Kind, list[Kind]]:
    """What must be empty before each table: whatever refers to it, and before counters what they count.

    Triggers write a difference for each row of a counted table that goes, so counters that went first would come back.
    """
    before: dict[Kind, list[Kind]] = {kind: [] for kind in refers}
    for kind, columns in refers.items():
        for target in columns.values():
            before[target].append(kind)
    for kind in [kind for kind in refers if issubclass(kind, Tally)]:
        owners = [target for column, target in refers[kind].items() if column != "team_id"]
        before[kind] += [other for owner in owners for other in before[owner] if not issubclass(other, Tally)]
    return before


def _references(kind: Kind, kinds: set[Kind]) -> Iterator[tuple[str, Kind]]:
    for field in kind._meta.local_fields:
        if isinstance(field, models.ForeignKey) and field.related_model in kinds:
            yield field.column, field.related_model  # type: ignore[misc]  # a class, once all models are loaded


def _cut(refers: dict[Kind, dict[str, Kind]], cycle: list[Kind]) -> tuple[Kind, str]:
    """Leave out a reference of the cycle that may be empty."""
    for kind in cycle:
        for column, target in refers[kind].items():
            nullable = next(field for field in kind._meta.local_fields if field.column == column).null
            if target in cycle and nullable:
                del refers[kind][column]
                return kind, column
    raise AssertionError(f"these tables refer to each other and none can let go: {cycle}")
