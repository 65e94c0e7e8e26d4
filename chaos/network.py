"""Machines that are none: network namespaces on a bridge of their own. Needs root and the command `ip`."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass


class NotPossible(Exception):
    """This machine cannot make network namespaces, for the reason given."""


@dataclass(frozen=True)
class Machine:
    """A namespace with one cable to the bridge. `cable` is the end of it that can be pulled from outside."""

    name: str
    cable: str
    address: str

    def command(self, *argv: str) -> list[str]:
        """What runs `argv` there."""
        return ["ip", "netns", "exec", self.name, *argv]

    def cut_off(self) -> None:
        """Pull the cable: nothing arrives any more, and nobody is told."""
        _ip("link", "set", self.cable, "down")

    def join(self) -> None:
        """Put the cable back."""
        _ip("link", "set", self.cable, "up")


@dataclass(frozen=True)
class Network:
    """`address` is where all machines reach what runs outside of them."""

    address: str
    subnet: str
    machines: list[Machine]


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotPossible(f"ip {' '.join(words)}: {done.stderr.strip()}")


def check_possible() -> None:
    """Raises NotPossible with the reason."""
    if os.geteuid() != 0:
        raise NotPossible("network namespaces need root")
    if shutil.which("ip") is None:
        raise NotPossible("there is no command `ip` (package iproute2)")


@contextlib.contextmanager
def network(count: int) -> Iterator[Network]:
    """So many machines on a bridge; all of it is taken down at the end. Raises NotPossible."""
    check_possible()
    tag = f"lab{os.getpid() % 100_000}"
    prefix = f"10.{100 + os.getpid() % 100}.{os.getpid() // 100 % 250}"
    bridge = f"{tag}br"
    machines = [Machine(f"{tag}-{n}", f"{tag}c{n}", f"{prefix}.{10 + n}") for n in range(1, count + 1)]
    try:
        _ip("link", "add", bridge, "type", "bridge")
        _ip("address", "add", f"{prefix}.1/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        for machine in machines:
            _add(machine, bridge)
        yield Network(f"{prefix}.1", f"{prefix}.0/24", machines)
    finally:
        for machine in machines:
            with contextlib.suppress(NotPossible):
                _ip("netns", "delete", machine.name)
            with contextlib.suppress(NotPossible):
                _ip("link", "delete", machine.cable)
        with contextlib.suppress(NotPossible):
            _ip("link", "delete", bridge)


def _add(machine: Machine, bridge: str) -> None:
    _ip("netns", "add", machine.name)
    _ip("link", "add", machine.cable, "type", "veth", "peer", "name", "eth0", "netns", machine.name)
    _ip("link", "set", machine.cable, "master", bridge, "up")
    for words in (
        ["address", "add", f"{machine.address}/24", "dev", "eth0"],
        ["link", "set", "eth0", "up"],
        ["link", "set", "lo", "up"],
    ):
        _ip("-n", machine.name, *words)
