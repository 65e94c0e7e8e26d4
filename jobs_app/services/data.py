"""Uploading rows to a job: what is taken in, held, thrown away, and which columns the rows have."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

from django.core.files import File
from django.db import transaction
from django.db.models import QuerySet

from labeling_platform.accounts import quotas
from labeling_platform.accounts.models import User
from labeling_platform.accounts.services import record
from labeling_platform.lib import reading
from labeling_platform.lib.csvio import CsvRefused, open_csv
from labeling_platform.lib.errors import Refused
from labeling_platform.lib.uploads import UploadState, discard_held, hold_when_repeated, let_go, receive

from ..design import Design
from ..design.checks import is_gold_column
from ..models import Job, JobUpload, Unit
from ..states import JobState, UnitState
from .results import design_of

CANCELED = "The job is canceled. Upload the rows to another job."
HEADER_BYTES = 65_536


def upload_problem(*, job: Job) -> str:
    """Why no file can be uploaded to the job just now; empty when it can."""
    return CANCELED if job.state == JobState.CANCELED else ""


@transaction.atomic
def receive_rows(*, job: Job, file: File[Any], actor: User | None, forced: bool = False) -> JobUpload:
    """Keep an uploaded CSV of rows and test questions for the job; reading it is a task's work.

    A file that the job has seen before (same bytes) is kept too, but `held` until confirm_upload or discard_upload.
    Refuses for a canceled job, for a team that is paused or has no room, and unless `forced` when the columns differ
    from those of the rows that are there.
    """
    if problem := upload_problem(job=job):
        raise Refused(problem, code="canceled")
    columns = _peek(file, required_columns(design_of(job)))
    # With test questions in it, only reading the whole file can tell whether there are rows to compare with.
    if not forced and "_golden" not in columns and (difference := columns_differ(job=job, columns=columns)):
        raise Refused(difference, code="columns_differ")
    quotas.refuse_when_paused(job.team)
    quotas.use_storage(team=job.team, size=file.size or 0)
    upload = receive(JobUpload, file, team=job.team, actor=actor, area="jobs", job=job, forced=forced)
    hold_when_repeated(upload, among=JobUpload.objects.filter(job=job))
    record(team=job.team, actor=actor, verb="rows uploaded", obj=job, file=upload.original_name)
    return upload


def _peek(file: File[Any], required: Sequence[str]) -> list[str]:
    """The columns of a file that was just sent; empty when they cannot be read: its reader will say why."""
    head = file.read(HEADER_BYTES)
    file.seek(0)
    if len(head) == HEADER_BYTES and b"\n" not in head:
        return []
    try:
        return list(open_csv(BytesIO(head), required=required).columns)
    except CsvRefused:
        return []


def required_columns(design: Design) -> list[str]:
    """Columns that a file must have because of the picture in the design, whatever their case."""
    return ["image_url"] if any(use.name == "image_url" and not use.has_default for use in design.uses) else []


def source_columns(*, job: Job, but: JobUpload | None = None) -> list[str]:
    """The columns of the job's rows, test answers left out: as in the newest file (other than `but`) with rows.

    For a job whose rows came otherwise, those of its newest row; none for a job without rows.
    """
    if (upload := _uploads_with_rows(job, but).first()) is not None:
        return [column for column in upload.columns if not is_gold_column(column)]
    rows = Unit.objects.filter(job=job).exclude(state__in=UnitState.golden_states())
    data = rows.order_by("-pk").values_list("data", flat=True).first() or {}
    return sorted(data, key=lambda column: (column != "image_url", column))


def _uploads_with_rows(job: Job, but: JobUpload | None) -> QuerySet[JobUpload]:
    read = JobUpload.objects.filter(job=job, state__in=[UploadState.READING, UploadState.READY], rows_ok__gt=0)
    return read.exclude(pk=but.pk if but else 0).order_by("-pk")


def columns_differ(*, job: Job, columns: Sequence[str], but: JobUpload | None = None) -> str:
    """How a file's columns differ from those of the job's rows, in words; empty when they are the same.

    A job that a launched workflow uses has rows of that workflow's making: nothing is compared there.
    """
    there = source_columns(job=job, but=but)
    ours = [column for column in columns if not is_gold_column(column)]
    if not there or not ours or set(there) == set(ours) or job.design_frozen_at is not None:
        return ""
    missing = [column for column in there if column not in ours]
    new = [column for column in ours if column not in there]
    parts = [f"{word}: {', '.join(names)}" for word, names in (("missing", missing), ("new", new)) if names]
    return (
        f"The columns differ from those of the job's rows ({'; '.join(parts)}). "
        "Correct the first line of the file, or tick “Add although the columns differ” and upload it again."
    )


@transaction.atomic
def confirm_upload(*, upload: JobUpload, actor: User | None) -> JobUpload:
    """Let a held file be read although the job has seen it before. Confirming twice changes nothing more."""
    if let_go(upload):
        record(team=upload.team, actor=actor, verb="repeated file accepted", obj=upload)
    upload.refresh_from_db()
    return upload


@transaction.atomic
def discard_upload(*, upload: JobUpload, actor: User | None) -> None:
    """Delete a held file and its record. Refuses when its reading has begun."""
    if not discard_held(upload):
        raise Refused("This file is in the job already.", code="state")
    record(team=upload.team, actor=actor, verb="repeated file discarded", obj=upload)


def find_unread() -> list[tuple[int, int]]:
    """(team id, upload id) of files whose reading nobody has begun, or whose reader died, of all teams in reach."""
    return reading.find_unread(JobUpload.objects.all())
