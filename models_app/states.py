"""States of model versions and evaluations."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from labeling_platform.lib.states import States, nonmember


class VersionState(States):
    """A training: queued -> training -> ready, or failed with a reason, or canceled by a person.

    training -> queued is the sweeper's move when a worker died and its lease ran out.
    """

    QUEUED = "queued", _("Queued")
    TRAINING = "training", _("Training")
    READY = "ready", _("Ready")
    FAILED = "failed", _("Failed")
    CANCELED = "canceled", _("Canceled")
    moves = nonmember(
        {
            "queued": {"training", "canceled", "failed"},
            "training": {"queued", "ready", "failed", "canceled"},
            "ready": set(),
            "failed": set(),
            "canceled": set(),
        }
    )
    colors = nonmember(
        {"queued": "azure", "training": "azure", "ready": "green", "failed": "red", "canceled": "secondary"}
    )


class PredictionState(States):
    """An evaluation's predictions: waiting for the file to be read, then predicting, then done or failed."""

    WAITING = "waiting", _("Waiting")
    PREDICTING = "predicting", _("Predicting")
    DONE = "done", _("Done")
    FAILED = "failed", _("Failed")
    moves = nonmember(
        {
            "waiting": {"predicting", "failed"},
            "predicting": {"waiting", "done", "failed"},
            "done": set(),
            "failed": set(),
        }
    )
    colors = nonmember({"waiting": "azure", "predicting": "azure", "done": "green", "failed": "red"})

    @classmethod
    def move(cls, rows: QuerySet[Any], to: str, **also: Any) -> int:
        """As States.move, on `prediction_state`: an evaluation's `state` is that of its file."""
        sources = [state for state, targets in cls.moves.items() if to in targets]
        return rows.filter(prediction_state__in=sources).update(prediction_state=to, **also)


class ChangeKind(models.TextChoices):
    """What a person may do to one picture of the training data."""

    RELABELED = "relabeled", _("Label changed")
    DROPPED = "dropped", _("Dropped")
    RESTORED = "restored", _("Taken back")
    CONFIRMED = "confirmed", _("Label confirmed")


class Auth(models.TextChoices):
    """How a connection signs in (backends/watson/connection.py)."""

    IAM = "iam", _("Key, exchanged for short-lived tokens (IAM)")
    BASIC = "basic", _("User name and password")
    BEARER = "bearer", _("Bearer token")
    NONE = "none", _("Nothing")


class ConnectionState(States):
    """A connection works, does not accept us (broken), or allows no more for now (paused). A test may change each."""

    OK = "ok", _("Works")
    BROKEN = "broken", _("Broken")
    PAUSED = "paused", _("Paused")
    moves = nonmember({"ok": {"broken", "paused"}, "broken": {"ok", "paused"}, "paused": {"ok", "broken"}})
    colors = nonmember({"ok": "green", "broken": "red", "paused": "yellow"})
