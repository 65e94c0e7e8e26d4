"""Many contributors at once, on real connections: the invariant of slots, leases and judgments holds."""

from __future__ import annotations

import random
import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import Count
from django.utils import timezone
from django_scopes import scopes_disabled

from jobs_app.models import Job, Judgment, Page, Unit
from jobs_app.services import create_routing_job, freeze_design, release_expired_pages, submit_page, take_page
from labeling_platform.accounts.models import Feature, User
from labeling_platform.accounts.services import create_team, switch_feature
from labeling_platform.accounts.tenancy import team_scope
from labeling_platform.lib.errors import Refused
from models_app.models import CustomModel, ModelVersion

from .conftest import OUTCOMES, fill

PEOPLE, ROWS, WANTED = 12, 60, 2


@pytest.mark.django_db(transaction=True)
def test_no_row_is_given_too_often_and_none_is_forgotten() -> None:
    team = create_team(organization="Acme", name="Crowd", slug="crowd")
    switch_feature(team=team, feature=Feature.ML_ASSISTED_LABELING, on=True, actor=None)
    with team_scope(team):
        model = CustomModel.objects.create(team=team, name="M")
        model.current = ModelVersion.objects.create(
            team=team, model=model, number=1, state="ready", outcomes=OUTCOMES, backend="local"
        )
        job = create_routing_job(model=model, actor=None, judgments_per_unit=WANTED)
        Job.objects.filter(pk=job.pk).update(units_per_page=3)
        freeze_design(job=job)
        job.refresh_from_db()
        fill(job, ROWS)
    users = [User.objects.create_user(f"c{n}@example.com", "x") for n in range(PEOPLE)]
    failures: list[BaseException] = []

    def work(user: User, seed: int) -> None:
        dice = random.Random(seed)
        try:
            with team_scope(team):
                mine = Job.objects.get(pk=job.pk)
                while (page := take_page(job=mine, user=user)) is not None:
                    act(mine, page, user, dice)
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    def act(mine: Job, page: Page, user: User, dice: random.Random) -> None:
        roll = dice.random()
        if roll < 0.1:
            take_page(job=mine, user=user)
        elif roll < 0.2:
            Page.objects.filter(pk=page.pk, state="open").update(expires_at=timezone.now() - timedelta(seconds=1))
            release_expired_pages()
        else:
            given = {f"u{unit}-image_category": [dice.choice(OUTCOMES)] for unit in page.unit_ids}
            for _ in range(1 + (roll > 0.9)):
                try:
                    submit_page(page=page, user=user, submitted=given)
                except Refused as refusal:
                    assert refusal.code == "page_expired"

    threads = [threading.Thread(target=work, args=(user, seed)) for seed, user in enumerate(users)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with scopes_disabled():
        release_all_open_pages()
        units = list(Unit.objects.annotate(n=Count("judgments")))
        assert {unit.slots + unit.n for unit in units} == {WANTED}
        assert {unit.n for unit in units} == {unit.judgments_count for unit in units} == {WANTED}
        assert {unit.state for unit in units} == {"finalized"}
        assert Judgment.objects.count() == ROWS * WANTED
        twice = Judgment.objects.values("unit", "contributor").annotate(n=Count("pk")).filter(n__gt=1)
        assert twice.count() == 0
        assert Job.objects.get().state == "finished"


def release_all_open_pages() -> None:
    Page.objects.filter(state="open").update(expires_at=timezone.now() - timedelta(seconds=1))
    release_expired_pages()
