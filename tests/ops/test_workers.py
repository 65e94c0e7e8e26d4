"""Real worker processes: told to stop in the middle of their rows, and cut off from their queue."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from celery import Celery
from celery.utils.nodenames import worker_direct
from django.db import connection

from labeling_platform.accounts.tenancy import team_scope
from labeling_platform.ops.models import WorkerSign
from tests.workflows_app.conftest import draft, job, launch_all, model, scope, upload_csv  # noqa: F401
from workflows_app import services
from workflows_app.models import WorkflowRow

PROJECT = Path(__file__).resolve().parent.parent.parent
BROKER = os.environ.get("CELERY_BROKER_URL", "").replace("virtual_host=0", "virtual_host=7")
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not BROKER, reason="needs the broker of script/test"),
    pytest.mark.xdist_group("workers"),
]


@dataclass
class Worker:
    name: str
    process: subprocess.Popen[bytes]
    log: Path
    app: Celery

    def lines(self) -> list[dict[str, object]]:
        found = [line for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [json.loads(line) for line in found]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Worker]]:
    """Start a worker on the test's own database; it is killed at the end of the test."""
    monkeypatch.setenv("CELERY_BROKER_URL", BROKER)  # Celery reads the environment before its settings
    started: list[Worker] = []

    def begin(queues: str, *more: str, **env: str) -> Worker:
        name = f"test-{secrets.token_hex(4)}@local"
        url = urlsplit(os.environ["DATABASE_URL"])
        path = f"{url.path.rsplit('/', 1)[0]}/{connection.settings_dict['NAME']}"
        environment = os.environ | env | {
            "DATABASE_URL": urlunsplit(url._replace(path=path)),
            "DJANGO_SETTINGS_MODULE": "labeling_platform.settings_test",
            "LOG_FORMAT": "json",
        }  # fmt: skip
        log = tmp_path / "worker.log"
        with open(log, "wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "tests.ops.worker_app", "worker", "--without-mingle",
                 "--without-gossip", "--loglevel", "INFO", "-Q", queues, "--concurrency", "1", "-n", name, *more],
                env=environment, cwd=PROJECT, stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip
        started.append(Worker(name, process, log, Celery(broker=BROKER, set_as_current=False)))
        return started[-1]

    yield begin
    for worker in started:
        if worker.process.poll() is None:
            os.killpg(worker.process.pid, signal.SIGKILL)
        worker.process.wait(10)
        worker.app.close()


def until(what: Callable[[], bool], worker: Worker, seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, worker.log.read_text()[-4000:]
        time.sleep(0.1)


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_worker_that_is_told_to_stop_gives_its_rows_back(draft, owner, start, settings, pool) -> None:  # noqa: F811
    with socket.create_server(("127.0.0.1", 0), backlog=200) as silent:  # takes connections and never answers
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        WorkflowRow.objects.all().delete()
        lines = "\n".join(["image_url", *(f"http://{host}/{n}.png" for n in range(60)), ""])
        settings.IMAGE_FETCH_ALLOW = [host]
        upload_csv(draft, lines, owner)
        draft.model.current.backend = "tiny"
        draft.model.current.feature_version = "tiny-1"
        draft.model.current.save()
        workflow = launch_all(draft, owner)
        answers = {"IMAGE_FETCH_ALLOW": host, "CLASSIFIER_BACKENDS": "local,tiny"}
        worker = start("predict", "--pool", pool, WORKER_SIGN_SECONDS="0.3", WORKER_SILENT_SECONDS="1.5", **answers)
        kwargs = {"team_id": workflow.team_id, "workflow_id": workflow.pk, "spread": False}
        worker.app.send_task("workflows.predict", kwargs=kwargs, queue="predict", headers={"request_id": "request-77"})
        claimed = WorkflowRow.objects.filter(lease_until__isnull=False)
        until(claimed.exists, worker)
        time.sleep(2.5)  # busy for longer than it may be silent: no reason to end it
        assert worker.process.poll() is None
        held = set(claimed.values_list("pk", flat=True))
        assert held
        worker.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        until(lambda: not claimed.exists(), worker, seconds=5)
        assert set(WorkflowRow.objects.filter(pk__in=held).values_list("attempts", "state")) == {(0, "awaiting")}
        assert worker.process.wait(30) == 0
        assert time.monotonic() - began < 30
        with team_scope(workflow.team):
            assert held <= {claim.row_id for claim in services.claim_rows(workflow=workflow, limit=100)}
        (line,) = [line for line in worker.lines() if "given back" in str(line["message"])]
        assert (line["task"], line["team_id"], line["request_id"]) == (
            "workflows.predict",
            workflow.team_id,
            "request-77",
        )


def test_a_worker_that_gets_no_messages_ends_itself(start) -> None:
    worker = start("default", WORKER_SIGN_SECONDS="0.3", WORKER_SILENT_SECONDS="3")
    until(lambda: WorkerSign.objects.filter(worker=worker.name).exists(), worker)
    time.sleep(4)
    assert worker.process.poll() is None
    worker.app.control.cancel_consumer(worker_direct(worker.name).name, destination=[worker.name])
    until(lambda: worker.process.poll() is not None, worker)
    assert [line for line in worker.lines() if line["level"] == "CRITICAL"]


def test_a_thread_that_runs_for_longer_than_it_may_ends_its_worker(start) -> None:
    worker = start("remote", "--pool", "threads", WORKER_SIGN_SECONDS="0.3", WORKER_SILENT_SECONDS="30")
    until(lambda: WorkerSign.objects.filter(worker=worker.name).exists(), worker)
    worker.app.send_task("tests.hang", queue="remote")
    until(lambda: worker.process.poll() is not None, worker)
    said = [line["message"] for line in worker.lines() if line["level"] == "CRITICAL"]
    assert said == ["tests.hang runs for longer than it may: the worker ends itself"]
