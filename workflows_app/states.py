"""States of workflows and their rows, and what the article's five status lines mean."""

from dataclasses import dataclass

from django.utils.translation import gettext_lazy as _

from labeling_platform.lib.states import States, nonmember


class WorkflowState(States):
    """A workflow stays running until a person turns it off, and can be turned on again."""

    DRAFT = "draft", _("Not launched")
    RUNNING = "running", _("Running")
    OFF = "off", _("Turned off")
    moves = nonmember({"draft": {"running"}, "running": {"off"}, "off": {"running"}})
    colors = nonmember({"draft": "secondary", "running": "green", "off": "yellow"})


class RowState(States):
    """What the model's part of a row's way came to. What people did is read through the row's unit."""

    AWAITING = "awaiting", _("Awaiting prediction")
    CONFIDENT = "confident", _("Completed by the model")
    ROUTED = "routed", _("Sent to people")
    FAILED = "failed", _("Error")
    moves = nonmember(
        {
            "awaiting": {"confident", "routed", "failed"},
            "confident": set(),
            "routed": set(),
            "failed": {"awaiting"},
        }
    )
    colors = nonmember({"awaiting": "azure", "confident": "green", "routed": "yellow", "failed": "red"})


@dataclass(frozen=True)
class StatusLine:
    """One of the five lines of the article's status table."""

    key: str
    label: str
    color: str
    error: bool
    completed: bool
    machine: bool
    human: bool


AWAITING_PREDICTION = StatusLine("awaiting_prediction", "Awaiting prediction", "azure", False, False, False, False)
MODEL_LABELED = StatusLine("model_labeled", "Completed by the model", "green", False, True, True, False)
AWAITING_HUMAN = StatusLine("awaiting_human", "Awaiting human label", "yellow", False, False, True, False)
HUMAN_LABELED = StatusLine("human_labeled", "Human labeled", "teal", False, True, True, True)
ERROR = StatusLine("error", "Error", "red", True, True, False, False)
STATUS_LINES = (AWAITING_PREDICTION, MODEL_LABELED, AWAITING_HUMAN, HUMAN_LABELED, ERROR)
