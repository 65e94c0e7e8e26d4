"""Pages: which contributor holds which rows, and what happens when a page is submitted.

The invariant of every unit that can be judged: slots + open leases + judgments = judgments wanted. Each
change of it happens under the unit's row lock, in the transaction that makes or ends the lease. Locks are
taken in one order everywhere: contributor, page, units by id, job.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection, transaction
from django.db.models import F, Q
from django.utils import timezone

from labeling_platform.accounts.models import User
from labeling_platform.lib.errors import Refused

from ..aggregate import aggregate, human_labels, row_agreement, votes_of
from ..design import Answers, Design, parse_design, read_answers, routing_question
from ..models import Contributor, Job, Judgment, Page, Unit
from ..states import JobState, PageState, UnitState

CLAIM = """
WITH picked AS (
    SELECT unit.id FROM jobs_app_unit unit
    WHERE unit.job_id = %(job)s AND unit.team_id = %(team)s AND unit.state = 'judgable' AND unit.slots > 0
      AND NOT EXISTS (
          SELECT 1 FROM jobs_app_judgment judgment
          WHERE judgment.unit_id = unit.id AND judgment.contributor_id = %(contributor)s)
    ORDER BY unit.id LIMIT %(count)s FOR NO KEY UPDATE OF unit {skip}
)
UPDATE jobs_app_unit unit SET slots = unit.slots - 1 FROM picked WHERE unit.id = picked.id RETURNING unit.id
"""


class InvalidAnswers(Exception):
    """Answers are missing or wrong; nothing was kept. `errors` and `answers` are by unit id, then question."""

    def __init__(self, errors: dict[int, dict[str, str]], answers: dict[int, Answers]) -> None:
        super().__init__("some answers are missing or wrong")
        self.errors, self.answers = errors, answers


@dataclass(frozen=True)
class Submission:
    """What a submit came to: `repeated` when this page had been submitted before (it counted once)."""

    judgments: int
    finalized: int
    repeated: bool = False


@transaction.atomic
def take_page(*, job: Job, user: User) -> Page | None:
    """The page this person works on: the one they hold already, or new rows; None when there is nothing for them.

    Refuses a job that is not open for work.
    """
    contributor = _lock_contributor(job, user)
    held = Page.objects.select_for_update(no_key=True).filter(contributor=contributor, state=PageState.OPEN).first()
    now = timezone.now()
    if held is not None:
        if held.expires_at > now:
            return held
        _release(held)
    job.refresh_from_db()
    if job.state == JobState.FINISHED:
        return None
    if job.state != JobState.RUNNING:
        raise Refused(_closed(job), code=f"job_{job.state}")
    unit_ids = _claim(job, contributor)
    if not unit_ids:
        return None
    return Page.objects.create(
        team_id=job.team_id,
        job=job,
        contributor=contributor,
        unit_ids=sorted(unit_ids),
        expires_at=now + timedelta(seconds=job.seconds_per_page),
    )


def _closed(job: Job) -> str:
    reasons = {
        JobState.PAUSED: "This job is paused. Come back later; nothing that you submitted is lost.",
        JobState.CANCELED: "This job was ended by its owners. Thank you for your work.",
        JobState.UNORDERED: "This job has not been launched yet.",
    }
    return reasons.get(JobState(job.state), "This job is not open for work now.")


def _lock_contributor(job: Job, user: User) -> Contributor:
    """The person's place in the job, locked: two tabs of one person wait for each other here."""
    Contributor.objects.get_or_create(team_id=job.team_id, job=job, user=user)
    return Contributor.objects.select_for_update(no_key=True).get(job=job, user=user)


def _claim(job: Job, contributor: Contributor) -> list[int]:
    values = {"job": job.pk, "team": job.team_id, "contributor": contributor.pk, "count": job.units_per_page}
    with connection.cursor() as cursor:
        cursor.execute(CLAIM.format(skip="SKIP LOCKED"), values)
        found = [row[0] for row in cursor.fetchall()]
        if not found:
            # Rows that others held locked for a moment may still have a free slot: wait for them once.
            cursor.execute(CLAIM.format(skip=""), values)
            found = [row[0] for row in cursor.fetchall()]
    return found


def page_units(page: Page) -> list[Unit]:
    """The rows of a page, in order."""
    return list(Unit.objects.filter(pk__in=page.unit_ids).order_by("pk"))


def upcoming_pictures(*, job: Job, after: int, count: int = 3) -> list[str]:
    """Image URLs that this or another contributor is likely to get next, for preloading. No promise."""
    units = Unit.objects.filter(job=job, state=UnitState.JUDGABLE, slots__gt=0, pk__gt=after).order_by("pk")
    return list(units.values_list("image_url", flat=True)[:count])


@transaction.atomic
def release_page(*, page: Page) -> bool:
    """Give a page's rows back to the others. False when it was submitted or given back before."""
    page = Page.objects.select_for_update(no_key=True).get(pk=page.pk)
    return _release(page)


def _release(page: Page) -> bool:
    if not PageState.move(Page.objects.filter(pk=page.pk), PageState.RELEASED):
        return False
    locked = Unit.objects.filter(pk__in=page.unit_ids).order_by("pk").select_for_update(no_key=True)
    ids = list(locked.values_list("pk", flat=True))
    Unit.objects.filter(pk__in=ids).update(slots=F("slots") + 1)
    return True


def release_expired_pages(*, limit: int = 500) -> int:
    """Give back the rows of pages whose time ran out; for the sweeper. Returns how many pages."""
    released = 0
    pages = Page.objects.filter(state=PageState.OPEN, expires_at__lt=timezone.now()).order_by("pk")
    for page_id in list(pages.values_list("pk", flat=True)[:limit]):
        with transaction.atomic():
            page = (
                Page.objects.select_for_update(no_key=True, skip_locked=True)
                .filter(pk=page_id, state=PageState.OPEN, expires_at__lt=timezone.now())
                .first()
            )
            released += bool(page is not None and _release(page))
    return released


def prefix_of(unit_id: int) -> str:
    """What the input names of one unit begin with on a page of several."""
    return f"u{unit_id}-"


@transaction.atomic
def submit_page(*, page: Page, user: User, submitted: Mapping[str, Sequence[str]]) -> Submission:
    """Store the judgments of a page. A page counts once however often it arrives.

    Raises InvalidAnswers when answers are missing or wrong; refuses a page that was given back because its
    time ran out, and a page of somebody else. A page past its time that nobody else was given still counts.
    """
    contributor = _lock_contributor(page.job, user)
    page = Page.objects.select_for_update(no_key=True).select_related("job").get(pk=page.pk)
    if page.contributor_id != contributor.pk:
        raise Refused("This page belongs to another contributor.", code="not_yours")
    if page.state == PageState.SUBMITTED:
        return Submission(0, 0, repeated=True)
    if page.state == PageState.RELEASED:
        raise Refused(
            "Your time for this row ran out and it was given back. Here is the next one.", code="page_expired"
        )
    job, design = page.job, parse_design(page.job.cml)
    answers = _read(design, page, submitted)
    PageState.move(Page.objects.filter(pk=page.pk), PageState.SUBMITTED, submitted_at=timezone.now())
    units = list(Unit.objects.filter(pk__in=page.unit_ids).order_by("pk").select_for_update(no_key=True))
    judged = [unit for unit in units if unit.state == UnitState.JUDGABLE]
    Judgment.objects.bulk_create(
        Judgment(
            team_id=job.team_id,
            job=job,
            unit=unit,
            contributor=contributor,
            page=page,
            answers=answers[unit.pk],
            trust=contributor.trust,
            started_at=page.created_at,
        )
        for unit in judged
    )
    Unit.objects.filter(pk__in=[unit.pk for unit in judged]).update(judgments_count=F("judgments_count") + 1)
    full = [unit for unit in judged if unit.judgments_count + 1 >= job.judgments_per_unit]
    _finalize(job, design, full)
    if full:
        _finish_job_when_done(job)
    return Submission(len(judged), len(full))


def _read(design: Design, page: Page, submitted: Mapping[str, Sequence[str]]) -> dict[int, Answers]:
    answers: dict[int, Answers] = {}
    errors: dict[int, dict[str, str]] = {}
    for unit_id in page.unit_ids:
        answers[unit_id], wrong = read_answers(design, submitted, prefix_of(unit_id))
        if wrong:
            errors[unit_id] = wrong
    if errors:
        raise InvalidAnswers(errors, answers)
    return answers


def _finalize(job: Job, design: Design, units: Sequence[Unit]) -> None:
    """Aggregate the trusted judgments of units that have all they need, and finalize them."""
    if not units:
        return
    by_unit: dict[int, list[tuple[Answers, float, int]]] = {unit.pk: [] for unit in units}
    found = Judgment.objects.filter(unit__in=units, tainted=False).select_related("contributor").order_by("pk")
    for judgment in found:
        by_unit[judgment.unit_id].append((judgment.answers, judgment.contributor.trust, judgment.pk))
    routing = routing_question(design, job.outcomes) if job.outcomes else None
    now = timezone.now()
    for unit in units:
        judgments = by_unit[unit.pk]
        results = {
            question.name: aggregate(question.aggregation, votes_of(question.name, judgments))
            for question in design.questions
        }
        unit.result = {name: result.as_json() for name, result in results.items()}
        unit.agreement = row_agreement(list(results.values()))
        unit.shares = human_labels(job.outcomes, votes_of(routing.name, judgments)) if routing else None
        unit.state, unit.finalized_at = UnitState.FINALIZED, now
    Unit.objects.bulk_update(units, ["result", "agreement", "shares", "state", "finalized_at"])


def _finish_job_when_done(job: Job) -> None:
    waiting = Unit.objects.filter(Q(state=UnitState.JUDGABLE) | Q(state=UnitState.NEW), job=job)
    if waiting.exists():
        return
    # Looked at again under the lock that `add_units` takes: rows may just be arriving.
    Job.objects.select_for_update(no_key=True).get(pk=job.pk)
    if not waiting.exists():
        JobState.move(Job.objects.filter(pk=job.pk, state=JobState.RUNNING), JobState.FINISHED)
