"""What keeps the platform's own figures in order."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from . import counters, signs

SIGN, BEAT = "ops.sign", "beat"


@shared_task(name=SIGN, bind=True)
def sign(self: Any) -> None:
    """Write a sign of life of the worker that runs this."""
    signs.write_sign(self.request.hostname)


@shared_task(name="ops.sweep")
def sweep() -> None:
    """Add up old differences of counters, forget workers that are gone for long.

    That this runs shows that beat sends, the broker carries, and somebody works: it is beat's sign of life.
    """
    signs.write_sign(BEAT)
    counters.compact()
    signs.forget_workers()
