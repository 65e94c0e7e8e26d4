"""Workflows in the console: to look at, and to rescue rows and uploads that hang."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from labeling_platform.accounts.tenancy import team_scope
from labeling_platform.lib.errors import Refused

from . import services, tasks
from .models import Workflow, WorkflowRow, WorkflowUpload


class LookOnly(ModelAdmin):
    """A page of the console that changes nothing by hand."""

    list_per_page = 50
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_rescue_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_staff)


@admin.register(Workflow)
class WorkflowAdmin(LookOnly):
    list_display = ["name", "team", "kind", "state", "model", "version", "job", "threshold", "launched_at"]
    list_filter = ["state", "kind", "team__organization"]
    list_select_related = ["team", "model", "version__model", "job"]
    search_fields = ["name", "team__name", "team__slug"]
    actions = ["turn_off", "retry_failed_rows"]

    @admin.action(description="Turn off", permissions=["rescue"])
    def turn_off(self, request: HttpRequest, queryset: QuerySet[Workflow]) -> None:
        for workflow in queryset.select_related("team"):
            with team_scope(workflow.team):
                try:
                    services.turn_off(workflow=workflow, actor=request.user)
                    messages.success(request, f"{workflow}: turned off.")
                except Refused as refused:
                    messages.warning(request, f"{workflow}: {refused.message}")

    @admin.action(description="Retry failed rows", permissions=["rescue"])
    def retry_failed_rows(self, request: HttpRequest, queryset: QuerySet[Workflow]) -> None:
        for workflow in queryset.select_related("team"):
            with team_scope(workflow.team):
                count = services.retry_failed(workflow=workflow, actor=request.user)
            tasks.predict.delay_on_commit(team_id=workflow.team_id, workflow_id=workflow.pk)
            messages.success(request, f"{workflow}: {count:,} rows wait again.")


@admin.register(WorkflowUpload)
class WorkflowUploadAdmin(LookOnly):
    list_display = ["original_name", "team", "workflow", "state", "rows_total", "rows_read", "rows_bad", "created_at"]
    list_filter = ["state", "held"]
    list_select_related = ["team", "workflow"]
    search_fields = ["original_name", "workflow__name", "team__slug"]


@admin.register(WorkflowRow)
class WorkflowRowAdmin(LookOnly):
    list_display = ["id", "team", "workflow", "line", "state", "attempts", "lease_until", "reason"]
    list_filter = ["state"]
    list_select_related = ["team", "workflow"]
    search_fields = ["=id", "workflow__name"]
    ordering = ["-id"]
