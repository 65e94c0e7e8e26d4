"""What the console asks for on a team's page."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling_platform.accounts.models import Feature
from labeling_platform.accounts.quotas import NAMES
from labeling_platform.accounts.support import MESSAGE_LENGTH, NOTE_LENGTH, REASON_LENGTH
from labeling_platform.accounts.viewing import ROLES

LABELS = {
    "rows_per_upload": _("Rows in a file"),
    "rows_per_month": _("Rows a month"),
    "images_per_month": _("Training pictures a month"),
    "trainings_per_day": _("Trainings a day"),
    "storage_bytes": _("Bytes of files"),
}


def _reason() -> forms.CharField:
    return forms.CharField(label=_("Reason"), max_length=REASON_LENGTH)


class FeatureForm(forms.Form):
    """Switch a feature on or off; the submit button says which."""

    feature = forms.ChoiceField(choices=Feature.choices, widget=forms.HiddenInput)
    until = forms.DateField(
        label=_("Until (the end of this day, UTC; empty: no end)"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
    )
    reason = _reason()

    def clean_until(self) -> Any:
        until = self.cleaned_data["until"]
        if until and until < timezone.now().date():
            raise forms.ValidationError(_("This day is over. Choose today or a later one."))
        return until


class QuotaForm(forms.Form):
    """Limits of the team; an empty one is as for all teams."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        for name in NAMES:
            most = 2**31 - 1 if name == "trainings_per_day" else 2**62
            self.fields[name] = forms.IntegerField(label=LABELS[name], required=False, min_value=0, max_value=most)
        self.fields["reason"] = _reason()


class NoteForm(forms.Form):
    text = forms.CharField(label=_("Note"), max_length=NOTE_LENGTH, widget=forms.Textarea(attrs={"rows": 3}))
    pinned = forms.BooleanField(label=_("Keep at the top"), required=False)


class MessageForm(forms.Form):
    """A pause with a message to the team."""

    message = forms.CharField(label=_("Message to the team"), max_length=MESSAGE_LENGTH)


class WorkflowMessageForm(MessageForm):
    workflow = forms.IntegerField(widget=forms.HiddenInput)


class ViewAsForm(forms.Form):
    role = forms.ChoiceField(label=_("Look as"), choices=[(role.value, role.label) for role in ROLES])
    reason = _reason()


class DeleteForm(forms.Form):
    typed = forms.CharField(label=_("The team's name"), max_length=150)
    reason = _reason()


class ThingForm(forms.Form):
    """Which of the team's things it is about."""

    pk = forms.IntegerField(widget=forms.HiddenInput, min_value=1, max_value=2**62)
