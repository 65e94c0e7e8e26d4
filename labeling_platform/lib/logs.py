"""What is written to a log: lines of text or JSON with the ids of request, task, team and person, and no secrets."""

from __future__ import annotations

import json
import logging
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from celery import current_task
from django.http import HttpRequest
from django.http.response import HttpResponseBase

SECRETS = (
    (re.compile(r"/invite/[^/\s?#\"']+"), "/invite/..."),
    (re.compile(r"(://[^:/\s@]*:)[^@/\s]+@"), r"\1...@"),
    (re.compile(r"\b(Bearer|Basic) [A-Za-z0-9._~+/=-]+"), r"\1 ..."),
    (re.compile(r"(mll_live_[0-9A-Za-z]{6})[0-9A-Za-z]+"), r"\1..."),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]+"), "eyJ..."),
)
SANE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")
QUIET = ("/healthz", "/readyz", "/metrics", "/static/")
_request: ContextVar[tuple[str, HttpRequest] | None] = ContextVar("request", default=None)
log = logging.getLogger("labeling_platform.requests")


def scrub(text: str) -> str:
    """The text without tokens of invitations (who has one gets into a team) and programs, passwords, credentials."""
    for pattern, instead in SECRETS:
        text = pattern.sub(instead, text)
    return text


class HideTokens(logging.Filter):
    """Takes secrets out of the message of a record."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if (clean := scrub(text)) != text:
            record.msg, record.args = clean, None
        return True


def marks() -> dict[str, Any]:
    """What a line written now belongs to: ids of the request, the task, the team and the person, as far as known."""
    found: dict[str, Any] = {}
    if (request := _request.get()) is not None:
        # Looking the person up here could ask the database; who is known already has been looked up.
        person = getattr(request[1], "_cached_user", None)
        found |= {"request_id": request[0], "team_id": getattr(getattr(request[1], "team", None), "pk", None)}
        found["user_id"] = getattr(person, "pk", None)
    if current_task:
        task = current_task.request
        found |= {"task_id": task.id, "task": current_task.name, "team_id": (task.kwargs or {}).get("team_id")}
        passed = task.get("request_id") or (task.headers or {}).get("request_id")
        found["request_id"] = passed or found.get("request_id")
    return {name: value for name, value in found.items() if value is not None}


def request_id() -> str:
    """The id of the request that all this is done for, "" when there is none."""
    return str(marks().get("request_id", ""))


def current_request() -> HttpRequest | None:
    """The request that all this is done for; None in a task, a command or a test."""
    found = _request.get()
    return found[1] if found else None


class Marks(logging.Filter):
    """Notes in each record what it belongs to, before a queue or a thread could carry it elsewhere."""

    def filter(self, record: logging.LogRecord) -> bool:
        # Django writes its own line about an error after all middleware, with the request beside it.
        known = getattr(getattr(record, "request", None), "request_id", "")
        record.marks = marks() or ({"request_id": known} if known else {})
        return True


class TextLines(logging.Formatter):
    """For people: the marks stand at the end."""

    def format(self, record: logging.LogRecord) -> str:
        said = " ".join(f"{name}={value}" for name, value in getattr(record, "marks", {}).items())
        first, newline, rest = super().format(record).partition("\n")
        return scrub(f"{first} [{said}]{newline}{rest}" if said else f"{first}{newline}{rest}")


class JsonLines(logging.Formatter):
    """For programs: one JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": scrub(record.getMessage()),
            **getattr(record, "marks", {}),
        }
        if record.exc_info:
            line["exception"] = scrub(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False, default=str)


@contextmanager
def marked(name: str, request: HttpRequest) -> Iterator[None]:
    """Lines that are written inside belong to this request."""
    token = _request.set((name, request))
    try:
        yield
    finally:
        _request.reset(token)


class RequestLog:
    """Middleware: each request has an id (the caller's, when it looks like one) that its answer and lines carry."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        given = request.headers.get("X-Request-ID", "")
        name = given if SANE_ID.fullmatch(given) else uuid.uuid4().hex
        request.request_id = name  # type: ignore[attr-defined]
        with marked(name, request):
            began = time.monotonic()
            response = self.get_response(request)
            response["X-Request-ID"] = name
            if not request.path.startswith(QUIET):
                spent = (time.monotonic() - began) * 1000
                log.info("%s %s %s in %.0f ms", request.method, request.path, response.status_code, spent)
        return response
