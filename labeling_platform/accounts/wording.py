"""What lines of the activity log say, in words for people."""

from __future__ import annotations

from typing import Any

from .models import Activity, Feature
from .permissions import Role

SYSTEM = "The system"
STATES = {
    "queued": "queued",
    "training": "training",
    "ready": "ready",
    "failed": "failed",
    "canceled": "canceled",
    "waiting": "waiting",
    "predicting": "predicting",
    "done": "done",
    "received": "waiting to be read",
    "reading": "being read",
    "refused": "refused",
    "unordered": "not launched",
    "running": "running",
    "paused": "paused",
    "finished": "finished",
    "draft": "not launched",
    "off": "turned off",
    "building": "being built",
    "expired": "expired",
}
OF_STATES = {
    "model in service": "Version in service",
    "training state": "Training",
    "training file state": "File of training data",
    "evaluation file state": "File of an evaluation",
    "evaluation state": "Evaluation",
    "job state": "Job",
    "job file state": "File of a job",
    "workflow state": "Workflow",
    "workflow file state": "File of a workflow",
    "report state": "Report",
    "feature state": "Feature",
}
"""The lines that the database writes itself whenever a state changes."""
DETAILS = {
    "reason": "reason",
    "why": "why",
    "role": "role",
    "version": "version",
    "rows": "rows",
    "count": "pictures",
    "file": "file",
    "feature": "feature",
    "until": "until",
    "pages": "pages",
    "path": "at",
    "message": "message",
    "changed": "changed",
    "factor": "factor",
    "who": "who",
    "due": "due",
    "settings": "settings",
    "service": "service",
}


def what(entry: Activity) -> str:
    """What happened: "Workflow: running → turned off", "Report downloaded"."""
    if entry.verb not in OF_STATES:
        return entry.verb[:1].upper() + entry.verb[1:]
    before, after = entry.data.get("from"), entry.data.get("to")
    if entry.verb == "model in service":
        return "Version in service changed" if after else "No version in service any more"
    if entry.verb == "feature state":
        return "Feature is on" if after else "Feature is off"
    if before is None:
        return f"{OF_STATES[entry.verb]}: {_state(after)}"
    return f"{OF_STATES[entry.verb]}: {_state(before)} → {_state(after)}"


def _state(name: str | None) -> str:
    return "deleted" if name is None else STATES.get(name, name)


def on_what(entry: Activity) -> str:
    """What it happened to."""
    if entry.verb == "feature state":
        return _feature(entry.object_name)
    return entry.object_name or _feature(entry.data.get("feature", ""))


def details(entry: Activity) -> str:
    """The rest in a line: "reason: trial over, until: 1 May"."""
    shown = "" if entry.object_name else "feature"  # what it is about stands in on_what already
    said = {key: entry.data[key] for key in DETAILS if key != shown and entry.data.get(key) not in ("", None)}
    return ", ".join(f"{DETAILS[key]}: {_detail(key, value)}" for key, value in said.items())


def _detail(key: str, value: Any) -> str:
    if key == "role":
        return str(Role(value).label).lower() if value in Role.values else str(value)
    if key == "feature":
        return _feature(value)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _feature(name: str) -> str:
    return str(Feature(name).label) if name in Feature.values else name


def who(entry: Activity) -> str:
    """Who did it: also a person who is gone. The system is what nobody asked for in so many words."""
    return entry.actor_name or (str(entry.actor) if entry.actor_id else SYSTEM)
