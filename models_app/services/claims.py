"""Who holds a training: a lease with a fencing token, extended by every progress it writes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Now
from django_scopes import scope

from ..backends.base import Canceled
from ..models import ModelVersion
from ..states import VersionState

WRITE_EVERY = 0.5  # seconds between progress writes


class Lost(Canceled):
    """The training is no longer ours: canceled, or taken by another worker. Stop without a word."""


class Claim:
    """One worker's hold on a version in training."""

    def __init__(self, version: ModelVersion) -> None:
        self.version = version
        self._written = 0.0

    def rows(self) -> Any:
        """The version's row, as long as it is ours."""
        return ModelVersion.objects.filter(pk=self.version.pk, token=self.version.token, state=VersionState.TRAINING)

    def write(self, **fields: Any) -> None:
        """Write progress now and extend the lease. Raises Lost when the training is not ours any more."""
        self._written = time.monotonic()
        if not self.rows().update(lease_until=Now() + settings.LEASE_TIME, **fields):
            raise Lost

    def tick(self, **fields: Any) -> None:
        """As `write`, at most twice a second."""
        if time.monotonic() - self._written >= WRITE_EVERY:
            self.write(**fields)

    @contextmanager
    def kept_alive(self) -> Iterator[None]:
        """Extend the lease from a thread while the caller computes without a pause."""
        done = threading.Event()

        def beat() -> None:
            with scope(team=self.version.team):
                while not done.wait(settings.LEASE_TIME.total_seconds() / 4):
                    self.rows().update(lease_until=Now() + settings.LEASE_TIME)
            connection.close()

        thread = threading.Thread(target=beat, name="lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def claim(version: ModelVersion) -> Claim | None:
    """Take a queued version for this worker; None when it is not queued any more."""
    with transaction.atomic():
        rows = ModelVersion.objects.filter(pk=version.pk)
        moved = VersionState.move(
            rows,
            VersionState.TRAINING,
            token=F("token") + 1,
            attempts=F("attempts") + 1,
            lease_until=Now() + settings.LEASE_TIME,
            started_at=Coalesce("started_at", Now()),
            stage="fetching",
            done=0,
            next_poll_at=None,
        )
        if not moved:
            return None
        return Claim(rows.select_related("model", "team", "connection").get())
