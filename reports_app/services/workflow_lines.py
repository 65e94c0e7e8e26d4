"""The report of a workflow: rows LEFT JOIN units, in upload order (design §6.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef, Q
from psycopg2 import sql

from models_app.models import ModelVersion
from workflows_app.models import Workflow, WorkflowRow, WorkflowUpload
from workflows_app.querysets import tallied_rows
from workflows_app.states import STATUS_LINES

from ..columns import COMPLETED, ERROR, FILE, HUMAN, LINE, MACHINE, MODEL_VERSION, REASON, Header, make_header
from ..kinds import DIAGNOSTICS, ONLY_FINAL, SINCE
from ..models import Report
from .lines import Cell, Lines, flag

DONE = "(r.state IN ('confident', 'failed') OR n.state = 'finalized')"
# Rows that an upload brought in as failed were never predicted: they were completed when their file was read. That
# moment is a worker's clock, which may be a little behind the database's.
READ_AT = "(SELECT u.finished_at + interval '5 minutes' FROM workflows_app_workflowupload u WHERE u.id = r.upload_id)"
COMPLETED_AT = (
    f"CASE WHEN r.state IN ('confident', 'failed') THEN coalesce(r.predicted_at, {READ_AT}, 'infinity')"
    " WHEN n.state = 'finalized' THEN greatest(r.predicted_at, coalesce(n.finalized_at, 'infinity')) END"
)
"""When a row was completed; NULL when it is not, and "infinity" when nobody wrote down when."""
MOST_VERSIONS = 20


def workflow_lines(report: Report) -> Lines:
    """One line for every uploaded row of the report's workflow, or for those completed at or after `since`.

    What belongs to an upload or to a version is looked up here and put into the statement, because each join of the
    million rows costs time and may cost their order.
    """
    workflow = report.workflow
    assert workflow is not None, "the constraint report_of_one_thing"
    uploads = _Uploads.of(workflow)
    header = make_header(uploads.columns, workflow.outcomes, diagnostics=report.options[DIAGNOSTICS])
    # Not "=": then the planner knows that only the index over both columns has this order, and does not walk over
    # all rows of all teams by their id.
    where = sql.SQL("r.workflow_id BETWEEN {0} AND {0} AND r.team_id = {1}").format(
        sql.Literal(workflow.pk), sql.Literal(report.team_id)
    )
    since = report.options.get(SINCE)
    if since:
        where += sql.SQL(f" AND {COMPLETED_AT} >= {{}}").format(sql.Literal(datetime.fromisoformat(since)))
    return Lines(
        cells=_cells(workflow, header, uploads, only_final=report.options[ONLY_FINAL]),
        table=sql.SQL("workflows_app_workflowrow r"),
        joins=sql.SQL(" LEFT JOIN jobs_app_unit n ON n.id = r.unit_id"),
        where=where,
        order=[sql.SQL("r.workflow_id"), sql.SQL("r.id")],
        known=0 if since else _rows(workflow),
    )


def _rows(workflow: Workflow) -> int:
    """How many rows there are, from the tallies: they are the truth of the same snapshot, and no row is read."""
    counted = tallied_rows(workflow)
    return sum(counted[line.key] for line in STATUS_LINES)


@dataclass(frozen=True)
class _Uploads:
    """The uploads that a workflow has rows of, oldest first: their ids, names and columns."""

    ids: Sequence[int]
    names: Sequence[str]
    columns: Sequence[Sequence[str]]

    @classmethod
    def of(cls, workflow: Workflow) -> _Uploads:
        with_rows = Q(rows_total__gt=0) | Exists(WorkflowRow.objects.filter(upload=OuterRef("pk")))
        uploads = WorkflowUpload.objects.filter(with_rows, workflow=workflow).order_by("pk")
        found = list(uploads.values_list("pk", "original_name", "columns"))
        return cls(*zip(*found, strict=True)) if found else cls((), (), ())

    def choose(self, values: Sequence[Any], kind: str) -> sql.Composable:
        """Of one value for each upload, the one of the row's upload."""
        if len(set(values)) < 2:
            return sql.Literal(values[0] if values else None)
        return sql.SQL(f"({{}}::{kind}[])[width_bucket(r.upload_id, {{}}::bigint[])]").format(
            sql.Literal(list(values)), sql.Literal(list(self.ids))
        )


def _cells(workflow: Workflow, header: Header, uploads: _Uploads, *, only_final: bool) -> list[Cell]:
    places = [header.positions(columns) for columns in uploads.columns]
    cells = []
    for number, name in enumerate(header.shown):
        place = uploads.choose([upload[number] or 0 for upload in places], "int")
        cells.append(Cell(name, sql.SQL("r.cells[{}]").format(place), free=True))
    cells += [
        Cell(ERROR, flag(sql.SQL("r.state = 'failed'"))),
        Cell(COMPLETED, flag(sql.SQL(f"coalesce({DONE}, false)"))),
    ]
    when = DONE if only_final else "r.state IN ('confident', 'routed')"
    for number, outcome in enumerate(header.outcomes, 1):
        score = sql.SQL(f"CASE WHEN {when} THEN r.scores[{{}}] END").format(sql.Literal(number))
        cells.append(Cell(f"{MACHINE}{outcome}", score, share=True))
    final = "n.state = 'finalized' AND n.shares IS NOT NULL"
    for outcome in header.outcomes:
        share = sql.SQL(f"CASE WHEN {final} THEN coalesce((n.shares ->> {{}})::float8, 0) END")
        cells.append(Cell(f"{HUMAN}{outcome}", share.format(sql.Literal(outcome)), share=True))
    if header.diagnostics:
        reason = sql.SQL("concat_ws(': ', nullif(r.reason, ''), nullif(r.error_message, ''))")
        cells += [
            Cell(REASON, reason, free=True),
            Cell(MODEL_VERSION, _version(workflow)),
            Cell(LINE, sql.SQL("r.line")),
            Cell(FILE, sql.SQL("{}::text").format(uploads.choose(uploads.names, "text")), free=True),
        ]
    return cells


def _version(workflow: Workflow) -> sql.Composable:
    """The number of the version that scored the row."""
    versions = ModelVersion.objects.filter(model=workflow.model_id).order_by("-pk")
    numbers: Mapping[int, int] = dict(versions.values_list("pk", "number")[:MOST_VERSIONS])
    known = [
        sql.SQL("WHEN r.version_id = {} THEN {}").format(sql.Literal(pk), sql.Literal(number))
        for pk, number in numbers.items()
    ]
    return sql.SQL(
        "CASE {} WHEN r.version_id IS NULL THEN NULL"
        " ELSE (SELECT v.number FROM models_app_modelversion v WHERE v.id = r.version_id) END"
    ).format(sql.SQL(" ").join(known))
