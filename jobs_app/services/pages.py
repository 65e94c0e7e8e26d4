"""Pages: which contributor holds which rows, and for how long.

The invariant of every unit that can be judged: slots + open leases + trusted judgments = judgments wanted. Each
change of it happens under the unit's row lock, in the transaction that makes or ends the lease. Locks are
taken in one order everywhere: contributor, page, units by id, job.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.utils import timezone

from labeling_platform.accounts.models import User
from labeling_platform.lib.errors import Refused
from labeling_platform.lib.rows import load

from ..models import Contributor, Job, Page, Unit
from ..quality import Plan, golds_due, make_plan, places_for, shuffled
from ..states import ContributorState, JobState, PageKind, PageState, UnitState

# Ordered by (position, id) behind the place where the contributor got to: without that, every claim would step
# over all the rows that the same person has judged and that still want others.
CLAIM = """
WITH picked AS (
    SELECT unit.id FROM jobs_app_unit unit
    WHERE unit.job_id = %(job)s AND unit.team_id = %(team)s AND unit.state = 'judgable' AND unit.slots > 0
      AND (unit.position, unit.id) > (%(position)s, %(unit)s) AND unit.id <> ALL(%(taken)s::bigint[])
      AND NOT EXISTS (
          SELECT 1 FROM jobs_app_judgment judgment
          WHERE judgment.unit_id = unit.id AND judgment.contributor_id = %(contributor)s)
    ORDER BY unit.position, unit.id LIMIT %(count)s FOR NO KEY UPDATE OF unit {skip}
)
UPDATE jobs_app_unit unit SET slots = unit.slots - 1 FROM picked WHERE unit.id = picked.id
RETURNING unit.position, unit.id
"""
# The job stands in the comparison, too: without statistics (just after a large upload) the planner otherwise takes
# another index and sorts all rows of the job.
UPCOMING = """
SELECT image_url FROM (
    SELECT unit.job_id, unit.team_id, unit.image_url FROM jobs_app_unit unit
    WHERE unit.state = 'judgable' AND unit.slots > 0
      AND (unit.job_id, unit.position, unit.id) > (%(job)s, %(position)s, %(unit)s)
    ORDER BY unit.job_id, unit.position, unit.id LIMIT %(count)s
) AS ahead WHERE job_id = %(job)s AND team_id = %(team)s
"""
GOLDS = "SELECT count(*) FROM jobs_app_unit WHERE job_id = %s AND team_id = %s AND state = 'golden'"
RECOUNT = """
WITH held AS (
    SELECT unit_id, count(*) AS n
    FROM jobs_app_page page, unnest(page.unit_ids) AS unit_id
    WHERE page.job_id = %(job)s AND page.team_id = %(team)s AND page.state = 'open' GROUP BY unit_id
)
UPDATE jobs_app_unit unit
SET slots = greatest(unit.wanted - unit.judgments_count - coalesce(found.n, 0), 0)
FROM (SELECT id, held.n FROM unnest(%(units)s::bigint[]) AS id LEFT JOIN held ON held.unit_id = id) AS found
WHERE unit.id = found.id AND unit.id = ANY(%(units)s::bigint[]) AND unit.state = 'judgable'
"""
GOT_TO = "UPDATE jobs_app_contributor SET after_position = %s, after_unit = %s WHERE id = %s"
START = (-1, 0)
CLOSED = {
    JobState.PAUSED: "This job is paused. Come back later; nothing that you submitted is lost.",
    JobState.CANCELED: "This job was ended by its owners. Thank you for your work.",
    JobState.UNORDERED: "This job has not been launched yet.",
}
BARRED = {
    ContributorState.REMOVED: "Your accuracy on the test questions of this job is too low to go on. "
    "Please choose another job.",
    ContributorState.FLAGGED: "The owners of this job have ended your work on it. What you submitted stays.",
    ContributorState.REJECTED: "The owners of this job have ended your work on it.",
}
NOT_OPEN = "This job is not open for work now."
MAXED_OUT = "You have answered all test questions of this job, so you have reached its limit. Thank you for your work."
ENOUGH = "You have given as many judgments as one person may in this job. Thank you for your work."


def plan_of(job: Job) -> Plan:
    """How the job uses its test questions just now."""
    with connection.cursor() as cursor:
        cursor.execute(GOLDS, [job.pk, job.team_id])
        (golds,) = cursor.fetchone()
    return make_plan(
        golds=golds,
        units_per_page=job.units_per_page,
        quiz_length=job.quiz_length,
        golds_per_page=job.golds_per_page,
        pages_per_gold=job.pages_per_gold,
    )


def take_page(*, job: Job, user: User) -> Page | None:
    """The page this person works on: the one they hold already, or a new one; None when there is nothing for them.

    A new contributor of a job with enough test questions gets a quiz page first; later pages carry test questions
    among the rows. Refuses a job that is not open for work, and a contributor who may not go on: accuracy too
    low, stopped by the owners, or no test questions or judgments left for them.
    """
    mine = Page.objects.filter(contributor__job=job, contributor__user=user, state=PageState.OPEN)
    for page in mine.filter(expires_at__lte=timezone.now()):
        release_page(page=page)  # a transaction of its own: who waits for a row must hold no other
    with transaction.atomic():
        contributor = lock_contributor(job, user)
        held = Page.objects.filter(contributor=contributor, state=PageState.OPEN).first()
        barred = BARRED.get(ContributorState(contributor.state))
        if held is not None and not barred:
            return held
        job.refresh_from_db()
        return next_page(job, contributor, may_wait=True)


def next_page(job: Job, contributor: Contributor, *, may_wait: bool) -> Page | None:
    """A new page for a locked contributor who holds none; refuses as `take_page` does.

    Only a caller whose transaction holds no row's lock `may_wait` for a row that others hold locked just now.
    """
    if refusal := BARRED.get(ContributorState(contributor.state)):
        raise Refused(refusal, code=f"contributor_{contributor.state}")
    now = timezone.now()
    if job.state == JobState.FINISHED:
        return None
    if job.state != JobState.RUNNING:
        raise Refused(CLOSED.get(JobState(job.state), NOT_OPEN), code=f"job_{job.state}")
    plan = plan_of(job)
    if contributor.state == ContributorState.QUIZ and plan.active:
        return _quiz_page(job, contributor, plan, now) if _has_work(job) else None
    return _work_page(job, contributor, plan, now, may_wait=may_wait)


def why_closed(*, job: Job, contributor: Contributor | None, plan: Plan) -> Refused | None:
    """What `take_page` would refuse this person, as far as that is known without looking for rows; None: nothing.

    A page that is held already can be gone on with whatever the job's state and limits are.
    """
    if contributor is not None and (barred := BARRED.get(ContributorState(contributor.state))):
        return Refused(barred, code=f"contributor_{contributor.state}")
    if job.state not in {JobState.RUNNING, JobState.FINISHED}:
        return Refused(CLOSED.get(JobState(job.state), NOT_OPEN), code=f"job_{job.state}")
    if contributor is None or contributor.state != ContributorState.WORKING:
        return None
    due = golds_due(plan, contributor_id=contributor.pk, page_number=contributor.pages_done)
    if due > max(0, plan.golds - contributor.seen):
        return Refused(MAXED_OUT, code="maxed_out")
    most = job.max_judgments_per_contributor
    return Refused(ENOUGH, code="enough") if most is not None and contributor.judged >= most else None


def lock_contributor(job: Job, user: User) -> Contributor:
    """The person's place in the job, locked: two tabs of one person wait for each other here."""
    mine = "WHERE t.job_id = %s AND t.user_id = %s FOR NO KEY UPDATE"
    found = load(Contributor, mine, [job.pk, user.pk])
    if not found:
        state = ContributorState.QUIZ if plan_of(job).active else ContributorState.WORKING
        Contributor.objects.get_or_create(team_id=job.team_id, job=job, user=user, defaults={"state": state})
        found = load(Contributor, mine, [job.pk, user.pk])
    found[0].job = job
    return found[0]


def _has_work(job: Job) -> bool:
    return Unit.objects.filter(job=job, state=UnitState.JUDGABLE, slots__gt=0).exists()


def _quiz_page(job: Job, contributor: Contributor, plan: Plan, now: datetime) -> Page:
    golds = _unseen_golds(job, contributor)[: plan.quiz_length]
    if not golds:
        raise Refused(MAXED_OUT, code="maxed_out")
    return _make_page(job, contributor, golds, now, kind=PageKind.QUIZ, golds=len(golds))


def _work_page(job: Job, contributor: Contributor, plan: Plan, now: datetime, *, may_wait: bool) -> Page | None:
    due = golds_due(plan, contributor_id=contributor.pk, page_number=contributor.pages_done)
    golds = _unseen_golds(job, contributor)[:due] if due else []
    if len(golds) < due:
        raise Refused(MAXED_OUT, code="maxed_out")
    wanted = job.units_per_page - due
    if job.max_judgments_per_contributor is not None:
        left = job.max_judgments_per_contributor - contributor.judged
        if left <= 0:
            raise Refused(ENOUGH, code="enough")
        wanted = min(wanted, left)
    rows = _claim(job, contributor, wanted, may_wait=may_wait)
    if not rows and (wanted or not _has_work(job)):
        return None
    places = places_for(
        len(golds), len(golds) + len(rows), contributor_id=contributor.pk, page_number=contributor.pages_done
    )
    units = list(rows)
    for place, gold in zip(places, golds, strict=True):
        units.insert(place, gold)
    return _make_page(job, contributor, units, now, kind=PageKind.WORK, golds=len(golds))


def _unseen_golds(job: Job, contributor: Contributor) -> list[int]:
    """The test questions that the contributor has not answered yet, in an order of their own."""
    golds = Unit.objects.filter(job=job, state=UnitState.GOLDEN).exclude(judgments__contributor=contributor)
    return shuffled(contributor.pk, list(golds.values_list("pk", flat=True)))


def _make_page(
    job: Job, contributor: Contributor, unit_ids: list[int], now: datetime, *, kind: str, golds: int
) -> Page:
    return Page.objects.create(
        team_id=job.team_id,
        job=job,
        contributor=contributor,
        kind=kind,
        unit_ids=unit_ids,
        golds=golds,
        created_at=now,
        expires_at=now + timedelta(seconds=job.seconds_per_page),
    )


def _claim(job: Job, contributor: Contributor, count: int, *, may_wait: bool) -> list[int]:
    """Take a slot of up to `count` rows, behind the place where the contributor got to, then from the start."""
    if count <= 0:
        return []
    after = (contributor.after_position, contributor.after_unit)
    found = _claim_after(job, contributor, after, count)
    if found:
        last = max(found)
        contributor.after_position, contributor.after_unit = last
        with connection.cursor() as cursor:
            cursor.execute(GOT_TO, [*last, contributor.pk])
    if len(found) < count and after != START:
        # A row that wants several people still has a slot: the same page must not take that one, too.
        found += _claim_after(job, contributor, START, count - len(found), taken=[unit_id for _, unit_id in found])
    if not found and may_wait:
        # Rows that others held locked for a moment may still have a free slot: wait for one of them, for one only.
        # Who waits must hold no other row: others lock rows by id, and here they come in the order of the job.
        found = _claim_after(job, contributor, START, 1, skip=False)
    return [unit_id for _, unit_id in sorted(found)]


def _claim_after(
    job: Job,
    contributor: Contributor,
    after: tuple[int, int],
    count: int,
    *,
    skip: bool = True,
    taken: Sequence[int] = (),
) -> list[tuple[int, int]]:
    values = {"job": job.pk, "team": job.team_id, "contributor": contributor.pk, "count": count}
    with connection.cursor() as cursor:
        cursor.execute(
            CLAIM.format(skip="SKIP LOCKED" if skip else ""),
            {**values, "position": after[0], "unit": after[1], "taken": list(taken)},
        )
        return [(position, unit_id) for position, unit_id in cursor.fetchall()]


def page_units(page: Page) -> list[Unit]:
    """The units of a page, in the order in which they are shown."""
    units = load(Unit, "WHERE t.id = ANY(%s) AND t.team_id = %s", [page.unit_ids, page.team_id])
    found = {unit.pk: unit for unit in units}
    return [found[unit_id] for unit_id in page.unit_ids if unit_id in found]


def upcoming_pictures(*, contributor: Contributor, count: int) -> list[str]:
    """Image URLs of the rows that the contributor is likely to get next, for preloading. No promise."""
    values = {
        "job": contributor.job_id,
        "team": contributor.team_id,
        "position": contributor.after_position,
        "unit": contributor.after_unit,
        "count": count,
    }
    with connection.cursor() as cursor:
        cursor.execute(UPCOMING, values)
        return [image_url for (image_url,) in cursor.fetchall() if image_url]


@transaction.atomic
def release_page(*, page: Page) -> bool:
    """Give a page's rows back to the others. False when it was submitted or given back before."""
    page = Page.objects.select_for_update(no_key=True).get(pk=page.pk)
    return end_lease(page)


def end_lease(page: Page) -> bool:
    """Release a locked page: each of its rows may be given to somebody else. False when its lease had ended."""
    if not PageState.move(Page.objects.filter(pk=page.pk), PageState.RELEASED):
        return False
    rows = lock_rows(page.unit_ids)
    recount_slots(page.job_id, page.team_id, [unit.pk for unit in rows])
    return True


def lock_rows(unit_ids: list[int]) -> list[Unit]:
    """Lock units by id, without the test questions: those have no slots, and anybody may see one at any time."""
    golden = sorted(UnitState.golden_states())
    return load(Unit, "WHERE t.id = ANY(%s) AND t.state <> ALL(%s) ORDER BY t.id FOR NO KEY UPDATE", [unit_ids, golden])


def recount_slots(job_id: int, team_id: int, unit_ids: list[int]) -> None:
    """Reckon the slots of locked units from what is wanted, judged and held, after any of these changed.

    Adding one slot for a lease that ends would be wrong: judgments may have come back while it was open. Leases
    change under the lock of their unit only, so what is open now stays open until the caller commits.
    """
    with connection.cursor() as cursor:
        cursor.execute(RECOUNT, {"job": job_id, "team": team_id, "units": unit_ids})


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
            released += bool(page is not None and end_lease(page))
    return released
