"""Reports of a workflow while others work on it, on real connections."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from django.core.files.storage import default_storage
from django.db import connection, transaction
from django.db.models import F

from labeling_platform.accounts.tenancy import team_scope
from reports_app import services
from reports_app.models import Report
from reports_app.services import building
from reports_app.states import ReportState
from tests.reports_app.test_builders import elsewhere
from tests.reports_app.test_formats import built, content, lines_of
from tests.workflows_app.conftest import scored
from workflows_app import services as workflows
from workflows_app.models import WorkflowRow

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("change", [{"state": ReportState.CANCELED}, {"token": 9}])
def test_a_report_that_is_not_to_be_built_any_more_stops_at_the_next_heartbeat(running, monkeypatch, change):
    monkeypatch.setattr(building, "HEARTBEAT_SECONDS", 0.01)
    copy = building._copy

    def slow(report, lines, file, progress):
        copy(report, lines, file, progress)
        elsewhere(running, lambda: Report.objects.update(**change))
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(60)")

    monkeypatch.setattr(building, "_copy", slow)
    report = services.request_report(workflow=running, actor=None)
    began = time.monotonic()
    assert services.build_report(report=report) is False
    assert time.monotonic() - began < 10
    assert default_storage.listdir(f"t/{running.team_id}/reports") == ([], [])
    report.refresh_from_db()
    assert {name: getattr(report, name) for name in change} == change


def test_a_row_that_was_being_completed_at_the_snapshot_is_in_the_next_report(running):
    """Its moment lies before the last report's, but it was committed after it."""
    written, go = threading.Event(), threading.Event()

    def answer() -> None:
        with team_scope(running.team), transaction.atomic():
            (claim,) = workflows.claim_rows(workflow=running, limit=1)
            workflows.finish_rows(workflow=running, results=[(claim, scored(boots=0.9))])
            written.set()
            go.wait(30)
        connection.close()

    thread = threading.Thread(target=answer)
    thread.start()
    assert written.wait(30)
    try:
        first = built(running)
    finally:
        go.set()
        thread.join()
    assert [line[3] for line in lines_of(content(first))[1:]] == ["false"] * 3
    assert WorkflowRow.objects.get(state="confident").predicted_at < first.as_of
    second = built(running, since="last")
    assert [line[1] for line in lines_of(content(second))[1:]] == ["SKU-1"]
    Report.objects.filter(pk=second.pk).update(complete_until=F("complete_until") + timedelta(seconds=1))
    assert lines_of(content(built(running, since="last")))[1:] == []
