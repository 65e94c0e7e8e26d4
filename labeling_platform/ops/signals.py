"""What Celery calls when workers begin, take tasks and end."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
from celery.signals import (
    before_task_publish,
    worker_init,
    worker_process_init,
    worker_ready,
    worker_shutting_down,
)
from celery.utils.nodenames import worker_direct
from celery.worker import state
from django.conf import settings

from labeling_platform.lib import logs, stopping

from .signs import Watchdog

REQUEST_ID = "request_id"


@before_task_publish.connect
def pass_request_id(headers: dict[str, Any] | None = None, **kwargs: Any) -> None:
    """A task carries the id of the request that led to it, and so do the tasks that it sends itself."""
    if headers is not None and (request_id := logs.request_id()):
        headers.setdefault(REQUEST_ID, request_id)


@worker_init.connect
def ignore_until_ready(**kwargs: Any) -> None:
    """A pool process that is only just forked must not die of the signal that asks for its end."""
    signal.signal(stopping.SIGNAL, signal.SIG_IGN)


@worker_process_init.connect
def listen(**kwargs: Any) -> None:
    stopping.listen()


@worker_shutting_down.connect
def tell_pool(**kwargs: Any) -> None:
    """Ask the pool's processes or threads to give back what they have not begun, so that the end does not take long."""
    stopping.ask()
    for child in psutil.Process().children():
        child.send_signal(stopping.SIGNAL)


@worker_ready.connect
def watch(sender: Any = None, **kwargs: Any) -> None:
    """Begin to watch this worker, when it has a queue of its own (CELERY_WORKER_DIRECT)."""
    if not sender.app.conf.worker_direct or not settings.WORKER_SILENT_SECONDS:
        return
    worker, processes = sender.hostname, sender.controller.concurrency

    def send() -> None:
        sender.app.send_task("ops.sign", queue=worker_direct(worker), expires=settings.WORKER_SILENT_SECONDS)

    overdue = _overdue if _has_threads(sender.pool) else str
    Watchdog(worker, send=send, full=lambda: len(state.active_requests) >= processes, overdue=overdue).start()


def _has_threads(pool: Any) -> bool:
    """Whether tasks run in threads of this process, where Celery enforces no time limits."""
    return isinstance(getattr(pool, "executor", None), ThreadPoolExecutor)


def _overdue() -> str:
    """The name of a task that has run for longer than its hard time limit; empty when none has."""
    for request in tuple(state.active_requests):
        limit = request.task.time_limit or settings.CELERY_TASK_TIME_LIMIT
        if request.time_start and time.time() - request.time_start > limit:
            return str(request.name)
    return ""
