"""Writing into the storage while the bytes are made: nothing is kept aside, in memory or on disk."""

from __future__ import annotations

import fcntl
import io
import os
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

from django.core.files import File
from django.core.files.storage import default_storage

BUFFER = PIECE = 256 * 1024
GZIP_LEVEL = 3
"""Twice as fast as zlib's own choice and a tenth larger: building is not to wait for it."""
GZIP_WINDOW = 31


class Abandoned(Exception):
    """The writer gave up; the storage keeps nothing of the file."""


class Stored:
    """A file on its way into the storage: write to `file`. `name` and `size` are known once it is closed."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.name, self.size = "", 0
        self.error: BaseException | None = None


@contextmanager
def stored(name: str, *, gzipped: bool = False) -> Iterator[Stored]:
    """Open a new file of the storage for writing; it is there as a whole when the block ends well, else not at all.

    A thread hands the storage what is written, through a pipe, compressed when `gzipped`. Raises what the storage
    raises.
    """
    reading, writing = os.pipe()
    _widen(writing)
    source = _Source(reading, gzipped=gzipped)
    with source, os.fdopen(writing, "wb", buffering=BUFFER) as file:
        result = Stored(file)
        thread = threading.Thread(target=_save, args=(name, source, result), name=f"store {name}", daemon=True)
        thread.start()
        try:
            yield result
            file.close()
        except BaseException as error:
            source.abandoned = True
            _close(file)
            thread.join()
            if isinstance(error, BrokenPipeError) and result.error is not None:
                raise result.error from error
            raise
        thread.join()
        if result.error is not None:
            raise result.error
        result.size = source.size


def _save(name: str, source: _Source, result: Stored) -> None:
    try:
        # Storages take less than they asked for as the end of a file; a buffered reader gives less only at the end.
        result.name = default_storage.save(name, _Arriving(io.BufferedReader(source, BUFFER)))
    except BaseException as error:
        result.error = error
    finally:
        source.close()


def _close(file: IO[bytes]) -> None:
    """Close without caring for what was not written."""
    with suppress(BrokenPipeError):
        file.close()


def _widen(pipe: int) -> None:
    """Let the pipe hold more, so that neither end waits for the other's every step (Linux)."""
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, BUFFER)


class _Arriving(File):
    """A file that is still being written: storages that take pieces get them as they come."""

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        assert isinstance(self.file, io.BufferedReader)
        while piece := self.file.read1(chunk_size or BUFFER):
            yield piece


class _Source(io.RawIOBase):
    """The reading end of a pipe, compressed on the way. `size` counts what was given out."""

    def __init__(self, pipe: int, *, gzipped: bool) -> None:
        self._pipe = os.fdopen(pipe, "rb", buffering=0)
        self._gzip = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, GZIP_WINDOW) if gzipped else None
        self._piece = memoryview(bytearray(PIECE))
        self._rest = memoryview(b"")
        self._ended = False
        self.abandoned = False
        self.size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Some bytes; none at the end. Raises Abandoned when the end came because the writer gave up."""
        got = self._plain(buffer) if self._gzip is None else self._packed(buffer, self._gzip)
        self.size += got
        return got

    def _plain(self, buffer: Any) -> int:
        got = self._pipe.readinto(buffer) or 0
        if not got and self.abandoned:
            raise Abandoned
        return got

    def _packed(self, buffer: Any, gzip: Any) -> int:
        while not self._rest and not self._ended:
            got = self._plain(self._piece)
            data = gzip.compress(self._piece[:got]) if got else gzip.flush()
            self._ended = not got
            self._rest = memoryview(data)
        some = min(len(buffer), len(self._rest))
        buffer[:some] = self._rest[:some]
        self._rest = self._rest[some:]
        return some

    def close(self) -> None:
        self._pipe.close()
        super().close()
