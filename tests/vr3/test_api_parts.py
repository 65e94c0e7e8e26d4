"""The parts of the v3 API by themselves: zips that strangers make, multipart bodies, access tokens."""

from __future__ import annotations

import io
import struct
import time
import zipfile
from datetime import timedelta
from typing import Any

import jwt
import pytest
from django.test import RequestFactory
from django.utils import timezone

from labeling_platform.accounts.models import ApiToken
from labeling_platform.lib.logs import scrub
from models_app.vr3 import identity, zips
from models_app.vr3.multipart import Form, read_form
from models_app.vr3.shapes import Problem
from models_app.vr3.zips import BadZip, Limits
from tests.api_world import new_token

SMALL = Limits(files=5, file_bytes=2_000_000, all_bytes=5_000_000)


# --- zips ---------------------------------------------------------------------------------------------


def packed(entries: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> io.BytesIO:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for path, data in entries.items():
            archive.writestr(path, data)
    return out


def read(file: io.BytesIO) -> dict[str, bytes | None]:
    return dict(zips.files_in(file, SMALL))


def test_folders_are_names_and_debris_is_skipped() -> None:
    entries = {"a/b.jpg": b"1", "../../etc/x.jpg": b"2", "/abs.jpg": b"3"}
    debris = {"__MACOSX/a/._b.jpg": b"x", ".DS_Store": b"x", "a/.hidden/c.jpg": b"x", "empty/": b""}
    assert read(packed(entries | debris)) == {"a/b.jpg": b"1", "/abs.jpg": b"3"}


def test_a_file_larger_than_one_may_be_is_told() -> None:
    assert read(packed({"big.jpg": bytes(2_000_001), "b.jpg": b"1"})) == {"big.jpg": None, "b.jpg": b"1"}


@pytest.mark.parametrize(
    ("entries", "method", "too_large"),
    [
        ({f"{n}.jpg": b"x" for n in range(6)}, zipfile.ZIP_STORED, True),
        ({f"{n}.jpg": bytes(1_900_000) for n in range(3)}, zipfile.ZIP_STORED, True),
        ({"bomb.jpg": bytes(1_900_000)}, zipfile.ZIP_DEFLATED, True),
        ({"a.zip": b"PK\x03\x04rest"}, zipfile.ZIP_STORED, False),
        ({"a.gz": b"\x1f\x8brest"}, zipfile.ZIP_STORED, False),
        ({"a.jpg": b"x" * 100}, zipfile.ZIP_BZIP2, False),
        ({"a.jpg": b"x" * 100}, zipfile.ZIP_LZMA, False),
    ],
    ids=["count", "sum", "ratio", "zip in zip", "gzip in zip", "bzip2", "lzma"],
)
def test_zips_beyond_the_rules(entries: dict[str, bytes], method: int, too_large: bool) -> None:
    with pytest.raises(BadZip) as error:
        read(packed(entries, method))
    assert error.value.too_large is too_large


def test_a_directory_that_would_fill_the_memory_is_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zips, "MOST_DIRECTORY", 100)
    monkeypatch.setattr(zipfile, "ZipFile", None)  # whoever opens it fails
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, 101, 0, 0)
    for tail in (
        end,
        end[:20] + b"\x05\0hello",
        b"PK\x06\x07" + bytes(16) + end[:12] + struct.pack("<L", 1) + end[16:],
    ):
        with pytest.raises(BadZip, match="too many files"):
            read(io.BytesIO(b"PK\x03\x04" + bytes(200) + tail))


def test_a_damaged_or_lying_zip_is_refused() -> None:
    whole = packed({"a.jpg": b"1234567890" * 50}, zipfile.ZIP_DEFLATED).getvalue()
    at = whole.index(b"PK\x01\x02")
    encrypted = bytearray(whole)
    encrypted[at + 8] |= 1
    lying = bytearray(whole)
    lying[at + 24 : at + 28] = struct.pack("<L", 10)
    broken = bytearray(whole)
    broken[40] ^= 0xFF
    for data in (b"", b"no zip", whole[:-10], whole[: len(whole) // 2], encrypted, lying, broken):
        with pytest.raises(BadZip):
            read(io.BytesIO(bytes(data)))


# --- multipart ----------------------------------------------------------------------------------------


def form_of(body: bytes, content_type: str = "multipart/form-data; boundary=XX", **limits: int) -> Form:
    request = RequestFactory().generic("POST", "/", body, content_type)
    found = Form()
    with read_form(request, **({"most": 10**7, "most_file": 10**6} | limits)) as form:
        found.texts = form.texts
        found.files = [part.__class__(part.name, part.filename, io.BytesIO(part.file.read()), part.size)
                       for part in form.files]  # fmt: skip
    return found


def part(head: str | bytes, data: bytes) -> bytes:
    head = head.encode() if isinstance(head, str) else head
    return b"--XX\r\nContent-Disposition: form-data; " + head + b"\r\n\r\n" + data + b"\r\n"


def test_bytes_survive_with_and_without_a_file_name() -> None:
    data = bytes(range(256)) * 40 + b"\r\n--X\r\n--XY" + bytes(3000)
    body = part('name="a_positive_examples"', data) + part('name="images_file"; filename="C:\\dir\\ü.jpg"', data)
    body += part('name="name"', b"Blau") + part('name="url"; filename="x"', b"http://a.example/") + b"--XX--\r\n"
    found = form_of(body)
    assert [(one.name, one.filename, one.size) for one in found.files] == [
        ("a_positive_examples", "", len(data)), ("images_file", "ü.jpg", len(data)),
    ]  # fmt: skip
    assert all(one.file.read() == data for one in found.files)
    assert found.texts == {"name": "Blau", "url": "http://a.example/"}


def test_names_are_as_they_were_before_they_were_quoted() -> None:
    body = part('name="a%22b%0D%0Ac_positive_examples"', b"x") + b"--XX--\r\n"
    assert form_of(body).files[0].name == 'a"b\r\nc_positive_examples'


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"x", "multipart/form-data", 400),
        (part(b'name="\xff\xfe"', b"x") + b"--XX--\r\n", "multipart/form-data; boundary=XX", 400),
        (b"--XX\r\n\r\nno head at all\r\n--XX--\r\n", "multipart/form-data; boundary=XX", 400),
        (part('name="url"', b"\xff") + b"--XX--\r\n", "multipart/form-data; boundary=XX", 400),
        (part('name="url"', b"x" * 70_000) + b"--XX--\r\n", "multipart/form-data; boundary=XX", 400),
        (part('name="parameters"', b"{") + b"--XX--\r\n", "multipart/form-data; boundary=XX", 400),
        (b"[1]", "application/json", 400),
        (b"{", "application/json", 400),
        (b'{"url": {}}', "application/json", 400),
        (b"[" * 60_000, "application/json", 400),
        (b"x" * 70_000, "application/json", 400),
        (part('name="images_file"', b"x" * 1_000_001) + b"--XX--\r\n", "multipart/form-data; boundary=XX", 413),
        (b"x" * 10_000_001, "multipart/form-data; boundary=XX", 413),
    ],
)
def test_bodies_that_cannot_be_read(body: bytes, content_type: str, status: int) -> None:
    with pytest.raises(Problem) as error:
        form_of(body, content_type)
    assert error.value.status == status


def test_other_bodies_are_empty_forms() -> None:
    assert form_of(b"", "").texts == {}
    assert form_of(b"anything", "text/plain") == Form()
    assert form_of(b"url=a&threshold=0.1", "application/x-www-form-urlencoded").texts == {
        "url": "a",
        "threshold": "0.1",
    }
    assert form_of(b'{"classifier_ids": ["a", "b"], "threshold": 0.0, "url": null}', "application/json").texts == {
        "classifier_ids": "a,b", "threshold": "0.0",
    }  # fmt: skip


# --- access tokens ------------------------------------------------------------------------------------


def test_an_access_token_stands_for_its_api_token_until_it_ends(team: Any, owner: Any, settings: Any) -> None:
    made = new_token(team, owner)
    found = identity.access_token(made.token)
    text = found["access_token"]
    assert found["expires_in"] == identity.SECONDS
    claims = jwt.decode(text, options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == identity.SECONDS
    assert identity.token_of(text) == identity.token_of(made.text) == made.token
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "n" * 60, [settings.SECRET_KEY]
    assert identity.token_of(text) == made.token
    settings.SECRET_KEY_FALLBACKS = []
    assert identity.token_of(text) is None


def test_access_tokens_that_are_none(team: Any, owner: Any, settings: Any) -> None:
    token = new_token(team, owner).token
    key, now = identity._key(settings.SECRET_KEY), int(time.time())
    good = {"sub": str(token.pk), "aud": identity.AUDIENCE, "iat": now, "exp": now + 60}
    assert identity.token_of(jwt.encode(good, key, algorithm="HS256")) == token
    for change in ({"exp": now - 1}, {"aud": "else"}, {"sub": "0"}, {"sub": "x"}):
        assert identity.token_of(jwt.encode(good | change, key, algorithm="HS256")) is None
    for left_out in good:
        claims = {name: value for name, value in good.items() if name != left_out}
        assert identity.token_of(jwt.encode(claims, key, algorithm="HS256")) is None
    assert identity.token_of(jwt.encode(good, None, algorithm="none")) is None
    assert identity.token_of(jwt.encode(good, b"k" * 32, algorithm="HS256")) is None
    assert identity.token_of("a.b.c") is None


def test_an_access_token_ends_with_its_api_token(team: Any, owner: Any, all_scopes: None) -> None:
    token = new_token(team, owner).token
    ends = timezone.now() + timedelta(seconds=90)
    ApiToken.objects.filter(pk=token.pk).update(expires_at=ends)
    token.refresh_from_db()
    assert 80 <= identity.access_token(token)["expires_in"] <= 90


def test_access_tokens_are_not_logged(team: Any, owner: Any) -> None:
    text = identity.access_token(new_token(team, owner).token)["access_token"]
    assert scrub(f"token {text} of") == "token eyJ... of"
    assert text not in scrub(f"Authorization: Bearer {text}")
