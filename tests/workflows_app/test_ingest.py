"""Reading unlabelled CSVs into rows."""

from __future__ import annotations

import pytest
from django.db.models import F

from labeling_platform.lib import reading, storage
from labeling_platform.lib.uploads import UploadState
from tests.workflows_app.conftest import csv_of, upload_csv
from workflows_app import ingest, services
from workflows_app.models import WorkflowRow, WorkflowUpload
from workflows_app.states import RowState

NASTY = ['a "quoted" one', "back\\slash \\N \\.", "two\nlines", "tab\there", "{braces,and}", "", "NULL", "ünïcode 👟"]


def lines():
    return list(WorkflowRow.objects.values_list("line", "state"))


def test_every_line_becomes_a_row_with_its_cells(draft, owner):
    upload = WorkflowUpload.objects.get()
    assert upload.columns == ["image_url", "sku"]
    assert (upload.state, upload.rows_total, upload.rows_read, upload.rows_ok, upload.rows_bad) == (
        UploadState.READY,
        3,
        3,
        3,
        0,
    )
    row = WorkflowRow.objects.first()
    assert (row.line, row.image_url) == (2, "https://pictures.example/new-1.jpg")
    assert row.cells == ["https://pictures.example/new-1.jpg", "SKU-1"]


def test_nasty_cells_come_through_unchanged(draft, owner):
    WorkflowRow.objects.all().delete()
    quoted = ['"' + cell.replace('"', '""') + '"' for cell in NASTY]
    header = ",".join(["image_url", *(f"c{n}" for n in range(len(NASTY)))])
    upload_csv(draft, f"{header}\r\nhttps://pictures.example/1.jpg,{','.join(quoted)}\r\n", owner)
    assert WorkflowRow.objects.get().cells == ["https://pictures.example/1.jpg", *NASTY]


def test_a_bad_address_is_listed_and_becomes_a_failed_row(draft, owner):
    WorkflowRow.objects.all().delete()
    text = "image_url,sku\nhttps://pictures.example/1.jpg,1\nnot an address,2\nftp://x/y.jpg,3\n,4\n"
    upload = upload_csv(draft, text, owner)
    assert lines() == [(2, RowState.AWAITING), (3, RowState.FAILED), (4, RowState.FAILED), (5, RowState.FAILED)]
    assert [problem["line"] for problem in upload.problems] == [3, 4, 5]
    assert (upload.rows_ok, upload.rows_bad) == (1, 3)
    assert all(WorkflowRow.objects.filter(state="failed").values_list("error_message", flat=True))
    assert WorkflowRow.objects.get(line=5).cells == ["", "4"]


def test_a_ragged_line_is_listed_and_not_added(draft, owner):
    WorkflowRow.objects.all().delete()
    upload = upload_csv(draft, "image_url,sku\nhttps://p.example/1.jpg,1\nhttps://p.example/2.jpg\n", owner)
    assert lines() == [(2, RowState.AWAITING)]
    assert [(problem["line"], upload.rows_bad) for problem in upload.problems] == [(3, 1)]


@pytest.mark.parametrize("text", ["url\nx\n", "", "image_url,image_url\na,b\n"])
def test_a_file_without_its_header_is_refused_and_kept(draft, owner, text):
    upload = upload_csv(draft, text, owner)
    assert upload.state == UploadState.REFUSED
    assert upload.refusal
    assert WorkflowRow.objects.filter(upload=upload).count() == 0


def test_a_file_that_turns_bad_in_the_middle_adds_nothing(draft, owner, monkeypatch):
    monkeypatch.setattr(reading, "BATCH", 2)
    upload = WorkflowUpload.objects.get()
    WorkflowRow.objects.all().delete()
    good = csv_of(50, first=100).encode()
    name = storage.save_bytes(good + b"\xff\xfe\n", team_id=draft.team_id, area="workflows", suffix=".csv")
    WorkflowUpload.objects.filter(pk=upload.pk).update(file=name, state=UploadState.RECEIVED, last_line=0)
    services.read_rows(upload=upload)
    upload.refresh_from_db()
    assert upload.state == UploadState.REFUSED
    assert not WorkflowRow.objects.exists()


def test_a_missing_file_is_refused(draft, owner):
    upload = WorkflowUpload.objects.get()
    WorkflowUpload.objects.update(file="nowhere.csv", state=UploadState.RECEIVED, last_line=0)
    services.read_rows(upload=upload)
    upload.refresh_from_db()
    assert (upload.state, upload.refusal) == (UploadState.REFUSED, reading.GONE)


def test_reading_goes_on_where_it_stopped(draft, owner, monkeypatch):
    monkeypatch.setattr(reading, "BATCH", 2)
    upload = WorkflowUpload.objects.get()
    WorkflowRow.objects.all().delete()
    WorkflowUpload.objects.update(state=UploadState.RECEIVED, last_line=0, rows_total=0)
    assert services.read_rows(upload=upload, seconds=-1) is True
    assert lines() == [(2, RowState.AWAITING), (3, RowState.AWAITING)]
    assert services.read_rows(upload=upload) is False
    assert [line for line, _ in lines()] == [2, 3, 4]
    upload.refresh_from_db()
    assert (upload.state, upload.rows_read, upload.rows_ok) == (UploadState.READY, 3, 3)


def test_reading_twice_adds_nothing(draft, owner):
    upload = WorkflowUpload.objects.get()
    assert services.read_rows(upload=upload) is False
    assert WorkflowRow.objects.count() == 3


def test_a_reader_that_was_superseded_changes_nothing(draft, owner):
    upload = WorkflowUpload.objects.get()
    WorkflowRow.objects.all().delete()
    WorkflowUpload.objects.update(state=UploadState.READING, last_line=0, token=F("token") + 1)
    row = ingest.NewRow(2, "https://p.example/1.jpg", ["https://p.example/1.jpg", "1"], "", "")
    late = reading.Reading(upload, upload.token, until=0)
    with pytest.raises(reading.Superseded):
        reading.add_batch(late, [row], add=ingest.adder(upload), rows_read=1)
    assert not WorkflowRow.objects.exists()


def test_a_reader_that_never_gets_on_gives_up(draft, owner):
    upload = WorkflowUpload.objects.get()
    WorkflowUpload.objects.update(state=UploadState.RECEIVED, attempts=reading.MAX_ATTEMPTS)
    services.read_rows(upload=upload)
    upload.refresh_from_db()
    assert upload.state == UploadState.REFUSED


def test_unread_uploads_are_found(draft, owner):
    assert services.find_unread() == []
    upload_csv(draft, csv_of(3), owner)
    assert services.find_unread() == []  # held
    WorkflowUpload.objects.filter(held=True).update(held=False)
    assert len(services.find_unread()) == 1
