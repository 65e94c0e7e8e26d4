"""The forms that ask for a report of a workflow or of a job."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from labeling_platform.lib.errors import Refused

from .kinds import (
    ABOUT,
    CSV,
    DEFAULTS,
    DIAGNOSTICS,
    FORMAT,
    FORMATS,
    ISO,
    LAST,
    NATIVE,
    ONLY_FINAL,
    SAFE_CELLS,
    SINCE,
    choose_options,
)
from .models import Report
from .states import ReportKind

EVERY, MOMENT = "every", "moment"


class WorkflowReportForm(forms.Form):
    """Which rows, in which format, and how. `last` is the report that the next one can go on from."""

    rows = forms.ChoiceField(
        choices=[(EVERY, _("All rows")), (LAST, _("Completed since the last report")), (MOMENT, _("Completed since"))],
        error_messages={"invalid_choice": _("Choose one of these.")},
    )
    since = forms.DateTimeField(
        label=_("Since (UTC)"),
        widget=forms.DateTimeInput(attrs={"type": "datetime-local", "autocomplete": "off"}, format="%Y-%m-%dT%H:%M"),
        error_messages={
            "required": _("Say since when."),
            "invalid": _("Write the moment as 2026-01-31 18:30, in UTC."),
        },
    )
    format = forms.ChoiceField(
        label=_("Format"),
        choices=list(FORMATS.items()),
        error_messages={"invalid_choice": _("Choose one of the formats.")},
    )
    only_final = forms.BooleanField(
        required=False, label=_("Only final values: leave out confidences of rows that are not completed")
    )
    diagnostics = forms.BooleanField(required=False, label=_("Add reason, model version, line and file of each row"))
    safe_cells = forms.BooleanField(
        required=False,
        label=_("Safe for spreadsheets: uploaded cells that look like formulas get an apostrophe (CSV only)"),
    )

    def __init__(self, data: QueryDict | None = None, *, last: Report | None = None) -> None:
        usual = {**DEFAULTS[ReportKind.WORKFLOW], "rows": EVERY, SINCE: None}
        if data is not None:
            data = data.copy()
            data.setdefault("rows", EVERY)
            data.setdefault(FORMAT, CSV)
        super().__init__(data, initial=usual)
        self.fields[SINCE].required = data is None or data["rows"] == MOMENT
        self.last = last

    def clean(self) -> dict[str, Any]:
        """`options` for the service."""
        given = super().clean() or {}
        since = {LAST: LAST, MOMENT: given.get(SINCE)}.get(str(given.get("rows")), "")
        flags = {name: bool(given.get(name)) for name in (ONLY_FINAL, DIAGNOSTICS, SAFE_CELLS)}
        given["options"] = {SINCE: since, FORMAT: given.get(FORMAT), **flags}
        return given

    def refuse(self, refused: Refused) -> None:
        """Show why the service refused, at the place where it was asked for."""
        place = {"no_report": "rows", "since_future": SINCE, "bad_option": SINCE}.get(refused.code)
        self.add_error(place, refused.message)


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
