"""The workflow wizard's fields and the filter of the rows table."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

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
        label=_("Key column"),
        required=False,
        max_length=100,
        help_text=_(
            "A column such as sku or image_url. A row whose value in it is in this workflow already is left out, so"
            " a longer version of the same file adds only what is new."
        ),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )


if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise

UPLOADED, LEAST_SURE = "uploaded", "confidence"


def _percent(label: _StrOrPromise) -> forms.FloatField:
    widget = forms.NumberInput(attrs={"min": "0", "max": "100", "step": "any", "inputmode": "decimal"})
    return forms.FloatField(label=label, required=False, min_value=0, max_value=100, widget=widget)


class RowFilterForm(forms.Form):
    """Which rows of a workflow to show, in which order. Whatever makes no sense counts as not given."""

    status = forms.ChoiceField(label=_("Status"), required=False)
    label = forms.ChoiceField(label=_("Predicted class"), required=False)
    at_least = _percent(_("Confidence from %"))
    at_most = _percent(_("to %"))
    order = forms.ChoiceField(
        label=_("Order"),
        required=False,
        choices=[(UPLOADED, _("As uploaded")), (LEAST_SURE, _("Least sure first"))],
    )

    def __init__(self, *args: Any, outcomes: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        statuses = [(line.key, line.label) for line in STATUS_LINES]
        self.fields["status"].choices = [("", _("All statuses")), *statuses]  # type: ignore[attr-defined]
        classes = [(outcome, outcome) for outcome in outcomes]
        self.fields["label"].choices = [("", _("All classes")), *classes]  # type: ignore[attr-defined]
        if self.ordered_by:
            # The page says in which order its rows are. One value for each name is all that this form reads.
            self.data = {name: self.data.get(name) for name in self.data} | {"order": LEAST_SURE}

    @property
    def chosen(self) -> dict[str, Any]:
        """`status`, `label`, `at_least` and `at_most` as shares, `order`; "" or None for what is not chosen."""
        self.is_valid()
        given = self.cleaned_data
        shares = {name: given.get(name) for name in ("at_least", "at_most")}
        return {
            "status": given.get("status", ""),
            "label": given.get("label", ""),
            "order": given.get("order", ""),
            **{name: None if share is None else share / 100 for name, share in shares.items()},
        }

    @property
    def filtered(self) -> bool:
        """Whether not all rows are asked for."""
        return any(value not in ("", None) for name, value in self.chosen.items() if name != "order")

    @property
    def ordered_by(self) -> str:
        """The field by which to order: rows of a class or of some confidence come least sure first, as others can."""
        chosen = self.chosen
        narrowed = chosen["label"] or chosen["at_least"] is not None or chosen["at_most"] is not None
        return "confidence" if narrowed or chosen["order"] == LEAST_SURE else ""
