"""Reports: files built in the background from a workflow's or a job's rows."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from jobs_app.models import Job
from labeling_platform.accounts.models import TeamOwned
from workflows_app.models import Workflow

from .kinds import CSV, FORMAT, FORMATS, remarks_on
from .states import ReportKind, ReportState

OF_A_WORKFLOW = models.Q(kind=ReportKind.WORKFLOW, workflow__isnull=False, job__isnull=True)
OF_A_JOB = models.Q(kind__in=ReportKind.of_jobs(), workflow__isnull=True, job__isnull=False)


class Report(TeamOwned):
    """One requested report of a workflow or of a job; `kind` says what it holds, `options` are those of kinds.py.

    It holds the data as it stood at `as_of`. `complete_until`: whatever was dated earlier than this is in it, however
    late it was committed; the next report of what is new starts there (services/requesting.py). `rows_total` is 0
    while nobody knows how many there will be.
    """

    kind = models.CharField(max_length=12, choices=ReportKind.choices, default=ReportKind.WORKFLOW)
    workflow = models.ForeignKey(Workflow, null=True, blank=True, on_delete=models.CASCADE, related_name="reports")
    job = models.ForeignKey(Job, null=True, blank=True, on_delete=models.CASCADE, related_name="reports")
    state = models.CharField(max_length=10, choices=ReportState.choices, default=ReportState.QUEUED)
    options = models.JSONField(default=dict)
    rows_total = models.IntegerField(default=0)
    rows_done = models.IntegerField(default=0)
    file = models.CharField(max_length=200, blank=True)
    size = models.BigIntegerField(default=0)
    error = models.TextField(blank=True)
    token = models.BigIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    as_of = models.DateTimeField(null=True, blank=True)
    complete_until = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=models.Q(state__in=ReportState.values), name="report_state"),
            models.CheckConstraint(condition=OF_A_WORKFLOW | OF_A_JOB, name="report_of_one_thing"),
        ]

    def __str__(self) -> str:
        return f"report {self.pk} of {self.subject}"

    @property
    def subject(self) -> Workflow | Job:
        """What the report is about."""
        subject = self.job or self.workflow
        assert subject is not None, "the constraint report_of_one_thing"
        return subject

    @property
    def status(self) -> ReportState:
        return ReportState(self.state)

    @property
    def is_final(self) -> bool:
        return not self.is_under_way

    @property
    def is_under_way(self) -> bool:
        return self.state in ReportState.under_way()

    @property
    def progress(self) -> str:
        """How far building it is: rows written, of how many, and per cent."""
        if not self.rows_total:
            return f"{self.rows_done:,} rows" if self.rows_done else ""
        return f"{self.rows_done:,} of {self.rows_total:,} rows, {100 * self.rows_done // self.rows_total}%"

    @property
    def format_name(self) -> str:
        """What a download of it is, in a word or two."""
        return FORMATS[self.options.get(FORMAT, CSV)] if self.kind == ReportKind.WORKFLOW else "ZIP"

    @property
    def remarks(self) -> list[str]:
        """What was asked for beyond the usual, in words."""
        return remarks_on(self.kind, self.options)
