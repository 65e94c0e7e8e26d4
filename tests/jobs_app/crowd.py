"""People at work, through the services: take a page, answer its rows and test questions right or wrong."""

from __future__ import annotations

from collections.abc import Callable, Collection

from django.db.models import Count, Q

from jobs_app.models import Contributor, Job, Page, TestQuestion, Unit
from jobs_app.services import NewGold, Submission, add_golds, freeze_design, submit_page, take_page
from jobs_app.states import GoldSource, UnitState
from labeling_platform.accounts.models import Team, User
from labeling_platform.accounts.permissions import Role
from labeling_platform.accounts.services import set_role

RIGHT, WRONG = "boots", "sneakers"


def set_up(job: Job, **settings: object) -> Job:
    """The job with these settings, open for work."""
    Job.objects.filter(pk=job.pk).update(**settings)
    freeze_design(job=Job.objects.get(pk=job.pk))
    return Job.objects.get(pk=job.pk)


def add_test_questions(job: Job, count: int, *, start: int = 0, answer: str = RIGHT) -> None:
    items = [
        NewGold(f"t{n}", f"http://pictures.example/gold-{n}.jpg", {"image_category": [answer]})
        for n in range(start, start + count)
    ]
    add_golds(job=job, items=items, source=GoldSource.UPLOAD, actor=None)


def make_person(team: Team, name: str) -> User:
    user = User.objects.create_user(f"{name}@example.com", "correct horse battery", name=name.title())
    set_role(team=team, user=user, role=Role.CONTRIBUTOR)
    return user


def answers_of(page: Page, value: str | Callable[[int], str], *, miss: int = 0) -> dict[str, list[str]]:
    """`value` for every row; test questions right, but the first `miss` of them wrong."""
    golds = dict(TestQuestion.objects.filter(unit__in=page.unit_ids).values_list("unit_id", "answers"))
    given, missed = {}, 0
    for unit_id in page.unit_ids:
        if unit_id in golds:
            accepted = golds[unit_id]["image_category"]
            wrong = next(other for other in (WRONG, RIGHT, "negative_examples") if other not in accepted)
            given[unit_id] = wrong if missed < miss else accepted[0]
            missed += 1
        else:
            given[unit_id] = value(unit_id) if callable(value) else value
    return {f"u{unit_id}-image_category": [answer] for unit_id, answer in given.items()}


def do_page(job: Job, user: User, value: str | Callable[[int], str] = RIGHT, *, miss: int = 0) -> Submission:
    """Take the next page and submit it."""
    page = take_page(job=job, user=user)
    assert page is not None, "there is no page for this person"
    return submit_page(page=page, user=user, submitted=answers_of(page, value, miss=miss))


def place_of(job: Job, user: User) -> Contributor:
    return Contributor.objects.select_related("job__team", "user").get(job=job, user=user)


def assert_exact(job: Job, *, surplus: Collection[int] = ()) -> None:
    """Nobody is forgotten and nothing is asked too often: slots + open leases + trusted judgments = wanted.

    Rows in `surplus` may have more than they wanted, because judgments came back.
    """
    held: dict[int, int] = {}
    for unit_ids in Page.objects.filter(job=job, state="open").values_list("unit_ids", flat=True):
        for unit_id in unit_ids:
            held[unit_id] = held.get(unit_id, 0) + 1
    trusted = Count("judgments", filter=Q(judgments__tainted=False))
    for unit in Unit.objects.filter(job=job, state__in=UnitState.row_states()).annotate(trusted=trusted):
        assert unit.judgments_count == unit.trusted, f"row {unit.key} counts its judgments wrong"
        if unit.state == UnitState.JUDGABLE:
            total = unit.slots + held.get(unit.pk, 0) + unit.trusted
            assert total == unit.wanted or (unit.pk in surplus and total > unit.wanted and unit.slots == 0), unit.key
        else:
            assert unit.slots == 0, unit.key
