"""What is fuzzed: each target takes bytes and raises when a promise is broken. Seeds are where a search begins."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from ipaddress import ip_address

import urllib3
from PIL import Image
from urllib3.exceptions import LocationParseError

from jobs_app.design import parse_design, read_answers, read_gold_form, render_design, render_gold_form
from jobs_app.design.liquid import LIQUID, fill
from labeling_platform.lib.csvio import CsvLimits, CsvProblem, CsvRefused, CsvWriter, open_csv, safe_cell
from labeling_platform.lib.images import FORMATS, FetchError, check_url, inspect_image, thumbnail
from labeling_platform.lib.urls import UrlRefused, is_public, parse_target
from tests.nasty import NASTY, dangers

Target = Callable[[bytes], None]
LIMITS = CsvLimits(max_rows=200, max_columns=20, max_cell=100)
ROW = {"image_url": "http://a.example/1.jpg", "sku": NASTY[0], "list": [NASTY[2], "{{sku}}"], "n": 5, "none": None}
NUMBER = re.compile(r"[+-]?[0-9][0-9.,]*(e[+-]?[0-9]+)?", re.IGNORECASE)
STARTS = tuple("=+-@\t\r\n|%＝＋－＠\0")


def text_of(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def read_csv(data: bytes) -> None:
    """Rows as wide as the header without NUL, or a problem with a line; nothing else is raised."""
    try:
        reader = open_csv(io.BytesIO(data), required=["image_url"], limits=LIMITS)
        for record in reader:
            if isinstance(record, CsvProblem):
                assert record.message
                assert record.line is not None
                continue
            assert len(record.values) == len(reader.columns)
            assert all("\0" not in value and len(value) <= LIMITS.max_cell for value in record.values)
    except CsvRefused as refused:
        assert refused.problem.message


def draw_design(data: bytes) -> None:
    """Whatever the source: a design comes back, and drawn it is nothing but our own markup."""
    source = text_of(data)
    design = parse_design.__wrapped__(source)
    assert all(problem.line >= 1 for problem in design.problems)
    page = render_design(design, row=ROW, image_url_for=lambda url: "/picture/" + str(len(url)))
    assert dangers(page) == [], dangers(page)
    gold = render_gold_form(design, row=ROW, image_url_for=lambda url: "/p", answers={}, reasons={})
    assert dangers(gold) == [], dangers(gold)
    given = {question.name: [source[:50], "1"] for question in design.questions}
    read_answers(design, given)
    read_gold_form(design, {f"answer-{name}": values for name, values in given.items()})


def fill_columns(data: bytes) -> None:
    """Values are put in once: what a value says is never read as a column itself."""
    text = text_of(data)
    filled = fill(text, {"a": "{{b}}", "b": "never", "sku": "x"})
    if "never" not in text and not re.search(r"\{\{\s*b[^\w]", text):
        assert "never" not in filled
    if not LIQUID.search(text):
        assert filled == text
    if text:
        assert fill("{{a}}", {"a": text}) == text


def judge_url(data: bytes) -> None:
    """What passes means the same to urllib3, which speaks to the host, as to the rules that judged it."""
    url = text_of(data)
    try:
        check_url(url)
    except FetchError as error:
        assert error.code in {"url_invalid", "scheme_not_allowed", "address_refused"}
    try:
        target = parse_target(url)
    except UrlRefused:
        return
    assert target.host.isascii()
    assert not set(target.path) & set(map(chr, [*range(33), *range(127, 256)]))
    try:
        other = urllib3.util.parse_url(url)
    except LocationParseError:
        return  # refusing more is no risk
    assert (other.scheme or "") == target.scheme
    assert (other.host or "").strip("[]").rstrip(".").lower() == target.host, (other.host, target.host)
    assert other.port in {None, target.port}
    if ":" in target.host or re.fullmatch(r"[0-9.]+", target.host):
        is_public(ip_address(target.host))


def look_at_picture(data: bytes) -> None:
    """A picture with sane measures and a small copy, or a reason."""
    try:
        kind, width, height = inspect_image(data)
        assert kind in FORMATS
        assert width * height <= 40_000_000
        if width * height > 4_000_000:
            return  # the bombs test has these
        small = Image.open(io.BytesIO(thumbnail(data, 64)))
        assert max(small.size) <= 64
    except FetchError as error:
        assert error.message


def write_csv(data: bytes) -> None:
    """Cells come back as they were, with an apostrophe where a spreadsheet would run them."""
    texts = text_of(data).replace("\0", "").split("|")
    rows = [texts[start : start + 3] for start in range(0, len(texts), 3)]
    out = io.StringIO(newline="")
    writer = CsvWriter(out, ["a", "b", "c"])
    for row in rows:
        writer.writerow(row)
    found = list(csv.reader(io.StringIO(out.getvalue(), newline="")))[1:]
    assert found == [[safe_cell(text) for text in row] for row in rows if row != [""]] or [""] in rows
    for cell in (cell for row in found for cell in row):
        assert not cell.lstrip(" \u3000").startswith(STARTS) or NUMBER.fullmatch(cell), cell


def _picture(kind: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (16, 12), (1, 200, 30)).save(out, kind)
    return out.getvalue()


CML = (
    '<p class="x">{{sku}}</p><img src="{{image_url}}"/><cml:radios label="A" name="a" validates="required" gold="true">'
    '<cml:radio label="Yes" value="yes"/><cml:radio label="No" value="no"/></cml:radios><cml:group only-if="a:[yes]">'
    '<cml:text label="Why" validates="minLength:2 url" multiple="true"/><cml:select label="S" default="x">'
    '<cml:option label="1"/></cml:select><cml:checkboxes label="C"><cml:checkbox label="c"/></cml:checkboxes>'
    '<cml:ratings label="R" points="5" only-if="!a:unchecked"/></cml:group><a href="{{sku}}">x</a><!-- {{x}} -->'
)
TARGETS: dict[str, tuple[Target, list[bytes]]] = {
    "csv": (
        read_csv,
        [b"image_url,label\nu,v\n", b'image_url\r\n"a\nb"\r\n', b"\xef\xbb\xbfimage_url\ru\r",
         b'image_url,x\n"a""b",\0\n'],
    ),
    "cml": (draw_design, [CML.encode(), *(nasty.encode() for nasty in NASTY), "".join(NASTY).encode()]),
    "liquid": (fill_columns, [b"{{a}} {{ b | default: 'x' }} {% if %}", b'{{a|default:"{{b}}"}}', b"{{ a {{ b }} }}"]),
    "url": (
        judge_url,
        [b"http://a.example/1.jpg?x=1#y", b"https://[2606:2800:21f::1]:443/", b"http://127.0.0.1@b.example:80\\@c/",
         b"s3://bucket/key", "http://bücher.example/ü".encode(), b"http://0x7f.1/", b"HTTP://A.EXAMPLE.:080/%2e%2e"],
    ),
    "image": (look_at_picture, [_picture("JPEG"), _picture("PNG")]),
    "writer": (write_csv, [b"=1+1|a,b|\"x\"", " \u3000=1|-1|-a|\r\n|'".encode(), b"a|b|c|d"]),
}  # fmt: skip
