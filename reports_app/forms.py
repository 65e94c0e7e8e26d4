"""The form that asks for a report of a job."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from labeling_platform.lib.errors import Refused

from .kinds import ABOUT, DEFAULTS, ISO, NATIVE, choose_options
from .states import ReportKind


class JobReportForm(forms.Form):
    """One kind, and the options of every kind; those that do not fit the chosen one are hidden, and not looked at."""

    kind = forms.ChoiceField(
        choices=[(kind.value, kind.label) for kind in ReportKind.of_jobs()],
        error_messages={
            "required": _("Choose what the report is to hold."),
            "invalid_choice": _("Choose one of these."),
        },
    )
    untrusted = forms.BooleanField(
        required=False,
        label=_("Include untrusted judgments"),
        help_text=_("Those of contributors who were removed or rejected; they are marked as tainted."),
    )
    unfinished = forms.BooleanField(
        required=False,
        label=_("Include unfinished rows"),
        help_text=_("Rows that still wait for judgments have no answer yet."),
    )
    omit_golds = forms.BooleanField(required=False, label=_("Leave out test questions"))
    confidences = forms.BooleanField(
        required=False,
        label=_("Add the confidence of every answer"),
        help_text=_("Not only of the best one; as JSON."),
    )
    safe_cells = forms.BooleanField(
        required=False,
        label=_("Safe for spreadsheets"),
        help_text=_("Cells that look like formulas get an apostrophe."),
    )
    min_confidence = forms.CharField(
        required=False,
        label=_("Lowest confidence"),
        help_text=_("An answer that is less sure is left empty: 0.7, for example."),
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )
    dates = forms.ChoiceField(
        label=_("Dates"),
        help_text=_("All times are in UTC."),
        choices=[(ISO, "2016-01-28T19:02:18.000Z"), (NATIVE, "1/28/2016 19:02:18")],
    )

    def __init__(self, data: QueryDict | None = None) -> None:
        usual = {name: value for options in DEFAULTS.values() for name, value in options.items()}
        if data is not None:
            data = data.copy()
            data.setdefault("dates", ISO)
        super().__init__(data, initial={"kind": ReportKind.AGGREGATED.value, **usual})

    def clean(self) -> dict[str, Any]:
        """`options` are those of the chosen kind, checked."""
        given = super().clean() or {}
        if "kind" in given:
            try:
                given["options"] = choose_options(ReportKind(given["kind"]), given)
            except Refused as refused:
                self.add_error("min_confidence", refused.message)
        return given

    def choices(self) -> Iterator[dict[str, Any]]:
        """The kinds to choose from, each with one sentence."""
        for kind in ReportKind.of_jobs():
            yield {
                "value": kind.value,
                "label": kind.label,
                "about": ABOUT[kind],
                "checked": str(self["kind"].value()) == kind.value,
            }

    def fitting(self) -> Iterator[dict[str, Any]]:
        """The options as fields, each with the kinds that it fits."""
        for field in self:
            kinds = [kind.value for kind in ReportKind.of_jobs() if field.name in DEFAULTS[kind]]
            if kinds:
                yield {"field": field, "kinds": " ".join(kinds)}
