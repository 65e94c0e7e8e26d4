"""States of a report that is built in the background, and what a report can hold."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from labeling_platform.lib.states import States, nonmember


class ReportState(States):
    """queued -> building -> ready -> expired, or failed with a reason, or canceled by a person.

    building -> queued when a worker died.
    """

    QUEUED = "queued", _("Queued")
    BUILDING = "building", _("Building")
    READY = "ready", _("Ready")
    FAILED = "failed", _("Failed")
    EXPIRED = "expired", _("Expired")
    CANCELED = "canceled", _("Canceled")
    moves = nonmember(
        {
            "queued": {"building", "failed", "canceled"},
            "building": {"queued", "ready", "failed", "canceled"},
            "ready": {"expired"},
            "failed": set(),
            "expired": set(),
            "canceled": set(),
        }
    )
    colors = nonmember(
        {
            "queued": "azure",
            "building": "azure",
            "ready": "green",
            "failed": "red",
            "expired": "secondary",
            "canceled": "secondary",
        }
    )

    @classmethod
    def under_way(cls) -> set[str]:
        """The states of a report that somebody still waits for."""
        return {cls.QUEUED.value, cls.BUILDING.value}


class ReportKind(models.TextChoices):
    """What a report holds: all but the first are of a job. The values are Appen's `type` (reference/domain.md 4.6)."""

    WORKFLOW = "workflow", _("Workflow")
    AGGREGATED = "aggregated", _("Aggregated")
    FULL = "full", _("Full")
    JSON = "json", _("JSON Lines")
    SOURCE = "source", _("Source")
    GOLD_REPORT = "gold_report", _("Test questions")
    WORKSET = "workset", _("Contributors")

    @classmethod
    def of_jobs(cls) -> list[ReportKind]:
        """The kinds that a job has, in the order in which they are offered."""
        return [kind for kind in cls if kind != cls.WORKFLOW]
