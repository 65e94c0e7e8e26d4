"""What people type in on the pages of models."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _


class ModelForm(forms.Form):
    """Asks for a model's name; whether it is free is the service's question."""

    name = forms.CharField(
        label=_("Name"),
        max_length=150,
        widget=forms.TextInput(attrs={"autofocus": True, "autocomplete": "off"}),
        help_text=_("For example: Footwear. It can hold up to 150 characters."),
        error_messages={"required": _("Give the model a name.")},
    )


class SnapshotFilter(forms.Form):
    """Filter of the predictions snapshot: a predicted class and the lowest confidence (0 to 1)."""

    label = forms.ChoiceField(label=_("Predicted class"), required=False)
    minimum = forms.DecimalField(
        label=_("Minimum confidence"),
        required=False,
        min_value=0,
        max_value=1,
        max_digits=4,
        decimal_places=3,
        error_messages={
            "invalid": _("Enter a number from 0 to 1, for example 0.8."),
            "min_value": _("The confidence is a number from 0 to 1."),
            "max_value": _("The confidence is a number from 0 to 1."),
        },
        widget=forms.NumberInput(attrs={"step": "0.05", "inputmode": "decimal"}),
    )
    order = forms.ChoiceField(
        label=_("Order"),
        required=False,
        choices=[("", _("As uploaded")), ("low", _("Least sure first")), ("high", _("Surest first"))],
    )

    def __init__(self, data: object, *, outcomes: list[str]) -> None:
        super().__init__(data)  # type: ignore[arg-type]
        choices = [("", _("All classes")), *((outcome, outcome) for outcome in outcomes), ("!", _("Errors"))]
        self.fields["label"].choices = choices  # type: ignore[attr-defined]

    @property
    def chosen(self) -> tuple[str, float, str]:
        """(class or "" for all or "!" for errors, minimum confidence, order); what is not valid counts as not given."""
        valid = self.cleaned_data if self.is_valid() else getattr(self, "cleaned_data", {})
        return valid.get("label") or "", float(valid.get("minimum") or 0), valid.get("order") or ""
