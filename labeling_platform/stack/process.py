"""Child processes: started so that they die with us, stopped in order, told apart from strangers."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from .places import Identity

PR_SET_PDEATHSIG = 1
BACK_OFF = (0.2, 0.5, 1.0, 2.0, 5.0)
STEADY_SECONDS = 30.0


def _child_setup(identity: Identity | None, death_signal: int) -> Callable[[], None]:
    libc = ctypes.CDLL(None) if sys.platform.startswith("linux") else None

    def setup() -> None:
        if identity is not None and identity.other:
            os.setgroups([])
            os.setgid(identity.gid)
            os.setuid(identity.uid)
        # After setuid, which clears it: the kernel then signals the child when we die, even by SIGKILL.
        if libc is not None:
            libc.prctl(PR_SET_PDEATHSIG, death_signal)

    return setup


@dataclass
class Child:
    """One watched process. `stop_signal` asks it to end; after `patience` seconds it gets SIGKILL."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    log: Path
    identity: Identity | None = None
    stop_signal: int = signal.SIGTERM
    patience: float = 25.0
    process: subprocess.Popen[bytes] | None = None
    failures: int = 0
    started: float = 0.0
    retry_at: float = 0.0
    extra: dict[str, str] = field(default_factory=dict)

    def start(self) -> None:
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                list(self.argv),
                env=dict(self.env) | self.extra,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd="/" if self.identity and self.identity.other else None,
                start_new_session=True,
                preexec_fn=_child_setup(self.identity, self.stop_signal),
            )
        self.started = time.monotonic()

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def record(self) -> dict[str, float | int | str]:
        """What identifies this process later: a pid alone may by then belong to somebody else."""
        assert self.process is not None
        return {"name": self.name, "pid": self.process.pid, "created": psutil.Process(self.process.pid).create_time()}

    def restart_when_due(self) -> bool:
        """Called often: starts the process again when it is down and its back-off is over. True when started."""
        now = time.monotonic()
        if self.alive:
            if self.failures and now - self.started > STEADY_SECONDS:
                self.failures = 0
            return False
        if not self.retry_at:
            self.kill_group()
            self.retry_at = now + BACK_OFF[min(self.failures, len(BACK_OFF) - 1)]
            self.failures += 1
        if now < self.retry_at:
            return False
        self.retry_at = 0.0
        self.start()
        return True

    def kill_group(self) -> None:
        """End what a dead process left behind in its process group."""
        if self.process is not None and not self.alive and self.identity is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def ask_to_stop(self) -> None:
        if self.alive and self.process is not None:
            self.process.send_signal(self.stop_signal)

    def wait_stopped(self) -> None:
        if self.process is None:
            return
        try:
            self.process.wait(self.patience)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)
        self.kill_group()


def end_leftovers(records: Sequence[Mapping[str, object]]) -> list[str]:
    """End processes of an earlier run that still live: same pid and same start time. Returns their names."""
    found: list[tuple[str, psutil.Process]] = []
    for record in records:
        with contextlib.suppress(psutil.Error, KeyError, TypeError, ValueError):
            process = psutil.Process(int(str(record["pid"])))
            if abs(process.create_time() - float(str(record["created"]))) < 0.05:
                found.append((str(record["name"]), process))
    victims = []
    for name, process in found:
        with contextlib.suppress(psutil.Error):
            family = [] if name == "postgres" else process.children(recursive=True)
            process.send_signal(signal.SIGINT if name == "postgres" else signal.SIGTERM)
            victims += [process, *family]
    _, alive = psutil.wait_procs(victims, timeout=10)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=10)
    return [name for name, _ in found]
