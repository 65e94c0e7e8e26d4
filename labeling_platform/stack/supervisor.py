"""Starts the parts in order, watches them, stops them in order."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

from .broker import Broker
from .places import PROJECT, Places, StackError, prepare_places, read_state, secret, write_state
from .postgres import APP, OWNER, Postgres
from .process import Child, end_leftovers

TICK_SECONDS = 0.1
WEB_READY_SECONDS = 120.0
Say = Callable[[str], None]


class AlreadyRunning(StackError):
    """Another stack holds this data directory. `address` is where it serves, when known."""

    def __init__(self, address: str) -> None:
        super().__init__(f"It is running already: {address}")
        self.address = address


@contextlib.contextmanager
def held(places: Places) -> Iterator[None]:
    """Hold the data directory: one stack at a time. Raises AlreadyRunning."""
    with open(places.run / "lock", "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise AlreadyRunning(str(read_state(places).get("address", "no web page"))) from error
        yield


class Stack:
    """The servers and, for `serve`, the product's own processes of one data directory."""

    def __init__(self, places: Places, *, say: Say, fast: bool = False) -> None:
        self.places, self.say = places, say
        self.postgres = None if os.environ.get("DATABASE_URL") else Postgres(places, fast=fast)
        self.broker = None if os.environ.get("REDIS_URL") else Broker(places)
        self.children: list[Child] = []
        self.stopping = False
        self.began = time.monotonic()

    def step(self, text: str) -> None:
        self.say(f"[{time.monotonic() - self.began:5.1f} s] {text}")

    def start_servers(self) -> None:
        """Start the database and the broker, unless the environment names others."""
        if ended := end_leftovers(read_state(self.places).get("processes", [])):
            self.step(f"ended what an earlier run left: {', '.join(ended)}")
        if self.postgres:
            if self.postgres.prepare():
                self.step("made a PostgreSQL 18 cluster")
            self.postgres.start()
            self.postgres.make_roles()
            self._add(self.postgres.child)
            self.step("PostgreSQL is ready")
        if self.broker:
            self.broker.start()
            self._add(self.broker.child)
            self.step("Valkey is ready")

    def environment(self) -> dict[str, str]:
        """What the product's processes need to know: addresses, secrets, places."""
        env = dict(os.environ)
        if self.postgres:
            env["DATABASE_URL"] = self.postgres.url(APP)
            env["DATABASE_OWNER_URL"] = self.postgres.url(OWNER)
        if self.broker:
            env["REDIS_URL"], env["CELERY_BROKER_URL"] = self.broker.redis_url, self.broker.celery_url
        env.setdefault("SECRET_KEY", secret(self.places, "secret_key"))
        env.setdefault("OMP_NUM_THREADS", "1")
        # By default each of the many threads that decode pictures would keep a malloc arena of its own.
        env.setdefault("MALLOC_ARENA_MAX", "8")
        env["DATA_DIR"] = str(self.places.data)
        env["PYTHONUNBUFFERED"] = "1"
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(PROJECT), env.get("PYTHONPATH")]))
        return env

    def run(self, child: Child) -> None:
        child.start()
        self._add(child)

    def _add(self, child: Child) -> None:
        self.children.append(child)
        self.save_state()

    def save_state(self, **more: str) -> None:
        state = read_state(self.places) | more
        records = []
        for child in self.children:
            with contextlib.suppress(Exception):  # a child that ended this very moment has no record
                records.append(child.record())
        write_state(self.places, state | {"processes": records, "supervisor": os.getpid()})

    def watch_once(self) -> None:
        """Start again what died, after a growing pause."""
        for child in self.children:
            if child.restart_when_due():
                self.step(f"{child.name} had stopped and was started again")
                self.save_state()

    def stop(self) -> None:
        """Stop in order: the product's processes together, then the broker, then the database."""
        servers = [part.child for part in (self.broker, self.postgres) if part]
        own = [child for child in self.children if child not in servers]
        for child in own:
            child.ask_to_stop()
        for child in own:
            child.wait_stopped()
        for child in servers:
            child.ask_to_stop()
            child.wait_stopped()
        self.children.clear()
        write_state(self.places, {})


def manage(env: dict[str, str], *arguments: str, log: Path | None = None) -> None:
    """Run a manage.py command. Raises StackError with the end of what it said."""
    done = subprocess.run(
        [sys.executable, str(PROJECT / "manage.py"), *arguments],
        env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    if log:
        log.write_text(done.stdout)
    if done.returncode:
        raise StackError(f"manage.py {arguments[0]} failed:\n" + "\n".join(done.stdout.splitlines()[-25:]))


def execute(data: Path, command: Sequence[str], *, fast: bool) -> int:
    """Start the servers, run a command with their addresses in its environment, stop them; its exit code."""
    places = prepare_places(data)
    with held(places):
        stack = Stack(places, say=lambda text: print(text, file=sys.stderr), fast=fast)
        signal.signal(signal.SIGTERM, _raise_exit)
        try:
            stack.start_servers()
            return subprocess.run(list(command), env=stack.environment(), check=False).returncode
        finally:
            stack.stop()


def manage_running(data: Path, arguments: Sequence[str]) -> int:
    """Run a manage.py command with the addresses of the stack that serves from this data directory."""
    places = prepare_places(data)
    address = read_state(places).get("address")
    if not address:
        raise StackError(f"Nothing serves from {data}; start it with script/server first.")
    env = Stack(places, say=print).environment()
    env.setdefault("PUBLIC_URL", str(address))
    return subprocess.run([sys.executable, str(PROJECT / "manage.py"), *arguments], env=env, check=False).returncode


def _raise_exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def serve(data: Path, *, port: int, demo: bool) -> int:
    """Start everything on http://127.0.0.1:PORT and stay until asked to stop."""
    places = prepare_places(data)
    try:
        with held(places):
            return _serve(places, port=_free_port(port), demo=demo)
    except AlreadyRunning as running:
        print(f"The platform is running already: {running.address}")
        return 0


def _serve(places: Places, *, port: int, demo: bool) -> int:
    stack = Stack(places, say=lambda text: print(text, flush=True))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: setattr(stack, "stopping", True))
    try:
        if demo and not os.environ.get("PUBLIC_URL", "").startswith("https://"):
            # The demo's sign-ins are for looking around on one machine, console included.
            os.environ.setdefault("STAFF_NEEDS_SECOND_FACTOR", "false")
        address = _start_all(stack, port)
        asked = subprocess.Popen(_demo_command(), env=_environment(stack, port)) if demo else None
        if not demo:
            _announce(stack, address, demo_failed=False)
        while not stack.stopping:
            if asked and asked.poll() is not None:
                _announce(stack, address, demo_failed=asked.returncode != 0)
                asked = None
            stack.watch_once()
            time.sleep(TICK_SECONDS)
        if asked:
            asked.terminate()
    finally:
        stack.step("stopping")
        stack.stop()
        stack.step("stopped; the data stays")
    return 0


def _start_all(stack: Stack, port: int) -> str:
    address = f"http://127.0.0.1:{port}"
    stack.start_servers()
    env = _environment(stack, port)
    owner = env | {"DATABASE_URL": env.get("DATABASE_OWNER_URL") or env["DATABASE_URL"]}
    manage(owner, "upgrade", log=stack.places.logs / "migrate.log")
    stack.step("the database schema is up to date")
    _collect_static(stack, env)
    for child in _own_children(stack.places, env, port):
        stack.run(child)
    _wait_for_web(stack, address)
    stack.save_state(address=address)
    stack.step(f"serving on {address}")
    return address


def _environment(stack: Stack, port: int) -> dict[str, str]:
    env = stack.environment()
    env.setdefault("PUBLIC_URL", f"http://127.0.0.1:{port}")
    allowed = [part for part in env.get("IMAGE_FETCH_ALLOW", "").split(",") if part]
    env["IMAGE_FETCH_ALLOW"] = ",".join([*allowed, f"127.0.0.1:{port}"])
    return env


def _own_children(places: Places, env: dict[str, str], port: int) -> list[Child]:
    celery = [sys.executable, "-m", "celery", "-A", "labeling_platform"]
    worker = [*celery, "worker", "--without-mingle", "--without-gossip", "--loglevel", "INFO"]
    # Without the backend "watson" nothing is asked elsewhere: what is left in that queue ends at once, with the reason.
    elsewhere = "watson" in env.get("CLASSIFIER_BACKENDS", "").split(",")
    queues = "default,predict,reports" if elsewhere else "default,predict,reports,remote"
    commands = {
        "web": [
            sys.executable, "-m", "gunicorn", "labeling_platform.wsgi", "--bind", f"127.0.0.1:{port}",
            "--worker-class", "gthread", "--workers", "2", "--threads", "8", "--graceful-timeout", "10",
            "--no-control-socket", "--reuse-port", "--preload",
        ],
        "worker": [*worker, "-Q", queues, "--concurrency", "2", "-n", "worker@local"],
        "trainer": [*worker, "-Q", "train", "--concurrency", "1", "-n", "trainer@local"],
        "remote": [*worker, "-Q", "remote", "--pool", "threads", "--concurrency", "4", "-n", "remote@local"],
        "beat": [
            *celery, "beat", "--schedule", str(places.run / "beat-schedule"), "--pidfile=", "--loglevel", "WARNING",
        ],
    }  # fmt: skip
    if not elsewhere:
        del commands["remote"]
    return [Child(name, argv, env, places.logs / f"{name}.log") for name, argv in commands.items()]


def _collect_static(stack: Stack, env: dict[str, str]) -> None:
    """Collect static files when a source changed since the last time."""
    sources = [PROJECT / "requirements.txt", PROJECT / "package-lock.json", *sorted((PROJECT / "static").rglob("*"))]
    facts = "\n".join(f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in sources if path.is_file())
    stamp, digest = stack.places.run / "static-stamp", hashlib.sha256(facts.encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return
    manage(env, "collectstatic", "--noinput", "--clear", "-v", "0", log=stack.places.logs / "collectstatic.log")
    stamp.write_text(digest)
    stack.step("collected static files")


def _wait_for_web(stack: Stack, address: str) -> None:
    deadline = time.monotonic() + WEB_READY_SECONDS
    while time.monotonic() < deadline and not stack.stopping:
        with contextlib.suppress(urllib.error.URLError, OSError):
            with urllib.request.urlopen(f"{address}/healthz", timeout=5) as answer:
                if answer.status == 200:
                    return
        stack.watch_once()
        time.sleep(TICK_SECONDS)
    raise StackError(f"The web page did not come up; see {stack.places.logs / 'web.log'}")


def _free_port(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise StackError(f"Port {port} is in use; choose another with --port (0 finds a free one).") from error
        return int(probe.getsockname()[1])


def _demo_command() -> list[str]:
    return [sys.executable, str(PROJECT / "manage.py"), "demo"]


def _announce(stack: Stack, address: str, *, demo_failed: bool) -> None:
    signins = stack.places.data / "demo-signins.txt"
    print(f"\nOpen {address}")
    if signins.exists():
        print("Demo sign-ins:\n  " + signins.read_text().strip().replace("\n", "\n  "))
    if demo_failed:
        print("The demo data is not complete; it is tried again at the next start.")
    print("Ctrl-C stops everything; the data stays.", flush=True)
