"""Stopping in the middle of a task: work is given back at once, and what is being written is written to its end.

The main process of a worker sends SIGNAL to its pool when it is told to stop (SIGTERM). Only code inside
`interruptible` is interrupted, by the exception Stopping; `undisturbed` puts that off. In a pool of threads no signal
reaches the work: there `ask` is called, and a thread finds out at the end of its next `undisturbed` or at `look`.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNAL = signal.SIGUSR2


class Stopping(BaseException):
    """This process was told to stop. No Exception, so that nobody takes it for a failure of the work."""


class _Thread(threading.local):
    """Where one thread's work stands."""

    raised = False
    open = shut = 0


_asked = threading.Event()
_here = _Thread()


def listen() -> None:
    """Let SIGNAL ask this process to stop; for the main thread of a pool process."""
    signal.signal(SIGNAL, _on_signal)


def ask() -> None:
    """Ask the work of this process's threads to stop."""
    _asked.set()


def look() -> None:
    """Raise Stopping when this thread may be interrupted and was asked to stop."""
    if _asked.is_set() and _here.open and not _here.shut and not _here.raised:
        _here.raised = True  # once is enough: what cleans up afterwards must not be interrupted
        raise Stopping


def _on_signal(number: int, frame: FrameType | None) -> None:
    _asked.set()
    look()


@contextmanager
def interruptible() -> Iterator[None]:
    """Inside, a request to stop raises Stopping, also one that came before."""
    _here.open, _here.raised = _here.open + 1, False
    try:
        look()
        yield
    finally:
        _here.open -= 1


@contextmanager
def undisturbed() -> Iterator[None]:
    """Inside, Stopping is not raised; it is at the end, when the process was asked to stop meanwhile."""
    _here.shut += 1
    try:
        yield
    finally:
        _here.shut -= 1
    look()
