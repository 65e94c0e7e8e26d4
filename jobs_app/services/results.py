"""From judgments to a unit's result: finalizing, asking for one more judgment, reckoning again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache

from django.db import connection, transaction
from django.db.models import Exists, OuterRef

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
    if not units:
        return voices
    found = Judgment.objects.filter(unit__in=[unit.pk for unit in units], tainted=False).order_by("pk")
    for unit_id, answers, trust, pk in found.values_list("unit_id", "answers", "contributor__trust", "pk"):
        voices[unit_id].append((answers, trust, pk))
    return voices


def finish_units(
    job: Job, units: Sequence[Unit], *, only: Mapping[int, Voices] | None = None, others: Sequence[Unit] = ()
) -> list[Unit]:
    """Finalize locked units that have all judgments they want; return those.

    Written is what the units say, `judgments_count` included, and that of `others`, whose count alone has changed: one
    statement for all. With dynamic judgments a unit whose people disagree wants one more instead, up to the job's
    most. `only` are the voices of units that have no others, so that they need not be read.
    """
    done, more = [], []
    design, known = design_of(job), dict(only or {})
    voices = known | trusted_voices([unit for unit in units if unit.pk not in known])
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
            unit.wanted = unit.judgments_count + 1
            more.append(unit.pk)
        else:
            unit.state = UnitState.FINALIZED
            done.append(unit)
    _save(done, [unit for unit in units if unit.pk in more] + list(others))
    if more:
        recount_slots(job.pk, job.team_id, more)
    if done:
        finish_job_when_done(job)
    return done


# Written in SQL because it stands in the way of everybody who labels: one statement, and none of the time that the ORM
# takes to put an UPDATE with so many columns together. The rows are locked and known to be judgable; naming them once
# more keeps the planner from reading all rows of the job.
SAVE = """
UPDATE jobs_app_unit unit
SET judgments_count = d.judgments_count, wanted = d.wanted, state = d.state,
    slots = CASE WHEN d.state = 'finalized' THEN 0 ELSE unit.slots END,
    result = CASE WHEN d.state = 'finalized' THEN d.result ELSE unit.result END,
    shares = CASE WHEN d.state = 'finalized' THEN nullif(d.shares, 'null'::jsonb) ELSE unit.shares END,
    agreement = CASE WHEN d.state = 'finalized' THEN d.agreement ELSE unit.agreement END,
    finalized_at = CASE WHEN d.state = 'finalized' THEN statement_timestamp() ELSE unit.finalized_at END
FROM jsonb_to_recordset(%(units)s::jsonb) AS d(
    id bigint, judgments_count smallint, wanted smallint, state text, result jsonb, shares jsonb, agreement float8)
WHERE unit.id = d.id AND unit.id = ANY(%(ids)s::bigint[])
"""


def _save(done: Sequence[Unit], counted: Sequence[Unit]) -> None:
    fields = ("id", "judgments_count", "wanted", "state")
    lines = [{name: getattr(unit, name) for name in (*fields, *RESULT_FIELDS)} for unit in done]
    lines += [{name: getattr(unit, name) for name in fields} for unit in counted]
    with connection.cursor() as cursor:
        cursor.execute(SAVE, {"units": json.dumps(lines), "ids": [line["id"] for line in lines]})


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
    if _is_waited_for(job):
        return
    # Looked at again under the lock that `add_units` takes: rows may just be arriving.
    Job.objects.select_for_update(no_key=True).get(pk=job.pk)
    if not _is_waited_for(job):
        JobState.move(Job.objects.filter(pk=job.pk, state=JobState.RUNNING), JobState.FINISHED)


def _is_waited_for(job: Job) -> bool:
    """Whether a launched row waits. The order makes sure of the index: near the end most rows are of another state."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM jobs_app_unit WHERE job_id = %s AND team_id = %s AND state = 'judgable'"
            " ORDER BY job_id, state, id LIMIT 1",
            [job.pk, job.team_id],
        )
        return cursor.fetchone() is not None


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
