"""The form that asks for an API token."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from .scopes import scopes_to_give
from .tokens import DAYS, MOST_DAYS, NAME_LENGTH


class TokenForm(forms.Form):
    """A name, what the token may do within what the maker's own role allows, and how long."""

    name = forms.CharField(
        label=_("Name"),
        max_length=NAME_LENGTH,
        help_text=_("What it is for, so that you know later which one to revoke: nightly upload."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        error_messages={"required": _("Give the token a name.")},
    )
    scopes = forms.MultipleChoiceField(
        label=_("It may"),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": _("Choose what the token may do.")},
    )
    days = forms.TypedChoiceField(
        label=_("Works for"),
        coerce=int,
        choices=[(7, _("7 days")), (30, _("30 days")), (DAYS, _("90 days")), (MOST_DAYS, _("1 year"))],
        initial=DAYS,
    )

    def __init__(self, *args: Any, role: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        allowed = scopes_to_give(role)
        self.fields["scopes"].choices = [  # type: ignore[attr-defined]
            (scope.value, f"{scope.label}: {scope.notes[scope.value]}") for scope in allowed
        ]
        self.fields["scopes"].initial = ["read"]

    def clean_name(self) -> str:
        name = " ".join(str(self.cleaned_data["name"]).split())
        if not name:
            raise ValidationError(_("Give the token a name."))
        return name
