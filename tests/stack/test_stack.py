"""The embedded stack, started for real in a folder of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from labeling_platform.stack.places import prepare_places, server_identity
from labeling_platform.stack.supervisor import Stack, held

PROJECT = Path(__file__).resolve().parent.parent.parent
EMBEDDED = ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "CELERY_BROKER_URL", "DATA_DIR", "SECRET_KEY")
LOOK = """
import os, environ, psycopg2
url = environ.Env.db_url_config(os.environ["{url}"])
connection = psycopg2.connect(host=url["HOST"], user=url["USER"], password=url["PASSWORD"], dbname=url["NAME"])
connection.autocommit = True
cursor = connection.cursor()
cursor.execute({sql!r})
print(cursor.fetchall() if cursor.description else "done")
"""


@pytest.fixture
def data() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="labeling-stack-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in EMBEDDED}


def stack(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "labeling_platform.stack", *arguments]
    return subprocess.run(command, env=environment(), cwd=PROJECT, capture_output=True, text=True, check=False)


def query(data: Path, sql: str, url: str = "DATABASE_URL") -> str:
    program = LOOK.format(url=url, sql=sql)
    done = stack("exec", "--fast", "--data", str(data), "--", sys.executable, "-c", program)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_two_roles_may_what_they_should_and_data_stays(data: Path) -> None:
    rights = "SELECT rolname, rolsuper, rolbypassrls, rolcreatedb FROM pg_roles WHERE rolname = current_user"
    assert query(data, rights) == "[('labeling_app', False, False, False)]"
    assert query(data, rights, "DATABASE_OWNER_URL") == "[('labeling_owner', False, False, True)]"
    assert query(data, "CREATE TABLE t (n int)", "DATABASE_OWNER_URL") == "done"
    assert query(data, "INSERT INTO t VALUES (7) RETURNING n") == "[(7,)]"


def test_the_exit_code_is_the_commands(data: Path) -> None:
    assert (
        stack("exec", "--fast", "--data", str(data), "--", sys.executable, "-c", "raise SystemExit(7)").returncode == 7
    )


def test_servers_listen_on_private_sockets_only_and_come_back(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in EMBEDDED:
        monkeypatch.delenv(name, raising=False)
    places = prepare_places(data)
    with held(places):
        servers = Stack(places, say=lambda text: None, fast=True)
        try:
            servers.start_servers()
            assert servers.postgres is not None
            process = servers.postgres.child.process
            assert process is not None
            for child in servers.children:
                assert child.process is not None
                assert psutil.Process(child.process.pid).net_connections("tcp") == []
            assert places.sockets.stat().st_mode & 0o777 == 0o700
            assert places.run.stat().st_mode & 0o777 == 0o700
            assert psutil.Process(process.pid).uids().real == server_identity().uid
            os.kill(process.pid, signal.SIGKILL)
            process.wait(10)
            for _ in range(100):
                servers.watch_once()
                if servers.postgres.child.alive:
                    break
                import time

                time.sleep(0.05)
            servers.postgres.wait_ready()
        finally:
            servers.stop()


def test_a_held_data_directory_is_not_started_twice(data: Path) -> None:
    with held(prepare_places(data)):
        done = stack("serve", "--port", "0", "--no-demo", "--data", str(data))
    assert (done.returncode, done.stdout) == (0, "The platform is running already: no web page\n")


def test_a_port_in_use_is_said(data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = stack("serve", "--port", str(port), "--no-demo", "--data", str(data))
    assert done.returncode == 1
    assert f"Port {port} is in use; choose another with --port" in done.stderr


def test_a_long_path_gets_a_short_socket_folder(data: Path) -> None:
    deep = data / ("x" * 60) / ("y" * 60)
    deep.mkdir(parents=True)
    for folder in (deep, *deep.parents):
        if folder.is_relative_to(data):
            folder.chmod(0o711)
    assert query(deep, "SELECT 1") == "[(1,)]"
