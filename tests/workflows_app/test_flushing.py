"""Rows that wait in the job to be launched together are launched when the workflow has no more for now."""

from __future__ import annotations

import pytest

from jobs_app.models import Job, Unit
from workflows_app import services
from workflows_app.models import WorkflowRow

from .conftest import csv_of, launch_all, scored, upload_csv


@pytest.fixture
def workflow(draft, owner):
    Job.objects.filter(pk=draft.job_id).update(auto_launch_threshold=100, auto_launch_timeout=600)
    return launch_all(draft, owner)


def route(workflow, count: int) -> None:
    claims = services.claim_rows(workflow=workflow, limit=count)
    services.finish_rows(workflow=workflow, results=[(claim, scored(boots=0.6)) for claim in claims])


def test_leftovers_are_launched_when_no_row_awaits_prediction(workflow) -> None:
    route(workflow, 2)
    assert services.flush_routed(workflow=workflow) == 0
    assert Unit.objects.filter(state="queued").count() == 2
    route(workflow, 1)
    workflow.refresh_from_db()
    assert services.flush_routed(workflow=workflow) == 3
    assert set(Unit.objects.values_list("state", flat=True)) == {"judgable"}
    assert services.flush_routed(workflow=workflow) == 0


def test_a_row_that_is_tried_again_later_keeps_them_waiting(workflow, owner) -> None:
    upload_csv(workflow, csv_of(1, first=9), owner)
    route(workflow, 3)
    assert WorkflowRow.objects.filter(state="awaiting").count() == 1
    assert services.flush_routed(workflow=workflow) == 0
