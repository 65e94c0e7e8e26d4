"""What requesters fill in for a job."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from models_app.models import CustomModel

from .models import Job


class NewJobForm(forms.Form):
    """Make a job from the routing template for one of the team's trained models."""

    model: forms.ModelChoiceField[CustomModel] = forms.ModelChoiceField(
        queryset=None,
        label=_("Model"),
        empty_label=_("Choose a trained model…"),
        help_text=_("The job gets one answer for each of the model's classes."),
        error_messages={"required": _("Choose the model that this job is for.")},
    )
    title = forms.CharField(
        label=_("Title"),
        max_length=254,
        help_text=_("What contributors see in their list of jobs."),
        error_messages={"required": _("Give the job a title.")},
    )
    judgments_per_unit = forms.IntegerField(
        label=_("Judgments per row"),
        min_value=1,
        max_value=20,
        initial=1,
        help_text=_("How many people answer each row. One is fastest; three or more show where people disagree."),
    )

    def __init__(self, *args: Any, models: QuerySet[CustomModel], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["model"].queryset = models  # type: ignore[attr-defined]


class DesignForm(forms.Form):
    title = forms.CharField(label=_("Title"), max_length=254)
    instructions = forms.CharField(
        label=_("Instructions"),
        required=False,
        max_length=50_000,
        help_text=_("Shown to contributors before they begin. Simple HTML is allowed."),
        widget=forms.Textarea(attrs={"rows": 10, "spellcheck": "true"}),
    )
    cml = forms.CharField(
        label=_("Design (CML)"),
        required=False,
        strip=False,
        help_text=_("HTML with questions as cml: tags. {{image_url}} shows the row's picture."),
        widget=forms.Textarea(attrs={"rows": 16, "spellcheck": "false", "class": "mono", "autocapitalize": "off"}),
    )


class SettingsForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Job
        fields = ["judgments_per_unit", "units_per_page", "seconds_per_page", "auto_launch"]
        labels = {
            "judgments_per_unit": _("Judgments per row"),
            "units_per_page": _("Rows per page"),
            "seconds_per_page": _("Seconds per page"),
            "auto_launch": _("Automatic launching of rows"),
        }
        help_texts = {
            "judgments_per_unit": _("How many people answer each row (1 to 20)."),
            "units_per_page": _("How many rows a contributor gets at once (1 to 50)."),
            "seconds_per_page": _("After this time an unfinished page is given to somebody else."),
            "auto_launch": _("Rows that a workflow sends can be worked on at once. Workflows need it."),
        }
