"""Submitting a page: answers checked, test questions scored, judgments stored, rows finalized."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from labeling_platform.accounts.models import User
from labeling_platform.accounts.services import record
from labeling_platform.lib.errors import Refused
from labeling_platform.lib.rows import load

from ..design import Answers, read_answers
from ..models import Contributor, Job, Judgment, Page, TestQuestion, Unit
from ..quality import is_enough, is_missed, trust_of
from ..states import ContributorState, PageKind, PageState, UnitState
from .pages import end_lease, lock_contributor, lock_rows, next_page
from .results import design_of, finish_units, reckon_again
from .standing import judged_row_ids, remove

LATE = "Your time for this page ran out and it was given back. Your answers on it were not kept. Here is the next one."
SLOW_DOWN = "That was quicker than anybody can look. Look at each row again, then submit. The next time ends your work."
STOPPED = "Your work on this job was ended: pages were submitted quicker than anybody can look at them."
SHARED = "SELECT id, unit_id, answers FROM jobs_app_testquestion WHERE unit_id = ANY(%s) ORDER BY id FOR SHARE"
Submitted = Mapping[str, Sequence[str]]


class InvalidAnswers(Exception):
    """Answers are missing or wrong; nothing was kept. `errors` and `answers` are by unit id, then question."""

    def __init__(self, errors: dict[int, dict[str, str]], answers: dict[int, Answers]) -> None:
        super().__init__("some answers are missing or wrong")
        self.errors, self.answers = errors, answers


@dataclass(frozen=True)
class Submission:
    """What a submit came to.

    `repeated`: this page had been submitted before, it counted once. `passed_quiz`: None when it was no quiz.
    `missed` counts those of its `test_questions` that were wrong. `too_fast`: nothing was stored, because the page was
    open for less than the job's minimum time; the answers are given back to be shown again. `stale`: results rest
    on an older trust and are to be settled.
    """

    judgments: int = 0
    finalized: int = 0
    repeated: bool = False
    missed: int = 0
    passed_quiz: bool | None = None
    removed: bool = False
    too_fast: str = ""
    stale: bool = False
    contributor_id: int = 0
    test_questions: int = 0
    answers: dict[int, Answers] = field(default_factory=dict)


def prefix_of(unit_id: int) -> str:
    """What the input names of one unit begin with on a page of several."""
    return f"u{unit_id}-"


@dataclass(frozen=True)
class Turn:
    """What a submit came to and what is next: a page, or None, with the reason when there is a `refusal`."""

    submission: Submission
    page: Page | None = None
    refusal: Refused | None = None


@transaction.atomic
def submit_page(*, page: Page, user: User, submitted: Submitted) -> Submission:
    """Store the judgments of a page, score its test questions. A page counts once however often it arrives.

    A contributor whose accuracy falls below the job's minimum is removed and all their judgments are replaced;
    so it is, with the judgments kept, when a page comes too fast a second time. Raises InvalidAnswers when answers
    are missing or wrong; refuses a page that was given back because its time ran out, and a page of somebody
    else. A page past its time that nobody else was given still counts.
    """
    return _submit(page.job, page.pk, lock_contributor(page.job, user), submitted)


@transaction.atomic
def submit_and_take(*, job: Job, page_id: int, user: User, submitted: Submitted) -> Turn:
    """Submit a page of the job (see `submit_page`) and take the next one, in one transaction.

    Raises Page.DoesNotExist for a page that is none of the job. Nothing is taken after a page that came too fast, or a
    second time, or while others hold all rows that are left locked: then `take_page` finds what there is.
    """
    contributor = lock_contributor(job, user)
    submission = _submit(job, page_id, contributor, submitted)
    if submission.too_fast or submission.repeated:
        return Turn(submission)
    try:
        return Turn(submission, next_page(job, contributor, may_wait=False))
    except Refused as refusal:
        return Turn(submission, refusal=refusal)


def _submit(job: Job, page_id: int, contributor: Contributor, submitted: Submitted) -> Submission:
    found = load(Page, "WHERE t.id = %s AND t.job_id = %s FOR NO KEY UPDATE", [page_id, job.pk])
    if not found:
        raise Page.DoesNotExist
    page = found[0]
    page.job = job
    if page.contributor_id != contributor.pk:
        raise Refused("This page belongs to another contributor.", code="not_yours")
    if page.state == PageState.SUBMITTED:
        return Submission(repeated=True)
    if page.state == PageState.RELEASED:
        raise Refused(LATE, code="page_expired")
    answers = _read(page, submitted)
    now = timezone.now()
    if (now - page.created_at).total_seconds() < job.min_seconds_per_page:
        return _too_fast(page, contributor, answers)
    PageState.move(Page.objects.filter(pk=page.pk), PageState.SUBMITTED, submitted_at=now)
    return _store(page, contributor, answers, _score(page, answers))


def _read(page: Page, submitted: Submitted) -> dict[int, Answers]:
    design = design_of(page.job)
    answers: dict[int, Answers] = {}
    errors: dict[int, dict[str, str]] = {}
    for unit_id in page.unit_ids:
        answers[unit_id], wrong = read_answers(design, submitted, prefix_of(unit_id))
        if wrong:
            errors[unit_id] = wrong
    if errors:
        raise InvalidAnswers(errors, answers)
    return answers


def _too_fast(page: Page, contributor: Contributor, answers: dict[int, Answers]) -> Submission:
    """The speed trap (domain.md 2.3): once is a warning, twice ends the work; what was done before stays."""
    mine = Contributor.objects.filter(pk=contributor.pk)
    mine.update(too_fast=F("too_fast") + 1)
    if not contributor.too_fast:
        return Submission(too_fast=SLOW_DOWN, answers=answers)
    end_lease(page)
    ContributorState.move(mine, ContributorState.FLAGGED)
    record(
        team=page.team, actor=None, verb="contributor stopped", obj=page.job, user=contributor.user_id, why="too fast"
    )
    return Submission(too_fast=STOPPED, removed=True)


def _score(page: Page, answers: dict[int, Answers]) -> dict[int, bool]:
    """Whether each test question of the page was missed, by unit id."""
    if not page.golds:
        return {}
    design = design_of(page.job)
    # Shared, so that whoever edits one waits, and scores these answers again.
    shared = TestQuestion.objects.raw(SHARED, [page.unit_ids])
    golds = [(gold.unit_id, gold.answers) for gold in shared]
    return {unit_id: is_missed(design, gold, answers[unit_id]) for unit_id, gold in golds}


def _store(page: Page, contributor: Contributor, answers: dict[int, Answers], misses: dict[int, bool]) -> Submission:
    job, trust_before = page.job, contributor.trust
    page_rows = {unit_id for unit_id in page.unit_ids if unit_id not in misses}
    _count(contributor, page, rows=len(page_rows), misses=misses)
    stays = is_enough(contributor.seen, contributor.missed, job.minimum_accuracy)
    # When the person is removed all their rows re-open: locked here in one go, in the one order of locks.
    locked = lock_rows([*page_rows] if stays else [*page_rows, *judged_row_ids(contributor)])
    rows = [unit for unit in locked if unit.pk in page_rows and unit.state != UnitState.CANCELED]
    _store_judgments(page, contributor, answers, misses, [unit.pk for unit in rows])
    done: list[Unit] = []
    if stays:
        done = _finish(job, contributor, rows, answers)
    else:
        Unit.objects.filter(pk__in=[unit.pk for unit in rows]).update(judgments_count=F("judgments_count") + 1)
        remove(contributor, [unit for unit in locked if unit.state != UnitState.CANCELED])
    stale = stays and contributor.judged > 0 and contributor.trust != trust_before
    if stale:
        Contributor.objects.filter(pk=contributor.pk).update(stale=True)
    return Submission(
        judgments=len(rows),
        finalized=len(done),
        missed=sum(misses.values()),
        passed_quiz=stays if page.kind == PageKind.QUIZ else None,
        removed=not stays,
        stale=stale,
        contributor_id=contributor.pk,
        test_questions=len(misses),
    )


def _count(contributor: Contributor, page: Page, *, rows: int, misses: dict[int, bool]) -> None:
    """Bring the contributor's counters and trust up to date; who passes the quiz may work."""
    contributor.seen += len(misses)
    contributor.missed += sum(misses.values())
    contributor.trust = trust_of(contributor.seen, contributor.missed)
    contributor.judged += rows
    contributor.pages_done += page.kind == PageKind.WORK
    contributor.save(update_fields=["seen", "missed", "trust", "judged", "pages_done"])
    if contributor.state == ContributorState.QUIZ:
        ContributorState.move(Contributor.objects.filter(pk=contributor.pk), ContributorState.WORKING)
        contributor.state = ContributorState.WORKING


def _store_judgments(
    page: Page, contributor: Contributor, answers: dict[int, Answers], misses: dict[int, bool], row_ids: list[int]
) -> None:
    Judgment.objects.bulk_create(
        Judgment(
            team_id=page.team_id,
            job=page.job,
            unit_id=unit_id,
            contributor=contributor,
            page=page,
            answers=answers[unit_id],
            trust=contributor.trust,
            missed=misses.get(unit_id),
            started_at=page.created_at,
        )
        for unit_id in [*row_ids, *misses]
    )


def _finish(job: Job, contributor: Contributor, rows: list[Unit], answers: dict[int, Answers]) -> list[Unit]:
    """Count the judgments of locked rows, finalize those that have all they want, and reckon those again that were
    final before (judgments had come back while this page was open)."""
    for unit in rows:
        unit.judgments_count += 1
    again = [unit for unit in rows if unit.state == UnitState.FINALIZED]
    if again:
        Unit.objects.bulk_update(again, ["judgments_count"])
        reckon_again(job, again)
    waiting = [unit for unit in rows if unit.state == UnitState.JUDGABLE]
    if not waiting:
        return []
    full = [unit for unit in waiting if unit.judgments_count >= unit.wanted]
    only = {unit.pk: [(answers[unit.pk], contributor.trust, 0)] for unit in full if unit.judgments_count == 1}
    return finish_units(job, full, only=only, others=[unit for unit in waiting if unit not in full])
