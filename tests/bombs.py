"""Run by test_bombs.py: each bomb in a child of its own; prints outcome, megabytes above the start, and seconds."""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import struct
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from typing import IO

from PIL import Image

from labeling_platform.lib.csvio import CsvLimits, CsvProblem, CsvRefused, open_csv
from labeling_platform.lib.images import FetchError, inspect_image, thumbnail

MOST_MEMORY = 1024**3
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    width: int,
    height: int,
    *,
    depth: int = 8,
    colour: int = 2,
    rows: int | None = None,
    extra: bytes = b"",
    behind: bytes = b"",
) -> bytes:
    """A PNG of zeros that is as small as zlib makes it."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    line = b"\0" * min(1 + (width * channels * depth + 7) // 8, 1_000_000)
    packer = zlib.compressobj(1)
    body = b"".join(packer.compress(line) for _ in range(height if rows is None else rows)) + packer.flush()
    palette = chunk(b"PLTE", b"\0" * 768) + behind if colour == 3 else b""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return SIGNATURE + head + extra + palette + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def saved(kind: str, mode: str, size: tuple[int, int] = (64, 48), **options: object) -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, 0).save(out, kind, **options)
    return out.getvalue()


def animated() -> bytes:
    frames = [Image.new("RGB", (300, 300), (shade, 0, 0)) for shade in range(60)]
    out = io.BytesIO()
    frames[0].save(out, "PNG", save_all=True, append_images=frames[1:], duration=10)
    return out.getvalue()


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved("JPEG", "RGB", (64, 48), exif=exif)


PICTURES: dict[str, Callable[[], bytes]] = {
    "pixel flood, 60,000 a side": lambda: png(60_000, 60_000, colour=0, rows=1),
    "a side of 2 billion": lambda: png(2**31 - 1, 1, rows=0),
    "wide and flat, 16,385 x 1": lambda: png(16_385, 1),
    "40 million pixels, RGB": lambda: png(8000, 5000),
    "40 million pixels, 16 bits of RGBA": lambda: png(8000, 5000, depth=16, colour=6),
    "10 million pixels, palette with transparency": lambda: png(
        5000, 2000, colour=3, behind=chunk(b"tRNS", b"\0" * 256)
    ),
    "40 million and one pixels": lambda: png(8001, 5000),
    "JPEG of 16,000 x 2,400": lambda: saved("JPEG", "RGB", (16_000, 2_400)),
    "text that inflates to 100 MB": lambda: png(8, 8, extra=chunk(b"zTXt", b"a\0\0" + zlib.compress(b"x" * 10**8, 9))),
    "colour profile that inflates to 100 MB": lambda: png(
        8, 8, extra=chunk(b"iCCP", b"a\0\0" + zlib.compress(b"x" * 10**8, 9))
    ),
    "a thousand text chunks": lambda: png(8, 8, extra=chunk(b"tEXt", b"a\0" + b"x" * 1000) * 1000),
    "animated": animated,
    "CMYK": lambda: saved("JPEG", "CMYK"),
    "16 bits of grey": lambda: saved("PNG", "I;16"),
    "one bit": lambda: saved("PNG", "1"),
    "turned by its camera": turned,
    "nonsense as colour profile": lambda: saved("JPEG", "RGB", icc_profile=b"nonsense" * 100),
    "truncated": lambda: saved("JPEG", "RGB", (640, 480), quality=95)[:600],
    "truncated PNG": lambda: png(64, 64)[:-30],
    "wrong check sums": lambda: png(64, 64).replace(b"IDAT", b"IDAT")[:-20] + b"\0" * 20,
    "only the magic": lambda: SIGNATURE,
    "JPEG that is a page, too": lambda: saved("JPEG", "RGB", comment=b"<script>alert(1)</script>"),
    "page behind a picture": lambda: saved("PNG", "RGB") + b"<html><script>alert(1)</script></html>",
    "ZIP behind a picture": lambda: saved("PNG", "RGB") + b"PK\x03\x04" * 1000,
    "GIF": lambda: saved("GIF", "P"),
    "TIFF": lambda: saved("TIFF", "RGB"),
    "WebP": lambda: saved("WEBP", "RGB"),
    "SVG": lambda: b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
    "PostScript": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n",
    "BMP": lambda: saved("BMP", "RGB"),
    "ICO": lambda: saved("ICO", "RGB"),
}
LIMITS = CsvLimits(max_rows=50_000, max_columns=20)
HEAD = b"image_url,label\n"


def million_columns(file: IO[bytes]) -> None:
    file.write(b",".join(b"c%d" % n for n in range(1_000_000)) + b"\n")


def one_line(file: IO[bytes]) -> None:
    for _ in range(50):
        file.write(b"a," * 500_000)


def one_record(file: IO[bytes]) -> None:
    file.write(HEAD)
    for _ in range(50):
        file.write(b'"x\n",' * 200_000)


def wide_rows(file: IO[bytes]) -> None:
    file.write(HEAD)
    row = b"u," + ("☂" * 40_000).encode() + b"\n"
    for _ in range(400):
        file.write(row)


def short_rows(file: IO[bytes]) -> None:
    file.write(HEAD + b"u,v\n" * 50_001)


def text(data: bytes) -> Callable[[IO[bytes]], object]:
    return lambda file: file.write(data)


TABLES: dict[str, Callable[[IO[bytes]], object]] = {
    "a million columns": million_columns,
    "50 MB in one line": one_line,
    "50 MB in one record": one_record,
    "50 MB of wide rows": wide_rows,
    "50,000 rows and one": short_rows,
    "20 MB of blank lines": lambda file: [file.write(b"\n" * 1_000_000) for _ in range(20)],
    "20 MB of spaces": lambda file: [file.write(b" " * 1_000_000) for _ in range(20)],
    "unclosed quote": lambda file: file.write(HEAD + b'u,"v\n' + b"w,x\n" * 500_000),
    "unclosed quote in the header": lambda file: file.write(b'"image_url,label\n' + b"w,x\n" * 500_000),
    "NUL": text(HEAD + b"u,\0v\n"),
    "NUL in the header": text(b"image_url,\0\nu,v\n"),
    "cell of 8 KB and one": text(HEAD + b"u," + b"x" * 8193 + b"\n"),
    "UTF-16 with a mark": lambda file: file.write("image_url,label\nu,v\n".encode("utf-16")),
    "UTF-16 without a mark": lambda file: file.write(("image_url,label\nu,v\n" * 30).encode("utf-16-le")),
    "lone CR": text(b"image_url,label\ru,v\rw,x\r"),
    "two marks": text(b"\xef\xbb\xbf\xef\xbb\xbfimage_url,label\nu,v\n"),
    "half a character at the end": text(HEAD + b"u,v\xc3"),
    "broken character after blank lines": text(b"\n\n\xff\n"),
    "quote inside a cell": text(HEAD + b'u,a"b\n'),
    "quotes without end": lambda file: file.write(HEAD + b'"' * 2_000_000),
    "ZIP": text(b"PK\x03\x04" + b"\0" * 100),
    "gzip": text(b"\x1f\x8b\x08" + b"\0" * 100),
    "empty": text(b""),
    "one byte": text(b"\xff"),
}


def picture(file: IO[bytes]) -> str:
    data = file.read()
    try:
        inspect_image(data)
        small = thumbnail(data, 240)
    except FetchError as error:
        return error.code
    image = Image.open(io.BytesIO(small))
    assert (image.format, image.mode, max(image.size) <= 240, image.getexif()) == ("JPEG", "RGB", True, {})
    assert b"script" not in small
    return "ok"


def table(file: IO[bytes]) -> str:
    try:
        reader = open_csv(file, required=["image_url", "label"], limits=LIMITS)  # type: ignore[arg-type]
        found = {record.code if isinstance(record, CsvProblem) else "row" for record in reader}
    except CsvRefused as refused:
        assert 20 < len(refused.problem.message) < 400
        return refused.problem.code
    return " ".join(sorted(found)) or "nothing"


def apart(work: Callable[[], str]) -> tuple[str, int, float]:
    """Do it in a child with at most a gigabyte of address space; outcome, megabytes above the start, seconds."""
    reading, writing = os.pipe()
    began = time.monotonic()
    pid = os.fork()
    if pid == 0:
        try:
            base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()  # noqa: SIM115
            resource.setrlimit(resource.RLIMIT_AS, (used + MOST_MEMORY, used + MOST_MEMORY))
            said = work()
            more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) // 1024
            os.write(writing, json.dumps([said, more]).encode())
        except BaseException as error:
            os.write(writing, json.dumps([f"{type(error).__name__}: {error}"[:500], 0]).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    said, more = json.loads(answer) if answer else ("died", 0)
    return said, more, round(time.monotonic() - began, 2)


def all_of_them() -> Iterator[tuple[str, tuple[str, int, float]]]:
    """Made in one child, met in another, so that this process stays small and the figures are of the meeting."""
    makers: dict[str, tuple[Callable[[IO[bytes]], object], Callable[[IO[bytes]], str]]] = {
        f"picture: {name}": (lambda file, make=make: file.write(make()), picture)  # type: ignore[misc]
        for name, make in PICTURES.items()
    } | {f"table: {name}": (write, table) for name, write in TABLES.items()}
    for name, (write, meet) in makers.items():
        with tempfile.TemporaryFile() as file:
            made, _, _ = apart(lambda write=write, file=file: (write(file), file.flush(), "made")[2])  # type: ignore[misc]
            assert made == "made", (name, made)
            file.seek(0)
            yield name, apart(lambda meet=meet, file=file: meet(file))  # type: ignore[misc]


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        results = dict(all_of_them())
    json.dump(results, sys.stdout)
