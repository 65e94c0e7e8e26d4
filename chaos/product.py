"""The product as script/server runs it, in a data directory of its own, and what the harness needs of it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg2

from labeling_platform.stack.places import PROJECT, prepare_places, read_state, secret
from labeling_platform.stack.postgres import ADMIN, DATABASE
from labeling_platform.stack.supervisor import Stack

EMBEDDED = ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "CELERY_BROKER_URL", "DATA_DIR", "SECRET_KEY")
START_SECONDS = 180.0
ALIVE_SECONDS = 30.0


def say(text: str) -> None:
    """Tell a person what happens; the figures alone go to standard output."""
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Product:
    """A running product: its address, its data directory and its supervisor."""

    address: str
    data: Path
    supervisor: psutil.Process
    log: Path

    def process(self, name: str) -> psutil.Process:
        """A part (web, worker, trainer, beat, postgres, broker) once it runs. Raises LookupError when it does not."""
        deadline = time.monotonic() + ALIVE_SECONDS
        while time.monotonic() < deadline:
            for record in read_state(prepare_places(self.data)).get("processes", []):
                with contextlib.suppress(psutil.Error):
                    found = psutil.Process(int(record["pid"]))
                    same = abs(found.create_time() - float(record["created"])) < 0.05
                    if record["name"] == name and same and found.status() != psutil.STATUS_ZOMBIE:
                        return found
            time.sleep(0.05)
        raise LookupError(f"{name} does not run")

    def workers(self, least: int) -> tuple[psutil.Process, list[psutil.Process]]:
        """The worker's main process and its children, of which there are at least so many."""
        deadline = time.monotonic() + ALIVE_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(psutil.Error):
                main = self.process("worker")
                if len(children := main.children()) >= least:
                    return main, children
            time.sleep(0.05)
        raise LookupError("the worker has no children")

    def database(self) -> psycopg2.extensions.connection:
        """A connection as the server's own administrator, whom no row security stops."""
        places = prepare_places(self.data)
        connection = psycopg2.connect(
            host=str(places.sockets), user=ADMIN, password=secret(places, ADMIN), dbname=DATABASE, connect_timeout=5
        )
        connection.autocommit = True
        return connection

    def restarts(self) -> int:
        """How often the supervisor had to start a part again."""
        return self.log.read_text(errors="replace").count("had stopped and was started again")

    def count_in_log(self, part: str, text: str) -> list[str]:
        """Lines of a part's log with this text."""
        path = self.data / "logs" / f"{part}.log"
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        return [line for line in lines if text in line]


@contextlib.contextmanager
def running(settings: Mapping[str, str], *, keep: Path | None = None) -> Iterator[Product]:
    """Start all of the product. Django in this process then uses the same database, broker and storage.

    With `keep` the logs are copied there at the end.
    """
    data = Path(tempfile.mkdtemp(prefix="labeling-chaos-"))
    data.chmod(0o711)
    env = {name: value for name, value in os.environ.items() if name not in EMBEDDED} | dict(settings)
    log = data / "supervisor.log"
    command = [sys.executable, "-m", "labeling_platform.stack", "serve", "--port", "0", "--no-demo"]
    with open(log, "wb") as file:
        process = subprocess.Popen([*command, "--data", str(data)], env=env, cwd=PROJECT, stdout=file, stderr=file)
    try:
        address = _wait_for_address(process, data, log)
        for name in EMBEDDED:
            os.environ.pop(name, None)
        os.environ.update(Stack(prepare_places(data), say=say).environment())
        os.environ.update({name: value for name, value in settings.items() if name != "DJANGO_SETTINGS_MODULE"})
        os.environ["PUBLIC_URL"] = address
        os.environ["DJANGO_SETTINGS_MODULE"] = "labeling_platform.settings"
        yield Product(address, data, psutil.Process(process.pid), log)
    finally:
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=120)
        if keep is not None:
            shutil.copytree(data / "logs", keep, dirs_exist_ok=True)
            shutil.copy(log, keep)
        shutil.rmtree(data, ignore_errors=True)


def _wait_for_address(process: subprocess.Popen[bytes], data: Path, log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if (data / "run").exists() and (address := read_state(prepare_places(data)).get("address")):
            return str(address)
        time.sleep(0.2)
    raise SystemExit(f"The product did not start:\n{log.read_text(errors='replace')[-3000:]}")
