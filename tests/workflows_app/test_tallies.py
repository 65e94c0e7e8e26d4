"""The counters equal the truth at every moment, whatever happened to rows and units."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import Count
from django.db.models.functions import Now

from jobs_app.models import Contributor, Judgment, Unit, UnitTally
from jobs_app.services import reject_contributor, submit_page, take_page
from labeling_platform.lib.tallies import compact, tallies
from models_app.classify import Unreadable
from workflows_app import services
from workflows_app.models import RowTally, Workflow, WorkflowRow
from workflows_app.querysets import counted_rows, tallied_rows

from .conftest import csv_of, scored, upload_csv


def assert_true(workflow: Workflow) -> None:
    assert tallied_rows(workflow) == counted_rows(WorkflowRow.objects.filter(workflow=workflow))
    units = Unit.objects.filter(job=workflow.job)
    truth = dict(units.values_list("state").annotate(n=Count("pk")).order_by())
    truth["judgments"] = Judgment.objects.filter(job=workflow.job, tainted=False, missed=None).count()
    found = tallies(UnitTally, "job", [workflow.job_id])[workflow.job_id]
    assert {line: n for line, n in found.items() if n} == {line: n for line, n in truth.items() if n}


def finish_some(workflow: Workflow, dice: random.Random) -> None:
    gone = Unreadable("not_found", "There is no such picture (404).", False)
    answers = [scored(boots=0.97), scored(boots=0.6), scored(boots=0.97, unlike=True), gone]
    claims = services.claim_rows(workflow=workflow, limit=dice.randint(1, 8))
    services.finish_rows(workflow=workflow, results=[(claim, dice.choice(answers)) for claim in claims])


def label_some(workflow: Workflow, user) -> None:
    page = take_page(job=workflow.job, user=user)
    if page is not None:
        given = {f"u{pk}-image_category": ["boots"] for pk in page.unit_ids}
        submit_page(page=page, user=user, submitted=given)


def age_all() -> None:
    for kind in (RowTally, UnitTally):
        kind.objects.update(at=Now() - timedelta(hours=1))


@pytest.mark.parametrize("seed", range(3))
def test_tallies_equal_the_truth(running, owner, contributor, seed: int) -> None:
    dice = random.Random(seed)
    upload_csv(running, csv_of(40, first=10), owner)
    for _ in range(40):
        dice.choice(
            [
                lambda: finish_some(running, dice),
                lambda: label_some(running, contributor),
                lambda: label_some(running, owner),
                lambda: services.retry_failed(workflow=running, actor=owner),
                age_all,
                lambda: compact(RowTally, "workflow"),
                lambda: compact(UnitTally, "job"),
            ]
        )()
        assert_true(running)
    for place in Contributor.objects.all():
        reject_contributor(contributor=place, actor=owner)
        assert_true(running)
    running.job.units.filter(state="judgable").update(state="canceled", slots=0)
    assert_true(running)


def test_compacting_leaves_one_difference_a_line(running, owner) -> None:
    for first in (10, 20, 30):
        upload_csv(running, csv_of(3, first=first), owner)
    age_all()
    before = RowTally.objects.filter(workflow=running).count()
    assert compact(RowTally, "workflow") == before - 1
    assert list(RowTally.objects.values_list("line", "n")) == [("awaiting", 12)]
    assert compact(RowTally, "workflow") == 0


def test_young_differences_stay(running) -> None:
    assert compact(RowTally, "workflow") == 0


def test_what_is_deleted_leaves_nothing(draft) -> None:
    services.delete_workflow(workflow=draft, actor=None)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert not RowTally.objects.exists()
