"""Jobs: made from the routing template, designed, launched, paused, checked for a workflow."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from django.db import connection, transaction
from django.db.models import IntegerField, Value
from django.db.models.functions import Cast, Random
from django.utils import timezone

from labeling_platform.accounts.models import Team, User
from labeling_platform.accounts.services import record
from labeling_platform.lib.errors import Refused
from models_app.models import CustomModel

from ..design import DesignProblem, check_routing_design, derive_name, parse_design
from ..models import Contributor, Job, TestQuestion, Unit
from ..quality import make_plan
from ..states import GoldSource, JobState, UnitState
from ..templates_cml import (
    CATEGORIZE_INSTRUCTIONS,
    ROUTING_INSTRUCTIONS,
    categorize_template,
    is_template_instructions,
    routing_template,
)
from .arrivals import launch_when_enough, unqueue
from .designs import check_design
from .golds import NewGold, add_golds
from .pages import plan_of

FROZEN = "A launched workflow uses this job, so its design and routing can no longer change. Make a new job instead."
LOCKED_BY_LAUNCH = (
    "judgments_per_unit",
    "quiz_length",
    "golds_per_page",
    "pages_per_gold",
    "in_upload_order",
)
LOCKED_BY_WORKFLOW = ("judgments_per_unit", "auto_launch")
SETTINGS = (
    *LOCKED_BY_LAUNCH,
    "units_per_page",
    "minimum_accuracy",
    "max_judgments_per_contributor",
    "min_seconds_per_page",
    "seconds_per_page",
    "min_confidence",
    "confidence_fields",
    "max_judgments_per_unit",
    "units_remain_finalized",
    "show_machine_label",
    "grid",
    "auto_launch",
    "auto_launch_threshold",
    "auto_launch_timeout",
)


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
def create_job(
    *,
    team: Team,
    actor: User | None,
    title: str,
    question: str = "Which category best describes this image?",
    answers: Sequence[str] = (),
) -> Job:
    """Make a job that stands alone: a picture and one question with these answers (labels); its rows are uploaded.

    Refuses fewer than two answers and answers that would have the same value.
    """
    labels = [label.strip() for label in answers if label.strip()]
    values = [derive_name(label) for label in labels]
    if len(labels) < 2:
        raise Refused("Write at least two answers, one per line.", code="too_few_answers")
    if "" in values or len(set(values)) < len(values):
        raise Refused(
            "Two of the answers are too much alike. Each needs letters or digits of its own.", code="same_answers"
        )
    job = Job.objects.create(
        team=team,
        title=title,
        instructions=CATEGORIZE_INSTRUCTIONS,
        cml=categorize_template(question, list(zip(labels, values, strict=True))),
        created_by=actor,
    )
    record(team=team, actor=actor, verb="job created", obj=job)
    return job


COPIED = ("model", "outcomes", "instructions", "cml", *SETTINGS)


@transaction.atomic
def copy_job(*, job: Job, actor: User | None, title: str = "", test_questions: bool = True, rows: bool = False) -> Job:
    """Make a new, not launched job with the same design and settings (domain.md 2.7).

    With `test_questions` those come along, with their answers and reasons; with `rows` all rows, without answers.
    """
    copy = Job.objects.create(
        team=job.team,
        title=title.strip() or f"Copy of {job.title}"[:254],
        copied_from=job,
        created_by=actor,
        **{name: getattr(job, name) for name in COPIED},
    )
    if rows:
        _copy_rows(job, copy)
    if test_questions:
        found = TestQuestion.objects.filter(job=job).select_related("unit")
        golds = [
            NewGold(
                f"copy:{gold.unit_id}",
                gold.unit.image_url,
                gold.answers,
                gold.reasons,
                gold.unit.data,
                gold.unit.machine,
            )
            for gold in found
            if gold.unit.state == UnitState.GOLDEN
        ]
        add_golds(job=copy, items=golds, source=GoldSource.COPY, actor=actor)
    record(team=job.team, actor=actor, verb="job copied", obj=copy, source=job.pk)
    return copy


def _copy_rows(job: Job, copy: Job) -> None:
    """All rows in one statement: there may be 250,000 of them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO jobs_app_unit (team_id, job_id, key, data, image_url, state, position, wanted, slots,"
            " judgments_count, machine, result, created_at)"
            " SELECT team_id, %(copy)s, 'copy:' || id, data, image_url, 'new', position, 0, 0, 0, machine,"
            " '{}'::jsonb, statement_timestamp() FROM jobs_app_unit"
            " WHERE job_id = %(job)s AND team_id = %(team)s AND state NOT IN ('golden', 'hidden_gold', 'canceled')"
            " ORDER BY id",
            {"copy": copy.pk, "job": job.pk, "team": job.team_id},
        )


@transaction.atomic
def save_design(*, job: Job, actor: User | None, title: str, instructions: str, cml: str) -> None:
    """Change title, instructions and design. Refuses a design with errors, and any change once it is frozen."""
    job = Job.objects.select_for_update(no_key=True).get(pk=job.pk)
    if job.design_frozen_at is not None:
        raise Refused(FROZEN, code="frozen")
    if errors := [problem for problem in check_design(job=job, cml=cml) if problem.level == "error"]:
        raise Refused(
            f"The design has {len(errors)} problem(s); it was not saved. "
            f"The first is in line {errors[0].line}: {errors[0].message}",
            code="design_invalid",
        )
    Job.objects.filter(pk=job.pk).update(title=title, instructions=instructions, cml=cml)
    record(team=job.team, actor=actor, verb="job design changed", obj=job)


@transaction.atomic
def save_settings(*, job: Job, actor: User | None, **values: Any) -> None:
    """Change those settings of a job that are given (names in SETTINGS).

    Some are locked by the launch, some by a workflow that uses the job: those are refused when they differ. A new
    minimum accuracy counts for everybody; their standing follows when they are settled.
    """
    job = Job.objects.select_for_update(no_key=True).get(pk=job.pk)
    if unknown := set(values) - set(SETTINGS):
        raise TypeError(f"no settings of a job: {sorted(unknown)}")
    changed = {name: value for name, value in values.items() if value != getattr(job, name)}
    if job.design_frozen_at is not None and any(name in changed for name in LOCKED_BY_WORKFLOW):
        raise Refused(FROZEN, code="frozen")
    if job.state != JobState.UNORDERED and any(name in changed for name in LOCKED_BY_LAUNCH):
        raise Refused(
            "Judgments per row, quiz, test questions per page and the order of rows cannot change after the launch.",
            code="launched",
        )
    _check_dynamic(job, changed)
    _check_pages(job, changed)
    _check_arrivals(job, changed)
    if not changed:
        return
    Job.objects.filter(pk=job.pk).update(**changed)
    if "in_upload_order" in changed:
        position = Value(0) if changed["in_upload_order"] else Cast(Random() * (2**31 - 1), IntegerField())
        Unit.objects.filter(job=job).update(position=position)
    if "minimum_accuracy" in changed:
        Contributor.objects.filter(job=job, seen__gt=0).update(stale=True)
    if changed.keys() & {"auto_launch", "auto_launch_threshold"}:
        job.refresh_from_db()
        launch_when_enough(job) if job.auto_launch else unqueue(job)
    record(team=job.team, actor=actor, verb="job settings changed", obj=job, settings=sorted(changed))


def _check_arrivals(job: Job, changed: Mapping[str, Any]) -> None:
    """Rows that are launched together need a time after which fewer are launched, or the last few wait for ever."""
    together = changed.get("auto_launch_threshold", job.auto_launch_threshold)
    if together > 1 and changed.get("auto_launch_timeout", job.auto_launch_timeout) is None:
        raise Refused(
            "Say after how many seconds fewer rows are launched, too: otherwise the last few would wait for ever.",
            code="no_timeout",
        )


def _check_dynamic(job: Job, changed: Mapping[str, Any]) -> None:
    """Dynamic judgments need a most, not below the judgments that every row gets."""
    found = {
        name: changed.get(name, getattr(job, name))
        for name in ("judgments_per_unit", "max_judgments_per_unit", "min_confidence")
    }
    most = found["max_judgments_per_unit"]
    if most is not None and most < found["judgments_per_unit"]:
        raise Refused("The most judgments per row must not be less than judgments per row.", code="most_too_small")
    if found["min_confidence"] is not None and most is None:
        raise Refused("Say the most judgments that a row may get while people disagree.", code="no_most")


def _check_pages(job: Job, changed: Mapping[str, Any]) -> None:
    """Some page has to have room for a row."""
    names = ("units_per_page", "quiz_length", "golds_per_page", "pages_per_gold")
    plan = make_plan(golds=0, **{name: changed.get(name, getattr(job, name)) for name in names})
    if plan.golds_per_page >= plan.units_per_page and plan.pages_per_gold == 1:
        raise Refused(
            "Then every page would be test questions only. Put them on one page in 2 or more, or more rows on a page.",
            code="no_room",
        )


def locked_settings(job: Job) -> dict[str, str]:
    """The settings that cannot change any more, and why."""
    locked: dict[str, str] = {}
    if job.state != JobState.UNORDERED:
        locked |= dict.fromkeys(LOCKED_BY_LAUNCH, "Locked: the job was launched.")
    if job.design_frozen_at is not None:
        locked |= dict.fromkeys(LOCKED_BY_WORKFLOW, "Locked: a launched workflow uses the job.")
    return locked


@transaction.atomic
def launch_job(*, job: Job, actor: User | None, count: int | None = None) -> int:
    """Launch rows that are not launched yet, oldest first: `count` of them, or all; returns how many.

    Refuses a job that cannot be worked on: design with problems, columns that its rows do not have, no title or
    instructions, no row to launch, canceled.
    """
    if problem := launch_error(job):
        raise problem
    units = Unit.objects.filter(job=job, state__in=[UnitState.NEW, UnitState.QUEUED])
    if count is not None:
        first = units.order_by("position", "pk")[: max(0, count)]
        units = Unit.objects.filter(pk__in=first.values("pk"))
    job = Job.objects.select_for_update(no_key=True).get(pk=job.pk)
    if job.state == JobState.CANCELED:
        raise Refused("A canceled job cannot be launched.", code="canceled")
    wanted = job.judgments_per_unit
    launched = UnitState.move(units, UnitState.JUDGABLE, slots=wanted, wanted=wanted)
    if not launched:
        raise Refused("There is no row to launch. Add rows on the Data tab first.", code="no_rows")
    if not JobState.move(Job.objects.filter(pk=job.pk, launched_at=None), JobState.RUNNING, launched_at=timezone.now()):
        JobState.move(Job.objects.filter(pk=job.pk).exclude(state=JobState.PAUSED), JobState.RUNNING)
    record(team=job.team, actor=actor, verb="job launched", obj=job, rows=launched)
    return launched


UNCONFIRMED = "Tick what you have read, then launch."


@transaction.atomic
def launch_confirmed(
    *, job: Job, actor: User | None, confirmed: Collection[str], count: int | None = None, **settings: Any
) -> int:
    """Save the settings and launch, both or neither; returns how many rows were launched.

    Refuses as save_settings and launch_job do, and while a warning (launch_warnings) is not in `confirmed`.
    """
    save_settings(job=job, actor=actor, **settings)
    job = Job.objects.select_related("model").get(pk=job.pk)
    if launch_error(job) is None and not set(launch_warnings(job=job)) <= set(confirmed):
        raise Refused(UNCONFIRMED, code="unconfirmed")
    return launch_job(job=job, actor=actor, count=count)


def launch_error(job: Job) -> Refused | None:
    """What keeps a job from being launched, whatever its rows."""
    if errors := design_problems(job, level="error"):
        return Refused(f"The design has a problem: {errors[0].message}", code="design_invalid")
    if not job.title.strip() or not job.instructions.strip():
        return Refused("Give the job a title and instructions first.", code="incomplete")
    return None


def design_problems(job: Job, *, level: str = "") -> list[DesignProblem]:
    """What is wrong with the job's design (on its newest rows' columns, too), errors and warnings."""
    return [problem for problem in check_design(job=job, cml=job.cml) if not level or problem.level == level]


def launch_warnings(*, job: Job) -> list[str]:
    """What a requester should confirm before a launch (domain.md 3.2, design.md 6.8)."""
    plan, warnings = plan_of(job), []
    if not plan.active:
        warnings.append(
            f"The job has {plan.golds or 'no'} test question{'' if plan.golds == 1 else 's'}; they are used from "
            f"{plan.golds + plan.missing} on. Without them every answer is trusted."
        )
    elif not plan.max_rows:
        warnings.append(
            f"The quiz takes {plan.quiz_length} of the {plan.golds} test questions, so none is left for the work and "
            "nobody can go on after it. Make more test questions or the quiz shorter."
        )
    if is_template_instructions(job.instructions):
        warnings.append("The instructions are still the template's own. Write yours on the Design tab.")
    return warnings


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
    plan = plan_of(job)
    if not plan.active:
        problems.append(
            DesignProblem(
                0,
                0,
                "no_test_questions",
                f"The job has {plan.golds} test question(s); they are used from {plan.golds + plan.missing} on. Until "
                "then every answer is trusted.",
                "warning",
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
