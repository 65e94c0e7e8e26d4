"""What the reports of a job have in common: which rows are in them, and the columns they were uploaded with."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from django.db import connection
from psycopg2 import sql

from jobs_app.design import Design, Question
from jobs_app.models import Job, JobUpload
from jobs_app.services import design_of
from workflows_app.models import WorkflowUpload

from ..columns import keep_apart
from ..kinds import OMIT_GOLDS, UNFINISHED, Options
from ..models import Report
from .lines import Cell, all_of, flag, text_at

IMAGE_URL = "image_url"
IS_GOLDEN = sql.SQL("u.state IN ('golden', 'hidden_gold')")
GOLDEN = Cell("_golden", flag(IS_GOLDEN))
UNIT_ID = Cell("_unit_id", sql.SQL("u.id"))
UNIT_STATE = Cell("_unit_state", sql.SQL("u.state"))
UNITS = sql.SQL("jobs_app_unit u")


@dataclass(frozen=True)
class Subject:
    """The job of a report, its design, the columns its rows were uploaded with, and what was asked for."""

    job: Job
    design: Design
    uploaded: tuple[str, ...]
    options: Options

    @property
    def questions(self) -> list[Question]:
        return self.design.questions

    @property
    def golds(self) -> list[Question]:
        """The questions that test questions have accepted answers for."""
        return [question for question in self.questions if question.gold]

    def source_cells(self, ours: Collection[str]) -> list[Cell]:
        """The uploaded cells, called orig_<name> where `ours` has that name."""
        shown = keep_apart(self.uploaded, ours)
        return [Cell(name, _uploaded(column), free=True) for column, name in zip(self.uploaded, shown, strict=True)]

    def of_job(self, alias: str = "u") -> sql.Composed:
        """Lines of this job, and of its team."""
        return sql.SQL("{0}.job_id = {1} AND {0}.team_id = {2}").format(
            sql.SQL(alias), sql.Literal(self.job.pk), sql.Literal(self.job.team_id)
        )

    def wanted_rows(self) -> sql.Composed:
        """The rows that were asked for: finalized ones and test questions, or all of them."""
        conditions: list[sql.Composable] = [self.of_job()]
        if not self.options.get(UNFINISHED, True):
            conditions.append(sql.SQL("u.state IN ('finalized', 'golden', 'hidden_gold')"))
        if self.options.get(OMIT_GOLDS):
            conditions.append(sql.SQL("NOT ({})").format(IS_GOLDEN))
        return all_of(conditions)


def subject_of(report: Report) -> Subject:
    """The report's job as the reports see it."""
    assert report.job is not None, "the constraint report_of_one_thing"
    return Subject(report.job, design_of(report.job), tuple(_uploaded_columns(report.job)), report.options)


def _uploaded(column: str) -> sql.Composable:
    """The cell of an uploaded column. A picture's address is the row's own when no column holds it."""
    value = text_at("u.data", column)
    return sql.SQL("coalesce({}, u.image_url)").format(value) if column == IMAGE_URL else value


def _uploaded_columns(job: Job) -> list[str]:
    """The columns that the job's rows have, in upload order; those of no upload last, by name.

    Postgres keeps no order in jsonb, so the order is taken from the uploads that rows came from: the job's own,
    those of the job it is a copy of, and those of workflows that send it rows.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT jsonb_object_keys(data) FROM jobs_app_unit"
            " WHERE job_id = %s AND team_id = %s AND jsonb_typeof(data) = 'object'",
            [job.pk, job.team_id],
        )
        there = {name for (name,) in cursor.fetchall()}
        cursor.execute("SELECT EXISTS (SELECT FROM jobs_app_unit WHERE job_id = %s AND image_url <> '')", [job.pk])
        if cursor.fetchone()[0]:
            there.add(IMAGE_URL)
    uploads = [
        *JobUpload.objects.filter(job__in=[job.pk, job.copied_from_id or job.pk]).order_by("pk").values_list("columns"),
        *WorkflowUpload.objects.filter(workflow__job=job.pk).order_by("pk").values_list("columns"),
    ]
    ordered = [name for (columns,) in uploads for name in columns]
    return [name for name in dict.fromkeys([*ordered, *sorted(there)]) if name in there]
