"""The report of a workflow: rows LEFT JOIN units, in upload order (design §6.3)."""

from __future__ import annotations

from psycopg2 import sql

from workflows_app.models import WorkflowUpload

from ..columns import COMPLETED, ERROR, FILE, HUMAN, LINE, MACHINE, MODEL_VERSION, REASON, Header, make_header
from ..kinds import DIAGNOSTICS, ONLY_FINAL
from ..models import Report
from .lines import Cell, Lines, decimal, flag, listed

DONE = "(r.state IN ('confident', 'failed') OR n.state = 'finalized')"
PLACES = 6


def workflow_lines(report: Report) -> Lines:
    """One line for every uploaded row of the report's workflow."""
    header, uploads = _header(report)
    assert report.workflow_id is not None, "the constraint report_of_one_thing"
    layout = listed(
        sql.SQL("({}::bigint, {}::int[])").format(sql.Literal(pk), sql.Literal(header.positions(columns)))
        for pk, columns in (uploads or {0: []}).items()
    )
    return Lines(
        cells=_cells(report, header),
        table=sql.SQL("workflows_app_workflowrow r"),
        joins=sql.SQL(
            " JOIN (VALUES {}) AS layout(upload_id, at) ON layout.upload_id = r.upload_id"
            " JOIN workflows_app_workflowupload u ON u.id = r.upload_id"
            " LEFT JOIN jobs_app_unit n ON n.id = r.unit_id"
            " LEFT JOIN models_app_modelversion v ON v.id = r.version_id"
        ).format(layout),
        where=sql.SQL("r.workflow_id = {} AND r.team_id = {}").format(
            sql.Literal(report.workflow_id), sql.Literal(report.team_id)
        ),
        order=[sql.SQL("r.id")],
    )


def _header(report: Report) -> tuple[Header, dict[int, list[str]]]:
    """The report's header, and the columns of each upload by its id."""
    assert report.workflow is not None, "the constraint report_of_one_thing"
    uploads = WorkflowUpload.objects.filter(workflow=report.workflow_id, rows_total__gt=0).order_by("pk")
    columns = dict(uploads.values_list("pk", "columns"))
    header = make_header(columns.values(), report.workflow.outcomes, diagnostics=report.options[DIAGNOSTICS])
    return header, columns


def _cells(report: Report, header: Header) -> list[Cell]:
    cells = [
        Cell(name, sql.SQL("r.cells[layout.at[{}]]").format(sql.Literal(place)), free=True)
        for place, name in enumerate(header.shown, 1)
    ]
    cells += [
        Cell(ERROR, flag(sql.SQL("r.state = 'failed'"))),
        Cell(COMPLETED, flag(sql.SQL(f"coalesce({DONE}, false)"))),
    ]
    when = DONE if report.options[ONLY_FINAL] else "r.state IN ('confident', 'routed')"
    for place, outcome in enumerate(header.outcomes, 1):
        score = decimal(sql.SQL("r.scores[{}]").format(sql.Literal(place)), PLACES)
        cells.append(Cell(f"{MACHINE}{outcome}", sql.SQL(f"CASE WHEN {when} THEN {{}} END").format(score)))
    final = "n.state = 'finalized' AND n.shares IS NOT NULL"
    for outcome in header.outcomes:
        share = decimal(sql.SQL("coalesce((n.shares ->> {})::numeric, 0)").format(sql.Literal(outcome)), PLACES)
        cells.append(Cell(f"{HUMAN}{outcome}", sql.SQL(f"CASE WHEN {final} THEN {{}} END").format(share)))
    if header.diagnostics:
        reason = sql.SQL("concat_ws(': ', nullif(r.reason, ''), nullif(r.error_message, ''))")
        cells += [
            Cell(REASON, reason, free=True),
            Cell(MODEL_VERSION, sql.SQL("v.number")),
            Cell(LINE, sql.SQL("r.line")),
        ]
        cells.append(Cell(FILE, sql.SQL("u.original_name"), free=True))
    return cells
