"""What requesters fill in on the Data tab: the upload, and which rows to show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from labeling_platform.lib.forms import CsvFileForm

from .browsing import LEAST_AGREED, NEWEST
from .states import UnitState

GRID, TABLE = "pictures", "table"


class RowsForm(CsvFileForm):
    """A CSV of rows and test questions."""

    forced = forms.BooleanField(
        label=_("Add although the columns differ"),
        required=False,
        help_text=_("Rows keep the columns of their file; a column that a row does not have is empty for it."),
    )

    def __init__(self, *args: Any, compared: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not compared:
            del self.fields["forced"]


class RowFilterForm(forms.Form):
    """Which rows to show, in which order, and how."""

    state = forms.ChoiceField(label=_("State"), required=False)
    answer = forms.ChoiceField(label=_("Answer"), required=False)
    order = forms.ChoiceField(
        label=_("Order"),
        required=False,
        choices=[(NEWEST, _("Newest first")), (LEAST_AGREED, _("Lowest agreement first"))],
    )
    row = forms.CharField(
        label=_("Row number"), required=False, max_length=30, widget=forms.TextInput(attrs={"inputmode": "numeric"})
    )
    view = forms.ChoiceField(
        label=_("Show as"),
        required=False,
        choices=[(GRID, _("Pictures")), (TABLE, _("Table"))],
        widget=forms.RadioSelect,
    )

    def __init__(self, *args: Any, answers: Sequence[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        states = [(state.value, state.label) for state in UnitState if state.value in UnitState.row_states()]
        self.fields["state"].choices = [("", _("All states")), *states]  # type: ignore[attr-defined]
        self.fields["answer"].choices = [("", _("All answers")), *answers]  # type: ignore[attr-defined]
        if not answers:
            del self.fields["answer"]

    @property
    def chosen(self) -> dict[str, str]:
        """What was chosen; what is no choice counts as not chosen."""
        self.is_valid()
        return {name: str(self.cleaned_data.get(name) or "") for name in ("state", "answer", "order", "row", "view")}

    @property
    def filtered(self) -> bool:
        return any(self.chosen[name] for name in ("state", "answer", "row"))
