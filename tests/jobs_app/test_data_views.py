"""The Data tab: uploads, rows, the page of one row, sample files."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta
from html import unescape
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from jobs_app import ingest, services
from jobs_app.browsing import neighbours
from jobs_app.design import parse_design
from jobs_app.models import Contributor, Job, JobUpload, Judgment, Unit
from jobs_app.rows import duration, result_views
from jobs_app.services import submit_page, take_page
from labeling_platform.lib import reading, storage

from .test_ingest import DIFFER, GOLDEN, OTHER, csv_of, own_job, read, receive

__all__ = ["own_job"]


@pytest.fixture
def at(team):
    return lambda name, *args: reverse(f"jobs:{name}", args=[team.slug, *args])


@pytest.fixture
def browser(client_for, mate):
    return client_for(mate)


def text_of(answer) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())).split()).replace(" ,", ",")


def send(browser, at, job: Job, content: str, **more):
    file = SimpleUploadedFile("mine.csv", content.encode(), "text/csv")
    return browser.post(at("upload", job.pk), {"file": file, **more})


def htmx(browser, url: str, target: str, **query):
    return browser.get(url, query, headers={"HX-Request": "true", "HX-Target": target})


def judge(job: Job, user, *values: str, **more: str) -> None:
    """Let a person answer as many rows as there are values, one a page."""
    for value in values:
        page = take_page(job=job, user=user)
        unit = page.unit_ids[0]
        given = {f"u{unit}-category": [value]} | {f"u{unit}-{name}": [text] for name, text in more.items()}
        submit_page(page=page, user=user, submitted=given)


@pytest.fixture
def judged(own_job, contributor, second_contributor) -> Job:
    """Three rows with two judgments each: agreed boots, a tie, agreed sandals; and one that nobody has answered."""
    Job.objects.filter(pk=own_job.pk).update(judgments_per_unit=2, auto_launch=True, state="running")
    own_job.refresh_from_db()
    read(own_job, csv_of(3))
    judge(own_job, contributor, "boots", "boots", "sandals", colour="red")
    judge(own_job, second_contributor, "boots", "sandals", "sandals")
    read(own_job, csv_of(1, first=9))
    own_job.refresh_from_db()
    return own_job


def row_numbers(page: str) -> list[int]:
    return [int(number) for number in re.findall(r">Row (\d+)<", page)]


# --- uploading ---------------------------------------------------------------------------------------


def test_an_empty_job_says_what_to_do(browser, at, own_job) -> None:
    page = browser.get(at("data", own_job.pk))
    assert "Upload a CSV with a line for each row that people shall answer" in text_of(page)
    assert '<details class="card fold" open>' in page.content.decode()
    assert "A CSV in UTF-8 with the column image_url." in text_of(page)


def test_a_file_is_taken_and_its_way_can_be_seen(browser, at, own_job) -> None:
    assert send(browser, at, own_job, GOLDEN)["Location"] == at("data", own_job.pk)
    upload = JobUpload.objects.get()
    polled = htmx(browser, at("data", own_job.pk), "uploads")
    assert 'hx-trigger="every 2s"' in polled.content.decode()
    assert "Checking the file" in text_of(polled)
    assert "HX-Trigger" not in polled
    ingest.read_rows(upload=upload)
    polled = htmx(browser, at("data", own_job.pk), "uploads")
    assert "2 rows added, 3 test questions made." in text_of(polled)
    assert (polled["HX-Trigger"], "every 2s" in polled.content.decode()) == ("rows-changed", False)
    assert len(row_numbers(browser.get(at("data", own_job.pk)).content.decode())) == 2


def test_no_file_is_said_at_the_field(browser, at, own_job) -> None:
    answer = browser.post(at("upload", own_job.pk))
    assert (answer.status_code, "Choose a CSV file first." in text_of(answer)) == (422, True)


def test_other_columns_are_said_at_the_field_and_can_be_forced(browser, at, own_job) -> None:
    read(own_job, csv_of(1))
    answer = send(browser, at, own_job, OTHER)
    assert (answer.status_code, DIFFER in text_of(answer)) == (422, True)
    assert "Add although the columns differ" in text_of(answer)
    assert send(browser, at, own_job, OTHER, forced="on").status_code == 302
    assert JobUpload.objects.latest("pk").forced is True


def test_a_canceled_job_has_no_upload(browser, at, own_job) -> None:
    Job.objects.filter(pk=own_job.pk).update(state="canceled")
    page = browser.get(at("data", own_job.pk))
    assert "The job is canceled. Upload the rows to another job." in text_of(page)
    assert "dropzone" not in page.content.decode()
    assert send(browser, at, own_job, GOLDEN).status_code == 422


def test_a_repeated_file_waits_and_can_be_added_or_thrown_away(browser, at, own_job) -> None:
    read(own_job, csv_of(2))
    page = browser.post(
        at("upload", own_job.pk), {"file": SimpleUploadedFile("b.csv", csv_of(2).encode())}, follow=True
    )
    assert "This job has seen this file before." in text_of(page)
    assert "This is the same file as “rows.csv” of" in text_of(page)
    assert "every 2s" not in page.content.decode()
    held = JobUpload.objects.latest("pk")
    assert "Decide on the Data tab what to do with it." in text_of(
        browser.get(at("upload_detail", own_job.pk, held.pk))
    )
    assert browser.post(at("upload_confirm", own_job.pk, held.pk)).status_code == 302
    page = browser.post(at("upload_discard", own_job.pk, held.pk), follow=True)
    assert "This file is in the job already." in text_of(page)
    again = receive(own_job, csv_of(2))
    page = browser.post(at("upload_discard", own_job.pk, again.pk), follow=True)
    assert "The repeated file was thrown away." in text_of(page)


def test_a_viewer_sees_the_files_but_adds_none(client_for, viewer, at, own_job) -> None:
    read(own_job, csv_of(2))
    page = client_for(viewer).get(at("data", own_job.pk))
    assert "2 rows added." in text_of(page)
    assert "dropzone" not in page.content.decode()


def test_many_files_are_folded_away(browser, at, own_job) -> None:
    for number in range(5):
        read(own_job, csv_of(1, first=number))
    assert "2 earlier files" in text_of(browser.get(at("data", own_job.pk)))


# --- one file ----------------------------------------------------------------------------------------


def test_the_report_of_a_file_says_what_became_of_it(browser, at, own_job) -> None:
    upload = read(own_job, GOLDEN + "not an address,6,,,,\nhttps://p.example/7.jpg,7,true,shoes,,\n")
    page = browser.get(at("upload_detail", own_job.pk, upload.pk))
    text = text_of(page)
    for figure in ("Lines in the file 7", "Rows added 2", "Test questions made 3", "Lines left out 2"):
        assert figure in text
    assert "“shoes” is not one of the answers: boots, sandals." in text
    answer = browser.get(at("upload_problems", own_job.pk, upload.pk))
    assert list(csv.reader(io.StringIO(answer.getvalue().decode()))) == [
        ["line", "column", "problem"],
        ["8", "image_url", "Line 8: The URL contains a space, a backslash or a control character."],
        ["9", "category_gold", "Line 9: “shoes” is not one of the answers: boots, sandals."],
    ]


def test_the_file_comes_back_as_it_was(browser, at, own_job) -> None:
    upload = read(own_job, GOLDEN)
    answer = browser.get(at("upload_file", own_job.pk, upload.pk))
    assert b"".join(answer.streaming_content) == GOLDEN.encode()
    assert answer["Content-Disposition"] == 'attachment; filename="rows.csv"'
    storage.delete_file(upload.file)
    assert browser.get(at("upload_file", own_job.pk, upload.pk)).status_code == 404


def test_the_kept_problems_are_given_when_the_file_is_gone(browser, at, own_job, monkeypatch) -> None:
    monkeypatch.setattr(reading, "MAX_PROBLEMS_KEPT", 1)
    monkeypatch.setattr(ingest, "MAX_PROBLEMS_KEPT", 1)
    upload = read(own_job, "image_url\nno address\nno address\n")
    at_problems = at("upload_problems", own_job.pk, upload.pk)
    assert browser.get(at_problems).getvalue().decode().count("Line ") == 2
    storage.delete_file(upload.file)
    assert browser.get(at_problems).getvalue().decode().count("Line ") == 1


def test_a_refused_file_says_why(browser, at, own_job) -> None:
    upload = read(own_job, "picture\nx\n")
    says = "Line 1: the column image_url is missing (found: picture)."
    assert says in text_of(browser.get(at("data", own_job.pk)))
    page = text_of(browser.get(at("upload_detail", own_job.pk, upload.pk)))
    assert says in page
    assert "This file could not be used. Nothing of it was added." in page


# --- sample files ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "counts"), [("rows", (4, 4, 0, 0)), ("golds", (4, 2, 2, 0))])
def test_the_sample_of_a_design_can_be_uploaded(browser, at, own_job, kind, counts) -> None:
    content = browser.get(at("sample", own_job.pk, kind)).content.decode()
    upload = read(own_job, content)
    assert (upload.refusal, upload.problems) == ("", [])
    assert (upload.rows_total, upload.rows_ok, upload.rows_golden, upload.rows_bad) == counts
    header = ["image_url", "sku"]
    golds = ["_golden", "category_gold", "category_gold_reason", "colour_gold", "colour_gold_reason"]
    assert upload.columns == header + (golds if kind == "golds" else [])


def test_the_sample_has_the_columns_of_the_rows_that_are_there(browser, at, own_job) -> None:
    read(own_job, "price,image_url\n1,https://p.example/1.jpg\n")
    assert browser.get(at("sample", own_job.pk, "rows")).content.decode().splitlines()[0] == "price,image_url"


def test_there_is_no_other_sample(browser, at, own_job) -> None:
    assert browser.get(at("sample", own_job.pk, "more")).status_code == 404
    Job.objects.filter(pk=own_job.pk).update(cml='<cml:text label="Note" gold="false"/>')
    assert browser.get(at("sample", own_job.pk, "golds")).status_code == 404


# --- the rows ----------------------------------------------------------------------------------------


def test_the_rows_cost_the_same_for_one_and_three(browser, at, own_job) -> None:
    def queries(**query: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            browser.get(at("data", own_job.pk), query)
        return len(captured)

    read(own_job, csv_of(1))
    queries()
    one = [queries(), queries(view="table"), queries(order="agreement")]
    read(own_job, csv_of(2, first=5))
    assert [queries(), queries(view="table"), queries(order="agreement")] == one


def test_rows_as_pictures_and_as_a_table(browser, at, judged) -> None:
    newest = list(Unit.objects.order_by("-pk").values_list("pk", flat=True))
    assert row_numbers(browser.get(at("data", judged.pk)).content.decode()) == newest
    table = browser.get(at("data", judged.pk), {"view": "table"})
    assert text_of(table).count("Finalized") == 1 + 3  # the choice of the filter, and the rows
    assert "SKU-9" in text_of(table)
    assert 'value="table" checked' in table.content.decode()
    assert "boots 100%" in text_of(table)


@pytest.mark.parametrize(
    ("query", "places"),
    [
        ({"state": "finalized"}, [2, 1, 0]),
        ({"state": "judgable"}, [3]),
        ({"state": "nonsense"}, [3, 2, 1, 0]),
        ({"answer": "category=sandals"}, [2]),
        ({"answer": "category=boots"}, [1, 0]),
        ({"answer": "category=boots", "order": "agreement"}, [1, 0]),
        ({"order": "agreement"}, [1, 0, 2]),
        ({"row": "0"}, []),
        ({"row": "abc"}, []),
        ({"row": "9" * 25}, []),
    ],
)
def test_rows_are_filtered_and_ordered(browser, at, judged, query, places) -> None:
    """The four rows from old to new: boots, a tie, sandals, not answered."""
    rows = list(Unit.objects.order_by("pk").values_list("pk", flat=True))
    found = row_numbers(htmx(browser, at("data", judged.pk), "rows", **query).content.decode())
    assert found == [rows[place] for place in places]


def test_a_row_is_found_by_its_number(browser, at, judged) -> None:
    second = Unit.objects.order_by("pk")[1].pk
    assert row_numbers(browser.get(at("data", judged.pk), {"row": f"#{second} "}).content.decode()) == [second]
    assert "No row has this number" in text_of(browser.get(at("data", judged.pk), {"row": "x"}))


def test_an_empty_filter_says_what_to_do(browser, at, own_job) -> None:
    read(own_job, csv_of(1))
    assert "No row fits the filter" in text_of(browser.get(at("data", own_job.pk), {"state": "finalized"}))
    page = browser.get(at("data", own_job.pk), {"order": "agreement"})
    assert "Only rows that people have answered have an agreement." in text_of(page)


def key_in(page: str, name: str) -> dict[str, str]:
    """The key in the page's link to the next (after) or previous (before) rows; empty when there is no such link."""
    links = [dict(parse_qsl(urlsplit(unescape(link)).query)) for link in re.findall(r'<a [^>]*href="([^"]*)"', page)]
    return next(({name: link[name]} for link in links if name in link), {})


def walk(browser, url: str, **query: str) -> list[list[int]]:
    """The rows of all pages, forwards; and that the way back leads over the same pages."""
    page = browser.get(url, query).content.decode()
    pages = [row_numbers(page)]
    while key := key_in(page, "after"):
        page = browser.get(url, query | key).content.decode()
        pages.append(row_numbers(page))
        assert len(pages) < 10
    for expected in reversed(pages[:-1]):
        page = browser.get(url, query | key_in(page, "before")).content.decode()
        assert row_numbers(page) == expected
    assert key_in(page, "before") == {}
    return pages


@pytest.mark.parametrize("order", ["newest", "agreement"])
def test_every_order_is_paged_by_key(browser, at, own_job, monkeypatch, order) -> None:
    monkeypatch.setattr("jobs_app.data_views.ROWS_PER_PAGE", 3)
    read(own_job, csv_of(8))
    rows = list(Unit.objects.order_by("pk"))
    for unit, share in zip(rows, [1.0, 1 / 3, 1.0, 2 / 3, 1 / 3, 1.0, 1.0, 0.1], strict=True):
        Unit.objects.filter(pk=unit.pk).update(state="finalized", agreement=share)
    ids = [unit.pk for unit in rows]
    expected = {
        "newest": ids[::-1],
        "agreement": [ids[place] for place in (7, 1, 4, 3, 0, 2, 5, 6)],
    }[order]
    pages = walk(browser, at("data", own_job.pk), order=order)
    assert [number for page in pages for number in page] == expected
    assert [len(page) for page in pages] == [3, 3, 2]


@pytest.mark.parametrize("key", ["x", "nan~1", "0.5", "0.5~x", "~", "9" * 30])
def test_a_key_that_is_none_shows_the_rows(browser, at, judged, key) -> None:
    for order in ("newest", "agreement"):
        assert browser.get(at("data", judged.pk), {"order": order, "after": key}).status_code == 200


def test_test_questions_are_no_rows(browser, at, own_job) -> None:
    read(own_job, GOLDEN)
    assert len(row_numbers(browser.get(at("data", own_job.pk)).content.decode())) == 2
    assert htmx(browser, at("data", own_job.pk), "rows", state="golden").content.decode().count("<figure") == 2


# --- one row -----------------------------------------------------------------------------------------


def test_the_page_of_a_row_shows_everything(browser, at, judged, contributor) -> None:
    tie = Unit.objects.order_by("pk")[1]
    Contributor.objects.filter(user=contributor).update(trust=0.75)
    Judgment.objects.filter(unit=tie, contributor__user=contributor).update(tainted=True)
    text = text_of(browser.get(at("unit", judged.pk, tie.pk)))
    assert f"Row {tie.pk} Finalized" in text
    assert "image_url https://pictures.example/2.jpg sku SKU-2" in text
    assert "Came from rows.csv, line 3" in text
    assert "boots confidence 50.0% boots 50.0% sandals 50.0%" in text
    assert "Colour red Note Nobody had to answer this question." in text
    assert "Contributor" in text
    assert "does not count Category boots Colour red 75.0% then 100.0%" in text
    assert "Second" in text
    assert "The model said" not in text


def test_the_neighbours_of_a_row(browser, at, judged) -> None:
    first, second, *_, last = Unit.objects.order_by("pk")
    assert neighbours(first) == (None, second.pk)
    assert neighbours(second)[0] == first.pk
    assert neighbours(last)[1] is None
    page = browser.get(at("unit", judged.pk, second.pk)).content.decode()
    assert f'rel="prev" href="{at("unit", judged.pk, first.pk)}"' in page


def test_a_new_row_says_what_comes_next(browser, at, own_job) -> None:
    read(own_job, csv_of(1))
    unit = Unit.objects.get()
    page = browser.get(at("unit", own_job.pk, unit.pk))
    assert f'href="{at("gold_row", own_job.pk)}?unit={unit.pk}"' in page.content.decode()
    text = text_of(page)
    assert "The row is not launched yet." in text
    assert "Nobody has answered this row yet." in text


def test_the_machine_label_stands_beside_the_peoples_answer(browser, at, running_job, contributor) -> None:
    machine = {"label": "sneakers", "confidence": 0.61}
    item = services.NewUnit("workflow-row:1", "https://p.example/1.jpg", {"image_url": "x"}, machine)
    unit_id = services.add_units(job=running_job, items=[item])["workflow-row:1"]
    url = at("unit", running_job.pk, unit_id)
    assert "The model said sneakers 61.0% People say nothing yet" in text_of(browser.get(url))
    page = take_page(job=running_job, user=contributor)
    submit_page(page=page, user=contributor, submitted={f"u{unit_id}-image_category": ["boots"]})
    text = text_of(browser.get(url))
    assert "The model said sneakers 61.0% People say boots 100.0% Different" in text
    assert "Came from workflow-row:1" in text


def test_a_test_question_has_a_page_too(browser, at, own_job) -> None:
    read(own_job, GOLDEN)
    first, second, _ = Unit.objects.filter(state="golden").order_by("pk")
    text = text_of(browser.get(at("unit", own_job.pk, first.pk)))
    assert f"Test question {first.pk}" in text
    assert "Category boots" in text
    assert "Colour red, blue" in text
    assert "It covers the ankle." in text
    assert "Withdraw" not in text
    assert neighbours(first) == (None, second.pk)


def test_the_page_of_a_row_costs_the_same_for_one_and_three_judgments(browser, at, judged, contributor) -> None:
    unit = Unit.objects.order_by("pk")[0]

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            browser.get(at("unit", judged.pk, unit.pk))
        return len(captured)

    queries()
    two = queries()
    Judgment.objects.filter(unit=unit).first().delete()
    assert queries() == two


def test_a_row_is_withdrawn(browser, at, own_job) -> None:
    read(own_job, csv_of(1))
    unit = Unit.objects.get()
    assert "Withdraw the row" in text_of(browser.get(at("unit", own_job.pk, unit.pk)))
    page = browser.post(at("unit_withdraw", own_job.pk, unit.pk), follow=True)
    assert "The row is withdrawn. Nobody will be asked about it." in text_of(page)
    unit.refresh_from_db()
    assert unit.state == "canceled"
    assert "Withdraw the row" not in text_of(page)


def test_an_answered_row_is_not_withdrawn(browser, at, judged) -> None:
    unit = Unit.objects.order_by("pk")[0]
    page = browser.post(at("unit_withdraw", judged.pk, unit.pk), follow=True)
    assert "Only rows that nobody has answered or is answering can be withdrawn." in text_of(page)


def test_a_row_of_another_job_is_not_found(browser, at, judged, owner) -> None:
    copy = services.copy_job(job=judged, actor=owner)
    unit = Unit.objects.filter(job=judged).first()
    assert browser.get(at("unit", copy.pk, unit.pk)).status_code == 404


def test_results_of_questions_that_are_gone_are_kept(browser, at, judged) -> None:
    Job.objects.filter(pk=judged.pk).update(cml='<cml:text label="New"/>')
    text = text_of(browser.get(at("unit", judged.pk, Unit.objects.order_by("pk")[0].pk)))
    assert "category boots confidence 100.0%" in text


def test_the_winner_of_a_tie_stands_first() -> None:
    result = {"method": "agg", "answers": ["b"], "confidence": 0.5, "shares": {"a": 0.5, "b": 0.5}}
    (view,) = result_views(parse_design(""), {"kind": result})
    assert (view.label, view.answer, view.shares) == ("kind", "b", [("b", 0.5), ("a", 0.5)])


@pytest.mark.parametrize(
    ("seconds", "words"), [(-1, "0 s"), (8.4, "8 s"), (60, "1 min"), (125, "2 min 5 s"), (3780, "1 h 3 min")]
)
def test_durations_in_words(seconds, words) -> None:
    assert duration(timedelta(seconds=seconds)) == words
