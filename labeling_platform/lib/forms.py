"""Form parts that several apps share."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext_lazy as _


class CsvFileForm(forms.Form):
    """Asks for one CSV file. What is in it is checked in the background; its size is checked here."""

    file = forms.FileField(
        label=_("CSV file"),
        allow_empty_file=True,
        widget=forms.ClearableFileInput(attrs={"accept": ".csv,text/csv"}),
        error_messages={"required": _("Choose a CSV file first.")},
    )

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file.size > settings.CSV_MAX_BYTES:
            raise forms.ValidationError(
                _("This file has %(size)s; at most %(limit)s are possible. Split it and upload the parts one by one."),
                params={"size": filesizeformat(file.size), "limit": filesizeformat(settings.CSV_MAX_BYTES)},
                code="too_large",
            )
        return file
