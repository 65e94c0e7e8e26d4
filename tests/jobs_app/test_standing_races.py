"""Owners stop people and mend test questions while everybody works: nobody waits for ever, every slot stays exact."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from django_scopes import scopes_disabled

from jobs_app.models import Contributor, Job, Page, TestQuestion, Unit
from jobs_app.services import (
    create_routing_job,
    edit_test_question,
    finish_done_jobs,
    flag_contributor,
    readmit_contributor,
    reject_contributor,
    release_expired_pages,
    settle_contributor,
    switch_test_question,
    take_page,
)
from labeling_platform.accounts.models import Feature, User
from labeling_platform.accounts.services import create_team, switch_feature
from labeling_platform.accounts.tenancy import team_scope
from labeling_platform.lib.errors import Refused
from models_app.models import CustomModel, ModelVersion

from .conftest import OUTCOMES, fill
from .crowd import RIGHT, WRONG, add_test_questions, assert_exact, do_page, make_person, set_up

PEOPLE, ROWS, DEEDS = 6, 60, 40


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("seed", [1, 2])
def test_owners_and_contributors_at_once(seed: int) -> None:
    team = create_team(organization="Acme", name="Crowd", slug="crowd")
    switch_feature(team=team, feature=Feature.ML_ASSISTED_LABELING, on=True, actor=None)
    with team_scope(team):
        model = CustomModel.objects.create(team=team, name="M")
        model.current = ModelVersion.objects.create(
            team=team, model=model, number=1, state="ready", outcomes=OUTCOMES, backend="local"
        )
        job = set_up(
            create_routing_job(model=model, actor=None), units_per_page=3, judgments_per_unit=2, minimum_accuracy=60
        )
        add_test_questions(job, 30)
        fill(job, ROWS)
        people = [make_person(team, f"p{n}") for n in range(PEOPLE)]
    failures: list[BaseException] = []

    def run(action: Callable[[random.Random], None], number: int, times: int) -> None:
        dice = random.Random(seed * 100 + number)
        try:
            with team_scope(team):
                for _ in range(times):
                    action(dice)
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    def work(user: User) -> Callable[[random.Random], None]:
        def one_page(dice: random.Random) -> None:
            mine = Job.objects.get(pk=job.pk)
            try:
                if take_page(job=mine, user=user) is not None:
                    do_page(mine, user, dice.choice([RIGHT, WRONG]), miss=dice.random() < 0.3)
            except (Refused, AssertionError):
                return

        return one_page

    def own(dice: random.Random) -> None:
        place = Contributor.objects.order_by("?").first()
        question = TestQuestion.objects.order_by("?").first()
        if place is None or question is None:
            return
        accepted = dice.choice([[RIGHT], [WRONG], [RIGHT, WRONG]])
        deeds: list[Callable[[], object]] = [
            lambda: flag_contributor(contributor=place, actor=None),
            lambda: reject_contributor(contributor=place, actor=None),
            lambda: readmit_contributor(contributor=place, actor=None),
            lambda: edit_test_question(question=question, answers={"image_category": accepted}, reasons={}, actor=None),
            lambda: switch_test_question(question=question, on=dice.random() < 0.7, actor=None),
            lambda: Page.objects.filter(contributor=place, state="open").update(expires_at=timezone.now()),
            release_expired_pages,
            settle_all,
        ]
        try:
            dice.choice(deeds)()
        except Refused:
            return

    def settle_all() -> None:
        for stale in Contributor.objects.filter(stale=True).select_related("job"):
            settle_contributor(contributor=stale)

    threads = [threading.Thread(target=run, args=(work(user), n, 30)) for n, user in enumerate(people)]
    threads += [threading.Thread(target=run, args=(own, 50 + n, DEEDS)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert failures == []
    assert not any(thread.is_alive() for thread in threads)
    with scopes_disabled():
        assert_exact(job, surplus=set(Unit.objects.values_list("pk", flat=True)))
        settle_all()
        settle_all()
        Page.objects.filter(state="open").update(expires_at=timezone.now() - timedelta(seconds=1))
        release_expired_pages()
        finish_done_jobs()
        # With nothing held any more, surplus judgments are the only way to have more than wanted: such rows are final.
        assert_exact(job)
        waiting = Unit.objects.filter(job=job, state="judgable")
        assert Job.objects.get(pk=job.pk).state == ("running" if waiting.exists() else "finished")
