"""Reading uploaded CSVs into rows and test questions of a job."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from jobs_app import ingest, services, tasks
from jobs_app.models import Job, JobUpload, TestQuestion, Unit
from jobs_app.services import units
from labeling_platform.accounts.models import Activity
from labeling_platform.lib import reading, storage
from labeling_platform.lib.csvio import CsvRefused
from labeling_platform.lib.errors import Refused
from labeling_platform.lib.uploads import UploadState

TWO_QUESTIONS = """<img src="{{image_url}}"/><p>{{sku | default: "no number"}}</p>
<cml:radios label="Category" validates="required"><cml:radio label="Boots" value="boots"/>
<cml:radio label="Sandals" value="sandals"/></cml:radios>
<cml:text label="Colour" only-if="category:[boots]"/>
<cml:text label="Note" gold="false"/>"""
NASTY = ['a "quoted" one', "back\\slash \\N \\.", "two\nlines", "tab\there", "{braces,and}", "", "NULL", "ünïcode 👟"]


@pytest.fixture
def own_job(in_team, owner) -> Job:
    """A job that stands alone, with a question about the picture and one that depends on it."""
    job = services.create_job(team=in_team, actor=owner, title="Shoes", answers=["Boots", "Sandals"])
    Job.objects.filter(pk=job.pk).update(cml=TWO_QUESTIONS)
    job.refresh_from_db()
    return job


def receive(job: Job, text: str | bytes, actor=None, **more) -> JobUpload:
    content = text if isinstance(text, bytes) else text.encode()
    return services.receive_rows(job=job, file=SimpleUploadedFile("rows.csv", content), actor=actor, **more)


def read(job: Job, text: str | bytes, actor=None, **more) -> JobUpload:
    """Receive and read a CSV."""
    upload = receive(job, text, actor, **more)
    ingest.read_rows(upload=upload)
    upload.refresh_from_db()
    return upload


def csv_of(count: int, first: int = 1) -> str:
    lines = [f"https://pictures.example/{n}.jpg,SKU-{n}" for n in range(first, first + count)]
    return "\n".join(["image_url,sku", *lines, ""])


def counts(upload: JobUpload) -> tuple[int, int, int, int]:
    return upload.rows_total, upload.rows_ok, upload.rows_golden, upload.rows_bad


def problems(upload: JobUpload) -> list[tuple]:
    return [(problem["line"], problem["column"], problem["message"]) for problem in upload.problems]


def lines(job: Job) -> list[str]:
    return list(Unit.objects.filter(job=job).order_by("pk").values_list("key", flat=True))


# --- rows --------------------------------------------------------------------------------------------


def test_every_line_becomes_a_row(own_job, owner) -> None:
    upload = read(own_job, csv_of(3), owner)
    assert (upload.state, counts(upload), upload.rows_read) == (UploadState.READY, (3, 3, 0, 0), 3)
    assert upload.columns == ["image_url", "sku"]
    assert lines(own_job) == [f"upload:{upload.pk}:{line}" for line in (2, 3, 4)]
    row = Unit.objects.first()
    assert row.data == {"image_url": "https://pictures.example/1.jpg", "sku": "SKU-1"}
    assert (row.image_url, row.state, row.wanted, row.slots, row.position, row.result, row.machine) == (
        "https://pictures.example/1.jpg", "new", 0, 0, 0, {}, None
    )  # fmt: skip
    assert upload.finished_at is not None


def test_nasty_cells_come_through_unchanged(own_job) -> None:
    quoted = ['"' + cell.replace('"', '""') + '"' for cell in NASTY]
    names = [f"c{n}" for n in range(len(NASTY))]
    read(own_job, f"image_url,{','.join(names)}\r\nhttps://p.example/1.jpg,{','.join(quoted)}\r\n")
    assert Unit.objects.get().data == {"image_url": "https://p.example/1.jpg", **dict(zip(names, NASTY, strict=True))}


def test_the_case_of_image_url_and_blanks_in_headers_do_not_matter(own_job) -> None:
    assert read(own_job, "﻿ Image_URL , sku \nhttps://p.example/1.jpg,1\n").columns == ["image_url", "sku"]
    assert Unit.objects.get().image_url == "https://p.example/1.jpg"


def test_rows_of_a_running_job_with_automatic_launching_can_be_judged_at_once(own_job) -> None:
    Job.objects.filter(pk=own_job.pk).update(
        state="finished", auto_launch=True, judgments_per_unit=3, in_upload_order=False
    )
    read(own_job, csv_of(3))
    assert set(Unit.objects.values_list("state", "wanted", "slots")) == {("judgable", 3, 3)}
    assert len(set(Unit.objects.values_list("position", flat=True))) == 3
    own_job.refresh_from_db()
    assert own_job.state == "running"


def test_a_launched_job_without_automatic_launching_keeps_them_back(own_job) -> None:
    Job.objects.filter(pk=own_job.pk).update(state="finished")
    read(own_job, csv_of(1))
    assert Unit.objects.get().state == "new"
    own_job.refresh_from_db()
    assert own_job.state == "finished"


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("ftp://x/y.jpg", "Line 2: The URL must begin with http://, https:// or s3://."),
        ("", "Line 2: There is no URL in image_url."),
    ],
)
def test_a_bad_address_is_listed_and_left_out(own_job, address, says) -> None:
    upload = read(own_job, f"image_url,sku\n{address},1\nhttps://p.example/2.jpg,2\n")
    assert problems(upload) == [(2, "image_url", says)]
    assert (counts(upload), lines(own_job)) == ((2, 1, 0, 1), [f"upload:{upload.pk}:3"])


def test_a_line_with_too_few_cells_is_listed_and_left_out(own_job) -> None:
    upload = read(own_job, "image_url,sku\nhttps://p.example/1.jpg\nhttps://p.example/2.jpg,2\n")
    assert problems(upload) == [(2, None, "Line 2: too few cells (1; the header has 2 columns).")]
    assert counts(upload) == (2, 1, 0, 1)


def test_a_job_without_pictures_takes_rows_without_addresses(own_job) -> None:
    Job.objects.filter(pk=own_job.pk).update(cml='<p>{{words}}</p><cml:text label="Kind"/>')
    own_job.refresh_from_db()
    upload = read(own_job, "words\nA red boot\nA blue one\n")
    assert (counts(upload), Unit.objects.first().image_url) == ((2, 2, 0, 0), "")


# --- test questions ----------------------------------------------------------------------------------


GOLDEN = """image_url,sku,_golden,category_gold,category_gold_reason,colour_gold
https://p.example/1.jpg,1,,,,
https://p.example/2.jpg,2,TRUE,boots,It covers the ankle.,"red
 blue "
https://p.example/3.jpg,3,1,boots|sandals,,
https://p.example/4.jpg,4,No,boots,,
https://p.example/5.jpg,5,yes,sandals,,
"""


def test_golden_lines_become_test_questions(own_job, owner) -> None:
    upload = read(own_job, GOLDEN, owner)
    assert (upload.state, counts(upload)) == (UploadState.READY, (5, 2, 3, 0))
    found = TestQuestion.objects.select_related("unit")
    assert [(gold.unit.key, gold.answers, gold.reasons, gold.unit.data) for gold in found] == [
        (
            f"gold:upload:{upload.pk}:3",
            {"category": ["boots"], "colour": ["red", "blue"]},
            {"category": "It covers the ankle."},
            {"image_url": "https://p.example/2.jpg", "sku": "2"},
        ),
        (
            f"gold:upload:{upload.pk}:5",
            {"category": ["boots", "sandals"]},
            {},
            {"image_url": "https://p.example/3.jpg", "sku": "3"},
        ),
        (
            f"gold:upload:{upload.pk}:7",
            {"category": ["sandals"]},
            {},
            {"image_url": "https://p.example/5.jpg", "sku": "5"},
        ),
    ]
    assert {gold.source for gold in found} == {"upload"}
    assert {gold.created_by for gold in found} == {owner}
    assert Unit.objects.filter(state="golden").count() == 3
    assert Unit.objects.filter(state="new").values_list("data", flat=True).first() == {
        "image_url": "https://p.example/1.jpg",
        "sku": "1",
    }


@pytest.mark.parametrize(
    ("cells", "column", "says"),
    [
        (
            "maybe,boots,,",
            "_golden",
            "Line 2: “maybe” is neither true nor false. Write true for a test question, else leave it empty.",
        ),
        ("true,shoes,,", "category_gold", "Line 2: “shoes” is not one of the answers: boots, sandals."),
        ("true,boots|shoes,,", "category_gold", "Line 2: “shoes” is not one of the answers: boots, sandals."),
        ("true,,,", "_golden", "Line 2: Say the right answer of at least one question."),
        (
            f"true,boots,{'x' * 2001},",
            "category_gold_reason",
            "Line 2: The reason has 2,001 characters; at most 2,000 are possible.",
        ),
    ],
)
def test_a_test_question_that_cannot_be_used_is_listed(own_job, cells, column, says) -> None:
    header = "image_url,_golden,category_gold,category_gold_reason,colour_gold\n"
    upload = read(own_job, f"{header}https://p.example/1.jpg,{cells}\n")
    assert problems(upload) == [(2, column, says)]
    assert (counts(upload), Unit.objects.count()) == ((1, 0, 0, 1), 0)


def test_a_line_with_two_problems_is_left_out_once(own_job) -> None:
    upload = read(own_job, "image_url,_golden,category_gold\nnot an address,true,shoes\n")
    assert [column for _, column, _ in problems(upload)] == ["image_url", "category_gold"]
    assert counts(upload) == (1, 0, 0, 1)


# --- files that are refused --------------------------------------------------------------------------


SAVE_AS = "Save it as “CSV UTF-8 (comma delimited)” and upload that."
FIRST_LINE = "The first line must name the columns."


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "The file is empty. It needs a header line and at least one row."),
        ("image_url,sku\n", "The file has a header line but no rows."),
        (b"PK\x03\x04", f"This is an Excel workbook (XLSX) or another ZIP file, not a CSV. {SAVE_AS}"),
        ("sku\n1\n", f"Line 1: the column image_url is missing (found: sku). {FIRST_LINE}"),
        ("image_url;sku\nhttps://p.example/1.jpg;1\n", "Line 1: the columns are separated by semicolons; use commas."),
        ("image_url,sku,sku\na,b,c\n", "Line 1: the column sku is there twice. Rename or remove one."),
        ("image_url,\na,b\n", "Line 1: column 2 has no name. Name it or remove it."),
        (
            "image_url,_unit_id\na,b\n",
            "Line 1: the column _unit_id begins with an underscore; reports have such names. Rename it.",
        ),
        (
            "image_url,_golden,shape_gold\na,b,c\n",
            (
                "Line 1: The rows have the column “shape_gold”, but no question “shape” takes test answers. "
                "Rename the column or the question."
            ),
        ),
        (
            "image_url,_golden,note_gold\na,b,c\n",
            (
                "Line 1: The rows have the column “note_gold”, but no question “note” takes test answers. "
                "Rename the column or the question."
            ),
        ),
        (
            "image_url,category_gold\na,boots\n",
            (
                "Line 1: category_gold has answers of test questions, but no column _golden says which rows those are. "
                "Add it, with true in their lines."
            ),
        ),
        (
            "image_url,category\na,b\n",
            (
                "Line 1: the file does not fit the design. The question “category” is called like a column of the "
                "rows. Give it another name."
            ),
        ),
        (b"image_url\nhttps://p.example/1.jpg\n\xff\n", f"Line 3: the file is not UTF-8 (byte 35). {SAVE_AS}"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_whole_and_kept(own_job, text, says) -> None:
    upload = read(own_job, text)
    assert (upload.state, upload.refusal) == (UploadState.REFUSED, says)
    assert Unit.objects.count() == 0
    assert storage.read_bytes(upload.file) == (text if isinstance(text, bytes) else text.encode())


def test_a_column_that_the_design_shows_must_be_there(own_job) -> None:
    Job.objects.filter(pk=own_job.pk).update(cml=TWO_QUESTIONS.replace(' | default: "no number"', ""))
    own_job.refresh_from_db()
    upload = read(own_job, "image_url,price\nhttps://p.example/1.jpg,1\n")
    assert upload.refusal == (
        "Line 1: the file does not fit the design. The rows have no column “sku”. They have: image_url, price."
    )


def test_a_file_that_turns_bad_in_the_middle_adds_nothing(own_job, monkeypatch) -> None:
    monkeypatch.setattr(reading, "BATCH", 2)
    upload = read(own_job, csv_of(50).encode() + b"\xff\xfe\n")
    assert upload.state == UploadState.REFUSED
    assert Unit.objects.count() == 0


def test_a_missing_file_is_refused(own_job) -> None:
    upload = receive(own_job, csv_of(1))
    storage.delete_file(upload.file)
    ingest.read_rows(upload=upload)
    upload.refresh_from_db()
    assert (upload.state, upload.refusal) == (UploadState.REFUSED, "The stored file is gone. Upload it again.")


def test_no_job_gets_more_rows_than_it_may_have(own_job, monkeypatch) -> None:
    monkeypatch.setattr(ingest, "MAX_ROWS", 5)
    assert units.MAX_ROWS == 250_000
    read(own_job, csv_of(3))
    assert read(own_job, csv_of(2, first=10)).state == UploadState.READY
    upload = read(own_job, csv_of(1, first=20))
    assert upload.refusal == (
        "With this file the job would have 6 rows; at most 5 are possible. It has 5 now. "
        "Upload a part of the file, or make another job for it."
    )
    golden = GOLDEN.replace(",1,,,,", ",1,true,boots,,").replace(",No,", ",true,")
    assert counts(read(own_job, golden)) == (5, 0, 5, 0)


def test_rows_that_are_just_coming_count_too(own_job, monkeypatch) -> None:
    monkeypatch.setattr(ingest, "MAX_ROWS", 5)
    monkeypatch.setattr(reading, "BATCH", 2)
    first = receive(own_job, csv_of(3))
    assert ingest.read_rows(upload=first, seconds=0) is True
    assert Unit.objects.count() == 2
    assert read(own_job, csv_of(3, first=10)).refusal.startswith("With this file the job would have 6 rows;")
    assert read(own_job, csv_of(2, first=20)).state == UploadState.READY
    ingest.read_rows(upload=first)
    assert Unit.objects.count() == 5


def test_a_canceled_job_takes_no_file(own_job) -> None:
    Job.objects.filter(pk=own_job.pk).update(state="canceled")
    own_job.refresh_from_db()
    with pytest.raises(Refused, match=r"^The job is canceled. Upload the rows to another job.$"):
        receive(own_job, csv_of(1))


def test_a_job_that_a_launched_workflow_uses_takes_test_questions_only(running_job) -> None:
    header = "image_url,_golden,image_category_gold\n"
    golden = read(running_job, f"{header}https://p.example/1.jpg,true,boots\n")
    assert counts(golden) == (1, 0, 1, 0)
    mixed = read(running_job, f"{header}https://p.example/2.jpg,true,boots\nhttps://p.example/3.jpg,,\n")
    assert mixed.refusal == (
        "A launched workflow sends this job its rows, so only test questions can be uploaded here: lines with _golden "
        "true. Line 3 is a row."
    )
    assert TestQuestion.objects.count() == 1


# --- columns -----------------------------------------------------------------------------------------


DIFFER = (
    "The columns differ from those of the job's rows (missing: sku; new: colour_code). Correct the first line of the "
    "file, or tick “Add although the columns differ” and upload it again."
)
OTHER = "image_url,colour_code\nhttps://p.example/9.jpg,red\n"


def test_other_columns_are_refused_at_once_unless_forced(own_job) -> None:
    read(own_job, csv_of(1))
    with pytest.raises(Refused) as refused:
        receive(own_job, OTHER)
    assert (refused.value.message, refused.value.code) == (DIFFER, "columns_differ")
    assert JobUpload.objects.count() == 1
    upload = read(own_job, OTHER, forced=True)
    assert (upload.state, Unit.objects.count()) == (UploadState.READY, 2)


def test_the_order_of_columns_does_not_matter(own_job) -> None:
    read(own_job, csv_of(1))
    assert read(own_job, "sku,image_url\n7,https://p.example/7.jpg\n").state == UploadState.READY


def test_test_questions_may_have_fewer_columns_but_rows_among_them_not(own_job) -> None:
    read(own_job, csv_of(1))
    header = "image_url,colour_code,_golden,category_gold\n"
    assert counts(read(own_job, f"{header}https://p.example/1.jpg,red,true,boots\n")) == (1, 0, 1, 0)
    assert read(own_job, f"{header}https://p.example/2.jpg,red,,\n").refusal == DIFFER
    assert services.source_columns(job=own_job) == ["image_url", "sku"]


def test_rows_that_came_otherwise_have_columns_too(own_job, owner) -> None:
    read(own_job, csv_of(1))
    copy = services.copy_job(job=own_job, actor=owner, rows=True)
    assert services.source_columns(job=copy) == ["image_url", "sku"]
    with pytest.raises(Refused):
        receive(copy, OTHER)


# --- the same file again -----------------------------------------------------------------------------


def test_the_same_file_again_waits_for_a_decision(own_job, owner) -> None:
    first = read(own_job, csv_of(2))
    again = read(own_job, csv_of(2))
    assert (again.held, again.duplicate_of, again.state) == (True, first, UploadState.RECEIVED)
    assert services.find_unread() == []
    services.confirm_upload(upload=again, actor=owner)
    assert services.find_unread() == [(own_job.team_id, again.pk)]
    services.confirm_upload(upload=again, actor=owner)
    ingest.read_rows(upload=again)
    assert Unit.objects.count() == 4
    assert Activity.objects.filter(verb="repeated file accepted").count() == 1


def test_a_held_file_can_be_thrown_away(own_job, owner) -> None:
    first = read(own_job, csv_of(2))
    again = read(own_job, csv_of(2))
    services.discard_upload(upload=again, actor=owner)
    assert JobUpload.objects.get() == first
    with pytest.raises(Refused, match=r"^This file is in the job already.$"):
        services.discard_upload(upload=first, actor=owner)


def test_a_refused_file_may_come_again(own_job) -> None:
    assert read(own_job, "image_url,sku\n").state == UploadState.REFUSED
    assert read(own_job, "image_url,sku\n").held is False


# --- readers that die, and readers that come twice ---------------------------------------------------


def test_reading_goes_on_where_it_stopped(own_job, owner, monkeypatch) -> None:
    """A time budget of 0 ends each call after one batch, like a worker that dies between two."""
    monkeypatch.setattr(reading, "BATCH", 2)
    upload = receive(own_job, GOLDEN, owner)
    seen = []
    while ingest.read_rows(upload=upload, seconds=0):
        upload.refresh_from_db()
        seen.append((upload.state, upload.last_line, Unit.objects.count()))
    assert seen == [("reading", 3, 2), ("reading", 6, 4)]
    upload.refresh_from_db()
    assert (upload.state, upload.rows_read, counts(upload)) == (UploadState.READY, 5, (5, 2, 3, 0))
    assert sorted(lines(own_job)) == sorted(
        [f"upload:{upload.pk}:{line}" for line in (2, 6)] + [f"gold:upload:{upload.pk}:{line}" for line in (3, 5, 7)]
    )


def test_a_batch_that_fails_leaves_nothing_of_itself(own_job, monkeypatch) -> None:
    monkeypatch.setattr(reading, "BATCH", 2)
    upload = receive(own_job, GOLDEN)
    assert ingest.read_rows(upload=upload, seconds=0) is True

    def broken(**_: object) -> int:
        raise RuntimeError("the worker dies")

    with monkeypatch.context() as patch:
        patch.setattr(ingest, "add_golds", broken)
        with pytest.raises(RuntimeError):
            ingest.read_rows(upload=upload)
    JobUpload.objects.update(lease_until=None)
    assert Unit.objects.count() == 2
    assert services.find_unread() == [(own_job.team_id, upload.pk)]
    ingest.read_rows(upload=upload)
    assert (Unit.objects.count(), TestQuestion.objects.count()) == (5, 3)


def test_a_message_that_comes_twice_adds_nothing(own_job) -> None:
    upload = read(own_job, GOLDEN)
    assert ingest.read_rows(upload=upload) is False
    JobUpload.objects.update(state=UploadState.RECEIVED, last_line=0)
    ingest.read_rows(upload=upload)
    assert (Unit.objects.count(), TestQuestion.objects.count()) == (5, 3)


def test_a_reader_that_was_superseded_changes_nothing(own_job) -> None:
    upload = receive(own_job, csv_of(3))
    late = reading.Reading(upload, token=0, until=0)
    JobUpload.objects.update(state=UploadState.READING, token=1)
    row = ingest.NewRow(2, services.NewUnit(f"upload:{upload.pk}:2", "https://p.example/1.jpg", {}))
    with pytest.raises(reading.Superseded):
        reading.add_batch(late, [row], add=lambda batch: ingest.add_rows(upload, batch), rows_read=1)
    assert Unit.objects.count() == 0


def test_two_readers_do_not_read_at_once(own_job, settings) -> None:
    upload = receive(own_job, csv_of(3))
    assert reading._take(upload, 0) is not None
    assert ingest.read_rows(upload=JobUpload.objects.get()) is False
    assert Unit.objects.count() == 0


def test_a_reader_that_never_gets_on_gives_up(own_job) -> None:
    upload = receive(own_job, csv_of(3))
    JobUpload.objects.update(attempts=reading.MAX_ATTEMPTS)
    ingest.read_rows(upload=upload)
    upload.refresh_from_db()
    assert upload.refusal == (
        "Reading this file was started 5 times and never got on. Ask your Customer Success Manager."
    )


# --- all problems ------------------------------------------------------------------------------------


def test_all_problems_are_found_again_when_not_all_were_kept(own_job, monkeypatch) -> None:
    monkeypatch.setattr(reading, "MAX_PROBLEMS_KEPT", 2)
    monkeypatch.setattr(ingest, "MAX_PROBLEMS_KEPT", 2)
    upload = read(own_job, "image_url,sku\n" + "no address,1\n" * 5)
    assert (len(upload.problems), upload.rows_bad) == (2, 5)
    assert [problem.line for problem in ingest.all_problems(upload)] == [2, 3, 4, 5, 6]
    storage.delete_file(upload.file)
    with pytest.raises(FileNotFoundError):
        list(ingest.all_problems(upload))


def test_problems_by_a_design_that_no_longer_fits(own_job, monkeypatch) -> None:
    monkeypatch.setattr(reading, "MAX_PROBLEMS_KEPT", 1)
    monkeypatch.setattr(ingest, "MAX_PROBLEMS_KEPT", 1)
    upload = read(own_job, "image_url,sku\nno address,1\n")
    Job.objects.filter(pk=own_job.pk).update(cml="<p>{{words}}</p>")
    upload.refresh_from_db()
    with pytest.raises(CsvRefused):
        list(ingest.all_problems(upload))


# --- tasks -------------------------------------------------------------------------------------------


def test_the_task_reads_a_file_and_ignores_one_that_is_gone(own_job) -> None:
    upload = receive(own_job, csv_of(2))
    tasks.read_rows(team_id=own_job.team_id, upload_id=upload.pk)
    tasks.read_rows(team_id=own_job.team_id, upload_id=upload.pk + 1)
    assert Unit.objects.count() == 2


def test_a_file_that_takes_longer_goes_to_the_end_of_the_queue(own_job, monkeypatch) -> None:
    sent: list[dict] = []
    monkeypatch.setattr(tasks.ingest, "read_rows", lambda upload: True)
    monkeypatch.setattr(tasks.read_rows, "delay", lambda **kwargs: sent.append(kwargs))
    upload = receive(own_job, csv_of(2))
    tasks.read_rows(team_id=own_job.team_id, upload_id=upload.pk)
    assert sent == [{"team_id": own_job.team_id, "upload_id": upload.pk}]


def test_the_sweep_sends_lost_messages_again(own_job, monkeypatch) -> None:
    sent: list[dict] = []
    monkeypatch.setattr(tasks.read_rows, "apply_async", lambda kwargs, expires: sent.append(kwargs))
    upload = receive(own_job, csv_of(2))
    tasks.sweep()
    assert sent == [{"team_id": own_job.team_id, "upload_id": upload.pk}]
