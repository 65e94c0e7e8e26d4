"""Doing the faults of a plan to a running product. Only processes of that product are touched."""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil

from labeling_platform.stack.places import prepare_places

from .plan import Fault, FaultKind, Plan
from .product import Product, say

TRIES = 3
TAKEN_SECONDS = 6.0
RELAY_SECONDS = 2.0
WORKING_SECONDS, BUSY_SECONDS = 15.0, 40.0


@dataclass(frozen=True)
class Signs:
    """What the database shows of the workers: one has rows in hand; two have many; one has rows that another held
    and has not answered."""

    working: Callable[[], bool]
    both_busy: Callable[[], bool]
    taken: Callable[[], bool]


@dataclass
class Faults:
    """Injects the faults of a plan, one after the other. `again` delivers messages once more."""

    product: Product
    plan: Plan
    lease_seconds: float
    again: Callable[[random.Random], None]
    signs: Signs
    done: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    finished: threading.Event = field(default_factory=threading.Event)
    beats: list[threading.Thread] = field(default_factory=list)

    def run(self, began: float) -> None:
        """All of them, each not before its time."""
        for fault in self.plan.faults:
            time.sleep(max(0.0, began + fault.at - time.monotonic()))
            say(f"[{time.monotonic() - began:6.1f} s] {fault.kind.value}")
            if problem := self._tried(fault):
                self.failed.append(f"{fault.kind.value}: {problem}")  # told at the end; the others go on
            else:
                self.done[fault.kind.value] += 1
        for thread in self.beats:
            thread.join()
        self.finished.set()

    def _tried(self, fault: Fault) -> str:
        """Do the fault, again when what it aims at has died at that moment; why it could not be done, if so."""
        problem = ""
        for _ in range(TRIES):
            try:
                self.inject(fault)
            except Exception as error:
                problem = f"{type(error).__name__}: {error}"
                time.sleep(1.0)
            else:
                return ""
        return problem

    def inject(self, fault: Fault) -> None:
        dice = random.Random(fault.dice)
        if fault.kind in {FaultKind.KILL_WORKER, FaultKind.KILL_CHILD}:
            _wait(self.signs.working, WORKING_SECONDS)  # killing one that does nothing proves nothing
        if fault.kind == FaultKind.KILL_WORKER:
            self.kill_worker()
        elif fault.kind == FaultKind.KILL_CHILD:
            dice.choice(self.product.workers(1)[1]).kill()
        elif fault.kind == FaultKind.WIPE_BROKER:
            self.wipe_broker()
        elif fault.kind == FaultKind.KILL_POSTGRES:
            self.product.process("postgres").kill()
        elif fault.kind == FaultKind.BEAT_OUTAGE:
            self.beats.append(threading.Thread(target=self.hold_beat_down))
            self.beats[-1].start()
        elif fault.kind == FaultKind.PAUSE:
            self.pause(dice)
        else:
            self.again(dice)

    def kill_worker(self) -> None:
        """The main process and all its children at once, as when their machine goes."""
        main, children = self.product.workers(1)
        for process in [main, *children]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def wipe_broker(self) -> None:
        """The supervisor stands still meanwhile, so that the new broker surely finds nothing."""
        folder = prepare_places(self.product.data).broker
        self.product.supervisor.suspend()
        try:
            broker = self.product.process("broker")
            broker.kill()
            _wait_dead(broker)
            for path in folder.iterdir():
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()
        finally:
            self.product.supervisor.resume()

    def hold_beat_down(self) -> None:
        until = time.monotonic() + self.plan.scale.beat_seconds
        while time.monotonic() < until:
            with contextlib.suppress(psutil.Error, LookupError):
                self.product.process("beat").kill()
            time.sleep(0.1)

    def pause(self, dice: random.Random) -> None:
        """One child sleeps until its lease is over and the other has its rows; then the other sleeps while it wakes.

        So the late answers come while somebody else holds the rows: the worst moment.
        """
        if not _wait(self.signs.both_busy, BUSY_SECONDS):
            raise LookupError("no two workers were busy at the same time")
        _, children = self.product.workers(2)
        first, second = dice.sample(children[:2], 2)
        try:
            first.send_signal(signal.SIGSTOP)
            time.sleep(self.lease_seconds)
            _wait(self.signs.taken, TAKEN_SECONDS)
            second.send_signal(signal.SIGSTOP)
            first.send_signal(signal.SIGCONT)
            time.sleep(RELAY_SECONDS)
        finally:
            for process in (first, second):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGCONT)


def _wait(sign: Callable[[], bool], seconds: float) -> bool:
    """Wait for a sign; whether it came in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if sign():
            return True
        time.sleep(0.05)
    return False


def _wait_dead(process: psutil.Process) -> None:
    """Wait until the process has ended; its stopped parent cannot reap it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        while process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
