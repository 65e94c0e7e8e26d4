"""Models in the console: to look at, and to rescue a training that went wrong."""

from __future__ import annotations

from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminPasswordWidget

from labeling_platform.lib.errors import Refused

from . import services, tasks
from .models import CustomModel, Evaluation, ModelVersion, TrainingUpload, WatsonConnection


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


SHARED_FIELDS = ("name", "url", "auth", "username", "iam_url", "at_once")


class SharedConnectionForm(forms.ModelForm):  # type: ignore[type-arg]
    """A connection for all teams. The secret is asked for and never shown."""

    secret = forms.CharField(
        required=False,
        max_length=4000,
        widget=UnfoldAdminPasswordWidget(render_value=False, attrs={"autocomplete": "new-password"}),
        help_text="Key, password or token. Kept encrypted, never shown. Empty: keep the one that is there.",
    )

    class Meta:
        model = WatsonConnection
        fields = SHARED_FIELDS
        help_texts = {
            "url": "Everything before /v3, on a host that the setting WATSON_HOSTS lists. IBM's own service ended on "
            "2021-12-01; this is another server that speaks its protocol.",
            "iam_url": "Where the key is exchanged for a token. Empty: the host of the service itself.",
            "at_once": "Requests at once over all workers, 1 to 20.",
        }

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if not self.errors:
            access = services.Access(**{name: data[name] for name in (*SHARED_FIELDS, "secret")})
            try:
                services.fill_connection(connection=self.instance, access=access)
            except Refused as refused:
                self.add_error(refused.code if refused.code in self.fields else None, refused.message)
            else:
                data.update({name: getattr(self.instance, name) for name in SHARED_FIELDS})
        return data


@admin.register(WatsonConnection)
class WatsonConnectionAdmin(ModelAdmin):
    """Connections for all teams are made here; those of teams are their own affair, and only looked at."""

    form = SharedConnectionForm
    list_display = ["name", "team", "url", "auth", "state", "reason", "at_once", "test_words", "tested_at"]
    list_filter = ["state"]
    list_select_related = ["team"]
    search_fields = ["name", "url", "team__slug"]
    fields = [*SHARED_FIELDS, "secret", "state", "reason", "checked_at", "test_ok", "test_words", "tested_at"]
    readonly_fields = ["state", "reason", "checked_at", "test_ok", "test_words", "tested_at"]
    actions = ["test_connections"]

    def get_fields(self, request: HttpRequest, obj: WatsonConnection | None = None) -> Any:
        if obj is None or self.has_change_permission(request, obj):
            return self.fields
        return ["team", *SHARED_FIELDS, *self.readonly_fields]

    def has_change_permission(self, request: HttpRequest, obj: WatsonConnection | None = None) -> bool:
        return super().has_change_permission(request, obj) and (obj is None or obj.team_id is None)

    def has_delete_permission(self, request: HttpRequest, obj: WatsonConnection | None = None) -> bool:
        if not super().has_delete_permission(request, obj):
            return False
        return obj is None or (obj.team_id is None and not services.connection_refusal(connection=obj))

    def get_actions(self, request: HttpRequest) -> Any:
        found = super().get_actions(request)
        found.pop("delete_selected", None)  # one by one: each must be unused
        return found

    def save_model(self, request: HttpRequest, obj: WatsonConnection, form: Any, change: bool) -> None:
        if not change:
            obj.created_by = request.user  # type: ignore[assignment]
        super().save_model(request, obj, form, change)

    def has_test_permission(self, request: HttpRequest) -> bool:
        return request.user.is_staff

    @admin.action(description="Test the chosen connections", permissions=["test"])
    def test_connections(self, request: HttpRequest, queryset: QuerySet[WatsonConnection]) -> None:
        asked = [one for one in queryset[:10] if services.ask_for_test(connection=one)]
        for connection in asked:
            transaction.on_commit(partial(tasks.check_for_staff.delay, connection_id=connection.pk), robust=True)
        words = "One connection is" if len(asked) == 1 else f"{len(asked)} connections are"
        messages.info(request, f"{words} being asked. Reload this page in a moment to see the answers.")
