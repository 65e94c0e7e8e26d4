"""What people type in on the pages of models."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from .access import Access
from .hosts import host_of
from .models import MOST_AT_ONCE, WatsonConnection
from .states import Auth

HERE = "local"


class ModelForm(forms.Form):
    """Asks for a model's name and, where there is a choice, where it is trained; the rest is the service's question."""

    name = forms.CharField(
        label=_("Name"),
        max_length=150,
        widget=forms.TextInput(attrs={"autofocus": True, "autocomplete": "off"}),
        help_text=_("For example: Footwear. It can hold up to 150 characters."),
        error_messages={"required": _("Give the model a name.")},
    )
    backend = forms.ChoiceField(
        label=_("Where it is trained and asked"),
        initial=HERE,
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose where the model is trained.")},
        help_text=_("It stays so for this model. Over a connection, small copies of all pictures go to that service."),
    )

    def __init__(self, *args: Any, connections: list[WatsonConnection], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.connections = {str(one.pk): one for one in connections}
        if not connections:
            del self.fields["backend"]
            return
        links = [
            (key, f"Connection “{one}”, at {host_of(one.url)}{_ill(one)}") for key, one in self.connections.items()
        ]
        self.fields["backend"].choices = [(HERE, _("On this platform")), *links]  # type: ignore[attr-defined]

    @property
    def connection(self) -> WatsonConnection | None:
        """The chosen connection; None: on this platform."""
        return self.connections.get(self.cleaned_data.get("backend", ""))


def _ill(connection: WatsonConnection) -> str:
    return "" if connection.state == "ok" else f" ({str(connection.status.label).lower()})"


class ConnectionForm(forms.Form):
    """A connection to a service elsewhere. The secret is asked for and never shown."""

    name = forms.CharField(
        label=_("Name"),
        max_length=100,
        help_text=_("For people who choose it: GPU server in Lyon."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        error_messages={"required": _("Give the connection a name.")},
    )
    url = forms.CharField(
        label=_("Service URL"),
        max_length=300,
        help_text=_("Everything before /v3, for example https://gpu.example.com/visual-recognition/api."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "inputmode": "url", "autocapitalize": "none"}),
        error_messages={"required": _("Enter the address of the service.")},
    )
    auth = forms.ChoiceField(label=_("Sign in with"), choices=Auth.choices, initial=Auth.IAM)
    username = forms.CharField(
        label=_("User name"),
        required=False,
        max_length=150,
        help_text=_("Only with a user name and password. For an API token of this platform it is apikey."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none"}),
    )
    secret = forms.CharField(
        label=_("Key, password or token"),
        max_length=4000,
        error_messages={"required": _("Enter the key, password or token.")},
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password"}),
    )
    iam_url = forms.CharField(
        label=_("IAM URL"),
        required=False,
        max_length=300,
        help_text=_("Where the key is exchanged for a token. Empty: the host of the service itself."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "inputmode": "url", "autocapitalize": "none"}),
    )
    at_once = forms.IntegerField(
        label=_("Requests at once"),
        min_value=1,
        max_value=MOST_AT_ONCE,
        initial=8,
        help_text=_("Over all workers, 1 to 20."),
    )

    def __init__(self, *args: Any, connection: WatsonConnection | None = None, **kwargs: Any) -> None:
        if connection is not None:
            names = ("name", "url", "auth", "username", "iam_url", "at_once")
            kwargs["initial"] = {name: getattr(connection, name) for name in names}
        super().__init__(*args, **kwargs)
        has = connection is not None and connection.secret_sealed
        self.fields["secret"].required = not has and self.data.get("auth") != Auth.NONE
        self.fields["secret"].help_text = (
            _("Kept encrypted and never shown. Leave it empty to keep the one that is there.")
            if has
            else _("Kept encrypted and never shown again.")
        )

    @property
    def access(self) -> Access:
        return Access(**self.cleaned_data)


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
