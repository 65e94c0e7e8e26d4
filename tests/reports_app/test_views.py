"""Pages of reports and their download."""

from __future__ import annotations

import io
import zipfile
from datetime import datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from jobs_app import services as jobs
from jobs_app.services import NewUnit
from labeling_platform.accounts.models import Feature
from labeling_platform.accounts.services import switch_feature
from reports_app import services
from reports_app.models import Report
from reports_app.states import ReportKind


def at(name: str, **kwargs) -> str:
    return reverse(f"reports:{name}", kwargs={"team_slug": "footwear", **kwargs})


@pytest.fixture
def ready(running) -> Report:
    report = services.request_report(workflow=running, actor=None)
    services.build_report(report=report)
    report.refresh_from_db()
    return report


def test_requesting_a_report_with_options(running, owner, client_for):
    client = client_for(owner)
    response = client.post(at("request", workflow_pk=running.pk), {"only_final": "on"})
    assert response.url == at("workflow", workflow_pk=running.pk) + "#reports"
    assert Report.objects.get().options == {
        "format": "csv", "since": "", "only_final": True, "diagnostics": False, "safe_cells": False,
    }  # fmt: skip
    assert "Queued" in client.get(response.url).content.decode()


def test_a_draft_has_no_report(draft, owner, client_for):
    client = client_for(owner)
    assert client.post(at("request", workflow_pk=draft.pk)).status_code == 422
    assert not Report.objects.exists()
    assert "Launch the workflow first" in client.get(at("workflow", workflow_pk=draft.pk)).content.decode()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"rows": "some"}, "Choose one of these."),
        ({"rows": "last"}, "There is no report to go on from yet."),
        ({"rows": "moment"}, "Say since when."),
        ({"rows": "moment", "since": "soon"}, "Write the moment as 2026-01-31 18:30, in UTC."),
        ({"rows": "moment", "since": "2999-01-01T00:00"}, "This moment is yet to come."),
        ({"format": "xlsx"}, "Choose one of the formats."),
    ],
)
def test_bad_requests_for_a_workflow_come_back_with_the_form(running, owner, client_for, given, words):
    response = client_for(owner).post(at("request", workflow_pk=running.pk), given)
    assert response.status_code == 422
    assert words in response.content.decode()
    assert not Report.objects.exists()


def test_format_and_moment_are_asked_for_and_shown(running, owner, client_for):
    client = client_for(owner)
    given = {"rows": "moment", "since": "2026-01-31T18:30", "format": "jsonl.gz", "diagnostics": "on"}
    response = client.post(at("request", workflow_pk=running.pk), given)
    assert Report.objects.get().options == {
        "format": "jsonl.gz", "since": "2026-01-31T18:30:00Z", "only_final": False, "diagnostics": True,
        "safe_cells": False,
    }  # fmt: skip
    assert "JSON Lines, gzipped, completed since 2026-01-31 18:30" in client.get(response.url).content.decode()


def test_going_on_from_the_last_report(ready, owner, client_for):
    client = client_for(owner)
    page = client.get(at("workflow", workflow_pk=ready.workflow_id)).content.decode()
    assert f"({ready.complete_until:%Y-%m-%d %H:%M:%S} UTC)" in page
    client.post(at("request", workflow_pk=ready.workflow_id), {"rows": "last"})
    since = datetime.fromisoformat(Report.objects.first().options["since"])
    assert since == ready.complete_until


def test_json_lines_are_downloaded_as_such(running, viewer, client_for):
    report = services.request_report(workflow=running, actor=None, options={"format": "jsonl"})
    services.build_report(report=report)
    client = client_for(viewer)
    assert "Download JSON Lines" in client.get(at("workflow", workflow_pk=running.pk)).content.decode()
    response = client.get(at("download", pk=report.pk))
    assert response["Content-Type"] == "application/jsonl; charset=utf-8"
    assert response["Content-Disposition"] == f'attachment; filename="shoes-report-{report.pk}.jsonl"'
    assert len(b"".join(response.streaming_content).splitlines()) == 3


def test_canceling_a_report(running, owner, client_for):
    report = services.request_report(workflow=running, actor=None)
    url, page = at("cancel", pk=report.pk), at("workflow", workflow_pk=running.pk)
    client = client_for(owner)
    assert url in client.get(page).content.decode()
    assert url in client.get(at("list")).content.decode()
    assert client.post(url).url == page + "#reports"
    assert "Canceled" in client.get(page).content.decode()
    assert url not in client.get(page).content.decode()
    client.post(url)
    assert "This report is not being built any more." in client.get(page).content.decode()


def test_a_viewer_cancels_nothing(running, viewer, client_for):
    report = services.request_report(workflow=running, actor=None)
    client = client_for(viewer)
    assert at("cancel", pk=report.pk) not in client.get(at("workflow", workflow_pk=running.pk)).content.decode()
    assert client.post(at("cancel", pk=report.pk)).status_code == 403


def test_canceling_takes_the_feature(team, running, owner, client_for):
    report = services.request_report(workflow=running, actor=None)
    switch_feature(team=team, feature=Feature.ML_ASSISTED_LABELING, on=False, actor=None)
    assert client_for(owner).post(at("cancel", pk=report.pk)).status_code == 403


def test_progress_says_rows_and_per_cent(running, owner, client_for):
    services.request_report(workflow=running, actor=None)
    Report.objects.update(state="building", rows_done=250_000, rows_total=1_000_000)
    page = client_for(owner).get(at("workflow", workflow_pk=running.pk)).content.decode()
    assert "250,000 of 1,000,000 rows, 25%" in page


def test_more_reports_of_a_workflow_take_no_more_queries(ready, owner, client_for, django_assert_num_queries):
    client, url = client_for(owner), at("workflow", workflow_pk=ready.workflow_id)
    client.get(url)
    with CaptureQueriesContext(connection) as one:
        client.get(url)
    for form in ("jsonl", "csv.gz"):
        services.request_report(workflow=ready.workflow, actor=owner, options={"format": form})
    with django_assert_num_queries(len(one)):
        client.get(url)


def test_a_ready_report_is_downloaded_as_a_file(ready, viewer, client_for):
    client = client_for(viewer)
    assert at("download", pk=ready.pk) in client.get(at("workflow", workflow_pk=ready.workflow_id)).content.decode()
    response = client.get(at("download", pk=ready.pk))
    assert response["Content-Disposition"] == f'attachment; filename="shoes-report-{ready.pk}.csv"'
    assert response["X-Content-Type-Options"] == "nosniff"
    assert b"".join(response.streaming_content).startswith(b"image_url,sku,error,completed,")


def test_the_list_of_all_reports(ready, owner, client_for):
    page = client_for(owner).get(at("list")).content.decode()
    assert "Shoes" in page
    assert at("download", pk=ready.pk) in page


def test_only_a_ready_report_is_downloaded(running, owner, client_for):
    report = services.request_report(workflow=running, actor=None)
    assert client_for(owner).get(at("download", pk=report.pk)).status_code == 404


def test_the_fragment_stops_asking_when_nothing_is_built(ready, owner, client_for):
    url, headers = at("workflow", workflow_pk=ready.workflow_id), {"HX-Request": "true"}
    client = client_for(owner)
    assert "every 2s" not in client.get(url, headers=headers).content.decode()
    services.request_report(workflow=ready.workflow, actor=None)
    assert "every 2s" in client.get(url, headers=headers).content.decode()


def test_who_may(ready, viewer, contributor, outsider, client_for):
    download, request = at("download", pk=ready.pk), at("request", workflow_pk=ready.workflow_id)
    assert client_for(viewer).post(request).status_code == 403
    assert client_for(contributor).get(download).status_code == 403
    assert client_for(outsider).get(download).status_code == 404
    assert client_for(outsider).post(request).status_code == 404
    rivals = reverse("reports:download", kwargs={"team_slug": "rivals", "pk": ready.pk})
    assert client_for(outsider).get(rivals).status_code == 404


# --- of a job -----------------------------------------------------------------------------------------


@pytest.fixture
def launched(job):
    """A job that runs, with one row and one judgment of it to come."""
    jobs.freeze_design(job=job)
    jobs.add_units(job=job, items=[NewUnit("a", "https://p.example/1.jpg", {"sku": "1"})])
    job.refresh_from_db()
    return job


def built(job, kind: ReportKind = ReportKind.SOURCE) -> Report:
    report = services.request_job_report(job=job, kind=kind, actor=None)
    services.build_report(report=report)
    report.refresh_from_db()
    return report


def test_the_results_tab_offers_every_report_with_a_sentence(launched, owner, client_for):
    page = client_for(owner).get(at("job", job_pk=launched.pk)).content.decode()
    assert 'aria-current="page"' in page
    for kind in ReportKind.of_jobs():
        assert f'value="{kind.value}"' in page
    assert "One line per judgment" in page
    assert "these columns stay empty" in page
    assert "No report yet" in page


def test_asking_for_a_report_of_a_job(launched, owner, client_for):
    client = client_for(owner)
    given = {"kind": "full", "untrusted": "on", "dates": "native", "min_confidence": "not looked at"}
    response = client.post(at("job_request", job_pk=launched.pk), given)
    assert response.url == at("job", job_pk=launched.pk) + "#reports"
    report = Report.objects.get()
    assert (report.job, report.kind, report.created_by) == (launched, "full", owner)
    assert report.options == {
        "untrusted": True, "unfinished": False, "omit_golds": False, "dates": "native", "safe_cells": False,
    }  # fmt: skip
    page = client.get(at("job", job_pk=launched.pk)).content.decode()
    assert "with untrusted judgments, dates as 1/28/2016 19:02:18, cells as they came" in page
    assert "every 2s" in page


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "Choose what the report is to hold."),
        ({"kind": "workflow"}, "Choose one of these."),
        ({"kind": "aggregated", "min_confidence": "2"}, "The lowest confidence must be above 0 and at most 1."),
        ({"kind": "json", "min_confidence": "NaN"}, "The lowest confidence must be above 0 and at most 1."),
        ({"kind": "full", "dates": "x"}, "Select a valid choice."),
        ({"kind": "workset"}, "Nobody has worked on this job yet."),
    ],
)
def test_bad_requests_come_back_with_the_form(launched, owner, client_for, given, words):
    response = client_for(owner).post(at("job_request", job_pk=launched.pk), given)
    assert response.status_code == 422
    assert words in response.content.decode()
    assert not Report.objects.exists()


def test_a_viewer_sees_the_results_but_no_form(launched, viewer, client_for):
    report = built(launched)
    client = client_for(viewer)
    page = client.get(at("job", job_pk=launched.pk)).content.decode()
    assert "Make report" not in page
    assert at("download", pk=report.pk) in page
    assert client.post(at("job_request", job_pk=launched.pk), {"kind": "full"}).status_code == 403


def test_a_report_of_a_job_is_a_zip(launched, viewer, client_for):
    report = built(launched)
    response = client_for(viewer).get(at("download", pk=report.pk))
    name = f"categorize-images-for-footwear-source-{report.pk}"
    assert response["Content-Disposition"] == f'attachment; filename="{name}.zip"'
    assert response["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(b"".join(response.streaming_content))) as archive:
        assert archive.namelist() == [f"{name}.csv"]
        assert archive.testzip() is None


def test_reports_of_jobs_need_no_feature(team, launched, running, owner, client_for):
    of_workflow = services.request_report(workflow=running, actor=None)
    services.build_report(report=of_workflow)
    report = built(launched)
    client = client_for(owner)
    page = client.get(at("list")).content.decode()
    assert "Shoes" in page
    assert at("download", pk=report.pk) in page
    switch_feature(team=team, feature=Feature.ML_ASSISTED_LABELING, on=False, actor=None)
    page = client.get(at("list")).content.decode()
    assert "Shoes" not in page
    assert at("download", pk=report.pk) in page
    assert client.get(at("job", job_pk=launched.pk)).status_code == 200
    assert client.get(at("download", pk=report.pk)).status_code == 200
    assert client.get(at("download", pk=of_workflow.pk)).status_code == 403


@pytest.mark.parametrize("name", ["job", "list"])
def test_more_reports_take_no_more_queries(launched, owner, client_for, django_assert_num_queries, name):
    client = client_for(owner)
    url = at("list") if name == "list" else at("job", job_pk=launched.pk)
    built(launched)
    client.get(url)
    with CaptureQueriesContext(connection) as one:
        client.get(url)
    built(launched, ReportKind.FULL)
    built(launched, ReportKind.JSON)
    with django_assert_num_queries(len(one)):
        assert client.get(url).content.decode().count("Download ZIP") == 3
