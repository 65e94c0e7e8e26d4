"""States of jobs, units and pages (reference/domain.md 2.2 and 2.5)."""

from django.utils.translation import gettext_lazy as _

from labeling_platform.lib.states import States, nonmember


class JobState(States):
    """A job. `finished` is not the end: new rows make it run again (a routed job flips as the model delivers)."""

    UNORDERED = "unordered", _("Not launched")
    RUNNING = "running", _("Running")
    PAUSED = "paused", _("Paused")
    FINISHED = "finished", _("Finished")
    CANCELED = "canceled", _("Canceled")
    moves = nonmember(
        {
            "unordered": {"running"},
            "running": {"paused", "finished", "canceled"},
            "paused": {"running", "canceled"},
            "finished": {"running", "canceled"},
            "canceled": set(),
        }
    )
    colors = nonmember(
        {"unordered": "secondary", "running": "green", "paused": "yellow", "finished": "blue", "canceled": "red"}
    )


class UnitState(States):
    """A unit (a row in a job). finalized -> judgable happens when judgments turn out untrusted."""

    NEW = "new", _("Not launched")
    JUDGABLE = "judgable", _("Waiting for judgments")
    FINALIZED = "finalized", _("Finalized")
    CANCELED = "canceled", _("Canceled")
    moves = nonmember(
        {
            "new": {"judgable", "canceled"},
            "judgable": {"finalized", "canceled"},
            "finalized": {"judgable"},
            "canceled": set(),
        }
    )
    colors = nonmember({"new": "secondary", "judgable": "azure", "finalized": "green", "canceled": "red"})


class PageState(States):
    """A page: the units one contributor holds until a time, then submitted, or given back."""

    OPEN = "open", _("Open")
    SUBMITTED = "submitted", _("Submitted")
    RELEASED = "released", _("Given back")
    moves = nonmember({"open": {"submitted", "released"}, "submitted": set(), "released": set()})
    colors = nonmember({"open": "azure", "submitted": "green", "released": "secondary"})
