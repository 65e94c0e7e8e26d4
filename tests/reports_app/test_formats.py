"""The formats of a workflow's report: the same cells in each, whole in the storage or not there at all."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterable, Iterator

import pytest
from django.core.files.storage import default_storage
from django.db import connection
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from psycopg2 import sql

from labeling_platform.lib import storage
from labeling_platform.lib.errors import Refused
from reports_app import services
from reports_app.kinds import FORMATS, choose_options
from reports_app.models import Report
from reports_app.services import building
from reports_app.services.copying import keep_order
from reports_app.services.lines import SHARE_PLACES, decimal, rounded
from reports_app.services.streaming import BUFFER, stored
from reports_app.services.workflow_lines import workflow_lines
from reports_app.states import ReportKind, ReportState
from tests.reports_app.test_services import finalize
from tests.workflows_app.conftest import scored, upload_csv
from workflows_app import services as workflows
from workflows_app.models import Workflow, WorkflowRow


def built(workflow: Workflow, **options: object) -> Report:
    report = services.request_report(workflow=workflow, actor=None, options=options)
    assert services.build_report(report=report) is True
    report.refresh_from_db()
    return report


def content(report: Report) -> bytes:
    data = storage.read_bytes(report.file)
    assert len(data) == report.size
    return gzip.decompress(data) if report.file.endswith(".gz") else data


def lines_of(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode())))


@pytest.fixture
def mixed(running, owner):
    """Rows of three uploads with different columns, some answered by the model or by people; a quote and a formula."""
    upload_csv(running, 'shop,image_url,note\n"A ""B"", ü",https://p.example/1.jpg,=1+1\n', owner, name="second.csv")
    upload_csv(running, "image_url,sku\nnowhere,\n", owner, name="third.csv")
    first, second, third, *_ = workflows.claim_rows(workflow=running, limit=9)
    answers = [(first, scored(boots=0.9)), (second, scored(boots=0.123456)), (third, scored(boots=1.0))]
    workflows.finish_rows(workflow=running, results=answers)
    finalize(WorkflowRow.objects.get(pk=second.row_id), sneakers=2 / 3, boots=1 / 3)
    return running


def test_json_lines_hold_the_cells_of_the_csv(mixed):
    header, *rows = lines_of(content(built(mixed, safe_cells=False)))
    objects = [json.loads(line) for line in content(built(mixed, format="jsonl")).splitlines()]
    assert [list(each) for each in objects] == [header] * 5
    for each, row in zip(objects, rows, strict=True):
        assert {type(each[name]) for name in ("error", "completed")} == {bool}
        texts = {True: "true", False: "false", None: ""}
        assert [texts[value] if value is None or value is True or value is False else str(value)
                for value in each.values()] == row  # fmt: skip
    assert objects[1]["human_label:sneakers"] == 0.666667
    assert [each["file"] for each in objects] == ["new.csv"] * 3 + ["second.csv", "third.csv"]
    assert [each["shop"] for each in objects] == [None] * 3 + ['A "B", ü', None]
    assert objects[3]["note"] == "=1+1"


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_gzipped_is_the_same_packed(mixed, form):
    assert content(built(mixed, format=f"{form}.gz")) == content(built(mixed, format=form))


def test_more_columns_than_a_function_takes_arguments(running, owner):
    names = [f"column {number}" for number in range(120)]
    upload_csv(running, f"image_url,{','.join(names)}\nhttps://p.example/1.jpg,{','.join(names)}\n", owner)
    *_, last = [json.loads(line) for line in content(built(running, format="jsonl")).splitlines()]
    assert [last[name] for name in names] == names


def test_a_file_has_the_end_and_type_of_its_format(running):
    for form in FORMATS:
        report = services.request_report(workflow=running, actor=None, options={"format": form})
        assert services.file_name(report) == f"shoes-report-{report.pk}.{form}"
        assert report.remarks == ([] if form == "csv" else [FORMATS[form]])
        assert services.media_type(report) == {
            "csv": "text/csv; charset=utf-8",
            "jsonl": "application/jsonl; charset=utf-8",
        }.get(form, "application/gzip")


def test_reports_from_before_there_were_formats_are_csv(running):
    report = services.request_report(workflow=running, actor=None)
    report.options = {"only_final": False, "diagnostics": True, "safe_cells": True}
    report.save(update_fields=["options"])
    assert services.build_report(report=report) is True
    report.refresh_from_db()
    assert lines_of(content(report))[0][:2] == ["image_url", "sku"]
    assert (services.file_name(report).rpartition(".")[2], report.remarks) == ("csv", [])


def test_refuses_a_format_that_does_not_exist(running):
    with pytest.raises(Refused) as refused:
        services.request_report(workflow=running, actor=None, options={"format": "xlsx"})
    assert refused.value.code == "bad_option"


def test_cells_of_json_stay_as_they_came():
    assert choose_options(ReportKind.WORKFLOW, {"format": "jsonl", "safe_cells": True})["safe_cells"] is False


SHARES = st.floats(0, 1) | st.integers(0, 2_000_000).map(lambda number: number / 2_000_000)


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shares=st.lists(SHARES, min_size=40, max_size=40))
@example(shares=[0.0, -0.0, 1.0, 5e-324, 0.0001, 0.00009999, 0.0000005, 0.9999995, 0.999999, 0.9999994, 0.1234565,
                 0.12345649999999999, 0.30000000000000004, 2 / 3, 0.5])  # fmt: skip
def test_shares_are_written_as_decimals_always_were(db, shares):
    quick, slow = rounded(sql.SQL("x")), decimal(sql.SQL("x"), SHARE_PLACES)
    with connection.cursor() as cursor:
        query = sql.SQL("SELECT x, {}, {} FROM unnest(%s::float8[]) AS x").format(quick, slow)
        cursor.execute(query.as_string(cursor.cursor), [shares])
        assert [each for each in cursor.fetchall() if each[1] != each[2]] == []


def test_the_number_of_rows_comes_from_the_tallies(mixed, django_assert_num_queries):
    lines = workflow_lines(services.request_report(workflow=mixed, actor=None))
    with django_assert_num_queries(0):
        assert building._count(lines) == 5


def test_no_row_is_sorted(mixed):
    report = services.request_report(workflow=mixed, actor=None)
    keep_order()
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN " + workflow_lines(report).query(safe=True).as_string(cursor.cursor))
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "row_in_order" in plan
    assert "Sort" not in plan


# --- into the storage ---------------------------------------------------------------------------------


@pytest.mark.parametrize("gzipped", [False, True])
def test_what_is_written_is_stored_as_it_comes(gzipped):
    piece = bytes(range(256)) * 1024
    with stored("t/1/reports/a.bin", gzipped=gzipped) as out:
        for _ in range(20):
            out.file.write(piece)
    data = storage.read_bytes(out.name)
    assert out.size == len(data)
    assert (gzip.decompress(data) if gzipped else data) == piece * 20


def write(name: str, pieces: Iterable[bytes]) -> None:
    with stored(name) as out:
        out.file.writelines(pieces)


def failing() -> Iterator[bytes]:
    yield b"x" * BUFFER * 3
    raise KeyError


def test_nothing_is_stored_when_the_writer_fails():
    with pytest.raises(KeyError):
        write("t/1/reports/b.bin", failing())
    assert default_storage.listdir("t/1/reports")[1] == []


def test_a_storage_that_fails_ends_the_writing(monkeypatch):
    def full(name, content):
        content.read(10)
        raise OSError("no space left")

    monkeypatch.setattr(default_storage, "save", full)
    with pytest.raises(OSError, match="no space left"):
        write("t/1/reports/c.bin", [b"x" * BUFFER] * 50)


def test_a_report_that_could_not_be_stored_is_tried_again(running, monkeypatch):
    report = services.request_report(workflow=running, actor=None)
    with monkeypatch.context() as patched:
        patched.setattr(default_storage, "save", lambda name, content: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            services.build_report(report=report)
    report.refresh_from_db()
    assert report.state == ReportState.BUILDING
    Report.objects.update(lease_until="2020-01-01T00:00Z")
    assert services.build_report(report=report) is True
