"""Rows, test questions and judgments for the Monitor tab, made through the services in the running platform.

Called there by `manage shell`: the browser test has another database.
"""

from __future__ import annotations

import json
from datetime import timedelta

from django.utils import timezone

from jobs_app.models import Contributor, Job, Judgment, Page, TestQuestion, Unit
from jobs_app.services import (
    NewGold,
    NewUnit,
    add_golds,
    add_units,
    contest,
    create_routing_job,
    freeze_design,
    settle_contributor,
    submit_page,
    take_page,
)
from jobs_app.states import GoldSource
from labeling_platform.accounts.models import Team, User
from labeling_platform.accounts.permissions import Role
from labeling_platform.accounts.services import set_role
from labeling_platform.accounts.tenancy import team_scope
from labeling_platform.lib.samples import LABELS
from models_app.models import CustomModel, ModelVersion

ROWS, GOLDS = 4, 3
SURE, DOUBTFUL, LOST = "Ann Sure", "Bo Doubtful", "Cy Lost"


def seed(slug: str, base: str) -> None:
    """A job that three people work on: one is always right, one errs about sandals, one fails the quiz; prints ids."""
    with team_scope(Team.objects.get(slug=slug)):
        job = _job(Team.objects.get(slug=slug), base)
        people = [_person(job, name) for name in (SURE, DOUBTFUL, LOST)]
        _page(job, people[2], lambda truth: "negative_examples")
        for _ in range(4):
            _page(job, people[0], lambda truth: truth)
            _page(job, people[1], lambda truth: "boots" if truth == "sandals" else truth)
        for person in Contributor.objects.filter(job=job, stale=True).select_related("job"):
            settle_contributor(contributor=person)
        missed = Judgment.objects.filter(job=job, missed=True).select_related("contributor__user").latest("pk")
        contest(judgment=missed, user=missed.contributor.user, text="Straps and a heel: both would be right.")
        empty = create_routing_job(model=job.model, actor=None, title="Nothing happened here yet")
    print(json.dumps({"job": job.pk, "empty": empty.pk}))


def judge_more(slug: str, job_pk: int) -> None:
    """One more page of the person who is always right."""
    with team_scope(Team.objects.get(slug=slug)):
        job = Job.objects.get(pk=job_pk)
        _page(job, User.objects.get(email=f"{SURE.split(maxsplit=1)[0].lower()}@monitor.example"), lambda truth: truth)


def _job(team: Team, base: str) -> Job:
    model = CustomModel.objects.create(team=team, name="Monitored")
    model.current = ModelVersion.objects.create(
        team=team, model=model, number=1, state="ready", outcomes=LABELS, backend="local"
    )
    model.save(update_fields=["current"])
    job = create_routing_job(model=model, actor=None, title="Which footwear is it?", judgments_per_unit=2)
    Job.objects.filter(pk=job.pk).update(units_per_page=4, minimum_accuracy=50, instructions="<p>Choose.</p>")
    freeze_design(job=job)
    job = Job.objects.select_related("model").get(pk=job.pk)
    golds = [
        NewGold(f"{label}-{n}", _picture(base, label, 100 + n), {"image_category": [label]})
        for label in LABELS
        for n in range(GOLDS)
    ]
    add_golds(job=job, items=golds, source=GoldSource.MODEL, actor=None)
    rows = [
        NewUnit(
            f"{label}-{n}",
            _picture(base, label, n + 1),
            {"image_url": _picture(base, label, n + 1)},
            {"label": label if n % 2 else "boots", "confidence": 0.4 + n / 10},
        )
        for n in range(ROWS)
        for label in LABELS
    ]
    add_units(job=job, items=rows)
    return job


def _picture(base: str, label: str, number: int) -> str:
    return f"{base}/samples/{label}-{number:04d}.jpg"


def _person(job: Job, name: str) -> User:
    user = User.objects.create_user(f"{name.split(maxsplit=1)[0].lower()}@monitor.example", None, name=name)
    set_role(team=job.team, user=user, role=Role.CONTRIBUTOR)
    return user


def _page(job: Job, user: User, answer) -> None:
    page = take_page(job=job, user=user)
    if page is None:
        return
    Page.objects.filter(pk=page.pk).update(created_at=timezone.now() - timedelta(seconds=30))
    golds = dict(TestQuestion.objects.filter(unit__in=page.unit_ids).values_list("unit_id", "answers"))
    units = Unit.objects.in_bulk(page.unit_ids)
    given = {}
    for pk in page.unit_ids:
        truth = golds[pk]["image_category"][0] if pk in golds else units[pk].key.rpartition("-")[0]
        given[f"u{pk}-image_category"] = [answer(truth)]
    submit_page(page=Page.objects.get(pk=page.pk), user=user, submitted=given)
