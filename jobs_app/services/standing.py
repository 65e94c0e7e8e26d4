"""How a contributor stands: removed, stopped, rejected, back again; and what becomes of their judgments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import Case, Count, F, Q, Value, When
from django.db.models.functions import Greatest

from labeling_platform.accounts.models import User
from labeling_platform.accounts.services import record
from labeling_platform.lib.errors import Refused

from ..models import Contributor, Job, Judgment, Page, Unit
from ..quality import is_enough, trust_of
from ..states import ContributorState, JobState, PageState, UnitState
from .pages import end_lease, lock_rows, plan_of, recount_slots
from .results import finish_units, reckon_again

SETTLE_BATCH = 500


def judged_row_ids(contributor: Contributor, *, tainted: bool = False) -> list[int]:
    """The rows (no test questions) that the contributor judged; those whose judgments count, or `tainted` ones."""
    judgments = Judgment.objects.filter(contributor=contributor, missed__isnull=True, tainted=tainted)
    return list(judgments.values_list("unit_id", flat=True))


def remove(contributor: Contributor, rows: Sequence[Unit]) -> None:
    """Remove a locked contributor whose accuracy is too low; `rows` are all rows they judged, locked."""
    if ContributorState.move(Contributor.objects.filter(pk=contributor.pk), ContributorState.REMOVED):
        contributor.state = ContributorState.REMOVED
        _taint(contributor, rows)
        job, accuracy = contributor.job, round(contributor.trust, 4)
        record(team=job.team, actor=None, verb="contributor removed", obj=job, user=contributor.user_id, trust=accuracy)


def _taint(contributor: Contributor, rows: Sequence[Unit]) -> None:
    """Take the contributor's judgments out of the count; rows that lack one now want it from somebody else.

    A finalized row re-opens, unless its job lets finalized rows stay final.
    """
    Judgment.objects.filter(contributor=contributor, tainted=False).update(tainted=True)
    job = contributor.job
    stay = job.units_remain_finalized or job.state == JobState.CANCELED
    reopen = [unit.pk for unit in rows if unit.state == UnitState.FINALIZED and not stay]
    one_less = Unit.objects.filter(pk__in=[unit.pk for unit in rows])
    one_less.update(judgments_count=Greatest(F("judgments_count") - 1, Value(0)))
    UnitState.move(
        Unit.objects.filter(pk__in=reopen),
        UnitState.JUDGABLE,
        slots=0,
        finalized_at=None,
        result={},
        shares=None,
        agreement=None,
    )
    recount_slots(job.pk, job.team_id, [unit.pk for unit in rows])
    if reopen:
        JobState.move(Job.objects.filter(pk=job.pk, state=JobState.FINISHED), JobState.RUNNING)
    reckon_again(job, [unit for unit in rows if unit.state == UnitState.FINALIZED and stay])


def _untaint(contributor: Contributor, rows: Sequence[Unit]) -> None:
    """Let the contributor's judgments count again. A row may then have more of them than it wanted."""
    Judgment.objects.filter(contributor=contributor, tainted=True).update(tainted=False)
    unit_ids = [unit.pk for unit in rows]
    Unit.objects.filter(pk__in=unit_ids).update(judgments_count=F("judgments_count") + 1)
    recount_slots(contributor.job_id, contributor.team_id, unit_ids)
    for unit in rows:
        unit.judgments_count += 1
    final = [unit for unit in rows if unit.state == UnitState.FINALIZED]
    full = [unit for unit in rows if unit.state == UnitState.JUDGABLE and unit.judgments_count >= unit.wanted]
    if full:
        finish_units(contributor.job, full)
    reckon_again(contributor.job, final)


def _lock(contributor: Contributor) -> Contributor:
    places = Contributor.objects.select_for_update(no_key=True, of=("self",)).select_related("job__team")
    return places.get(pk=contributor.pk)


def _release_open_page(contributor: Contributor) -> None:
    page = Page.objects.select_for_update(no_key=True).filter(contributor=contributor, state=PageState.OPEN).first()
    if page is not None:
        end_lease(page)


@transaction.atomic
def flag_contributor(*, contributor: Contributor, actor: User | None) -> None:
    """Stop a contributor in this job; their judgments stay as they are. What they hold goes to others.

    Refuses for somebody whose work has ended already.
    """
    contributor = _lock(contributor)
    if not ContributorState.move(Contributor.objects.filter(pk=contributor.pk), ContributorState.FLAGGED):
        raise Refused("This contributor's work on the job has ended already.", code="wrong_state")
    _release_open_page(contributor)
    _record(contributor, actor, "contributor stopped")


@transaction.atomic
def reject_contributor(*, contributor: Contributor, actor: User | None) -> int:
    """Stop a contributor and replace all their judgments; returns how many rows lost one.

    Refuses for somebody who was rejected already.
    """
    contributor = _lock(contributor)
    was_tainted = contributor.state in ContributorState.tainting()
    if not ContributorState.move(Contributor.objects.filter(pk=contributor.pk), ContributorState.REJECTED):
        raise Refused("This contributor was rejected already.", code="wrong_state")
    page = Page.objects.select_for_update(no_key=True).filter(contributor=contributor, state=PageState.OPEN).first()
    held = page.unit_ids if page else []
    judged = set() if was_tainted else set(judged_row_ids(contributor))
    locked = lock_rows([*held, *judged])
    if page is not None:
        end_lease(page)
    rows = [unit for unit in locked if unit.pk in judged and unit.state != UnitState.CANCELED]
    _taint(contributor, rows)
    _record(contributor, actor, "contributor rejected", rows=len(rows))
    return len(rows)


@transaction.atomic
def readmit_contributor(*, contributor: Contributor, actor: User | None) -> None:
    """Let a stopped or rejected contributor go on; judgments that were taken out count again.

    Who had not got through the quiz has it before them still.
    Refuses for somebody who was not stopped, and for one whose accuracy is too low: that changes only with the
    test questions.
    """
    contributor = _lock(contributor)
    if contributor.state not in {ContributorState.FLAGGED, ContributorState.REJECTED}:
        raise Refused("Only contributors who were stopped or rejected can be let in again.", code="wrong_state")
    if not is_enough(contributor.seen, contributor.missed, contributor.job.minimum_accuracy):
        raise Refused(
            "The accuracy on test questions is too low. Edit a test question if it is wrong.", code="accuracy"
        )
    was_tainted = contributor.state == ContributorState.REJECTED
    new_here = contributor.seen == 0 and contributor.pages_done == 0
    to = ContributorState.QUIZ if new_here and plan_of(contributor.job).active else ContributorState.WORKING
    ContributorState.move(Contributor.objects.filter(pk=contributor.pk), to, too_fast=0)
    if was_tainted:
        _untaint(contributor, lock_rows(judged_row_ids(contributor, tainted=True)))
    _record(contributor, actor, "contributor readmitted")


def _record(contributor: Contributor, actor: User | None, verb: str, **more: Any) -> None:
    job = contributor.job
    record(team=job.team, actor=actor, verb=verb, obj=job, user=contributor.user_id, **more)


def find_stale(*, limit: int = 200) -> list[tuple[int, int]]:
    """(team id, contributor id) of those who are to be settled, of all teams in reach."""
    return list(Contributor.objects.filter(stale=True).order_by("pk").values_list("team_id", "pk")[:limit])


def settle_contributor(*, contributor: Contributor) -> None:
    """Bring a contributor's standing, and all results that rest on their trust, up to date.

    Counts seen and missed test questions anew (switched-off ones forgive their misses), removes or takes back the
    contributor accordingly, and reckons the results of their finalized rows again, in small transactions.
    Repeating it changes nothing.
    """
    trust = _settle_standing(contributor)
    rows = Unit.objects.filter(judgments__contributor=contributor, judgments__tainted=False, judgments_count__gt=1)
    rows = rows.filter(state=UnitState.FINALIZED)
    last = 0
    while ids := list(rows.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:SETTLE_BATCH]):
        with transaction.atomic():
            units = [unit for unit in lock_rows(ids) if unit.state == UnitState.FINALIZED]
            reckon_again(contributor.job, units)
        last = ids[-1]
    _settle_standing(contributor, reckoned=trust)


@transaction.atomic
def _settle_standing(contributor: Contributor, *, reckoned: float | None = None) -> float:
    """Bring state and trust up to date; returns the trust.

    `reckoned` is the trust that all results rest on by now: when it is still the same, nothing is left to do.
    Counted anew for that, under the lock: a test question may have been edited since.
    """
    contributor = _lock(contributor)
    golds = Judgment.objects.filter(contributor=contributor, missed__isnull=False)
    counts = golds.aggregate(
        seen=Count("pk"),
        missed=Count(Case(When(Q(missed=True, unit__state=UnitState.GOLDEN), then=1))),
    )
    contributor.seen, contributor.missed = counts["seen"], counts["missed"]
    contributor.trust = trust_of(contributor.seen, contributor.missed)
    contributor.save(update_fields=["seen", "missed", "trust"])
    enough = is_enough(contributor.seen, contributor.missed, contributor.job.minimum_accuracy)
    mine = Contributor.objects.filter(pk=contributor.pk)
    if enough and contributor.state == ContributorState.REMOVED:
        ContributorState.move(mine, ContributorState.WORKING)
        _untaint(contributor, lock_rows(judged_row_ids(contributor, tainted=True)))
        _record(contributor, None, "contributor readmitted")
    elif not enough and contributor.state in {ContributorState.QUIZ, ContributorState.WORKING}:
        page = Page.objects.select_for_update(no_key=True).filter(contributor=contributor, state=PageState.OPEN).first()
        judged = set(judged_row_ids(contributor))
        locked = lock_rows([*(page.unit_ids if page else []), *judged])
        if page is not None:
            end_lease(page)
        remove(contributor, [unit for unit in locked if unit.pk in judged and unit.state != UnitState.CANCELED])
    if contributor.trust == reckoned:
        mine.update(stale=False)
    return contributor.trust
