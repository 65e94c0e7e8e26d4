"""Models in the console: to look at, and to rescue a training that went wrong."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from . import services
from .models import CustomModel, Evaluation, ModelVersion, TrainingUpload


class LookOnly(ModelAdmin):
    """A page of the console that changes nothing."""

    list_per_page = 50
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(CustomModel)
class CustomModelAdmin(LookOnly):
    list_display = ["name", "team", "backend", "current", "created_by", "created_at"]
    list_filter = ["backend", "team__organization"]
    list_select_related = ["team", "current__model", "created_by"]
    search_fields = ["name", "team__name", "team__slug"]


@admin.register(ModelVersion)
class ModelVersionAdmin(LookOnly):
    list_display = [
        "model",
        "number",
        "team",
        "state",
        "stage",
        "done",
        "total",
        "images_failed",
        "attempts",
        "created_at",
    ]
    list_filter = ["state", "backend"]
    list_select_related = ["team", "model"]
    search_fields = ["model__name", "team__name", "team__slug"]
    exclude = ["details"]
    actions = ["cancel_trainings"]

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return request.user.is_staff

    @admin.action(description="Cancel the chosen trainings", permissions=["cancel"])
    def cancel_trainings(self, request: HttpRequest, queryset: QuerySet[ModelVersion]) -> None:
        chosen = list(queryset.select_related("model", "team"))
        canceled = sum(services.cancel_training(version=version, actor=request.user) for version in chosen)
        messages.info(request, f"{canceled} of {len(chosen)} trainings were canceled; the others had ended already.")


@admin.register(TrainingUpload)
class TrainingUploadAdmin(LookOnly):
    list_display = ["original_name", "model", "team", "state", "rows_read", "rows_ok", "rows_bad", "created_at"]
    list_filter = ["state"]
    list_select_related = ["team", "model"]
    search_fields = ["original_name", "model__name", "team__slug"]


@admin.register(Evaluation)
class EvaluationAdmin(LookOnly):
    list_display = ["original_name", "model", "version", "team", "state", "prediction_state", "created_at"]
    list_filter = ["prediction_state"]
    list_select_related = ["team", "model", "version__model"]
    search_fields = ["original_name", "model__name", "team__slug"]
