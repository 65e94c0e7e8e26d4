"""Stopping in the middle of a task: work is given back at once, and what is being written is written to its end.

The main process of a worker sends SIGNAL to its pool when it is told to stop (SIGTERM). Only code inside
`interruptible` is interrupted, by the exception Stopping; `undisturbed` puts that off.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNAL = signal.SIGUSR2


class Stopping(BaseException):
    """This process was told to stop. No Exception, so that nobody takes it for a failure of the work."""


class _State:
    asked = raised = False
    open = shut = 0


def listen() -> None:
    """Let SIGNAL ask this process to stop; for the main thread of a pool process."""
    signal.signal(SIGNAL, _ask)


def _ask(number: int, frame: FrameType | None) -> None:
    _State.asked = True
    _check()


def _check() -> None:
    if _State.asked and _State.open and not _State.shut and not _State.raised:
        _State.raised = True  # once is enough: what cleans up afterwards must not be interrupted
        raise Stopping


@contextmanager
def interruptible() -> Iterator[None]:
    """Inside, a request to stop raises Stopping, also one that came before."""
    _State.open, _State.raised = _State.open + 1, False
    try:
        _check()
        yield
    finally:
        _State.open -= 1


@contextmanager
def undisturbed() -> Iterator[None]:
    """Inside, Stopping is not raised; it is at the end, when the process was asked to stop meanwhile."""
    _State.shut += 1
    try:
        yield
    finally:
        _State.shut -= 1
    _check()
