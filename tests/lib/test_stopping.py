"""Stopping in a pool of threads, which no signal reaches. Pool processes: tests/ops/test_workers.py."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from labeling_platform.lib import stopping
from labeling_platform.lib.stopping import Stopping, interruptible, look, undisturbed


@pytest.fixture(autouse=True)
def _calm() -> Iterator[None]:
    yield
    stopping._asked.clear()


def test_outside_of_interruptible_work_nothing_is_raised() -> None:
    stopping.ask()
    look()
    with undisturbed():
        pass


def test_a_request_is_seen_at_a_look_once() -> None:
    with interruptible():
        look()
        stopping.ask()
        with pytest.raises(Stopping):
            look()
        look()  # what cleans up is left alone


def test_undisturbed_puts_it_off_to_its_end() -> None:
    with interruptible():
        stopping.ask()
        with pytest.raises(Stopping), undisturbed():
            look()


def test_a_request_that_came_before_stops_what_begins() -> None:
    stopping.ask()
    with pytest.raises(Stopping), interruptible():
        raise AssertionError


def test_one_threads_undisturbed_part_does_not_shield_another() -> None:
    inside, stopped, done = threading.Event(), threading.Event(), threading.Event()

    def write() -> None:
        with interruptible():
            try:
                with undisturbed():
                    inside.set()
                    done.wait(10)
            except Stopping:
                stopped.set()

    thread = threading.Thread(target=write)
    thread.start()
    assert inside.wait(10)
    with interruptible():
        stopping.ask()
        with pytest.raises(Stopping):
            look()
    assert not stopped.is_set()
    done.set()
    thread.join(10)
    assert stopped.is_set()
