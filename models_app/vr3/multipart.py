"""Reading requests: multipart bodies as clients of the service really send them, streamed to disk.

Django's own reader goes by the file name: a part without one is text to it, is decoded, and is limited to 2.5 MB.
IBM's clients send zips without a file name (any BytesIO), so here the part's own name says whether it is a file.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any
from urllib.parse import parse_qsl

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import HttpRequest, UnreadablePostError
from django.http.multipartparser import RAW, ChunkIter, LazyStream, MultiPartParserError, Parser
from django.utils.http import parse_header_parameters

from .shapes import Problem

CHUNK = 64 * 1024
MOST_TEXT = 64 * 1024
MOST_PARTS = 1000
FILES = "images_file"
EXAMPLES = "_examples"
MB = 1024 * 1024


@dataclass(frozen=True)
class FilePart:
    """A file of the request. `name` is the part's, `filename` the last part of the file's own name, or empty."""

    name: str
    filename: str
    file: IO[bytes]
    size: int


@dataclass
class Form:
    """What a request carries, in whatever form it was sent."""

    texts: dict[str, str] = field(default_factory=dict)
    files: list[FilePart] = field(default_factory=list)


@contextmanager
def read_form(request: HttpRequest, *, most: int, most_file: int) -> Iterator[Form]:
    """The request's fields; its files are gone from the disk at the end.

    Reads multipart, a form, or a JSON object; whatever else, or nothing, is an empty form. Raises Problem (400, and
    413 for more than `most` bytes in all or `most_file` in one file, before more than that is read).
    """
    length = int(request.META.get("CONTENT_LENGTH") or 0)
    if length > most:
        raise too_large(f"The request has {length:,} bytes; at most {most // MB} MB are possible.")
    form = Form()
    try:
        kind, options = parse_header_parameters(request.META.get("CONTENT_TYPE", ""))
        if kind == "multipart/form-data":
            _read_parts(request, options.get("boundary", ""), form, most_file)
        elif kind in {"application/json", "application/x-www-form-urlencoded"}:
            form.texts = _texts(kind, _limited(request))
        if "parameters" in form.texts:
            form.texts |= _from_json(form.texts.pop("parameters"))
        yield form
    except (MultiPartParserError, UnreadablePostError, RequestDataTooBig, SuspiciousOperation, UnicodeDecodeError):
        raise Problem(400, "The body of the request cannot be read as multipart/form-data.") from None
    finally:
        for part in form.files:
            part.file.close()


def too_large(message: str) -> Problem:
    """413, for clients that look at the error and for those that look at the pictures."""
    image = {"error": {"code": 413, "description": message, "error_id": "limit_exceeded"}}
    return Problem(413, message, images=[image])


def _read_parts(request: HttpRequest, boundary: str, form: Form, most_file: int) -> None:
    if not boundary or len(boundary) > 200 or not boundary.isascii():
        raise Problem(400, "The content type names no boundary.")
    parts = Parser(LazyStream(ChunkIter(request, CHUNK)), boundary.encode())
    for number, (kind, head, stream) in enumerate(parts):
        if number > MOST_PARTS:
            raise Problem(400, f"The request has more than {MOST_PARTS} parts.")
        if kind == RAW:
            if b"".join(stream).strip(b"-\r\n \t"):
                raise Problem(400, "A part of the request has no name that can be read (names must be UTF-8).")
            continue
        names = head["content-disposition"][1]
        name = unescape(names.get("name", b""))
        if name == FILES or name.endswith(EXAMPLES):
            filename = unescape(names.get("filename", b""))
            form.files.append(_to_disk(name, filename.replace("\\", "/").rpartition("/")[2], stream, most_file))
        else:
            form.texts[name] = _text(name, stream)


def unescape(name: bytes | str) -> str:
    """The name as it was before the client made it fit between quotes."""
    text = name.decode() if isinstance(name, bytes) else name
    return text.replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n").strip(" ")


def _to_disk(name: str, filename: str, stream: Iterable[bytes], most: int) -> FilePart:
    file = tempfile.SpooledTemporaryFile(max_size=MB)  # noqa: SIM115 - read_form closes it
    size = 0
    try:
        for piece in stream:
            size += len(piece)
            if size > most:
                raise too_large(f"{filename or name} has more than {most // MB} MB.")
            file.write(piece)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return FilePart(name, filename, file, size)  # type: ignore[arg-type]  # a spooled file reads as any other


def _text(name: str, stream: Iterable[bytes]) -> str:
    found = b""
    for piece in stream:
        found += piece
        if len(found) > MOST_TEXT:
            raise Problem(400, f"The field {name[:60]} is longer than {MOST_TEXT // 1024} KB.")
    return found.decode()


def _limited(request: HttpRequest) -> bytes:
    found = request.read(MOST_TEXT + 1)
    if len(found) > MOST_TEXT:
        raise Problem(400, f"The request is longer than {MOST_TEXT // 1024} KB.")
    return bytes(found)


def _texts(kind: str, body: bytes) -> dict[str, str]:
    if kind == "application/json":
        return _from_json(body.decode()) if body.strip() else {}
    try:
        return dict(parse_qsl(body.decode(), max_num_fields=100))
    except ValueError as error:
        raise Problem(400, "The form has too many fields.") from error


def _from_json(text: str) -> dict[str, str]:
    """A JSON object's values as the texts that a form would have; lists joined by commas."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Problem(400, "The parameters are no JSON.") from error
    if not isinstance(found, dict):
        raise Problem(400, "The parameters are no JSON object.")
    return {name: _as_text(name, value) for name, value in found.items() if value is not None}


def _as_text(name: str, value: Any) -> str:
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ",".join(value)
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    raise Problem(400, f"The parameter {name[:60]} is neither a text nor a number nor a list of texts.")
