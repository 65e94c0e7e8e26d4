"""What pages of workflows show, prepared so that templates only have to write it down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.urls import reverse

from jobs_app.states import JobState
from labeling_platform.accounts.permissions import EDIT, LABEL
from labeling_platform.accounts.pictures import picture_url
from labeling_platform.accounts.tenancy import TeamRequest
from labeling_platform.lib.words import duration

from .models import Workflow, WorkflowRow
from .querysets import LINES, Counts
from .routing import LOW_CONFIDENCE, UNLIKE
from .states import HUMAN_LABELED, StatusLine, WorkflowState

REASONS = {
    LOW_CONFIDENCE: "Confidence below the threshold",
    UNLIKE: "Unlike the training data",
}


def page_context(request: TeamRequest, workflow: Workflow, tab: str) -> dict[str, Any]:
    """What every page of one workflow needs: the workflow, its tabs, and what the member may do."""
    slug = request.team.slug

    def at(name: str) -> str:
        return reverse(f"workflows:{name}", kwargs={"team_slug": slug, "pk": workflow.pk})

    report = reverse("reports:workflow", kwargs={"team_slug": slug, "workflow_pk": workflow.pk})
    tabs = [
        {"label": "Overview", "url": at("detail"), "active": tab == "overview", "icon": "route"},
        {"label": "Data", "url": at("data"), "active": tab == "data", "icon": "file-upload"},
    ]
    if workflow.state == WorkflowState.DRAFT:
        tabs.append({"label": "Launch", "url": at("launch"), "active": tab == "launch", "icon": "rocket"})
    else:
        tabs.append({"label": "Rows", "url": at("rows"), "active": tab == "rows", "icon": "table"})
        tabs.append({"label": "Report", "url": report, "active": tab == "report", "icon": "report-analytics"})
    return {
        "workflow": workflow,
        "tabs": tabs,
        "can_edit": request.membership.may(EDIT),
        "can_label": request.membership.may(LABEL),
        "routing_words": routing_words(workflow),
    }


def as_percent(share: Decimal) -> str:
    """0.8 -> 80%, 0.805 -> 80.5%."""
    return f"{(share * 100).normalize():f}%"


def threshold_words(threshold: Decimal) -> str:
    """The band of the routing rule in words."""
    words = f"Rows whose best answer has less than {as_percent(threshold)} confidence go to people."
    if threshold == 1:
        words += " At 100% that is nearly every row."
    return words


def routing_words(workflow: Workflow) -> str:
    if not workflow.routes_to_people:
        return "The model answers every row; no row goes to people."
    words = threshold_words(workflow.threshold)
    if workflow.route_unlike:
        words += " So do rows unlike the training data, whatever their confidence."
    return words


ICONS = {
    "awaiting_prediction": "clock",
    "model_labeled": "circle-check",
    "awaiting_human": "users",
    "human_labeled": "user-check",
    "error": "alert-circle",
}


def stats(workflow: Workflow, counts: Counts, rows_url: str) -> list[dict[str, Any]]:
    """One number for each status line, leading to its rows."""
    return [
        {
            "line": line,
            "count": count,
            "note": "completed" if line.completed else "in progress",
            "icon": ICONS[line.key],
            "url": f"{rows_url}?status={line.key}",
            "id": f"count-{line.key}",
        }
        for line, count in counts.lines
    ]


def pace(workflow: Workflow, counts: Counts) -> str:
    """How fast the model is going, and until when."""
    found = []
    if counts.waiting and counts.per_second:
        found.append(f"{counts.per_second:,.1f} images a second.")
    left = duration(counts.seconds_left)
    if left and workflow.state == WorkflowState.RUNNING:
        found.append(f"{left.capitalize()} until every row has a prediction.")
    if counts.unlike:
        found.append(f"{counts.unlike:,} row{'' if counts.unlike == 1 else 's'} unlike the training data.")
    return " ".join(found)


def notices(workflow: Workflow, counts: Counts, upload_problem: str) -> list[dict[str, str]]:
    """Banners of a launched workflow: what holds rows back and who can mend it."""
    found = []
    job = workflow.job
    if upload_problem:
        found.append({"tone": "error", "title": "No more rows can be uploaded.", "text": upload_problem})
    if job is not None and job.state == JobState.PAUSED:
        text = f"Nobody can label the rows in “{job.title}” until the job is resumed."
        found.append({"tone": "warning", "title": "The job is paused.", "text": text})
    if counts.canceled_units:
        count = f"{counts.canceled_units:,} row{'' if counts.canceled_units == 1 else 's'}"
        text = f"{count} sent to people were canceled in the job and will not be completed."
        found.append({"tone": "warning", "title": "Some rows need attention.", "text": text})
    return found


@dataclass(frozen=True)
class RowView:
    """One row as the pages show it."""

    row: WorkflowRow
    line: StatusLine
    picture: str
    scores: list[tuple[str, float, float | None]]
    human: str
    human_share: float | None
    reason: str
    cells: list[tuple[str, str]]

    @property
    def title(self) -> str:
        return f"Line {self.row.line:,}"


def row_views(request: TeamRequest, workflow: Workflow, rows: Sequence[Any], size: str = "small") -> list[RowView]:
    """Views of rows that come with_status and with their upload."""
    return [_row_view(request, workflow, row, size) for row in rows]


def _row_view(request: TeamRequest, workflow: Workflow, row: Any, size: str) -> RowView:
    line = LINES[row.status]
    shares = (row.unit.shares or {}) if line == HUMAN_LABELED else {}
    best = max(shares, key=lambda outcome: shares[outcome]) if shares else ""
    human = [shares.get(outcome, 0.0) if shares else None for outcome in workflow.outcomes]
    return RowView(
        row=row,
        line=line,
        picture=picture_url(request.team, row.image_url, size) if row.image_url else "",
        scores=list(zip(workflow.outcomes, row.scores, human, strict=True)) if row.scores else [],
        human=best,
        human_share=shares.get(best),
        reason=row.error_message or REASONS.get(row.reason, row.reason),
        cells=list(zip(row.upload.columns, row.cells, strict=False)),
    )
