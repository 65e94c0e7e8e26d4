"""Forms of the pages about people: invite, make a link, make an account by an invitation."""

from __future__ import annotations

from typing import Any, TypeVar

from django import forms
from django.contrib.auth.password_validation import password_validators_help_text_html, validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext_lazy as _

from .invitations import LINK_DAYS
from .models import User
from .permissions import Role, may_give

MOST_ADDRESSES = 50


def roles_to_give(giver: str) -> list[tuple[str, str]]:
    """Choices of the roles that a member with this role may give."""
    return [(role.value, str(role.label)) for role in Role if may_give(giver, role)]


FormT = TypeVar("FormT", bound=forms.Form)


def focus_first_error(form: FormT) -> FormT:
    """Let the browser put the cursor, and with it the view, on the first field that has an error."""
    for name in form.fields:
        if name in form.errors:
            form.fields[name].widget.attrs["autofocus"] = True
            break
    return form


class RoleForm(forms.Form):
    """A role that `giver` may give."""

    role = forms.ChoiceField(label=_("Role"))

    def __init__(self, *args: Any, giver: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["role"].choices = roles_to_give(giver)  # type: ignore[attr-defined]

    def clean_role(self) -> Role:
        return Role(self.cleaned_data["role"])


class InviteForm(RoleForm):
    """Addresses, one a line; every bad line is named, and nothing is sent until all are right."""

    emails = forms.CharField(
        label=_("E-mail addresses"),
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 4, "autocomplete": "off", "spellcheck": "false"}),
        help_text=_("One on each line, at most %(most)s.") % {"most": MOST_ADDRESSES},
        error_messages={"required": _("Write at least one address.")},
    )
    field_order = ["emails", "role"]

    def clean_emails(self) -> list[str]:
        found: dict[str, None] = {}
        errors = []
        for number, line in enumerate(self.cleaned_data["emails"].splitlines(), start=1):
            address = line.strip().rstrip(",;").lower()
            if not address:
                continue
            try:
                validate_email(address)
            except ValidationError:
                errors.append(f"Line {number}: “{address[:80]}” is not an e-mail address.")
            found[address] = None
        if len(found) > MOST_ADDRESSES:
            errors.insert(0, f"These are {len(found)} addresses; at most {MOST_ADDRESSES} can be invited at once.")
        if errors:
            raise ValidationError(errors)
        if not found:
            raise ValidationError(_("Write at least one address."))
        return list(found)


class LinkForm(RoleForm):
    """Whom a link lets in, how many of them, and until when."""

    max_uses = forms.IntegerField(
        label=_("For how many people"),
        required=False,
        min_value=1,
        max_value=10_000,
        help_text=_("Empty: any number."),
        widget=forms.NumberInput(attrs={"inputmode": "numeric"}),
    )
    days = forms.TypedChoiceField(
        label=_("Valid for"),
        coerce=int,
        choices=[(1, _("1 day")), (7, _("7 days")), (30, _("30 days")), (90, _("90 days")), (365, _("1 year"))],
        initial=LINK_DAYS,
    )


class AccountForm(forms.Form):
    """A new account for who was invited; the address is fixed when the invitation has one."""

    name = forms.CharField(label=_("Your name"), max_length=150, widget=forms.TextInput(attrs={"autocomplete": "name"}))
    email = forms.EmailField(label=_("E-mail"), widget=forms.EmailInput(attrs={"autocomplete": "email"}))
    password1 = forms.CharField(
        label=_("Password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=password_validators_help_text_html,
    )
    password2 = forms.CharField(
        label=_("Password again"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def __init__(self, *args: Any, fixed_email: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if fixed_email:
            self.fields["email"].initial = fixed_email
            self.fields["email"].disabled = True

    def clean_email(self) -> str:
        return str(self.cleaned_data["email"]).lower()

    def clean(self) -> dict[str, Any]:
        """Check the password by the rules of the settings, and that it was typed twice the same."""
        data = super().clean() or {}
        first, second = data.get("password1"), data.get("password2")
        if first and second and first != second:
            self.add_error("password2", _("The two passwords are not the same. Type it once more."))
        if first:
            try:
                validate_password(first, user=User(email=data.get("email", ""), name=data.get("name", "")))
            except ValidationError as error:
                self.add_error("password1", error)
        return data
