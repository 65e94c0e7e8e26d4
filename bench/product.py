"""The product as a user gets it (script/server on an empty data directory), and a team in it to measure with."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import django
import environ
import psycopg2

from labeling_platform.stack.places import PROJECT, prepare_places, read_state
from labeling_platform.stack.supervisor import Stack

START_SECONDS = 180.0


def say(text: str) -> None:
    """Tell a person how far the measurement is; the figures alone go to standard output."""
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Running:
    """Where the product serves and keeps its data."""

    address: str
    data: Path

    def pid(self, name: str) -> int:
        """The process id of a part: web, worker, trainer, beat, postgres, broker."""
        records = read_state(prepare_places(self.data)).get("processes", [])
        return int(next(record["pid"] for record in records if record["name"] == name))


@contextlib.contextmanager
def running(*, allow: str, embedder: str) -> Iterator[Running]:
    """Start all of the product. Django in this process then uses the same database, broker and storage."""
    data = Path(tempfile.mkdtemp(prefix="labeling-bench-"))
    os.chmod(data, 0o711)
    cache = Path(os.environ.get("BENCH_CACHE") or PROJECT / "var" / "classifier")
    settings = {"IMAGE_FETCH_ALLOW": allow, "EMBEDDER": embedder, "CLASSIFIER_CACHE_DIR": str(cache)}
    command = [sys.executable, "-m", "labeling_platform.stack", "serve", "--port", "0", "--no-demo"]
    process = subprocess.Popen(
        [*command, "--data", str(data)], env=os.environ | settings, cwd=PROJECT, stdout=sys.stderr
    )
    try:
        address = _wait_for_address(process, data)
        os.environ.update(Stack(prepare_places(data), say=say).environment() | settings)
        os.environ["PUBLIC_URL"] = address
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "labeling_platform.settings")
        django.setup()
        yield Running(address, data)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=120)
        shutil.rmtree(data, ignore_errors=True)


def _wait_for_address(process: subprocess.Popen[bytes], data: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    state = data / "run" / "state.json"
    while time.monotonic() < deadline and process.poll() is None:
        if state.exists() and (address := json.loads(state.read_text()).get("address")):
            return str(address)
        time.sleep(0.2)
    raise SystemExit("The product did not start.")


def peak_rss_mb() -> float:
    """The most memory that this process has had in MB. (getrusage would count that of the parent, too.)"""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def owner_connection() -> Any:
    """A connection as the role that owns the tables, for what the product itself may not do."""
    owner = environ.Env.db_url_config(os.environ["DATABASE_OWNER_URL"])
    names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
    return psycopg2.connect(**{word: owner[name] for name, word in names.items() if owner.get(name)})


def wait_for(what: str, done: Callable[[], bool], *, seconds: float = 3600.0, every: float = 0.2) -> None:
    """Wait until `done`. Raises SystemExit when that takes longer than `seconds`."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: not done after {seconds:.0f} s")
        time.sleep(every)
