"""Many contributors at once, on real connections: the invariant of slots, leases and judgments holds.

Property: whatever the interleaving of claims, submits, double submits, expiries, removals and rejections, every
row has slots + open leases + trusted judgments = judgments wanted; in the end none is forgotten.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import Count, Q
from django.utils import timezone
from django_scopes import scopes_disabled

from jobs_app.models import Contributor, Job, Judgment, Page, TestQuestion, Unit
from jobs_app.services import (
    NewGold,
    add_golds,
    create_routing_job,
    edit_test_question,
    find_stale,
    finish_done_jobs,
    freeze_design,
    readmit_contributor,
    reject_contributor,
    release_expired_pages,
    settle_contributor,
    submit_page,
    take_page,
)
from jobs_app.states import GoldSource
from labeling_platform.accounts.models import Feature, Team, User
from labeling_platform.accounts.services import create_team, switch_feature
from labeling_platform.accounts.tenancy import team_scope
from labeling_platform.lib.errors import Refused
from models_app.models import CustomModel, ModelVersion

from .conftest import OUTCOMES, fill

PEOPLE, ROWS, WANTED, GOLDS = 50, 1000, 2, 12
LATE = timedelta(seconds=1)


def make_job(rows: int, **values) -> Job:
    team = create_team(organization="Acme", name="Crowd", slug="crowd")
    switch_feature(team=team, feature=Feature.ML_ASSISTED_LABELING, on=True, actor=None)
    with team_scope(team):
        model = CustomModel.objects.create(team=team, name="M")
        model.current = ModelVersion.objects.create(
            team=team, model=model, number=1, state="ready", outcomes=OUTCOMES, backend="local"
        )
        job = create_routing_job(model=model, actor=None, judgments_per_unit=WANTED)
        Job.objects.filter(pk=job.pk).update(**values)
        freeze_design(job=job)
        job = Job.objects.select_related("team").get(pk=job.pk)
        fill(job, rows)
        items = [NewGold(f"g{n}", f"http://p/g{n}.jpg", {"image_category": ["boots"]}) for n in range(GOLDS)]
        add_golds(job=job, items=items, source=GoldSource.UPLOAD, actor=None)
    return job


def run_all(team: Team, works: list[Callable[[], None]]) -> None:
    """Run everything at once, each on a connection of its own; fail with the first error."""
    failures: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            with team_scope(team):
                work()
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [str(failure) for failure in failures] == []


class Person:
    """One contributor; with `skill` as the chance to know a test question, and a seed of their own."""

    def __init__(self, job: Job, user: User, seed: int, skill: float) -> None:
        self.job, self.user, self.dice, self.skill = Job.objects.get(pk=job.pk), user, random.Random(seed), skill
        self.golds = set(Unit.objects.filter(job=job, state="golden").values_list("pk", flat=True))

    def work(self) -> None:
        while True:
            try:
                page = take_page(job=self.job, user=self.user)
                if page is None:
                    return
                self.act(page)
            except Refused as refusal:  # removed or rejected meanwhile, or out of test questions
                assert refusal.code.startswith("contributor_") or refusal.code == "maxed_out"
                return

    def act(self, page: Page) -> None:
        roll = self.dice.random()
        if roll < 0.05:
            take_page(job=self.job, user=self.user)
        elif roll < 0.1:
            Page.objects.filter(pk=page.pk, state="open").update(expires_at=timezone.now() - LATE)
            release_expired_pages()
        for _ in range(1 + (roll > 0.9)):
            try:
                submit_page(page=page, user=self.user, submitted=self.answers(page))
            except Refused as refusal:
                assert refusal.code == "page_expired"

    def answers(self, page: Page) -> dict[str, list[str]]:
        return {f"u{pk}-image_category": [self.answer(pk)] for pk in page.unit_ids}

    def answer(self, unit_id: int) -> str:
        if unit_id not in self.golds:
            return self.dice.choice(OUTCOMES)
        return "boots" if self.dice.random() < self.skill else "sneakers"


def reject_some(job: Job, seed: int) -> None:
    """The owner, who rejects a few people while they work."""
    dice = random.Random(seed)
    for _ in range(4):
        working = list(Contributor.objects.filter(job=job, state="working"))
        if working:
            reject_contributor(contributor=dice.choice(working), actor=None)


def unbalanced(job: Job) -> list[tuple[int, int, int, int, int]]:
    """(unit, wanted, slots, leases, trusted) of the rows where the sum is not what is wanted."""
    held: dict[int, int] = {}
    for ids in Page.objects.filter(job=job, state="open").values_list("unit_ids", flat=True):
        for unit_id in ids:
            held[unit_id] = held.get(unit_id, 0) + 1
    units = Unit.objects.filter(job=job, state__in=["judgable", "finalized"])
    found = units.annotate(trusted=Count("judgments", filter=Q(judgments__tainted=False)))
    return [
        (unit.pk, unit.wanted, unit.slots, held.get(unit.pk, 0), unit.trusted)
        for unit in found
        if unit.slots + held.get(unit.pk, 0) + unit.trusted != unit.wanted or unit.trusted != unit.judgments_count
    ]


def make_people(job: Job, count: int, skill: float, prefix: str) -> list[Person]:
    users = [User.objects.create_user(f"{prefix}{n}@example.com", None) for n in range(count)]
    return [Person(job, user, seed, skill) for seed, user in enumerate(users)]


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_no_row_is_given_too_often_and_none_is_forgotten() -> None:
    job = make_job(ROWS, units_per_page=4, minimum_accuracy=60, golds_per_page=1, pages_per_gold=3)
    with team_scope(job.team):
        people = make_people(job, PEOPLE, 0.85, "c")
    run_all(job.team, [*(person.work for person in people), lambda: reject_some(job, 1)])
    with team_scope(job.team):
        assert unbalanced(job) == []
        assert Contributor.objects.filter(state__in=["removed", "rejected"]).exists()
        while Unit.objects.filter(state="judgable").exists():  # people who never err do what is left
            seed = Contributor.objects.count()
            for person in make_people(job, 8, 1.0, f"late{seed}-"):
                person.work()
            Page.objects.filter(state="open").update(expires_at=timezone.now() - LATE)
            release_expired_pages()
        finish_done_jobs()
        assert unbalanced(job) == []
        rows = Unit.objects.filter(state="finalized")
        assert set(rows.values_list("wanted", "slots", "judgments_count")) == {(WANTED, 0, WANTED)}
        assert rows.count() == ROWS
        twice = Judgment.objects.values("unit", "contributor").annotate(n=Count("pk")).filter(n__gt=1)
        assert twice.count() == 0
        assert Job.objects.get().state == "finished"


@pytest.mark.django_db(transaction=True)
def test_judgments_that_come_back_are_never_lost() -> None:
    """With forgiveness and readmission a row may get more than it wanted, but never less, and nothing hangs."""
    job = make_job(60, units_per_page=3, minimum_accuracy=60, golds_per_page=1, pages_per_gold=2)

    def forgive() -> None:
        for question in TestQuestion.objects.filter(job=job):
            edit_test_question(
                question=question, answers={"image_category": ["boots", "sneakers"]}, reasons={}, actor=None
            )
            settle_all()
        for contributor in Contributor.objects.filter(job=job, state="rejected"):
            readmit_contributor(contributor=contributor, actor=None)

    with team_scope(job.team):
        people = make_people(job, 10, 0.6, "c")
    run_all(job.team, [*(person.work for person in people), lambda: reject_some(job, 2), forgive])
    with team_scope(job.team):
        forgive()
        assert [line for line in unbalanced(job) if sum(line[2:]) < line[1]] == []
        for unit in Unit.objects.filter(state="finalized").annotate(
            trusted=Count("judgments", filter=Q(judgments__tainted=False))
        ):
            assert (unit.trusted, unit.trusted >= WANTED) == (unit.judgments_count, True)
        assert not Contributor.objects.filter(state="removed").exists()


def settle_all() -> None:
    with scopes_disabled():
        stale = [pk for _, pk in find_stale()]
    for contributor in Contributor.objects.filter(pk__in=stale).select_related("job"):
        settle_contributor(contributor=contributor)
