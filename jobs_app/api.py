"""Jobs for programs: made for a model, filled, launched, watched."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.shortcuts import get_object_or_404
from ninja import File, Form, Router
from ninja.files import UploadedFile
from pydantic import Field

from labeling_platform.accounts.api_access import ApiRequest, operation
from labeling_platform.accounts.models import Feature
from labeling_platform.lib.api import (
    USUAL_ITEMS,
    After,
    HeldUploadOut,
    Id,
    In,
    Limit,
    Page,
    Schema,
    Text,
    asking_to_confirm,
    checked_csv,
    example,
    invalid,
    page_of,
    upload_out,
)
from labeling_platform.lib.paging import page_by_key
from models_app.models import CustomModel

from . import services, tasks
from .browsing import rows_of
from .models import Job, JobUpload, Unit
from .querysets import job_counts, job_figures
from .states import UnitState

router = Router(tags=["Jobs"])
MOST_CONFIRMED = 20


class JobIn(In):
    model_config = example(model_id=1, title="Which footwear is it?", judgments_per_unit=3)

    model_id: Id = Field(description="A trained model: the job gets one answer for each of its classes.")
    title: Annotated[Text, Field(max_length=254)] = Field("", description="Empty: made from the model's name.")
    judgments_per_unit: int = Field(1, ge=1, le=20, description="How many people answer each row.")


class JobLaunchIn(In):
    model_config = example(count=100, confirm=[])

    count: int | None = Field(None, ge=1, le=1_000_000, description="Rows to launch, oldest first; null: all.")
    confirm: list[str] = Field(
        [], max_length=MOST_CONFIRMED, description="Messages of the warnings that you accept (GET says which)."
    )


class JobBrief(Schema):
    id: int
    title: str
    state: str = Field(description="unordered (not launched), running, paused, finished or canceled")
    model_id: int | None
    outcomes: list[str]
    judgments_per_unit: int
    rows: int
    rows_finalized: int
    test_questions: int
    created_at: datetime
    launched_at: datetime | None


class JobCounts(Schema):
    """Rows by what they wait for."""

    new: int
    queued: int
    waiting: int
    finalized: int
    canceled: int
    held: int = Field(description="Rows that contributors have before them now.")
    judgments: int


class JobOut(JobBrief):
    counts: JobCounts


class LaunchProblem(Schema):
    code: str
    message: str
    warning: bool = Field(description="A warning can be confirmed; anything else must be mended first.")


class JobLaunchOut(Schema):
    launched: int
    job: JobOut


class JobUploadOut(HeldUploadOut):
    rows_golden: int = Field(description="Lines that became test questions.")


class UnitOut(Schema):
    """A row of a job. `result` has for each question the winning answers and every answer's share."""

    id: int
    state: str = Field(description="new, queued, judgable, finalized or canceled")
    image_url: str
    data: dict[str, Any] = Field(description="The uploaded columns.")
    judgments: int = Field(description="Trusted judgments so far.")
    agreement: float | None
    shares: dict[str, float] | None = Field(description="Trust-weighted share of each class, once finalized.")
    result: dict[str, Any]
    machine: dict[str, Any] | None = Field(description="What a workflow's model thought of it.")
    created_at: datetime
    finalized_at: datetime | None


def get_job_or_404(pk: int) -> Job:
    return get_object_or_404(Job.objects.select_related("model", "team"), pk=pk)


def job_brief(job: Job, figures: Any) -> dict[str, Any]:
    names = ("title", "state", "model_id", "outcomes", "judgments_per_unit", "created_at", "launched_at")
    counts = {"rows": figures.rows, "rows_finalized": figures.final, "test_questions": figures.golds}
    return {"id": job.pk, **{name: getattr(job, name) for name in names}, **counts}


def job_out(job: Job) -> dict[str, Any]:
    counts = job_counts(job)
    names = ("new", "queued", "waiting", "finalized", "canceled", "held", "judgments")
    return {**job_brief(job, job_figures([job])[job.pk]), "counts": {name: getattr(counts, name) for name in names}}


@operation(router, "GET", "/jobs", answer=Page[JobBrief])
def list_jobs(request: ApiRequest, limit: Limit = USUAL_ITEMS, after: After = "") -> dict[str, Any]:
    """List the team's jobs, newest first."""
    page = page_by_key(Job.objects.all(), {"after": after}, size=limit, newest_first=True)
    figures = job_figures(page.items)
    return page_of(page, [job_brief(job, figures[job.pk]) for job in page.items])


@operation(router, "POST", "/jobs", answer=JobOut, status=201, feature=Feature.ML_ASSISTED_LABELING,
           fields={"not_trained": "model_id"})  # fmt: skip
def create_job(request: ApiRequest, data: JobIn) -> dict[str, Any]:
    """Make a job for a model from the routing template, with automatic launching of rows.

    Write its instructions on the job's Design tab before people work on it.
    """
    model = CustomModel.objects.select_related("current", "team").filter(pk=data.model_id).first()
    if model is None:
        raise invalid("model_id", "There is no such model.")
    job = services.create_routing_job(
        model=model, actor=request.actor, title=data.title.strip(), judgments_per_unit=data.judgments_per_unit
    )
    return job_out(job)


@operation(router, "GET", "/jobs/{job_id}", answer=JobOut)
def get_job(request: ApiRequest, job_id: Id) -> dict[str, Any]:
    """Get a job with its counters."""
    return job_out(get_job_or_404(job_id))


# --- rows ---------------------------------------------------------------------------------------------


def job_upload_out(upload: JobUpload) -> dict[str, Any]:
    return {**upload_out(upload), "rows_golden": upload.rows_golden}


def get_upload_or_404(job_id: int, pk: int) -> JobUpload:
    return get_object_or_404(JobUpload.objects.select_related("team", "job"), pk=pk, job_id=job_id)


@operation(router, "POST", "/jobs/{job_id}/uploads", answer=JobUploadOut, status=202, fields={"columns_differ": "file"})
def upload_job_rows(
    request: ApiRequest,
    job_id: Id,
    file: File[UploadedFile],
    forced: Annotated[bool, Form(description="Add the rows although their columns differ.")] = False,
) -> dict[str, Any]:
    """Upload rows.

    A UTF-8 CSV with the columns that the design shows; lines with `_golden` true become test questions. A file that
    came before is `held` until you confirm or discard it, so sending a file twice adds its rows once.
    """
    job = get_job_or_404(job_id)
    received = services.receive_rows(job=job, file=checked_csv(file), actor=request.actor, forced=forced)
    if not received.held:
        tasks.read_rows.delay_on_commit(team_id=request.team.pk, upload_id=received.pk)
    return job_upload_out(received)


@operation(router, "GET", "/jobs/{job_id}/uploads", answer=Page[JobUploadOut])
def list_job_uploads(request: ApiRequest, job_id: Id, limit: Limit = USUAL_ITEMS, after: After = "") -> dict[str, Any]:
    """List a job's uploads, newest first."""
    found = JobUpload.objects.filter(job=get_job_or_404(job_id))
    page = page_by_key(found, {"after": after}, size=limit, newest_first=True)
    return page_of(page, [job_upload_out(upload) for upload in page.items])


@operation(router, "GET", "/jobs/{job_id}/uploads/{upload_id}", answer=JobUploadOut)
def get_job_upload(request: ApiRequest, job_id: Id, upload_id: Id) -> dict[str, Any]:
    """Get an upload: how far its reading is, and the problems in it."""
    return job_upload_out(get_upload_or_404(job_id, upload_id))


@operation(router, "POST", "/jobs/{job_id}/uploads/{upload_id}/confirm", answer=JobUploadOut)
def confirm_job_upload(request: ApiRequest, job_id: Id, upload_id: Id) -> dict[str, Any]:
    """Add the rows of a held file although the file came before."""
    upload = services.confirm_upload(upload=get_upload_or_404(job_id, upload_id), actor=request.actor)
    tasks.read_rows.delay_on_commit(team_id=request.team.pk, upload_id=upload.pk)
    return job_upload_out(upload)


@operation(router, "POST", "/jobs/{job_id}/uploads/{upload_id}/discard", answer=None, status=204)
def discard_job_upload(request: ApiRequest, job_id: Id, upload_id: Id) -> None:
    """Throw a held file away.

    409 `state` when its rows are in the job already.
    """
    services.discard_upload(upload=get_upload_or_404(job_id, upload_id), actor=request.actor)


@operation(router, "GET", "/jobs/{job_id}/units", answer=Page[UnitOut])
def list_units(
    request: ApiRequest,
    job_id: Id,
    limit: Limit = USUAL_ITEMS,
    after: After = "",
    state: Annotated[Text, Field(description="Only rows in this state.")] = "",
) -> dict[str, Any]:
    """List a job's rows with what people answered, oldest first. Test questions are not among them."""
    job = get_job_or_404(job_id)
    if state and state not in UnitState.row_states():
        raise invalid("state", f"Choose one of: {', '.join(sorted(UnitState.row_states()))}.")
    page = page_by_key(rows_of(job, state=state), {"after": after}, size=limit)
    return page_of(page, [_unit_out(unit) for unit in page.items])


def _unit_out(unit: Unit) -> dict[str, Any]:
    names = ("state", "image_url", "data", "agreement", "shares", "result", "machine", "created_at", "finalized_at")
    return {"id": unit.pk, "judgments": unit.judgments_count, **{name: getattr(unit, name) for name in names}}


# --- launching ----------------------------------------------------------------------------------------


@operation(router, "GET", "/jobs/{job_id}/launch", answer=list[LaunchProblem])
def get_job_launch(request: ApiRequest, job_id: Id) -> list[dict[str, Any]]:
    """Say what speaks against launching a job now."""
    job = get_job_or_404(job_id)
    error = services.launch_error(job)
    problems = [{"code": error.code, "message": error.message, "warning": False}] if error else []
    warnings = services.launch_warnings(job=job)
    return problems + [{"code": "warning", "message": message, "warning": True} for message in warnings]


@operation(router, "POST", "/jobs/{job_id}/launch", answer=JobLaunchOut)
def launch_job(request: ApiRequest, job_id: Id, data: JobLaunchIn) -> dict[str, Any]:
    """Launch rows, so that contributors get them.

    409 `unconfirmed` while a warning is not confirmed, `no_rows` when no row waits for a launch.
    """
    job = get_job_or_404(job_id)
    with asking_to_confirm():
        launched = services.launch_confirmed(job=job, actor=request.actor, confirmed=data.confirm, count=data.count)
    return {"launched": launched, "job": job_out(get_job_or_404(job_id))}


@operation(router, "POST", "/jobs/{job_id}/pause", answer=JobOut)
def pause_job(request: ApiRequest, job_id: Id) -> dict[str, Any]:
    """Stop handing out rows. What contributors hold can still be submitted."""
    services.pause_job(job=get_job_or_404(job_id), actor=request.actor)
    return job_out(get_job_or_404(job_id))


@operation(router, "POST", "/jobs/{job_id}/resume", answer=JobOut)
def resume_job(request: ApiRequest, job_id: Id) -> dict[str, Any]:
    """Hand out rows again."""
    services.resume_job(job=get_job_or_404(job_id), actor=request.actor)
    return job_out(get_job_or_404(job_id))
