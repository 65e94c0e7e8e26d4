"""States of a report that is built in the background."""

from django.utils.translation import gettext_lazy as _

from labeling_platform.lib.states import States, nonmember


class ReportState(States):
    """queued -> building -> ready -> expired, or failed with a reason; building -> queued when a worker died."""

    QUEUED = "queued", _("Queued")
    BUILDING = "building", _("Building")
    READY = "ready", _("Ready")
    FAILED = "failed", _("Failed")
    EXPIRED = "expired", _("Expired")
    moves = nonmember(
        {
            "queued": {"building", "failed"},
            "building": {"queued", "ready", "failed"},
            "ready": {"expired"},
            "failed": set(),
            "expired": set(),
        }
    )
    colors = nonmember(
        {"queued": "azure", "building": "azure", "ready": "green", "failed": "red", "expired": "secondary"}
    )
