"""Servers that other machines reach over the network: Postgres, Valkey and object storage on one address, and beat.

The same programs as in the embedded stack, which listens on private sockets only; here they listen on the address
of a bridge, with passwords. What workers are given is the addresses and nothing else.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import psycopg2

from labeling_platform.stack.places import PROJECT, Places, broker_binary, prepare_places, secret
from labeling_platform.stack.postgres import ADMIN, APP, DATABASE, OWNER, Postgres
from labeling_platform.stack.process import Child
from labeling_platform.stack.supervisor import manage

from .network import Machine, Network, NotPossible

BUCKET = "labeling"
READY_SECONDS, BOOT_SECONDS = 60.0, 120.0
CELERY = [sys.executable, "-m", "celery", "-A", "labeling_platform"]
WORKER = [*CELERY, "worker", "--without-mingle", "--without-gossip", "--loglevel", "INFO"]
QUEUES = "default,predict,reports,train,remote"


@dataclass
class Site:
    """What runs, where it keeps its data, and what a worker must be told."""

    network: Network
    places: Places
    env: dict[str, str]
    children: list[Child] = field(default_factory=list)
    workers: dict[str, Child] = field(default_factory=dict)

    def database(self) -> psycopg2.extensions.connection:
        """A connection as the server's administrator."""
        connection = psycopg2.connect(
            host=str(self.places.sockets), user=ADMIN, password=secret(self.places, ADMIN), dbname=DATABASE
        )
        connection.autocommit = True
        return connection

    def start(self, child: Child) -> Child:
        child.start()
        self.children.append(child)
        return child

    def start_worker(self, machine: Machine, settings: dict[str, str]) -> None:
        """A worker on a machine whose disk is empty: over everything of this site lies a file system of its own."""
        disk = self.places.data
        prepare = f'mount -t tmpfs -o size=64m none {disk} && mkdir {disk}/own && exec "$@"'
        argv = machine.command("sh", "-c", prepare, "sh", *WORKER, "-Q", QUEUES, "--concurrency", "2")
        env = self.env | settings | {"DATA_DIR": f"{disk}/own"}
        child = Child(machine.name, [*argv, "-n", f"worker@{machine.name}"], env, self.places.logs / machine.name)
        self.workers[machine.name] = self.start(child)

    def wait_for_workers(self) -> None:
        """Until every worker says that it is ready."""
        deadline = time.monotonic() + BOOT_SECONDS
        while any(" ready." not in worker.log.read_text(errors="replace") for worker in self.workers.values()):
            if time.monotonic() > deadline:
                raise SystemExit(f"The workers did not start; see {self.places.logs}")
            time.sleep(0.2)

    def stop(self) -> None:
        """Workers first, the database last."""
        for child in reversed(self.children):
            child.ask_to_stop()
            child.wait_stopped()


@contextlib.contextmanager
def site(network: Network, settings: dict[str, str], *, keep: Path | None = None) -> Iterator[Site]:
    """All servers, ready and migrated; Django in this process uses them over the network, too."""
    if find_spec("moto") is None:
        raise NotPossible("object storage for the test is missing: the package moto is not installed")
    data = Path(tempfile.mkdtemp(prefix="labeling-site-"))
    data.chmod(0o711)
    places = prepare_places(data)
    it = Site(network, places, {})
    try:
        it.env = _start_servers(it) | settings
        owner = it.env | {"DATABASE_URL": it.env["DATABASE_OWNER_URL"]}
        manage(owner, "migrate", "--noinput")
        beat = [*CELERY, "beat", "--schedule", str(places.run / "beat"), "--pidfile=", "--loglevel", "WARNING"]
        it.start(Child("beat", beat, it.env, places.logs / "beat.log"))
        os.environ.update(it.env)
        yield it
    finally:
        it.stop()
        if keep is not None:
            shutil.copytree(places.logs, keep, dirs_exist_ok=True)
        shutil.rmtree(data, ignore_errors=True)


def _start_servers(it: Site) -> dict[str, str]:
    address, places = it.network.address, it.places
    ports = dict(zip(("postgres", "valkey", "s3"), _free_ports(address, 3), strict=True))
    password = secrets.token_urlsafe(16)
    postgres = Postgres(places, fast=True)
    postgres.prepare()
    with open(places.postgres / "pg_hba.conf", "a") as rules:
        rules.write(f"\nhost all all {it.network.subnet} scram-sha-256\n")
    postgres.child.argv = [
        *postgres.child.argv, "-c", f"listen_addresses={address}", "-c", f"port={ports['postgres']}",
    ]  # fmt: skip
    os.environ["PGPORT"] = str(ports["postgres"])  # the administrator's own connections, over the socket
    postgres.start()
    it.children.append(postgres.child)
    postgres.make_roles()
    valkey = [
        str(broker_binary()), "--bind", address, "--port", str(ports["valkey"]), "--requirepass", password,
        "--dir", str(places.broker), "--appendonly", "yes", "--save", "",
    ]  # fmt: skip
    it.start(Child("valkey", valkey, os.environ, places.logs / "valkey.log"))
    moto = [sys.executable, "-m", "moto.server", "-H", address, "-p", str(ports["s3"])]
    it.start(Child("s3", moto, os.environ, places.logs / "s3.log"))
    for name in ("valkey", "s3"):
        _wait_for(address, ports[name], name)
    env = _addresses(address, ports, password, places)
    _make_bucket(env)
    return env


def _addresses(address: str, ports: dict[str, int], password: str, places: Places) -> dict[str, str]:
    """Everything that a machine needs to know."""
    valkey = f"redis://:{password}@{address}:{ports['valkey']}"

    def postgres(role: str) -> str:
        return f"postgres://{role}:{secret(places, role)}@{address}:{ports['postgres']}/{DATABASE}"

    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "HOME", "OMP_NUM_THREADS") if name in os.environ}
    return kept | {
        "DATABASE_URL": postgres(APP),
        "DATABASE_OWNER_URL": postgres(OWNER),
        "REDIS_URL": f"{valkey}/1",
        "CELERY_BROKER_URL": f"{valkey}/0",
        "S3_BUCKET": BUCKET,
        "S3_ENDPOINT_URL": f"http://{address}:{ports['s3']}",
        "S3_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "harness",
        "AWS_SECRET_ACCESS_KEY": password,
        "SECRET_KEY": secret(places, "secret_key"),
        "DJANGO_SETTINGS_MODULE": "labeling_platform.settings",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")])),
        "PYTHONUNBUFFERED": "1",
    }


def _free_ports(address: str, count: int) -> Sequence[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((address, 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def _wait_for(address: str, port: int, name: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=2):
            return
        time.sleep(0.1)
    raise SystemExit(f"{name} did not start")


def _make_bucket(env: dict[str, str]) -> None:
    import boto3

    boto3.client(
        "s3",
        endpoint_url=env["S3_ENDPOINT_URL"],
        region_name=env["S3_REGION"],
        aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
    ).create_bucket(Bucket=BUCKET)
