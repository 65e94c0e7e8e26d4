"""What health checks of containers ask."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from labeling_platform.ops import signs, tasks
from labeling_platform.ops.models import WorkerSign

pytestmark = pytest.mark.django_db


def test_a_worker_is_alive_that_gave_a_sign_lately() -> None:
    with pytest.raises(CommandError, match="the last sign of life of worker@a: never"):
        call_command("alive", "worker@a")
    signs.write_sign("worker@a")
    call_command("alive", "worker@a", stdout=io.StringIO())
    WorkerSign.objects.update(at=timezone.now() - timedelta(seconds=200))
    with pytest.raises(CommandError, match="200 s ago"):
        call_command("alive", "worker@a")
    call_command("alive", "worker@a", "--within", "300", stdout=io.StringIO())


def test_the_sweep_is_the_sign_of_beat() -> None:
    tasks.sweep()
    tasks.sweep()
    call_command("alive", "beat", stdout=io.StringIO())
