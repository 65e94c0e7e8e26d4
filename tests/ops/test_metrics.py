"""/metrics: who may read it, and that each figure is what the database holds."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from jobs_app.services import NewUnit, add_units
from labeling_platform.accounts.tenancy import team_scope
from labeling_platform.ops import counters, signs
from labeling_platform.ops.models import Count, WorkerSign
from models_app.classify import Unreadable
from models_app.models import CustomModel, ModelVersion, RemoteLeftover, WatsonConnection
from tests.workflows_app.conftest import csv_of, draft, job, launch_all, model, scope, scored, upload_csv  # noqa: F401
from workflows_app import services
from workflows_app.models import WorkflowRow, WorkflowUpload

pytestmark = pytest.mark.django_db


def figures() -> dict[str, float]:
    answer = Client().get("/metrics")
    assert answer.status_code == 200
    return {
        f"{sample.name}{{{','.join(sample.labels.values())}}}" if sample.labels else sample.name: sample.value
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


def test_a_token_is_needed_when_one_is_set(settings) -> None:
    settings.METRICS_TOKEN = "the-token"
    assert Client().get("/metrics").status_code == 401
    assert Client().get("/metrics", headers={"Authorization": "Bearer other"}).status_code == 401
    assert Client().get("/metrics", headers={"Authorization": "Bearer the-tökén"}).status_code == 401
    assert Client().get("/metrics", headers={"Authorization": "Bearer the-token"}).status_code == 200


@pytest.mark.parametrize(
    ("address", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("10.0.0.7", {}, 403),
        ("", {}, 403),
        ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, 403),
    ],
)
def test_without_a_token_only_this_machine_may_read(address, headers, status) -> None:
    assert Client().get("/metrics", REMOTE_ADDR=address, headers=headers).status_code == status


def test_only_reading() -> None:
    assert Client().post("/metrics").status_code == 405


def test_an_empty_platform_has_figures() -> None:
    found = figures()
    assert found["labeling_rows{awaiting_prediction}"] == 0
    assert found["labeling_queue_age_seconds{rows}"] == 0
    assert found["labeling_lease_expiries_total"] == 0
    assert found["labeling_chunk_seconds_bucket{+Inf}"] == 0


def test_rows_chunks_and_retries_are_counted(draft, owner) -> None:  # noqa: F811
    workflow = launch_all(draft, owner)
    upload_csv(workflow, csv_of(2, first=10), owner)
    one, two, three, four, _ = services.claim_rows(workflow=workflow, limit=5)
    lost = Unreadable("timeout", "Too slow.", transient=True)
    gone = Unreadable("http_404", "Not there.")
    results = [(one, scored(boots=0.9)), (two, scored(boots=0.6)), (three, lost), (four, gone)]
    services.finish_rows(workflow=workflow, results=results, seconds=0.7)
    found = figures()
    assert {key: found[f"labeling_rows{{{key}}}"] for key in ("awaiting_prediction", "model_labeled", "error")} == {
        "awaiting_prediction": 2,
        "model_labeled": 1,
        "error": 1,
    }
    assert (found["labeling_rows{awaiting_human}"], found["labeling_units{judgable}"]) == (1, 1)
    assert (found["labeling_images_total"], found["labeling_retries_total"]) == (4, 1)
    assert (found["labeling_chunk_seconds_bucket{0.5}"], found["labeling_chunk_seconds_bucket{1.0}"]) == (0, 1)
    assert (found["labeling_chunk_seconds_count"], found["labeling_chunk_seconds_sum"]) == (1, 0.7)


def test_a_lease_that_ran_out_is_counted_when_the_row_is_claimed_again(draft, owner) -> None:  # noqa: F811
    workflow = launch_all(draft, owner)
    services.claim_rows(workflow=workflow, limit=2)
    WorkflowRow.objects.filter(lease_until__isnull=False).update(lease_until=timezone.now() - timedelta(seconds=5))
    assert figures()["labeling_lease_expiries_total"] == 0
    assert len(services.claim_rows(workflow=workflow, limit=3)) == 3
    assert figures()["labeling_lease_expiries_total"] == 2
    WorkflowRow.objects.update(lease_until=timezone.now() - timedelta(seconds=5), attempts=5)
    assert services.fail_poisoned(workflow=workflow) == 3
    assert figures()["labeling_lease_expiries_total"] == 5


def test_a_given_back_row_is_no_expiry(draft, owner) -> None:  # noqa: F811
    workflow = launch_all(draft, owner)
    services.release_rows(workflow=workflow, claims=services.claim_rows(workflow=workflow, limit=2))
    services.claim_rows(workflow=workflow, limit=2)
    assert figures()["labeling_lease_expiries_total"] == 0


def test_the_age_of_what_waits(draft, owner) -> None:  # noqa: F811
    workflow = launch_all(draft, owner)
    past = timezone.now() - timedelta(seconds=90)
    WorkflowUpload.objects.update(created_at=past)
    type(workflow).objects.update(launched_at=past)
    assert 90 <= figures()["labeling_queue_age_seconds{rows}"] < 120
    services.claim_rows(workflow=workflow, limit=3)
    assert figures()["labeling_queue_age_seconds{rows}"] == 0
    WorkflowUpload.objects.update(state="received")
    assert 90 <= figures()["labeling_queue_age_seconds{uploads}"] < 120


def test_the_age_of_what_waits_for_services_elsewhere(team) -> None:
    past = timezone.now() - timedelta(seconds=90)
    with team_scope(team):
        link = WatsonConnection.objects.create(team=team, name="C", url="http://127.0.0.1:9")
        made = CustomModel.objects.create(team=team, name="M", backend="watson", connection=link)
        version = ModelVersion.objects.create(
            team=team, model=made, number=1, backend="watson", connection=link, state="training", next_poll_at=past
        )
    assert 90 <= figures()["labeling_queue_age_seconds{remote}"] < 120
    with team_scope(team):
        ModelVersion.objects.filter(pk=version.pk).update(next_poll_at=timezone.now() + timedelta(seconds=60))
    assert figures()["labeling_queue_age_seconds{remote}"] == 0
    with team_scope(team):
        RemoteLeftover.objects.create(team=team, connection=link, ref="x", next_try_at=past)
    assert 90 <= figures()["labeling_queue_age_seconds{remote}"] < 120


def test_workers_and_their_last_sign(django_assert_num_queries) -> None:
    signs.write_sign("worker@a")
    signs.write_sign("worker@a")
    first = WorkerSign.objects.get()
    assert figures()["labeling_worker_last_sign_timestamp_seconds{worker@a}"] == pytest.approx(first.at.timestamp())
    assert signs.silence_of("worker@a") < 5
    assert signs.silence_of("worker@b") is None
    WorkerSign.objects.update(at=timezone.now() - timedelta(days=2))
    assert signs.forget_workers() == 1


def test_counters_stay_the_same_when_they_are_added_up() -> None:
    for _ in range(3):
        counters.count(images=5, retries=0)
    Count.objects.update(at=timezone.now() - timedelta(minutes=5))
    counters.count(images=1, retries=2)
    assert counters.totals() == {"images": 16, "retries": 2}
    assert counters.compact() == 2
    assert counters.totals() == {"images": 16, "retries": 2}
    assert counters.compact() == 0


def test_no_row_of_a_team_is_counted(draft, owner) -> None:  # noqa: F811
    """The queries stay the same, and none of them reads a table of rows but for the oldest one."""
    with connection.execute_wrapper(
        lambda run, sql, params, many, context: seen.append(sql) or run(sql, params, many, context)
    ):
        seen: list[str] = []
        figures()
    from_rows = [sql for sql in seen if "workflowrow" in sql]
    assert len(from_rows) == 1
    assert "LIMIT 1" in from_rows[0]
    assert not [sql for sql in seen if "FROM jobs_app_unit " in sql]


def test_judgments_and_units(draft, team) -> None:  # noqa: F811
    with team_scope(team):
        add_units(job=draft.job, items=[NewUnit(f"k{n}", "http://p/1.jpg") for n in range(2)])
    assert (figures()["labeling_units{new}"], figures()["labeling_judgments"]) == (2, 0)
