"""Log lines: parsed, with the ids of what they belong to, without secrets."""

from __future__ import annotations

import json
import logging

import pytest
from celery import current_app, shared_task
from django.test import Client, RequestFactory

from labeling_platform.lib import logs
from labeling_platform.ops.signals import pass_request_id


@pytest.fixture
def lines():
    """What is logged, as the objects of JSON lines."""
    found: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(self.format(record))

    handler = Keep()
    handler.setFormatter(logs.JsonLines())
    handler.addFilter(logs.HideTokens())
    handler.addFilter(logs.Marks())
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.INFO)  # and not the attribute alone: loggers remember what is enabled
    root.addHandler(handler)
    yield lambda: [json.loads(line) for line in found]
    root.removeHandler(handler)
    root.setLevel(level)


def test_a_request_is_one_line_with_its_ids(lines, team, owner, client_for) -> None:
    answer = client_for(owner).get(f"/t/{team.slug}/jobs/", headers={"X-Request-ID": "from-the-proxy.1"})
    assert answer["X-Request-ID"] == "from-the-proxy.1"
    (line,) = [line for line in lines() if line["logger"] == "labeling_platform.requests"]
    assert line["message"].startswith(f"GET /t/{team.slug}/jobs/ 200 in ")
    assert {name: line[name] for name in ("level", "request_id", "team_id", "user_id")} == {
        "level": "INFO",
        "request_id": "from-the-proxy.1",
        "team_id": team.pk,
        "user_id": owner.pk,
    }
    assert line["time"].endswith("+00:00")


@pytest.mark.parametrize("given", ["", "short", "with space here", "x" * 65, "<script>alert"])
def test_an_id_that_makes_no_sense_is_replaced(given) -> None:
    answer = Client().get("/healthz", headers={"X-Request-ID": given})
    assert len(answer["X-Request-ID"]) == 32


def test_lines_of_a_task_carry_its_ids_and_the_requests(lines) -> None:
    @shared_task(name="tests.says")
    def says(*, team_id: int) -> None:
        logging.getLogger("tests").info("working")

    headers: dict[str, str] = {}
    with logs.marked("request-12345", RequestFactory().get("/")):
        pass_request_id(headers=headers)
    assert headers == {"request_id": "request-12345"}
    current_app.conf.task_always_eager = True
    try:
        says.apply(kwargs={"team_id": 7}, headers=headers, task_id="task-1")
    finally:
        current_app.conf.task_always_eager = False
    (line,) = [line for line in lines() if line["logger"] == "tests"]
    line.pop("time")
    assert line == {
        "level": "INFO",
        "logger": "tests",
        "message": "working",
        "task_id": "task-1",
        "task": "tests.says",
        "team_id": 7,
        "request_id": "request-12345",
    }


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("GET /invite/a-token-of-somebody/ 200", "GET /invite/.../ 200"),
        ("cannot reach redis://:secret@host:6379/0", "cannot reach redis://:...@host:6379/0"),
        ("postgres://app:secret@/run", "postgres://app:...@/run"),
        ("Authorization: Bearer abc.def-1", "Authorization: Bearer ..."),
        ("https://pictures.example/a.jpg", "https://pictures.example/a.jpg"),
    ],
)
def test_secrets_are_hidden(lines, said, kept) -> None:
    log = logging.getLogger("tests")
    log.warning("%s", said)
    try:
        raise ValueError(said)
    except ValueError:
        log.exception("failed")
    first, second = lines()
    assert first["message"] == kept
    assert kept in second["exception"]
    assert said == kept or said not in second["exception"]


def test_text_lines_end_with_the_marks() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "said /invite/abc", None, None)
    record.marks = {"team_id": 3}
    assert logs.TextLines("%(levelname)s %(message)s").format(record) == "INFO said /invite/... [team_id=3]"
