"""The workflow wizard's fields and the filter of the rows table."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from jobs_app.models import Job
from labeling_platform.lib.forms import CsvFileForm
from models_app.models import CustomModel

from .models import WorkflowKind
from .routing import check_threshold
from .states import STATUS_LINES


class WorkflowForm(forms.Form):
    """Name, type, model, and for Model then Job the job and its routing rule."""

    name = forms.CharField(label=_("Name"), max_length=150, error_messages={"required": _("Give the workflow a name.")})
    kind = forms.ChoiceField(
        label=_("Workflow type"), choices=WorkflowKind.choices, initial=WorkflowKind.MODEL_THEN_JOB
    )
    model: forms.ModelChoiceField[CustomModel] = forms.ModelChoiceField(
        CustomModel.objects.none(),
        label=_("Model"),
        error_messages={"required": _("Select a model."), "invalid_choice": _("Select one of the models below.")},
    )
    job: forms.ModelChoiceField[Job] = forms.ModelChoiceField(
        Job.objects.none(),
        label=_("Job"),
        required=False,
        error_messages={"invalid_choice": _("Select one of the jobs below.")},
    )
    threshold = forms.DecimalField(
        label=_("Confidence threshold"),
        initial=Decimal("0.8"),
        required=False,
        max_digits=4,
        decimal_places=3,
        help_text=_("More than 0.5, at most 1."),
        widget=forms.NumberInput(attrs={"min": "0.501", "max": "1", "step": "0.01", "inputmode": "decimal"}),
    )
    route_unlike = forms.BooleanField(
        label=_("Rows unlike the training data go to people, whatever their confidence"), initial=True, required=False
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["model"].queryset = CustomModel.objects.all()  # type: ignore[attr-defined]
        self.fields["job"].queryset = Job.objects.all()  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if data.get("kind") != WorkflowKind.MODEL_THEN_JOB:
            data.update(job=None, threshold=None, route_unlike=False)
            self.errors.pop("threshold", None)
            return data
        if "route_unlike_shown" not in self.data:
            # The switch stands only beside models that know distances; what nobody was asked keeps its default.
            data["route_unlike"] = True
        if data.get("job") is None and "job" not in self.errors:
            self.add_error("job", _("Choose the job that labels the low confidence rows."))
        if "threshold" not in self.errors:
            try:
                check_threshold(data.get("threshold") or Decimal(0))
            except ValueError as error:
                self.add_error("threshold", str(error))
        return data


class RowsFileForm(CsvFileForm):
    """Asks for a CSV of unlabelled data, and perhaps for the column whose values tell its rows apart."""

    key_column = forms.CharField(
        label=_("Key column (optional)"),
        required=False,
        max_length=100,
        help_text=_(
            "A column such as sku or image_url. A row whose value in it is in this workflow already is left out, so"
            " a longer version of the same file adds only what is new."
        ),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )


class RowFilterForm(forms.Form):
    """Which rows of a workflow to show."""

    status = forms.ChoiceField(label=_("Status"), required=False)
    label = forms.ChoiceField(label=_("Predicted class"), required=False)

    def __init__(self, *args: Any, outcomes: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        statuses = [(line.key, line.label) for line in STATUS_LINES]
        self.fields["status"].choices = [("", _("All statuses")), *statuses]  # type: ignore[attr-defined]
        classes = [(outcome, outcome) for outcome in outcomes]
        self.fields["label"].choices = [("", _("All classes")), *classes]  # type: ignore[attr-defined]
