"""The embedded Valkey (Redis protocol): on a private socket, with an append-only file."""

from __future__ import annotations

import contextlib
import os
import socket
import time

from .places import Places, StackError, broker_binary
from .process import Child


class Broker:
    """The server of one data directory. Only the owner of the socket's folder can reach it."""

    def __init__(self, places: Places) -> None:
        # Not the database's socket folder: as root that one belongs to another user.
        folder = places.run if len(os.fsencode(places.run)) < 80 else places.sockets
        self.socket = folder / "broker.sock"
        self.child = Child(
            name="broker",
            argv=[
                str(broker_binary()), "--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700",
                "--dir", str(places.broker), "--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
                "--maxmemory-policy", "noeviction",
            ],
            env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C"},
            log=places.logs / "broker.log",
        )  # fmt: skip

    @property
    def redis_url(self) -> str:
        return f"unix://{self.socket}?db=1"

    @property
    def celery_url(self) -> str:
        return f"redis+socket://{self.socket}?virtual_host=0"

    def start(self) -> None:
        self.socket.unlink(missing_ok=True)
        self.child.start()
        self.wait_ready()

    def wait_ready(self, seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._answers():
                return
            if not self.child.alive:
                raise StackError(f"Valkey does not start; see {self.child.log}")
            time.sleep(0.05)
        raise StackError(f"Valkey was not ready in time; see {self.child.log}")

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(2)
            connection.connect(str(self.socket))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
        return False
