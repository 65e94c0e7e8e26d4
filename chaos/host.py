"""The host of all pictures: good ones after a while, and every way to be a bad host. A process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import io
import struct
import subprocess
import sys
from collections.abc import Iterator
from functools import lru_cache
from socket import SO_LINGER, SOL_SOCKET

from PIL import Image

from .plan import GOOD

PAGE = b"<!doctype html><title>Sorry</title><p>No picture here."


@lru_cache(maxsize=1)
def _base() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (90, 120, 200)).save(file, "JPEG")
    return file.getvalue()


def picture(number: int) -> bytes:
    """The bytes of a good picture: a tiny JPEG with its number behind it, so that every one is another."""
    return _base() + f"#{number}".encode()


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Serve one connection until it closes or a bad answer ends it."""
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ")[1].decode("latin-1").strip("/")
            kind, _, name = path.partition("/")
            if kind == GOOD:
                await asyncio.sleep(delay)
                writer.write(_response("200 OK", picture(int(name.partition(".")[0]))))
                await writer.drain()
            else:
                await _misbehave(kind, path, writer)
                break
    with contextlib.suppress(ConnectionError):
        writer.close()
        await writer.wait_closed()


def _response(status: str, body: bytes, kind: str = "image/jpeg", length: int | None = None, more: str = "") -> bytes:
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\n{more}\r\n".encode() + body


async def _misbehave(kind: str, path: str, writer: asyncio.StreamWriter) -> None:
    if kind == "hang":
        await asyncio.sleep(120)
    elif kind == "reset":
        writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    elif kind == "trickle":
        writer.write(_response("200 OK", b"", length=1000))
        for place in range(120):
            writer.write(_base()[place : place + 1])
            await writer.drain()
            await asyncio.sleep(1)
    elif kind == "circle":
        back = path[:-4] + "-again.jpg" if not path.endswith("-again.jpg") else path.replace("-again", "")
        writer.write(_response("302 Found", b"", more=f"Location: /{back}\r\n"))
    elif kind == "html":
        writer.write(_response("200 OK", PAGE, kind="text/html"))
    elif kind == "short":
        writer.write(_response("200 OK", _base(), length=len(_base()) + 500))
    elif kind == "huge":
        writer.write(_response("200 OK", _base(), length=30_000_000))
    else:
        writer.write(_response("404 Not Found", b""))
    if not writer.transport.is_closing():
        await writer.drain()


async def serve_forever(address: str, delay: float) -> None:
    """Serve on a free port and print which."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer(reader, writer, delay)

    server = await asyncio.start_server(handle, address, 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextlib.contextmanager
def served(delay: float, address: str = "127.0.0.1") -> Iterator[str]:
    """host:port of a running host whose good pictures take `delay` seconds."""
    command = [sys.executable, "-m", "chaos.host", address, str(delay)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"{address}:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    asyncio.run(serve_forever(sys.argv[1], float(sys.argv[2])))
