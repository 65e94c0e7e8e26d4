"""Workflow reports: the five status lines of the article, cell by cell, and the life of a report."""

from __future__ import annotations

import csv
import io
from datetime import timedelta

import pytest
from django.core.files.storage import default_storage
from django.db.models import F
from django.db.models.functions import Now
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from jobs_app.models import Unit
from labeling_platform.lib import storage
from labeling_platform.lib.csvio import safe_cell
from labeling_platform.lib.errors import Refused
from models_app.classify import Unreadable
from reports_app import services
from reports_app.models import Report
from reports_app.services import building
from reports_app.states import ReportState
from tests.workflows_app.conftest import csv_of, scored, upload_csv
from workflows_app import services as workflows
from workflows_app.models import Workflow, WorkflowRow

MACHINE = ["machine_label:boots", "machine_label:sneakers", "machine_label:negative_examples"]
HUMAN = ["human_label:boots", "human_label:sneakers", "human_label:negative_examples"]
MISSING = Unreadable("not_found", "There is no such picture (404).", False)


def build(workflow: Workflow, **options: bool) -> tuple[Report, list[list[str]]]:
    report = services.request_report(workflow=workflow, actor=None, options=options)
    assert services.build_report(report=report) is True
    report.refresh_from_db()
    return report, list(csv.reader(io.StringIO(storage.read_bytes(report.file).decode())))


def finalize(row: WorkflowRow, **shares: float) -> None:
    Unit.objects.filter(pk=row.unit_id).update(state="finalized", shares=shares, slots=0)


@pytest.fixture
def five(running, owner):
    """A workflow with one row in each of the article's five statuses, in the article's order."""
    upload_csv(running, csv_of(2, first=4), owner)
    first, second, third, fourth, fifth = workflows.claim_rows(workflow=running, limit=9)
    workflows.finish_rows(
        workflow=running,
        results=[
            (second, scored(boots=0.9)),
            (third, scored(boots=0.6)),
            (fourth, scored(boots=0.5)),
            (fifth, MISSING),
        ],
    )
    workflows.release_rows(workflow=running, claims=[first])
    finalize(WorkflowRow.objects.get(pk=fourth.row_id), sneakers=2 / 3, negative_examples=1 / 3)
    return running


def test_the_five_status_lines_of_the_article(five):
    _, (header, *lines) = build(five, diagnostics=False)
    assert header == ["image_url", "sku", "error", "completed", *MACHINE, *HUMAN]
    blank = [""] * 3
    url = "https://pictures.example/new-{}.jpg".format
    assert lines == [
        [url(1), "SKU-1", "false", "false", *blank, *blank],
        [url(2), "SKU-2", "false", "true", "0.9", "0.05", "0.05", *blank],
        [url(3), "SKU-3", "false", "false", "0.6", "0.2", "0.2", *blank],
        [url(4), "SKU-4", "false", "true", "0.5", "0.25", "0.25", "0.0", "0.666667", "0.333333"],
        [url(5), "SKU-5", "true", "true", *blank, *blank],
    ]


def test_only_final_leaves_confidences_out_of_rows_in_progress(five):
    _, lines = build(five, diagnostics=False, only_final=True)
    assert [line[4] for line in lines[1:]] == ["", "0.9", "", "0.5", ""]


def test_a_row_unlike_the_training_data_says_so_in_its_reason(running):
    (claim,) = workflows.claim_rows(workflow=running, limit=1)
    workflows.finish_rows(workflow=running, results=[(claim, scored(boots=0.99, unlike=True))])
    _, (header, *lines) = build(running, diagnostics=True)
    assert lines[0][header.index("reason")] == "unlike_training_data"
    assert lines[0][header.index("completed")] == "false"


def test_diagnostic_columns_come_last(five):
    _, (header, *lines) = build(five)
    assert header[-4:] == ["reason", "model_version", "line", "file"]
    assert [line[-4:] for line in lines] == [
        ["", "", "2", "new.csv"],
        ["", "1", "3", "new.csv"],
        ["low_confidence", "1", "4", "new.csv"],
        ["low_confidence", "1", "2", "new.csv"],
        ["not_found: There is no such picture (404).", "", "3", "new.csv"],
    ]


def test_model_only_has_the_same_columns_with_empty_human_labels(model_only):
    workflows.finish_rows(
        workflow=model_only,
        results=[(claim, scored(boots=0.3)) for claim in workflows.claim_rows(workflow=model_only, limit=9)],
    )
    _, (header, *lines) = build(model_only, diagnostics=False)
    assert header[4:] == [*MACHINE, *HUMAN]
    assert {tuple(line[2:]) for line in lines} == {("false", "true", "0.3", "0.35", "0.35", "", "", "")}


def test_a_unit_that_is_opened_again_takes_its_label_back(five):
    Unit.objects.filter(state="finalized").update(state="judgable")
    _, lines = build(five, diagnostics=False)
    assert lines[4][2:4] == ["false", "false"]
    assert lines[4][-3:] == ["", "", ""]


def test_columns_of_all_uploads_and_bad_addresses_are_in_it(running, owner):
    upload_csv(running, "shop,image_url,error\nA,nowhere,mine\n", owner)
    _, (header, *lines) = build(running, diagnostics=False)
    assert header[:6] == ["image_url", "sku", "shop", "orig_error", "error", "completed"]
    assert lines[0][:6] == ["https://pictures.example/new-1.jpg", "SKU-1", "", "", "false", "false"]
    assert lines[3][:6] == ["nowhere", "", "A", "mine", "true", "true"]


def test_small_and_whole_confidences_have_no_exponent(running):
    (claim, *_) = workflows.claim_rows(workflow=running, limit=1)
    answer = scored(boots=1.0)
    answer.scores[:] = [1.0, 0.0000012, 0.0]
    workflows.finish_rows(workflow=running, results=[(claim, answer)])
    _, lines = build(running, diagnostics=False)
    assert lines[1][4:7] == ["1.0", "0.000001", "0.0"]


def test_formulas_are_defused_unless_asked_for_as_they_came(running, owner):
    upload_csv(running, 'image_url,=note\nhttps://p.example/1.jpg,"=HYPERLINK(""x"")"\n', owner)
    _, lines = build(running, diagnostics=False)
    assert (lines[0][2], lines[4][2]) == ("'=note", '\'=HYPERLINK("x")')
    _, lines = build(running, diagnostics=False, safe_cells=False)
    assert (lines[0][2], lines[4][2]) == ("=note", '=HYPERLINK("x")')


NASTY = st.text(st.sampled_from("=+-@|%'\t\r\n 0123.,aé\\"), max_size=6)


@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cells=st.lists(NASTY, min_size=2, max_size=2))
def test_cells_are_defused_in_sql_as_safe_cell_does(running, cells):
    row = WorkflowRow.objects.first()
    WorkflowRow.objects.filter(pk=row.pk).update(cells=cells)
    _, lines = build(running)
    assert lines[1][:2] == [safe_cell(cell) for cell in cells]


def test_a_report_of_a_workflow_without_rows_is_its_header(running):
    WorkflowRow.objects.all().delete()
    running.uploads.all().delete()
    _, lines = build(running, diagnostics=False)
    assert lines == [["error", "completed", *MACHINE, *HUMAN]]


def test_a_ready_report_knows_its_size_rows_and_end(five):
    report, _ = build(five)
    assert (report.state, report.rows_done, report.rows_total) == (ReportState.READY, 5, 5)
    assert report.size == len(storage.read_bytes(report.file))
    assert report.expires_at > report.finished_at
    assert services.file_name(report) == f"shoes-report-{report.pk}.csv"


def test_refuses_a_workflow_that_was_not_launched(draft):
    with pytest.raises(Refused) as refused:
        services.request_report(workflow=draft, actor=None)
    assert refused.value.code == "not_launched"


def test_asking_again_while_it_is_under_way_gives_the_same_report(running):
    first = services.request_report(workflow=running, actor=None)
    assert services.request_report(workflow=running, actor=None) == first
    assert services.request_report(workflow=running, actor=None, options={"only_final": True}) != first


def test_nobody_builds_a_report_that_somebody_builds(running):
    report = services.request_report(workflow=running, actor=None)
    Report.objects.update(state=ReportState.BUILDING, lease_until=Now() + timedelta(seconds=60))
    assert services.build_report(report=report) is False
    assert services.find_unbuilt() == []


def test_a_dead_builders_report_is_found_and_built(running):
    report = services.request_report(workflow=running, actor=None)
    Report.objects.update(state=ReportState.BUILDING, lease_until=Now() - timedelta(seconds=1))
    assert services.find_unbuilt() == [(running.team_id, report.pk)]
    assert services.build_report(report=report) is True


def test_a_builder_that_was_superseded_throws_its_file_away(running, monkeypatch):
    report = services.request_report(workflow=running, actor=None)
    write = building._write

    def slow(*args):
        built = write(*args)
        Report.objects.update(token=F("token") + 1)
        return built

    monkeypatch.setattr(building, "_write", slow)
    assert services.build_report(report=report) is False
    assert default_storage.listdir(f"t/{running.team_id}/reports") == ([], [])


def test_a_report_that_never_gets_done_fails(running):
    report = services.request_report(workflow=running, actor=None)
    Report.objects.update(token=services.MAX_ATTEMPTS)
    assert services.build_report(report=report) is False
    report.refresh_from_db()
    assert (report.state, report.error) == (ReportState.FAILED, services.GAVE_UP)


def test_old_reports_expire_with_their_file(five):
    report, _ = build(five)
    name = report.file
    Report.objects.update(expires_at=Now() - timedelta(seconds=1))
    assert services.expire_reports() == 1
    report.refresh_from_db()
    assert (report.state, report.file) == (ReportState.EXPIRED, "")
    with pytest.raises(FileNotFoundError):
        storage.read_bytes(name)


# --- canceling ----------------------------------------------------------------------------------------


def test_a_canceled_report_is_not_built(running, owner):
    report = services.request_report(workflow=running, actor=None)
    services.cancel_report(report=report, actor=owner)
    assert services.build_report(report=report) is False
    assert services.find_unbuilt() == []
    report.refresh_from_db()
    assert (report.state, report.is_final) == (ReportState.CANCELED, True)
    assert services.request_report(workflow=running, actor=None) != report


def test_refuses_to_cancel_what_is_done(five):
    report, _ = build(five)
    with pytest.raises(Refused) as refused:
        services.cancel_report(report=report, actor=None)
    assert refused.value.code == "not_under_way"
    report.refresh_from_db()
    assert report.state == ReportState.READY
