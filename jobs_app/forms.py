"""What requesters fill in for a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.html import format_html
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


class OwnJobForm(forms.Form):
    """Make a job that stands alone: one question about a picture, with these answers."""

    title = forms.CharField(
        label=_("Title"),
        max_length=254,
        help_text=_("What contributors see in their list of jobs."),
        error_messages={"required": _("Give the job a title.")},
    )
    question = forms.CharField(
        label=_("Question"),
        max_length=500,
        initial=_("Which category best describes this image?"),
        error_messages={"required": _("Write the question that people answer.")},
    )
    answers = forms.CharField(
        label=_("Answers"),
        max_length=10_000,
        help_text=_("One per line, two or more. The design can be changed and extended afterwards."),
        error_messages={"required": _("Write at least two answers, one per line.")},
        widget=forms.Textarea(attrs={"rows": 6, "placeholder": "Boots\nSneakers\nNone of these"}),
    )

    def clean_answers(self) -> list[str]:
        return str(self.cleaned_data["answers"]).splitlines()


class CopyForm(forms.Form):
    title = forms.CharField(label=_("Title"), max_length=254, error_messages={"required": _("Give the copy a title.")})
    test_questions = forms.BooleanField(label=_("With its test questions"), required=False, initial=True)
    rows = forms.BooleanField(label=_("With its rows, without their answers"), required=False)


class LaunchForm(forms.Form):
    """How many rows to launch and how; what is locked or frozen cannot be changed here either."""

    count = forms.IntegerField(label=_("Rows to launch"), min_value=1)
    judgments_per_unit = forms.IntegerField(
        label=_("Judgments per row"),
        min_value=1,
        max_value=20,
        help_text=_("How many people answer each row. Three or more show where they disagree."),
    )
    units_per_page = forms.IntegerField(
        label=_("Rows per page"),
        min_value=1,
        max_value=50,
        help_text=_("How many a contributor gets at once, test questions included."),
    )

    def __init__(self, *args: Any, waiting: int, oldest_first: bool, locked: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.waiting = waiting
        count = self.fields["count"]
        help_text = (
            _("Of %(waiting)s that wait, oldest first.") if oldest_first else _("Of %(waiting)s that wait, mixed.")
        )
        count.help_text = help_text % {"waiting": f"{waiting:,}"}
        count.widget.attrs["max"] = max(1, waiting)
        _lock(self.fields, locked)

    def clean_count(self) -> int:
        count = int(self.cleaned_data["count"])
        if count > self.waiting:
            raise forms.ValidationError(
                _("Only %(waiting)s rows wait to be launched.") % {"waiting": f"{self.waiting:,}"}, code="too_many"
            )
        return count


class GoldsFromModelForm(forms.Form):
    per_answer = forms.IntegerField(
        label=_("Pictures per answer"),
        min_value=1,
        max_value=200,
        initial=10,
        help_text=_("Pictures whose label a person confirmed come first; doubted and dropped ones are left out."),
    )


class GoldsFromFinalizedForm(forms.Form):
    count = forms.IntegerField(label=_("How many"), min_value=1, max_value=500, initial=20)
    minimum_agreement = forms.IntegerField(
        label=_("Minimum agreement (per cent)"),
        min_value=51,
        max_value=100,
        initial=100,
        help_text=_("Only rows that two or more trusted people answered."),
    )


def _lock(fields: Mapping[str, forms.Field], locked: Mapping[str, str]) -> None:
    """Disable the fields that cannot change any more; the reason stands where the help is."""
    for name, reason in locked.items():
        if name in fields:
            fields[name].disabled = True
            fields[name].help_text = format_html(
                '{} <span class="field-locked">{}</span>', fields[name].help_text, reason
            )


class SettingsForm(forms.ModelForm):  # type: ignore[type-arg]
    """A job's settings; `groups` orders them by what a requester thinks of."""

    confidence_fields = forms.MultipleChoiceField(
        label=_("Questions that must be sure"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("None ticked: all questions that have a confidence."),
    )
    groups = (
        (_("Rows and judgments"), ("judgments_per_unit", "units_per_page", "in_upload_order")),
        (_("Automatic launching"), ("auto_launch", "auto_launch_threshold", "auto_launch_timeout")),
        (_("Quality"), ("minimum_accuracy", "quiz_length", "golds_per_page", "pages_per_gold")),
        (_("Contributors"), ("max_judgments_per_contributor", "min_seconds_per_page", "seconds_per_page")),
        (
            _("Dynamic judgments"),
            ("min_confidence", "max_judgments_per_unit", "confidence_fields", "units_remain_finalized"),
        ),
        (_("Labeling page"), ("grid", "show_machine_label")),
    )

    class Meta:
        model = Job
        fields = [
            "judgments_per_unit",
            "units_per_page",
            "in_upload_order",
            "auto_launch",
            "auto_launch_threshold",
            "auto_launch_timeout",
            "minimum_accuracy",
            "quiz_length",
            "golds_per_page",
            "pages_per_gold",
            "max_judgments_per_contributor",
            "min_seconds_per_page",
            "seconds_per_page",
            "min_confidence",
            "max_judgments_per_unit",
            "confidence_fields",
            "units_remain_finalized",
            "grid",
            "show_machine_label",
        ]
        labels = {
            "judgments_per_unit": _("Judgments per row"),
            "units_per_page": _("Rows per page"),
            "in_upload_order": _("Hand out rows in upload order"),
            "auto_launch": _("Automatic launching of rows"),
            "auto_launch_threshold": _("Rows launched together"),
            "auto_launch_timeout": _("Longest wait (seconds)"),
            "minimum_accuracy": _("Minimum accuracy (per cent)"),
            "quiz_length": _("Test questions in the quiz"),
            "golds_per_page": _("Test questions per page"),
            "pages_per_gold": _("One page in … has test questions"),
            "max_judgments_per_contributor": _("Most judgments per contributor"),
            "min_seconds_per_page": _("Minimum time per page (seconds)"),
            "seconds_per_page": _("Time limit per page (seconds)"),
            "min_confidence": _("Minimum confidence"),
            "max_judgments_per_unit": _("Most judgments per row"),
            "units_remain_finalized": _("Finalized rows stay final"),
            "grid": _("Contact sheet"),
            "show_machine_label": _("Show the model's label to contributors"),
        }
        help_texts = {
            "judgments_per_unit": _("How many people answer each row (1 to 20)."),
            "units_per_page": _("How many rows a contributor gets at once (1 to 50), test questions included."),
            "in_upload_order": _("Off: in a mixed order."),
            "auto_launch": _(
                "Rows that arrive after the launch can be worked on without another launch. Workflows need it."
            ),
            "auto_launch_threshold": _("1: each row at once. More: rows wait until so many are there (at most 1,000)."),
            "auto_launch_timeout": _(
                "So long after the first one came, fewer rows are launched, too. Needed with more than 1 row together."
            ),
            "minimum_accuracy": _("Who falls below it on test questions is removed and their judgments are replaced."),
            "quiz_length": _("Empty: as many as rows per page."),
            "golds_per_page": _("Empty: 1, from 20 rows per page on 2, and so on."),
            "pages_per_gold": _("Empty: every page; with one row per page, one page in 5."),
            "max_judgments_per_contributor": _("Empty: until the test questions run out."),
            "min_seconds_per_page": _("A page that is faster is refused once; the second time ends the work. 0: off."),
            "seconds_per_page": _("After this time an unfinished page is given to somebody else."),
            "min_confidence": _(
                "While people agree less than this (0 to 1), a row gets one more judgment. Empty: off."
            ),
            "max_judgments_per_unit": _("A row never gets more than this."),
            "units_remain_finalized": _("Rows are not asked again when a contributor turns out untrusted."),
            "grid": _("Many small pictures on a page; click the ones that differ. For one question with choices."),
            "show_machine_label": _("Off is better: people who see a machine's answer tend to agree with it."),
        }

    def __init__(
        self,
        *args: Any,
        questions: Sequence[tuple[str, str]] = (),
        locked: Mapping[str, str] | None = None,
        read_only: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.fields["confidence_fields"].choices = list(questions)  # type: ignore[attr-defined]
        _lock(self.fields, locked or {})
        for field in self.fields.values():
            field.disabled = field.disabled or read_only

    @property
    def columns(self) -> list[list[tuple[str, list[forms.BoundField]]]]:
        """The groups with their fields, in two columns that are read downwards."""
        groups = [(str(title), [self[name] for name in names]) for title, names in self.groups]
        return [[groups[0], groups[1], groups[3]], [groups[2], groups[4], groups[5]]]
