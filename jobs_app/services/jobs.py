"""Jobs: made from the routing template, designed, launched, paused, checked for a workflow."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.utils import timezone

from labeling_platform.accounts.models import User
from labeling_platform.accounts.services import record
from labeling_platform.lib.errors import Refused
from models_app.models import CustomModel

from ..design import DesignProblem, check_routing_design, parse_design
from ..models import Job, Unit
from ..states import JobState, UnitState
from ..templates_cml import ROUTING_INSTRUCTIONS, is_template_instructions, routing_template

FROZEN = "A launched workflow uses this job, so its design and routing can no longer change. Make a new job instead."


@transaction.atomic
def create_routing_job(*, model: CustomModel, actor: User | None, title: str = "", judgments_per_unit: int = 1) -> Job:
    """Make a job from the template “Image Categorization for Model Routing” for a trained model.

    One answer for each of the model's outcomes; automatic launching of rows is on. Refuses a model
    without a trained version.
    """
    if model.current is None:
        raise Refused("Train the model first: the job's answers are the model's classes.", code="not_trained")
    outcomes = list(model.current.outcomes)
    job = Job.objects.create(
        team=model.team,
        title=title or f"Categorize images for {model.name}",
        model=model,
        outcomes=outcomes,
        instructions=ROUTING_INSTRUCTIONS,
        cml=routing_template(outcomes),
        auto_launch=True,
        judgments_per_unit=judgments_per_unit,
        created_by=actor,
    )
    record(team=job.team, actor=actor, verb="job created", obj=job)
    return job


@transaction.atomic
def save_design(*, job: Job, actor: User | None, title: str, instructions: str, cml: str) -> None:
    """Change title, instructions and design. Refuses a design with errors, and any change once it is frozen."""
    job = Job.objects.select_for_update(no_key=True).get(pk=job.pk)
    if job.design_frozen_at is not None:
        raise Refused(FROZEN, code="frozen")
    if errors := parse_design(cml).errors:
        raise Refused(
            f"The design has {len(errors)} problem(s); it was not saved. "
            f"The first is in line {errors[0].line}: {errors[0].message}",
            code="design_invalid",
        )
    Job.objects.filter(pk=job.pk).update(title=title, instructions=instructions, cml=cml)
    record(team=job.team, actor=actor, verb="job design changed", obj=job)


@transaction.atomic
def save_settings(
    *,
    job: Job,
    actor: User | None,
    judgments_per_unit: int,
    units_per_page: int,
    seconds_per_page: int,
    auto_launch: bool,
) -> None:
    """Change a job's settings. Judgments per row and automatic launching are frozen with the design."""
    job = Job.objects.select_for_update(no_key=True).get(pk=job.pk)
    frozen = (judgments_per_unit, auto_launch) != (job.judgments_per_unit, job.auto_launch)
    if job.design_frozen_at is not None and frozen:
        raise Refused(FROZEN, code="frozen")
    if job.state != JobState.UNORDERED and judgments_per_unit != job.judgments_per_unit:
        raise Refused("Judgments per row cannot change after the launch.", code="launched")
    Job.objects.filter(pk=job.pk).update(
        judgments_per_unit=judgments_per_unit,
        units_per_page=units_per_page,
        seconds_per_page=seconds_per_page,
        auto_launch=auto_launch,
    )
    record(team=job.team, actor=actor, verb="job settings changed", obj=job)


@transaction.atomic
def launch_job(*, job: Job, actor: User | None) -> int:
    """Launch all rows that are not launched yet; returns how many. Refuses a job that cannot be worked on."""
    if errors := parse_design(job.cml).errors:
        raise Refused(f"The design has a problem: {errors[0].message}", code="design_invalid")
    if not job.title.strip() or not job.instructions.strip():
        raise Refused("Give the job a title and instructions first.", code="incomplete")
    units = Unit.objects.filter(job=job, state=UnitState.NEW)
    launched = UnitState.move(units, UnitState.JUDGABLE, slots=job.judgments_per_unit)
    if not launched:
        raise Refused("There is no row to launch. Rows come from a workflow that uses this job.", code="no_rows")
    if not JobState.move(Job.objects.filter(pk=job.pk), JobState.RUNNING, launched_at=timezone.now()):
        job.refresh_from_db()
        if job.state != JobState.RUNNING:
            raise Refused("A canceled job cannot be launched.", code="canceled")
    record(team=job.team, actor=actor, verb="job launched", obj=job, rows=launched)
    return launched


def pause_job(*, job: Job, actor: User | None) -> None:
    """Stop handing out rows; what contributors hold can still be submitted. Refuses a job that does not run."""
    message = "You can't pause a job that hasn't been launched."
    _move(job, JobState.PAUSED, actor, "job paused", message)


def resume_job(*, job: Job, actor: User | None) -> None:
    message = "You can only resume jobs that are paused or complete."
    _move(job, JobState.RUNNING, actor, "job resumed", message, only_from=[JobState.PAUSED, JobState.FINISHED])


def cancel_job(*, job: Job, actor: User | None) -> None:
    """End a job for good; its finished rows keep their results. Refuses a job that was never launched."""
    message = "You can't cancel a job that hasn't been launched."
    _move(job, JobState.CANCELED, actor, "job canceled", message)


@transaction.atomic
def _move(
    job: Job, to: JobState, actor: User | None, verb: str, message: str, only_from: Sequence[JobState] = ()
) -> None:
    jobs = Job.objects.filter(pk=job.pk)
    if only_from:
        jobs = jobs.filter(state__in=only_from)
    if not JobState.move(jobs, to):
        job.refresh_from_db()
        if job.state == to:
            return
        raise Refused(message, code="wrong_state")
    record(team=job.team, actor=actor, verb=verb, obj=job)


def check_routing(*, job: Job, outcomes: Sequence[str]) -> list[DesignProblem]:
    """What keeps a job from taking a model's rows (level error), and what should be confirmed (level warning)."""
    problems = [*check_routing_design(parse_design(job.cml), outcomes)]
    if not job.auto_launch:
        problems.append(
            DesignProblem(
                0, 0, "auto_launch_off", "Automatic launching of rows is off. Turn it on in the job's settings."
            )
        )
    if job.state == JobState.CANCELED:
        problems.append(DesignProblem(0, 0, "canceled", "The job is canceled. Choose or make another one."))
    if not Unit.objects.filter(job=job, golden=True).exists():
        problems.append(
            DesignProblem(
                0, 0, "no_test_questions", "The job has no test questions: every answer will be trusted.", "warning"
            )
        )
    if is_template_instructions(job.instructions):
        problems.append(
            DesignProblem(
                0, 0, "template_instructions", "The instructions are still the template's own. Write yours.", "warning"
            )
        )
    return problems


@transaction.atomic
def freeze_design(*, job: Job) -> None:
    """Called when a workflow launches: the design stays as it is, and the job runs whatever its rows (C14)."""
    if job.state == JobState.CANCELED:
        raise Refused("The job is canceled. Choose another one.", code="canceled")
    now = timezone.now()
    Job.objects.filter(pk=job.pk, design_frozen_at=None).update(design_frozen_at=now)
    JobState.move(Job.objects.filter(pk=job.pk, state=JobState.UNORDERED), JobState.RUNNING, launched_at=now)
