"""Reading zips of pictures that strangers made: never to paths, never more than was promised. Pure.

A zip is judged by its directory before anything is inflated, and again while it is (watson.md 1.5 and 5: folders are
names only; Mac debris and dot files are skipped; archives in archives are refused).
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

MB = 1024 * 1024
MAGIC = b"PK\x03\x04"
ARCHIVES = (MAGIC, b"PK\x05\x06", b"\x1f\x8b", b"Rar!", b"7z\xbc\xaf", b"BZh", b"\xfd7zXZ")
_END, _END_64 = b"PK\x05\x06", b"PK\x06\x07"
MOST_DIRECTORY = 4 * MB
"""Bytes of a zip's directory: room for 20,000 names. A directory of 100 MB would fill the memory when opened."""
MOST_RATIO = 200
SMALL = MB


class BadZip(Exception):
    """A zip that cannot be used; the text says why. `too_large`: it is beyond a limit."""

    def __init__(self, message: str, *, too_large: bool = False) -> None:
        super().__init__(message)
        self.message, self.too_large = message, too_large


@dataclass(frozen=True)
class Limits:
    """What a zip may hold: files, bytes of one file when inflated, bytes of all of them."""

    files: int
    file_bytes: int
    all_bytes: int


TRAINING = Limits(files=10_000, file_bytes=20 * MB, all_bytes=400 * MB)
CLASSIFY = Limits(files=20, file_bytes=10 * MB, all_bytes=200 * MB)


def is_zip(file: IO[bytes]) -> bool:
    """Whether the file begins as a zip does."""
    file.seek(0)
    start = file.read(4)
    file.seek(0)
    return start in {MAGIC, _END}


def files_in(file: IO[bytes], limits: Limits) -> Iterator[tuple[str, bytes | None]]:
    """(path, bytes) of each file in the zip, without folders, Mac debris and dot files.

    The bytes are None when that file alone is larger than one may be. Raises BadZip; what was yielded before stays
    good.
    """
    try:
        _judge_directory(file)
        with zipfile.ZipFile(file) as archive:
            wanted = [entry for entry in archive.infolist() if _counts(entry)]
            _judge(wanted, limits)
            for entry in wanted:
                yield entry.filename, _inflate(archive, entry, limits)
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, NotImplementedError) as error:
        raise BadZip("The zip file is damaged and cannot be read.") from error


def _judge_directory(file: IO[bytes]) -> None:
    """Look at the size of the directory before a library reads it whole."""
    size = file.seek(0, 2)
    tail_at = max(0, size - 42 - 0xFFFF)
    file.seek(tail_at)
    tail = file.read()
    file.seek(0)
    at = len(tail) - 22 if tail[-22:-18] == _END and tail[-2:] == b"\0\0" else tail.rfind(_END)
    if at < 0 or len(tail) - at < 22:
        raise BadZip("This is not a zip file.")
    directory = int.from_bytes(tail[at + 12 : at + 16], "little")
    if directory > MOST_DIRECTORY or (at >= 20 and tail[at - 20 : at - 16] == _END_64):
        raise BadZip("The zip file has too many files.", too_large=True)


def _counts(entry: zipfile.ZipInfo) -> bool:
    parts = entry.filename.replace("\\", "/").split("/")
    return not (entry.is_dir() or "__MACOSX" in parts or any(part.startswith(".") for part in parts))


def _judge(entries: list[zipfile.ZipInfo], limits: Limits) -> None:
    if len(entries) > limits.files:
        message = f"The zip file has {len(entries):,} files; at most {limits.files:,} are possible."
        raise BadZip(message, too_large=True)
    if sum(entry.file_size for entry in entries) > limits.all_bytes:
        raise BadZip(f"The zip file holds more than {limits.all_bytes // MB} MB of pictures.", too_large=True)
    for entry in entries:
        if entry.flag_bits & 1:
            raise BadZip("The zip file is encrypted.")
        if entry.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise BadZip("The zip file is packed in a way that is not supported: use stored or deflated.")
        if entry.file_size > SMALL and entry.file_size > MOST_RATIO * max(1, entry.compress_size):
            raise BadZip("A file in the zip grows far more than any picture does.", too_large=True)


def _inflate(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, limits: Limits) -> bytes | None:
    if entry.file_size > limits.file_bytes:
        return None
    with archive.open(entry) as packed:
        data = packed.read(limits.file_bytes + 1)
    if data.startswith(ARCHIVES):
        raise BadZip("There is an archive inside the zip file. Put the pictures into it directly.")
    return data
