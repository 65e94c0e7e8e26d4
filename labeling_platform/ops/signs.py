"""Signs of life, and the watchdog of a worker that lives but consumes nothing.

After a broken connection to the broker a worker can stay alive and never get a message again (celery issues 8030,
8091, 8384, 10205; reference/reliability.md A4): its process and its answers to pings prove nothing. So each worker
sends itself a message through the broker, into a queue of its own, and the task writes a sign of life to Postgres. A
worker that gets none of its messages while the broker takes them ends itself; who started it (the supervisor, the
container engine) starts it again.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import timedelta

import psutil
from django.conf import settings
from django.db import connection
from django.db.models.functions import Now

from .models import WorkerSign

log = logging.getLogger(__name__)
FORGET = timedelta(days=1)
LAST_CHANCE = 20.0
"""Seconds that a worker has to end by itself before its processes are killed."""


def write_sign(worker: str) -> None:
    """Note that the worker is alive and gets messages."""
    WorkerSign.objects.bulk_create(
        [WorkerSign(worker=worker, at=Now())], update_conflicts=True, unique_fields=["worker"], update_fields=["at"]
    )


def silence_of(worker: str) -> float | None:
    """Seconds since the worker's last sign of life; None when there never was one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT extract(epoch FROM statement_timestamp() - at)::float8 FROM ops_workersign WHERE worker = %s",
            [worker],
        )
        found = cursor.fetchone()
    return float(found[0]) if found else None


def forget_workers() -> int:
    """Forget the workers that have given no sign for a day; returns how many."""
    return WorkerSign.objects.filter(at__lt=Now() - FORGET).delete()[0]


class Watchdog(threading.Thread):
    """Watches the worker whose main process it runs in. `full` says whether all of its processes are at work.

    A worker that is full gets no messages and is not to blame; nor is it when the broker or the database is away.
    `overdue` names a task that runs for longer than it may and that nothing else can end: a thread cannot be killed,
    so the process ends, and leases bring back what its other threads did.
    """

    def __init__(
        self, worker: str, *, send: Callable[[], None], full: Callable[[], bool], overdue: Callable[[], str] = str
    ) -> None:
        super().__init__(name="watchdog", daemon=True)
        self.worker, self.send, self.full, self.overdue = worker, send, full, overdue
        self.ended = threading.Event()

    def run(self) -> None:
        heard = time.monotonic()
        while not self.ended.wait(settings.WORKER_SIGN_SECONDS):
            now = time.monotonic()
            try:
                if task := self.overdue():
                    log.critical("%s runs for longer than it may: the worker ends itself", task)
                    end_process()
                    return
                if self.full():
                    write_sign(self.worker)
                else:
                    self.send()
                silence = silence_of(self.worker)
            except Exception as error:  # whatever it is: nothing can be said about the worker now
                log.warning("the watchdog cannot judge: %s", type(error).__name__)
                heard = now
                continue
            finally:
                connection.close()
            heard = max(heard, now - silence) if silence is not None else heard
            if now - heard > settings.WORKER_SILENT_SECONDS:
                log.critical("no message came through the broker for %.0f s: the worker ends itself", now - heard)
                end_process()
                return


def end_process() -> None:
    """Ask this process to end, and kill it and its children when it does not."""
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(LAST_CHANCE)
    for child in psutil.Process().children(recursive=True):
        child.kill()
    os._exit(70)
