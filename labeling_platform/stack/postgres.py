"""The embedded PostgreSQL 18: cluster, roles, start and readiness."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg2
from psycopg2 import sql

from .places import Places, StackError, secret, server_identity
from .process import Child, _child_setup

ADMIN, OWNER, APP, DATABASE = "labeling_admin", "labeling_owner", "labeling_app", "labeling"
OPERATOR = "labeling_operator"
READY_SECONDS = 600.0
SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "256MB",
    "max_connections": "100",
    "max_wal_size": "512MB",
    "wal_compression": "on",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
FAST_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class Postgres:
    """The server of one data directory."""

    def __init__(self, places: Places, *, fast: bool = False) -> None:
        self.places, self.identity = places, server_identity()
        settings = SETTINGS | (FAST_SETTINGS if fast else {})
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self.child = Child(
            name="postgres",
            argv=[str(places.binaries / "postgres"), "-D", str(places.postgres), "-k", str(places.sockets), *options],
            env=_plain_environment(),
            log=places.logs / "postgres.log",
            identity=self.identity,
            stop_signal=signal.SIGINT,
            patience=60,
        )

    def url(self, role: str) -> str:
        """Address for django-environ, which reads a path before the database's name as the socket folder."""
        return f"postgres://{role}:{secret(self.places, role)}@/{quote(str(self.places.sockets))}/{DATABASE}"

    def prepare(self) -> bool:
        """Make the cluster when there is none. Returns whether it was made now."""
        folder = self.places.postgres
        if (folder / "PG_VERSION").exists():
            self._check_version(folder)
            return False
        part = folder.with_name("postgres.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(mode=0o700)
        password_file = part.with_name("postgres.pw")
        password_file.unlink(missing_ok=True)
        descriptor = os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secret(self.places, ADMIN))
        if self.identity.other:
            os.chown(part, self.identity.uid, self.identity.gid)
            os.chown(password_file, self.identity.uid, self.identity.gid)
        # The builtin locale provider sorts the same on every machine, so a copied cluster keeps good indexes.
        done = subprocess.run(
            [
                str(self.places.binaries / "initdb"), "-D", str(part), "-U", ADMIN, "-A", "scram-sha-256",
                "--pwfile", str(password_file), "-E", "UTF8", "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8", "--locale=C", "--no-sync",
            ],
            env=_plain_environment(),
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=_child_setup(self.identity, signal.SIGTERM),
        )  # fmt: skip
        password_file.unlink()
        if done.returncode:
            raise StackError(f"PostgreSQL could not be set up:\n{done.stderr.strip()}")
        part.rename(folder)
        return True

    def _check_version(self, folder: Path) -> None:
        made_with = (folder / "PG_VERSION").read_text().strip()
        if made_with != "18":
            raise StackError(
                f"The data in {folder} was made by PostgreSQL {made_with}, this is 18. "
                "Back it up with the old version and restore it here."
            )

    def clean_up(self) -> None:
        """Deal with what a killed server left: end it when it still lives, else drop its stale pid file."""
        pid_file = self.places.postgres / "postmaster.pid"
        with contextlib.suppress(OSError, ValueError, IndexError):
            pid = int(pid_file.read_text().splitlines()[0])
            if self._is_ours(pid):
                process = psutil.Process(pid)
                process.send_signal(signal.SIGINT)
                psutil.wait_procs([process], timeout=60)
            else:
                pid_file.unlink()

    def _is_ours(self, pid: int) -> bool:
        try:
            line = psutil.Process(pid).cmdline()
        except psutil.Error:
            return False
        return str(self.places.postgres) in line

    def start(self) -> None:
        """Start the server and wait for a real login; recovery after a crash may take minutes."""
        self.clean_up()
        self.child.start()
        self.wait_ready()

    def wait_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        refusals = 0
        while time.monotonic() < deadline:
            with contextlib.suppress(psycopg2.OperationalError):
                self._connect("postgres").close()
                return
            if not self.child.alive:
                # Right after a kill -9 the old backends may hold the shared memory for some seconds more.
                refusals += 1
                if refusals > 30:
                    raise StackError(f"PostgreSQL does not start. Its log:\n{_tail(self.child.log)}")
                time.sleep(0.5)
                self.child.start()
            time.sleep(0.05)
        raise StackError(f"PostgreSQL was not ready in time. Its log:\n{_tail(self.child.log)}")

    def _connect(self, database: str) -> psycopg2.extensions.connection:
        return psycopg2.connect(
            host=str(self.places.sockets), user=ADMIN, password=secret(self.places, ADMIN), dbname=database
        )

    def make_roles(self) -> None:
        """The owner migrates and owns; the app works, without any right to bypass row security.

        Nobody signs in as the operator: the app becomes it for statements that look across teams (lib/wall.py).
        """
        connection = self._connect("postgres")
        connection.autocommit = True
        with connection.cursor() as cursor:
            for role, rights in ((OWNER, "CREATEDB"), (APP, "NOCREATEDB")):
                cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role])
                verb = "ALTER" if cursor.fetchone() else "CREATE"
                cursor.execute(
                    sql.SQL(f"{verb} ROLE {{}} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE {rights} PASSWORD %s").format(
                        sql.Identifier(role)
                    ),
                    [secret(self.places, role)],
                )
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [OPERATOR])
            if not cursor.fetchone():
                cursor.execute(f"CREATE ROLE {OPERATOR} NOLOGIN NOSUPERUSER NOBYPASSRLS")
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
            if not cursor.fetchone():
                cursor.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER}")
        connection.close()
        connection = self._connect(DATABASE)
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in GRANTS:
                cursor.execute(statement)
        connection.close()


GRANTS = (
    f"REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC",
    f"GRANT CONNECT, TEMPORARY ON DATABASE {DATABASE} TO {APP}",
    f"GRANT {OPERATOR} TO {APP} WITH INHERIT FALSE, SET TRUE",
    f"GRANT {OPERATOR} TO {OWNER} WITH INHERIT FALSE, SET TRUE",
    f"GRANT USAGE ON SCHEMA public TO {APP}, {OPERATOR}",
    (
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} IN SCHEMA public "
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {APP}, {OPERATOR}"
    ),
    (
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} IN SCHEMA public "
        f"GRANT USAGE, SELECT ON SEQUENCES TO {APP}, {OPERATOR}"
    ),
    f"ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} IN SCHEMA public GRANT EXECUTE ON FUNCTIONS TO {APP}, {OPERATOR}",
)


def _plain_environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "TZ": "UTC"}


def _tail(path: Path, lines: int = 15) -> str:
    with contextlib.suppress(OSError):
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    return "(no log)"
