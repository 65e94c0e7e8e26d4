"""Reports: files built in the background from a workflow's rows."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from labeling_platform.accounts.models import TeamOwned
from workflows_app.models import Workflow

from .states import ReportState


class Report(TeamOwned):
    """One requested workflow report. `options`: only_final, diagnostics, safe_cells (all booleans)."""

    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="reports")
    state = models.CharField(max_length=10, choices=ReportState.choices, default=ReportState.QUEUED)
    options = models.JSONField(default=dict)
    rows_total = models.IntegerField(default=0)
    rows_done = models.IntegerField(default=0)
    file = models.CharField(max_length=200, blank=True)
    size = models.BigIntegerField(default=0)
    error = models.TextField(blank=True)
    token = models.BigIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [models.CheckConstraint(condition=models.Q(state__in=ReportState.values), name="report_state")]

    def __str__(self) -> str:
        return f"report {self.pk} of {self.workflow}"

    @property
    def status(self) -> ReportState:
        return ReportState(self.state)

    @property
    def is_final(self) -> bool:
        return self.state in {ReportState.READY, ReportState.FAILED, ReportState.EXPIRED}
