"""From judgments to a unit's result: finalizing, asking for one more judgment, reckoning again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from django.db import transaction
from django.db.models import Exists, F, OuterRef
from django.utils import timezone

from ..aggregate import Aggregate, aggregate, human_labels, row_agreement, votes_of
from ..design import Answers, Design, parse_design, routing_question
from ..models import Job, Judgment, Unit
from ..quality import wants_more
from ..states import JobState, UnitState
from .pages import recount_slots

RESULT_FIELDS = ["result", "agreement", "shares"]
Voices = list[tuple[Answers, float, int]]


@lru_cache(maxsize=64)
def _parsed(cml: str) -> Design:
    return parse_design(cml)


def design_of(job: Job) -> Design:
    """The job's design; parsed once per process and text, and never to be changed by the caller."""
    return _parsed(job.cml)


def trusted_voices(units: Sequence[Unit]) -> dict[int, Voices]:
    """Per unit the answers, trust and order of its trusted judgments, oldest first; trust is today's."""
    voices: dict[int, Voices] = {unit.pk: [] for unit in units}
    found = Judgment.objects.filter(unit__in=[unit.pk for unit in units], tainted=False).order_by("pk")
    for unit_id, answers, trust, pk in found.values_list("unit_id", "answers", "contributor__trust", "pk"):
        voices[unit_id].append((answers, trust, pk))
    return voices


def finish_units(job: Job, units: Sequence[Unit]) -> list[Unit]:
    """Finalize locked units that have all judgments they want; return those.

    With dynamic judgments a unit whose people disagree wants one more instead, up to the job's most.
    """
    done, more = [], []
    design, voices = design_of(job), trusted_voices(units)
    most = job.max_judgments_per_unit or job.judgments_per_unit
    for unit in units:
        results = _write_result(job, design, unit, voices[unit.pk])
        if wants_more(
            results,
            minimum=job.min_confidence,
            fields=job.confidence_fields,
            judgments=len(voices[unit.pk]),
            most=most,
        ):
            more.append(unit.pk)
        else:
            done.append(unit)
    Unit.objects.bulk_update(done, RESULT_FIELDS)
    now = timezone.now()
    UnitState.move(
        Unit.objects.filter(pk__in=[unit.pk for unit in done]), UnitState.FINALIZED, finalized_at=now, slots=0
    )
    if more:
        Unit.objects.filter(pk__in=more).update(wanted=F("judgments_count") + 1)
        recount_slots(job.pk, job.team_id, more)
    if done:
        finish_job_when_done(job)
    return done


def reckon_again(job: Job, units: Sequence[Unit]) -> None:
    """Write the results of locked finalized units anew: a trust or a judgment has changed.

    A unit that is left without a trusted judgment keeps what it had (its job lets finalized rows stay final).
    """
    design, voices = design_of(job), trusted_voices(units)
    changed = [unit for unit in units if voices[unit.pk]]
    for unit in changed:
        _write_result(job, design, unit, voices[unit.pk])
    Unit.objects.bulk_update(changed, RESULT_FIELDS, batch_size=500)


def _write_result(job: Job, design: Design, unit: Unit, voices: Voices) -> dict[str, Aggregate]:
    results = {
        question.name: aggregate(question.aggregation, votes_of(question.name, voices)) for question in design.questions
    }
    routing = routing_question(design, job.outcomes) if job.outcomes else None
    unit.result = {name: result.as_json() for name, result in results.items()}
    unit.agreement = row_agreement(list(results.values()))
    unit.shares = human_labels(job.outcomes, votes_of(routing.name, voices)) if routing else None
    return results


def finish_job_when_done(job: Job) -> None:
    """Finish the job when no launched row waits any more. The caller holds locks on units at the most."""
    waiting = Unit.objects.filter(job=job, state=UnitState.JUDGABLE)
    if waiting.exists():
        return
    # Looked at again under the lock that `add_units` takes: rows may just be arriving.
    Job.objects.select_for_update(no_key=True).get(pk=job.pk)
    if not waiting.exists():
        JobState.move(Job.objects.filter(pk=job.pk, state=JobState.RUNNING), JobState.FINISHED)


def finish_done_jobs(*, limit: int = 100) -> int:
    """Finish running jobs in which no row waits any more; for the sweeper. Returns how many.

    Two submits that finalize the last two rows at the same moment do not see each other's row, so that neither of
    them finishes the job. A job that has no rows yet goes on: a workflow may deliver some.
    """
    units = Unit.objects.filter(job=OuterRef("pk"))
    done = Exists(units.filter(state=UnitState.FINALIZED)) & ~Exists(units.filter(state=UnitState.JUDGABLE))
    finished = 0
    for job in list(Job.objects.filter(done, state=JobState.RUNNING).order_by("pk")[:limit]):
        with transaction.atomic():
            finish_job_when_done(job)
        finished += Job.objects.filter(pk=job.pk, state=JobState.FINISHED).exists()
    return finished
