"""Reading unlabelled CSVs into rows."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.utils import timezone
from django_scopes import scopes_disabled

from labeling_platform.lib import reading, storage
from labeling_platform.lib.csvio import CsvRow
from labeling_platform.lib.errors import Refused
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
    row = ingest.Sheet(["image_url", "sku"]).new_row(CsvRow(2, ["https://p.example/1.jpg", "1"]))
    assert row is not None
    late = reading.Reading(upload, upload.token, until=0)
    with pytest.raises(reading.Superseded):
        reading.add_batch(late, [row], add=ingest.adder(late, 0), rows_read=1)
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


def keyed(draft, text, owner, key="sku"):
    return upload_csv(draft, text, owner, key_column=key)


def sku(*numbers: int) -> str:
    return "image_url,sku\n" + "".join(f"https://p.example/{n}.jpg,S{n}\n" for n in numbers)


def test_a_row_whose_key_is_there_is_left_out(draft, owner):
    WorkflowRow.objects.all().delete()
    keyed(draft, sku(1, 2), owner)
    upload = keyed(draft, sku(1, 2, 3, 3), owner)
    assert list(WorkflowRow.objects.order_by("pk").values_list("key", flat=True)) == ["S1", "S2", "S3"]
    assert (upload.held, upload.rows_total, upload.rows_ok, upload.rows_repeated, upload.rows_bad) == (
        False, 4, 1, 3, 0,
    )  # fmt: skip
    assert [problem["line"] for problem in upload.problems] == [2, 3, 5]
    assert upload.problems[0]["message"] == (
        "Line 2: a row whose sku is “S1” is in this workflow already. It was left out."
    )


def test_the_same_file_with_a_key_adds_nothing(draft, owner):
    WorkflowRow.objects.all().delete()
    keyed(draft, sku(1, 2), owner)
    assert keyed(draft, sku(1, 2), owner).rows_repeated == 2
    assert WorkflowRow.objects.count() == 2


def test_a_row_without_its_key_is_listed_and_left_out(draft, owner):
    WorkflowRow.objects.all().delete()
    upload = keyed(draft, "image_url,sku\nhttps://p.example/1.jpg, \nhttps://p.example/2.jpg,B\n", owner)
    assert [problem["message"] for problem in upload.problems] == ["Line 2: sku is empty, but it is the key."]
    assert list(WorkflowRow.objects.values_list("key", flat=True)) == ["B"]


def test_a_file_without_the_key_column_is_refused(draft, owner):
    upload = keyed(draft, sku(1), owner, key="isbn")
    assert upload.refusal == (
        "Line 1: the column isbn is missing (found: image_url, sku). The first line must name the columns."
    )


def test_the_address_may_be_the_key(draft, owner):
    WorkflowRow.objects.all().delete()
    keyed(draft, sku(1, 1), owner, key="Image_URL")
    assert list(WorkflowRow.objects.values_list("key", flat=True)) == ["https://p.example/1.jpg"]


def test_all_problems_are_found_again_when_few_were_kept(draft, owner, monkeypatch):
    monkeypatch.setattr(ingest, "MAX_PROBLEMS_KEPT", 1)
    monkeypatch.setattr(ingest, "BLOCK", 2)
    WorkflowRow.objects.all().delete()
    keyed(draft, sku(1, 2), owner)
    upload = keyed(draft, sku(1, 3, 2) + "nowhere,S9\nshort\n", owner)
    assert [problem.line for problem in ingest.all_problems(upload)] == [2, 4, 5, 6]


def test_a_canceled_file_takes_its_rows_along(draft, owner, monkeypatch):
    monkeypatch.setattr(reading, "BATCH", 2)
    upload = WorkflowUpload.objects.get()
    WorkflowRow.objects.all().delete()
    WorkflowUpload.objects.update(state=UploadState.RECEIVED, last_line=0, rows_total=0, finished_at=None)
    assert services.read_rows(upload=upload, seconds=-1) is True
    services.cancel_upload(upload=upload, actor=owner)
    assert services.read_rows(upload=upload) is False
    assert services.find_canceled() == [(draft.team_id, upload.pk)]
    assert services.clear_canceled(upload=upload) is True
    assert services.clear_canceled(upload=upload) is False
    upload.refresh_from_db()
    assert (upload.state, upload.rows_ok, WorkflowRow.objects.count()) == (UploadState.CANCELED, 0, 0)
    assert services.find_canceled() == []


def test_answered_rows_of_a_canceled_file_stay(draft, owner):
    upload = WorkflowUpload.objects.get()
    WorkflowUpload.objects.update(state=UploadState.READING, finished_at=None)
    first, second, _ = WorkflowRow.objects.order_by("pk")
    WorkflowRow.objects.filter(pk=first.pk).update(state="confident", scores=[1, 0, 0], confidence=1, predicted="boots")
    WorkflowRow.objects.filter(pk=second.pk).update(lease_until=timezone.now() + timedelta(minutes=1))
    services.cancel_upload(upload=upload, actor=owner)
    assert services.clear_canceled(upload=upload) is True
    assert services.clear_canceled(upload=upload) is False
    assert services.find_canceled() == [(draft.team_id, upload.pk)]  # a worker holds the second
    assert list(WorkflowRow.objects.order_by("pk").values_list("pk", flat=True)) == [first.pk, second.pk]
    WorkflowRow.objects.filter(pk=second.pk).update(lease_until=None)
    services.clear_canceled(upload=upload)
    services.clear_canceled(upload=upload)
    upload.refresh_from_db()
    assert (upload.rows_ok, WorkflowRow.objects.get().pk) == (1, first.pk)


def test_a_file_that_was_read_cannot_be_canceled(draft, owner):
    with pytest.raises(Refused, match="read already"):
        services.cancel_upload(upload=WorkflowUpload.objects.get(), actor=owner)


def test_a_reader_that_was_canceled_in_mid_file_adds_no_more(draft, owner, monkeypatch):
    upload = WorkflowUpload.objects.get()
    WorkflowRow.objects.all().delete()
    WorkflowUpload.objects.update(state=UploadState.RECEIVED, last_line=0, rows_total=0, finished_at=None)
    monkeypatch.setattr(
        ingest.Sheet, "are_sound", lambda *_: services.cancel_upload(upload=upload, actor=owner) is None
    )
    assert services.read_rows(upload=upload) is False
    assert not WorkflowRow.objects.exists()


@pytest.mark.parametrize("field", ["upload", "workflow", "team"])
def test_a_row_belongs_to_its_upload_workflow_and_team(draft, owner, field):
    row = WorkflowRow.objects.first()
    assert row is not None
    row.pk, row.line = None, 99
    setattr(row, f"{field}_id", 999_999)
    with scopes_disabled():  # inside the team's scope, row-level security is the first to refuse another team
        with pytest.raises(IntegrityError, match="are not of workflow"), transaction.atomic():
            row.save(force_insert=True)
        with pytest.raises(IntegrityError, match="stays with its upload"), transaction.atomic():
            WorkflowRow.objects.update(**{f"{field}_id": 999_999})


def test_an_upload_takes_its_rows_along_in_the_database(draft, owner):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM workflows_app_workflowupload")
    assert not WorkflowRow.objects.exists()
