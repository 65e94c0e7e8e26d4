"""Bringing the schema up to date while a table is in use."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import environ
import psycopg2
import pytest

PROJECT = Path(__file__).resolve().parent.parent.parent
OWNER_URL = os.environ.get("DATABASE_OWNER_URL", "")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not OWNER_URL, reason="needs the database of script/test")]


def connect(name: str):
    found = environ.Env.db_url_config(OWNER_URL)
    connection = psycopg2.connect(host=found["HOST"], user=found["USER"], password=found["PASSWORD"], dbname=name)
    connection.autocommit = True
    return connection


@pytest.fixture
def database() -> Iterator[str]:
    name = f"upgrade_{secrets.token_hex(4)}"
    server = connect("postgres")
    server.cursor().execute(f"CREATE DATABASE {name}")
    yield name
    server.cursor().execute(f"DROP DATABASE {name} WITH (FORCE)")
    server.close()


def environment(database: str) -> dict[str, str]:
    return os.environ | {"DATABASE_URL": f"{OWNER_URL.rsplit('/', 1)[0]}/{database}"}


def manage(database: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, env=environment(database), cwd=PROJECT, capture_output=True, text=True, check=False)


def test_a_table_in_use_is_tried_again(database: str) -> None:
    assert manage(database, "upgrade", "-v", "0").returncode == 0
    # The last migration of these rows takes a lock that this one stands in the way of.
    assert manage(database, "migrate", "jobs_app", "0008_launch_together", "-v", "0").returncode == 0
    holder = connect(database)
    holder.autocommit = False
    holder.cursor().execute("LOCK TABLE jobs_app_unit IN SHARE UPDATE EXCLUSIVE MODE")
    done = manage(database, "upgrade", "-v", "0", "--tries", "1")
    assert (done.returncode, "Nothing is half done" in done.stderr) == (1, True)
    process = subprocess.Popen(
        [sys.executable, "-u", "manage.py", "upgrade", "-v", "0"],
        env=environment(database), cwd=PROJECT, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    assert process.stderr.readline() == "a table is in use (try 1 of 10); trying again\n"
    holder.rollback()
    assert process.wait(120) == 0
    process.stderr.close()
    cursor = holder.cursor()
    cursor.execute("SELECT count(*) FROM django_migrations WHERE app = 'jobs_app' AND name LIKE '0009%'")
    assert cursor.fetchone() == (1,)
    holder.close()
