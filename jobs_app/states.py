"""States of jobs, units and pages (reference/domain.md 2.2 and 2.5)."""

from django.db import models
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
    """A unit (a row in a job). finalized -> judgable happens when judgments turn out untrusted.

    A queued row waits until enough rows are there to launch them together, or until it has waited long enough.
    A test question is golden, or hidden_gold while it is switched off; rows never become one, they are copied.
    """

    NEW = "new", _("Not launched")
    QUEUED = "queued", _("Waiting to be launched")
    JUDGABLE = "judgable", _("Waiting for judgments")
    FINALIZED = "finalized", _("Finalized")
    CANCELED = "canceled", _("Canceled")
    GOLDEN = "golden", _("Test question")
    HIDDEN_GOLD = "hidden_gold", _("Test question, switched off")
    moves = nonmember(
        {
            "new": {"judgable", "canceled"},
            "queued": {"judgable", "canceled", "new"},
            "judgable": {"finalized", "canceled"},
            "finalized": {"judgable"},
            "canceled": set(),
            "golden": {"hidden_gold"},
            "hidden_gold": {"golden"},
        }
    )
    colors = nonmember(
        {
            "new": "secondary",
            "queued": "secondary",
            "judgable": "azure",
            "finalized": "green",
            "canceled": "red",
            "golden": "yellow",
            "hidden_gold": "secondary",
        }
    )

    @classmethod
    def golden_states(cls) -> set[str]:
        return {cls.GOLDEN.value, cls.HIDDEN_GOLD.value}

    @classmethod
    def row_states(cls) -> set[str]:
        return set(cls.values) - cls.golden_states()


class ContributorState(States):
    """How a contributor stands in a job (domain.md 3.2, 3.4).

    quiz: must pass the quiz first. removed: fell below the minimum accuracy (also in the quiz); comes back only
    when an edited test question lifts the accuracy again. flagged: stopped, judgments stay. rejected: stopped,
    judgments are replaced.
    """

    QUIZ = "quiz", _("In the quiz")
    WORKING = "working", _("Working")
    REMOVED = "removed", _("Accuracy too low")
    FLAGGED = "flagged", _("Stopped")
    REJECTED = "rejected", _("Rejected")
    moves = nonmember(
        {
            "quiz": {"working", "removed", "flagged", "rejected"},
            "working": {"removed", "flagged", "rejected"},
            "removed": {"working", "quiz", "rejected"},
            "flagged": {"working", "quiz", "removed", "rejected"},
            "rejected": {"working", "quiz"},
        }
    )
    colors = nonmember({"quiz": "azure", "working": "green", "removed": "red", "flagged": "yellow", "rejected": "red"})

    @classmethod
    def tainting(cls) -> set[str]:
        """The states in which a contributor's judgments count for nothing."""
        return {cls.REMOVED.value, cls.REJECTED.value}


class PageKind(models.TextChoices):
    """A quiz page has test questions only."""

    QUIZ = "quiz", _("Quiz")
    WORK = "work", _("Work")


class GoldSource(models.TextChoices):
    """What a test question was made from (domain.md 3.1)."""

    ROW = "row", _("a row")
    MODEL = "model", _("the model's training pictures")
    UPLOAD = "upload", _("an uploaded file")
    FINALIZED = "finalized", _("a finalized row")
    COPY = "copy", _("another job")


class PageState(States):
    """A page: the units one contributor holds until a time, then submitted, or given back."""

    OPEN = "open", _("Open")
    SUBMITTED = "submitted", _("Submitted")
    RELEASED = "released", _("Given back")
    moves = nonmember({"open": {"submitted", "released"}, "submitted": set(), "released": set()})
    colors = nonmember({"open": "azure", "submitted": "green", "released": "secondary"})
