"""Reports of what was completed since a moment, and reports that go on from each other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from jobs_app.models import Unit
from labeling_platform.lib.errors import Refused
from reports_app import services
from reports_app.models import Report
from reports_app.services.requesting import latest_report
from reports_app.states import ReportState
from tests.reports_app.test_formats import built, content, lines_of
from tests.workflows_app.conftest import scored, upload_csv
from workflows_app import services as workflows
from workflows_app.models import Workflow, WorkflowRow, WorkflowUpload

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
BEFORE, AFTER = NOON - timedelta(microseconds=1), NOON + timedelta(hours=1)


def skus(report: Report) -> list[str]:
    return [line[1] for line in lines_of(content(report))[1:]]


@pytest.fixture
def three(running) -> Workflow:
    """SKU-1 the model answered before noon, SKU-2 went to people then and is open, SKU-3 waits."""
    first, second, _ = workflows.claim_rows(workflow=running, limit=9)
    workflows.finish_rows(workflow=running, results=[(first, scored(boots=0.9)), (second, scored(boots=0.5))])
    WorkflowRow.objects.filter(predicted_at__isnull=False).update(predicted_at=BEFORE)
    return running


def final(moment: datetime | None) -> None:
    Unit.objects.update(state="finalized", shares={"boots": 1}, slots=0, finalized_at=moment)


def test_rows_completed_at_or_after_the_moment_and_no_others(three):
    assert skus(built(three, since=NOON)) == []
    WorkflowRow.objects.filter(state="confident").update(predicted_at=NOON)
    assert skus(built(three, since=NOON)) == ["SKU-1"]


def test_a_row_of_people_is_completed_when_its_answer_is_final(three):
    final(BEFORE)
    assert skus(built(three, since=NOON)) == []
    final(AFTER)
    assert skus(built(three, since=NOON)) == ["SKU-2"]
    assert [line[3] for line in lines_of(content(built(three, since=NOON)))[1:]] == ["true"]


def test_failed_rows_are_completed_too(three):
    WorkflowRow.objects.filter(state="awaiting").update(state="failed", reason="not_found", predicted_at=AFTER)
    assert skus(built(three, since=NOON)) == ["SKU-3"]


def test_rows_refused_at_import_were_completed_when_their_file_was_read(three, owner):
    upload = upload_csv(three, "image_url,sku\nnowhere,SKU-4\n", owner)
    for moment, expected in ((BEFORE - timedelta(minutes=5), []), (NOON, ["SKU-4"]), (None, ["SKU-4"])):
        WorkflowUpload.objects.filter(pk=upload.pk).update(finished_at=moment)
        assert skus(built(three, since=NOON)) == expected


def test_what_has_no_moment_is_never_left_out(three):
    final(None)
    assert skus(built(three, since=NOON)) == ["SKU-2"]


def test_moments_are_kept_in_utc_and_named(three):
    for since in (NOON, "2026-01-31T12:00", "2026-01-31 13:00+01:00", "2026-01-31T12:00:00Z"):
        report = services.request_report(workflow=three, actor=None, options={"since": since})
        assert report.options["since"] == "2026-01-31T12:00:00Z"
        assert report.remarks == ["completed since 2026-01-31 12:00"]
    assert Report.objects.count() == 1


def test_nobody_knows_beforehand_how_many_rows_there_will_be(three):
    report = services.request_report(workflow=three, actor=None, options={"since": NOON})
    report.rows_done = 1200
    assert report.progress == "1,200 rows"
    report.rows_total = 4800
    assert report.progress == "1,200 of 4,800 rows, 25%"


def test_the_next_report_goes_on_where_the_last_one_had_everything(three):
    first = built(three)
    assert first.complete_until < first.as_of < timezone.now()
    second = services.request_report(workflow=three, actor=None, options={"since": "last"})
    assert datetime.fromisoformat(second.options["since"]) == first.complete_until
    services.build_report(report=second)
    second.refresh_from_db()
    assert skus(second) == []
    final(timezone.now())
    assert skus(built(three, since="last")) == ["SKU-2"]


def test_the_last_report_is_the_one_of_the_latest_moment_that_was_finished(three):
    assert latest_report(workflow=three) is None
    first, second = built(three), built(three, only_final=True)
    assert latest_report(workflow=three) == second
    Report.objects.filter(pk=first.pk).update(complete_until=Now(), state=ReportState.EXPIRED)
    assert latest_report(workflow=three) == first
    Report.objects.filter(pk=first.pk).update(state=ReportState.FAILED)
    assert latest_report(workflow=three) == second
    Report.objects.update(complete_until=F("as_of"))
    services.request_report(workflow=three, actor=None, options={"since": "last"})
    assert latest_report(workflow=three) == second


@pytest.mark.parametrize(
    ("since", "code"), [("last", "no_report"), ("yesterday", "bad_option"), ("2999-01-01", "since_future")]
)
def test_refusals(three, since, code):
    with pytest.raises(Refused) as refused:
        services.request_report(workflow=three, actor=None, options={"since": since})
    assert refused.value.code == code
    assert not Report.objects.exists()
