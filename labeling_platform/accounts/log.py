"""Reading the activity log: by words, kind, person and time, page by page, and as a CSV."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from functools import reduce
from typing import Any, BinaryIO

from django import forms
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from labeling_platform.lib.downloads import csv_file

from . import wording
from .models import Activity, User

PAGE = 50
MOST_WORDS = 8
SYSTEM = "system"
KINDS: dict[str, tuple[str, Q]] = {
    "people": ("People, roles, invitations", Q(object_type__in=["user", "invitation", "membership", "team"])),
    "models": (
        "Models and trainings",
        Q(object_type__in=["custommodel", "modelversion", "trainingupload", "evaluation"]),
    ),
    "jobs": ("Jobs", Q(object_type__in=["job", "jobupload"])),
    "workflows": ("Workflows", Q(object_type__in=["workflow", "workflowupload"])),
    "reports": ("Reports", Q(object_type="report") | Q(verb__startswith="report ")),
    "downloads": ("Downloads and exports", Q(verb__endswith="downloaded") | Q(verb__endswith="exported")),
    "switches": (
        "Features, quotas, pauses",
        Q(verb__startswith="feature")
        | Q(verb__startswith="quota")
        | Q(verb__contains="paused")
        | Q(verb__contains="resumed"),
    ),
    "support": (
        "Customer success",
        Q(verb__contains="support") | Q(verb__startswith="note") | Q(verb__contains="deletion"),
    ),
    "signin": (
        "Sign-in and passwords",
        Q(verb__startswith="sign")
        | Q(verb__startswith="password")
        | Q(verb__startswith="second factor")
        | Q(verb__startswith="e-mail"),
    ),
    "tokens": ("Tokens", Q(verb__contains="token")),
    "asked": ("All that people asked for", ~Q(verb__in=list(wording.OF_STATES))),
    "states": ("Changes of state", Q(verb__in=list(wording.OF_STATES))),
}


class LogForm(forms.Form):
    """What to look for in the log. Without an answer to a question, everything."""

    q = forms.CharField(label=_("Words"), required=False, max_length=200)
    kind = forms.ChoiceField(label=_("Kind"), required=False)
    person = forms.ChoiceField(label=_("Who"), required=False)
    since = forms.DateField(label=_("From"), required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label=_("To"), required=False, widget=forms.DateInput(attrs={"type": "date"}))

    def __init__(
        self, *args: object, people: Iterable[User] = (), kinds: Iterable[str] = KINDS, **more: object
    ) -> None:
        super().__init__(*args, **more)  # type: ignore[arg-type]
        fields: dict[str, Any] = self.fields
        fields["kind"].choices = [("", _("Everything")), *((key, KINDS[key][0]) for key in kinds)]
        anybody = [("", _("Anybody")), (SYSTEM, wording.SYSTEM)]
        fields["person"].choices = [*anybody, *((str(user.pk), str(user)) for user in people)]

    def narrow(self, entries: QuerySet[Activity]) -> QuerySet[Activity]:
        """Those of `entries` that were asked for; all of them when the answers make no sense."""
        if not self.is_valid():
            return entries
        asked = self.cleaned_data
        entries = with_words(entries, asked["q"])
        if asked["kind"]:
            entries = entries.filter(KINDS[asked["kind"]][1])
        if asked["person"] == SYSTEM:
            entries = entries.filter(actor=None, actor_name="")
        elif asked["person"]:
            entries = entries.filter(actor_id=int(asked["person"]))
        if asked["since"]:
            entries = entries.filter(created_at__gte=_midnight(asked["since"]))
        if asked["until"]:
            entries = entries.filter(created_at__lt=_midnight(asked["until"]) + timedelta(days=1))
        return entries


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def with_words(entries: QuerySet[Activity], text: str) -> QuerySet[Activity]:
    """Those with every word of the text in what happened, to what, by whom, or in its details."""
    for word in text.replace("\x00", "").split()[:MOST_WORDS]:
        fields = ("verb", "object_name", "actor_name", "actor__email", "data", "request_id")
        entries = entries.filter(reduce(operator.or_, (Q(**{f"{field}__icontains": word}) for field in fields)))
    return entries


def as_csv(entries: QuerySet[Activity]) -> BinaryIO:
    """A temporary file with the lines, newest first, safe to open in a spreadsheet."""
    columns = ["time", "team", "who", "e-mail", "what", "on", "details", "network", "request", "line"]
    lines = entries.select_related("actor", "team").order_by("-pk").iterator(chunk_size=2000)
    return csv_file(columns, map(_cells, lines))


def _cells(entry: Activity) -> list[str | float | None]:
    return [
        entry.created_at.isoformat(timespec="seconds"),
        entry.team.name if entry.team else "",
        wording.who(entry),
        entry.actor.email if entry.actor else "",
        wording.what(entry),
        wording.on_what(entry),
        wording.details(entry),
        entry.ip,
        entry.request_id,
        entry.pk,
    ]
