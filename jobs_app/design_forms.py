"""What a requester writes on the Design tab; the fields of the form builder are read by design.builder_edit."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _


class DesignForm(forms.Form):
    title = forms.CharField(
        label=_("Title"),
        max_length=254,
        help_text=_("What contributors see in their list of jobs."),
        error_messages={"required": _("Give the job a title.")},
    )
    instructions = forms.CharField(
        label=_("Instructions"),
        required=False,
        max_length=50_000,
        help_text=_(
            "Shown before contributors begin. Plain text: an empty line parts paragraphs, # begins a heading, "
            "- or 1. an item of a list. Simple HTML is allowed too."
        ),
        widget=forms.Textarea(attrs={"rows": 8, "spellcheck": "true"}),
    )
    cml = forms.CharField(
        label=_("Code (CML)"),
        required=False,
        strip=False,
        help_text=_("HTML with questions as cml: tags. {{image_url}} is the row's picture, {{name}} any other column."),
        widget=forms.Textarea(
            attrs={
                "rows": 18,
                "spellcheck": "false",
                "class": "code-text mono",
                "autocapitalize": "off",
                "autocomplete": "off",
                "wrap": "off",
            }
        ),
    )

    def clean_cml(self) -> str:
        return str(self.cleaned_data["cml"]).replace("\r\n", "\n")
