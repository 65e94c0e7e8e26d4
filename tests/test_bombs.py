"""Files and requests that want more than they are worth: a clear word, little memory, little time, never a 500."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from .bombs import PICTURES, TABLES

PROJECT = Path(__file__).resolve().parent.parent
SECONDS, MEGABYTES = 20, 400
OUTCOMES = {
    "picture: pixel flood, 60,000 a side": "too_many_pixels",
    "picture: a side of 2 billion": "too_many_pixels",
    "picture: wide and flat, 16,385 x 1": "too_many_pixels",
    "picture: 40 million and one pixels": "too_many_pixels",
    "picture: text that inflates to 100 MB": "decode_failed",
    "picture: colour profile that inflates to 100 MB": "decode_failed",
    "picture: truncated": "decode_failed",
    "picture: truncated PNG": "decode_failed",
    "picture: wrong check sums": "decode_failed",
    "picture: only the magic": "decode_failed",
    **{f"picture: {name}": "not_an_image" for name in ("GIF", "TIFF", "WebP", "SVG", "PostScript", "BMP", "ICO")},
    "table: a million columns": "row_too_long",
    "table: 50 MB in one line": "row_too_long",
    "table: 50 MB in one record": "row_too_long",
    "table: 50 MB of wide rows": "cell_too_long",
    "table: 50,000 rows and one": "too_many_rows",
    "table: 20 MB of blank lines": "row_too_long",
    "table: 20 MB of spaces": "row_too_long",
    "table: unclosed quote": "too_many_rows",
    "table: unclosed quote in the header": "header_unreadable",
    "table: NUL": "nul",
    "table: NUL in the header": "nul",
    "table: cell of 8 KB and one": "cell_too_long",
    "table: UTF-16 with a mark": "utf16",
    "table: UTF-16 without a mark": "utf16",
    "table: two marks": "missing_header",
    "table: half a character at the end": "not_utf8",
    "table: broken character after blank lines": "not_utf8",
    "table: quotes without end": "row_too_long",
    "table: ZIP": "not_csv",
    "table: gzip": "not_csv",
    "table: empty": "empty",
    "table: one byte": "not_utf8",
    "table: lone CR": "row",
    "table: quote inside a cell": "row",
}


def test_every_bomb_is_met_with_a_word_in_little_memory_and_time() -> None:
    command = [sys.executable, "-m", "tests.bombs"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert len(found) == len(PICTURES) + len(TABLES)
    wrong = {name: said for name, (said, _, _) in found.items() if said != OUTCOMES.get(name, "ok")}
    assert wrong == {}
    assert {name: more for name, (_, more, _) in found.items() if more > MEGABYTES} == {}
    assert {name: spent for name, (_, _, spent) in found.items() if spent > SECONDS} == {}


@pytest.fixture
def upload(team, owner, client_for) -> tuple[Client, str]:
    return client_for(owner), reverse("workflows:new", args=[team.slug])


def test_thousands_of_fields_are_refused(upload: tuple[Client, str]) -> None:
    client, url = upload
    answer = client.post(url, {f"f{number}": "x" for number in range(5000)})
    assert answer.status_code == 400
    assert "This request could not be understood" in answer.content.decode()


def test_megabytes_of_text_in_a_form_are_refused(upload: tuple[Client, str]) -> None:
    client, url = upload
    assert client.post(url, {"name": "x" * 3_000_000}).status_code == 400
    data = b"name=" + b"x" * 3_000_000
    assert client.post(url, data, content_type="application/x-www-form-urlencoded").status_code == 400


def test_dozens_of_files_are_refused(upload: tuple[Client, str]) -> None:
    client, url = upload
    files = {f"file{number}": SimpleUploadedFile("a.csv", b"x") for number in range(50)}
    assert client.post(url, files).status_code == 400


@pytest.mark.parametrize(
    ("data", "kind", "more"),
    [
        (b"--x\r\n" * 10_000, "multipart/form-data; boundary=x", {}),
        (b"--x\r\nContent-Disposition: form-data; name=" + b"a" * 100_000, "multipart/form-data; boundary=x", {}),
        (b"x", "multipart/form-data", {}),
        (b"x", "multipart/form-data; boundary=" + "b" * 500, {}),
        (b"\xff\xfe\x00" * 100, "application/x-www-form-urlencoded; charset=utf-16", {}),
        (b"name=x", "application/x-www-form-urlencoded; charset=nonsense", {}),
        (gzip.compress(b"name=x" * 100_000), "application/x-www-form-urlencoded", {"HTTP_CONTENT_ENCODING": "gzip"}),
        (b"{" * 100_000, "application/json", {}),
        (b"name=%00%ff%u0000", "application/x-www-form-urlencoded", {}),
    ],
    ids=range(9),
)
def test_broken_bodies_are_no_errors_of_ours(upload: tuple[Client, str], data: bytes, kind: str, more: dict) -> None:
    client, url = upload
    answer = client.generic("POST", url, data, kind, **more)
    assert answer.status_code in {400, 422}


@pytest.mark.parametrize(
    "query", ["page=%00", "page=" + "9" * 5000, "page=-1", "%ff=%fe", "q=" + "%F0%9F" * 500, "&" * 900]
)
def test_broken_questions_are_no_errors_of_ours(team, owner, client_for, query: str) -> None:
    client = client_for(owner)
    for name in ("jobs:list", "workflows:list", "models:list", "reports:list", "teams:activity"):
        assert client.get(f"{reverse(name, args=[team.slug])}?{query}").status_code in {200, 400, 404}
