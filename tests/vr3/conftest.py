"""The wire server, started once for each module, and a backend that talks to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .desk import Desk
from .server import WireServer, wire_server


@pytest.fixture(scope="module")
def _server() -> Iterator[WireServer]:
    with wire_server() as state:
        yield state


@pytest.fixture
def server(_server: WireServer) -> WireServer:
    _server.reset()
    return _server


@pytest.fixture
def desk(server: WireServer) -> Desk:
    return Desk(server)
