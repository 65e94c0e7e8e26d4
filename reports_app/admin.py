"""Reports in the console: to look at."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from .models import Report


@admin.register(Report)
class ReportAdmin(ModelAdmin):
    list_display = [
        "id",
        "kind",
        "subject",
        "team",
        "state",
        "rows_done",
        "rows_total",
        "size",
        "created_by",
        "created_at",
    ]
    list_filter = ["state", "kind", "team__organization"]
    list_select_related = ["workflow", "job", "team", "created_by"]
    search_fields = ["workflow__name", "job__title", "team__slug"]
    list_per_page = 50
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
