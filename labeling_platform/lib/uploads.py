"""What every uploaded CSV has: the file as it came, what was found in it, and what was wrong with it."""

from __future__ import annotations

from typing import Any, TypeVar

from django.conf import settings
from django.core.files import File
from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from labeling_platform.lib import storage
from labeling_platform.lib.states import States, nonmember

MAX_PROBLEMS_KEPT = 1000


class UploadState(States):
    """received -> reading -> ready, or refused with a reason, or canceled by a person; the file stays in any case."""

    RECEIVED = "received", _("Waiting to be read")
    READING = "reading", _("Reading")
    READY = "ready", _("Ready")
    REFUSED = "refused", _("Refused")
    CANCELED = "canceled", _("Canceled")
    moves = nonmember(
        {
            "received": {"reading", "refused", "canceled"},
            "reading": {"received", "ready", "refused", "canceled"},
            "ready": set(),
            "refused": set(),
            "canceled": set(),
        }
    )
    colors = nonmember(
        {"received": "azure", "reading": "azure", "ready": "green", "refused": "red", "canceled": "secondary"}
    )


class CsvUpload(models.Model):
    """One uploaded CSV. `problems` holds the first MAX_PROBLEMS_KEPT as {line, column, code, message}."""

    file = models.CharField(max_length=200)
    original_name = models.CharField(max_length=255)
    size = models.BigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True)
    state = models.CharField(max_length=10, choices=UploadState.choices, default=UploadState.RECEIVED)
    columns = models.JSONField(default=list)
    rows_read = models.IntegerField(default=0)
    rows_ok = models.IntegerField(default=0)
    rows_bad = models.IntegerField(default=0)
    problems = models.JSONField(default=list)
    refusal = models.TextField(blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.original_name

    @property
    def status(self) -> UploadState:
        """The state as enum member, for badges."""
        return UploadState(self.state)

    @property
    def is_final(self) -> bool:
        return self.state in UploadState.final()

    @property
    def problems_not_kept(self) -> int:
        """How many problems were found beyond those listed."""
        return max(0, self.rows_bad - len(self.problems))

    def problem_rows(self) -> list[dict[str, Any]]:
        return list(self.problems)


class ResumableUpload(CsvUpload):
    """A CSV whose rows are added in batches by readers that may die (lib/reading.py).

    A file that came before is `held` until a person says whether its rows are wanted again. `rows_total` is known
    after the file was checked; `last_line` is where adding its rows got to, so that a reader that died is
    continued, not repeated. `token` and `lease_until` fence that dead reader.
    """

    duplicate_of = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    held = models.BooleanField(default=False)
    rows_total = models.IntegerField(default=0)
    last_line = models.IntegerField(default=0)
    token = models.BigIntegerField(default=0)
    attempts = models.SmallIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True


Upload = TypeVar("Upload", bound=CsvUpload)
Resumable = TypeVar("Resumable", bound=ResumableUpload)


def receive(kind: type[Upload], file: File[Any], *, team: Any, actor: Any, area: str, **fields: Any) -> Upload:
    """Keep an uploaded file exactly as it came and make its record; reading it is a task's work."""
    name, size, sha256 = storage.save_upload(file, team_id=team.pk, area=area)
    original = (file.name or "upload.csv").replace("\x00", "")[-255:]
    return kind._default_manager.create(
        team=team, file=name, original_name=original, size=size, sha256=sha256, created_by=actor, **fields
    )


def hold_when_repeated(upload: Resumable, *, among: models.QuerySet[Resumable]) -> bool:
    """Hold a fresh upload when one of `among` has the same bytes and is in use (or will be); return whether."""
    earlier = (
        among.filter(sha256=upload.sha256, pk__lt=upload.pk, held=False)
        .exclude(state__in=[UploadState.REFUSED, UploadState.CANCELED])
        .order_by("pk")
        .first()
    )
    if earlier is None:
        return False
    upload.duplicate_of, upload.held = earlier, True
    upload.save(update_fields=["duplicate_of", "held"])
    return True


def let_go(upload: Resumable) -> bool:
    """Let a held upload be read. False when it was not held (any more)."""
    held = type(upload)._default_manager.filter(pk=upload.pk, held=True)
    return bool(held.update(held=False))


def discard_held(upload: Resumable) -> bool:
    """Delete a held upload's record and, once that is committed, its file. False when it is not held."""
    held = type(upload)._default_manager.select_for_update().filter(pk=upload.pk, held=True).first()
    if held is None:
        return False
    name = held.file
    held.delete()
    transaction.on_commit(lambda: storage.delete_file(name))
    return True
