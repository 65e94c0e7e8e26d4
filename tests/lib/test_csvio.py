"""Reading strictly, writing safely."""

from __future__ import annotations

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling_platform.lib import csvio
from labeling_platform.lib.csvio import CsvLimits, CsvProblem, CsvRefused, CsvRow, CsvWriter, open_csv, safe_cell


def read(data: bytes, *required: str, **limits: int) -> list[CsvRow | CsvProblem]:
    return list(open_csv(io.BytesIO(data), required=required or ("image_url",), limits=CsvLimits(**limits)))


def refusal(data: bytes, *required: str, **limits: int) -> CsvProblem:
    with pytest.raises(CsvRefused) as caught:
        read(data, *required, **limits)
    return caught.value.problem


def test_reads_rows_with_line_numbers() -> None:
    assert read(b"image_url,sku\nhttp://a/1.jpg,1\n\nhttp://a/2.jpg,2\n") == [
        CsvRow(2, ["http://a/1.jpg", "1"]),
        CsvRow(4, ["http://a/2.jpg", "2"]),
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_and_bom_do_not_matter(end: str) -> None:
    data = "\ufeff Image_URL ,label".encode() + end.encode() + f"u,boots{end}".encode()
    reader = open_csv(io.BytesIO(data), required=["image_url", "label"])
    assert reader.columns == ["image_url", "label"]
    assert list(reader) == [CsvRow(2, ["u", "boots"])]


def test_quoted_newline_is_one_row() -> None:
    assert read(b'image_url,note\nu,"two\nlines"\nv,one\n') == [CsvRow(2, ["u", "two\nlines"]), CsvRow(4, ["v", "one"])]


@pytest.mark.parametrize(
    ("data", "code", "says"),
    [
        (b"", "empty", "The file is empty. It needs a header line and at least one row."),
        (b"\n\n", "empty", "The file has no header line."),
        (
            b"image_url\nhttp://a/\xe9.jpg\n",
            "not_utf8",
            "Line 2: the file is not UTF-8 (byte 20). Save it as “CSV UTF-8 (comma delimited)” and upload that.",
        ),
        (
            "image_url\nu\n".encode("utf-16"),
            "utf16",
            "The file is UTF-16, it must be UTF-8. Save it as “CSV UTF-8 (comma delimited)” and upload that.",
        ),
        (
            b"PK\x03\x04rest",
            "not_csv",
            (
                "This is an Excel workbook (XLSX) or another ZIP file, not a CSV. "
                "Save it as “CSV UTF-8 (comma delimited)” and upload that."
            ),
        ),
        (
            b"url,label\nu,boots\n",
            "missing_header",
            "Line 1: the column image_url is missing (found: url, label). The first line must name the columns.",
        ),
        (
            b"image_url,image_url\nu,v\n",
            "duplicate_header",
            "Line 1: the column image_url is there twice. Rename or remove one.",
        ),
        (b"image_url,\nu,v\n", "empty_header", "Line 1: column 2 has no name. Name it or remove it."),
        (b"image_url;label\nu;boots\n", "separator", "Line 1: the columns are separated by semicolons; use commas."),
        (b"image_url\0\nu\n", "nul", "Line 1: the header contains a NUL byte. Export the file again as text."),
    ],
)
def test_refuses_the_file(data: bytes, code: str, says: str) -> None:
    problem = refusal(data)
    assert (problem.code, problem.message) == (code, says)


def test_refuses_too_many_rows_columns_bytes() -> None:
    assert refusal(b"image_url\n1\n2\n3\n", max_rows=2).code == "too_many_rows"
    assert refusal(b"image_url,a,b\n1,2,3\n", max_columns=2).code == "too_many_columns"
    assert refusal(b"image_url\n" + b"1\n" * 10, max_bytes=20).code == "too_large"


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        (b"u", "ragged", "Line 2: too few cells (1; the header has 2 columns)."),
        (b"u,v,w", "ragged", "Line 2: too many cells (3; the header has 2 columns)."),
        (b"u,v\0", "nul", "Line 2: label contains a NUL byte. Export it as text."),
        (b"u," + b"x" * 9000, "cell_too_long", "Line 2: label has 9,000 characters (limit 8,192)."),
        (b'u,"v', "open_quote", "Line 2: a quotation mark is opened and never closed. Close it."),
    ],
)
def test_lists_the_bad_line(line: bytes, code: str, says: str) -> None:
    found = read(b"image_url,label\n" + line + b"\n")
    assert [(p.line, p.code, p.message) for p in found if isinstance(p, CsvProblem)] == [(2, code, says)]


def test_a_bad_line_does_not_stop_the_others() -> None:
    found = read(b"image_url,label\nu\nv,boots\n")
    assert found[1] == CsvRow(3, ["v", "boots"])


@pytest.mark.parametrize("text", ["=1+1", "+1+1", "-1+1", "-cmd", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1"])
def test_a_formula_gets_an_apostrophe(text: str) -> None:
    assert safe_cell(text) == "'" + text


@pytest.mark.parametrize("text", ["boots", "", "http://a/b.jpg", "a=b", "1-2", "-1", "+1.5", "-1e3"])
def test_plain_text_stays(text: str) -> None:
    assert safe_cell(text) == text


cell = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)


@given(st.lists(st.tuples(cell.filter(str.strip), cell), max_size=20))
def test_what_is_written_is_read_back(rows: list[tuple[str, str]]) -> None:
    out = io.StringIO(newline="")
    writer = CsvWriter(out, ["image_url", "label"], safe=False)
    for row in rows:
        writer.writerow(row)
    found = read(out.getvalue().encode(), "image_url", "label")
    assert [tuple(row.values) for row in found if isinstance(row, CsvRow)] == rows


@given(st.lists(cell, min_size=1, max_size=5))
def test_no_written_cell_starts_a_formula(cells: list[str]) -> None:
    out = io.StringIO(newline="")
    CsvWriter(out, ["c"] * len(cells)).writerow(cells)
    line = list(csv.reader(io.StringIO(out.getvalue(), newline="")))[1:]
    for value in [value for row in line for value in row]:
        if re.fullmatch(r"[+-]?[0-9][0-9.,]*(e[+-]?[0-9]+)?", value, re.IGNORECASE):
            continue
        assert value.lstrip(" \u3000")[:1] not in {"=", "+", "-", "@", "\t", "\r", "\n"}


@pytest.mark.parametrize("block", [1, 2, 3, 1000])
def test_blocks_change_nothing(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csvio, "BLOCK", block)
    long = b"\n" * 60
    data = b'image_url,note\na,1\n\nb\nc,"x\ny"\nd,z\ne,2\nf,"' + long + b'"\ng,"h"i\nj,3\n  \nk,4\n'
    found = read(data)
    assert [(record.line, record.code if isinstance(record, CsvProblem) else record.values[0]) for record in found] == [
        (2, "a"), (4, "ragged"), (5, "c"), (7, "d"), (8, "e"), (9, "open_quote"), (70, "unreadable"), (71, "j"),
        (73, "k"),
    ]  # fmt: skip


def test_too_many_rows_are_refused_at_the_first_that_is_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csvio, "BLOCK", 2)
    reader = open_csv(io.BytesIO(b"a,b\n1,1\n\n2,2\n3,3\n4,4\n"), required=[], limits=CsvLimits(max_rows=3))
    seen = []
    with pytest.raises(CsvRefused) as refused:
        seen.extend(record.line for record in reader)
    assert refused.value.problem.line == 6
