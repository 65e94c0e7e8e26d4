"""Back up a team with everything, restore it elsewhere, and compare every table and every file."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from labeling_platform.stack.backup import check_archive
from labeling_platform.stack.places import StackError, prepare_places, secret
from labeling_platform.stack.postgres import OWNER, Postgres

from .test_stack import PROJECT, data, environment, query, stack  # noqa: F401

FILL = """
import os, subprocess, sys
owner = os.environ | {"DATABASE_URL": os.environ["DATABASE_OWNER_URL"]}
subprocess.run([sys.executable, "manage.py", "migrate", "-v", "0"], env=owner, check=True)
import django; django.setup()
from django.core.files.base import ContentFile
from django.db import transaction
from django_scopes import scopes_disabled
from allauth.mfa.models import Authenticator
from jobs_app.services import NewUnit, add_units, create_routing_job
from labeling_platform.accounts.models import User
from labeling_platform.accounts.services import create_team, set_role
from labeling_platform.accounts.tenancy import team_scope
from labeling_platform.lib import storage
from models_app.models import CustomModel, ModelVersion
from reports_app.models import Report
from workflows_app import services
from workflows_app.models import Workflow, WorkflowRow

with scopes_disabled(), transaction.atomic():
    team = create_team(organization="Acme", name="Kept", slug="kept")
    user = User.objects.create_user("o@example.com", "correct horse battery", name="O")
    set_role(team=team, user=user, role="owner")
    Authenticator.objects.create(user=user, type="totp", data={"secret": "sealed"})
    model = CustomModel.objects.create(team=team, name="M")
    ref = storage.save_bytes(os.urandom(300_000), team_id=team.pk, area="models", suffix=".model")
    model.current = ModelVersion.objects.create(
        team=team, model=model, number=1, state="ready", outcomes=["a", "b"], backend="local", ref=ref)
    model.save()
    job = create_routing_job(model=model, actor=user)
    add_units(job=job, items=[NewUnit(f"k{n}", f"http://p/{n}.jpg", {"sku": "\\u00e4\\n" * n}) for n in range(50)])
    workflow = Workflow.objects.create(team=team, name="W", kind="model_only", model=model)
    lines = "".join(f"https://p.example/{n}.jpg,{n}\\n" for n in range(500))
    file = ContentFile(f"image_url,sku\\n{lines}".encode(), "u.csv")
    upload = services.receive_rows(workflow=workflow, file=file, actor=user)
with team_scope(team):
    while services.read_rows(upload=upload): pass
    assert WorkflowRow.objects.count() == 500
    name = storage.save_bytes(b"image_url,error\\n", team_id=team.pk, area="reports", suffix=".csv")
    Report.objects.create(team=team, workflow=workflow, state="ready", file=name, size=16)
"""
LOOK = """
import json, os, environ, psycopg2
url = environ.Env.db_url_config(os.environ["DATABASE_OWNER_URL"])
connection = psycopg2.connect(host=url["HOST"], user=url["USER"], password=url["PASSWORD"], dbname=url["NAME"])
cursor = connection.cursor()
cursor.execute("SELECT relname FROM pg_stat_user_tables ORDER BY 1")
found = {}
for (table,) in cursor.fetchall():
    sums = "md5(coalesce(string_agg(md5(t::text), '' ORDER BY md5(t::text)), ''))"
    cursor.execute(f"SELECT count(*), {sums} FROM {table} t")
    found[table] = list(cursor.fetchone())
cursor.execute("SELECT sequencename, last_value FROM pg_sequences ORDER BY 1")
found["sequences"] = cursor.fetchall()
cursor.execute("SELECT tablename, tableowner FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
found["owners"] = cursor.fetchall()
cursor.execute("SELECT conname, contype::text, conrelid::regclass::text FROM pg_constraint ORDER BY 1, 3")
found["constraints"] = cursor.fetchall()
cursor.execute("SELECT tgname, tgrelid::regclass::text FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1, 2")
found["triggers"] = cursor.fetchall()
cursor.execute("SELECT tablename, policyname, roles::text, qual FROM pg_policies ORDER BY 1, 2")
found["policies"] = cursor.fetchall()
print(json.dumps(found))
"""


def inside(folder: Path, program: str) -> str:
    done = stack("exec", "--fast", "--data", str(folder), "--", sys.executable, "-c", program)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def files_of(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((folder / "files").rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def full() -> Iterator[Path]:
    """A data directory with a team that has some of everything. Tests only read it."""
    place = Path(tempfile.mkdtemp(prefix="labeling-backup-"))
    place.chmod(0o711)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_SETTINGS_MODULE", "labeling_platform.settings")
        inside(place / "here", FILL)
        yield place / "here"
    shutil.rmtree(place)


@pytest.fixture(scope="module")
def archive(full: Path) -> Path:
    done = stack("backup", "--data", str(full), str(full.parent / "all.tar"))
    assert done.returncode == 0, done.stderr
    return full.parent / "all.tar"


@pytest.mark.slow
def test_everything_comes_back(full: Path, archive: Path, data: Path) -> None:  # noqa: F811
    there = data / "there"
    done = stack("restore", "--data", str(there), str(archive))
    assert done.returncode == 0, done.stderr
    before, after = json.loads(inside(full, LOOK)), json.loads(inside(there, LOOK))
    assert before["workflows_app_workflowrow"][0] == 500
    assert before == after
    assert len(files_of(full)) == 3
    assert files_of(there) == files_of(full)
    key = Path("secrets/secret_key")
    assert (there / key).read_text() == (full / key).read_text()
    assert archive.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in data.iterdir()] == ["there"]
    # The application's role may work in it, and numbers go on where they were.
    assert query(there, "INSERT INTO ops_count (name, n) VALUES ('x', 1) RETURNING n") == "[(1,)]"
    again = stack("restore", "--data", str(there), str(archive))
    assert (again.returncode, "is not empty" in again.stderr) == (1, True)
    forced = stack("restore", "--force", "--data", str(there), str(archive))
    assert forced.returncode == 0, forced.stderr
    (kept,) = data.glob("there.before-*")
    assert json.loads(inside(there, LOOK)) == before
    assert json.loads(inside(kept, LOOK))["ops_count"][0] == before["ops_count"][0] + 1


WRITE = """
import os, time, django; django.setup()
from django.db import connection, transaction
print("ready", flush=True)
n = 0
while not os.path.exists(os.environ["UNTIL"]):
    n += 1
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("INSERT INTO ops_count (name, n) VALUES ('pair', 1)")
        cursor.execute("INSERT INTO ops_count (name, n) VALUES ('pair', -1)")
"""


@pytest.fixture
def writing(full: Path, data: Path) -> Iterator[Path]:  # noqa: F811
    """The platform runs, and something writes two rows in each transaction."""
    end = data / "end"
    command = [sys.executable, "-m", "labeling_platform.stack", "exec", "--data", str(full), "--", sys.executable, "-c"]
    process = subprocess.Popen(
        [*command, WRITE], env=environment() | {"UNTIL": str(end)}, cwd=PROJECT, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    yield full
    end.touch()
    assert process.wait(60) == 0


@pytest.mark.slow
def test_a_backup_while_it_runs_is_one_moment_and_a_restore_over_it_is_refused(writing: Path, data: Path) -> None:  # noqa: F811
    done = stack("backup", "--data", str(writing), str(data))
    assert done.returncode == 0, done.stderr
    (found,) = data.glob("labeling-*.tar")
    over = stack("restore", "--force", "--data", str(writing), str(found))
    assert (over.returncode, "Stop it first" in over.stderr) == (1, True)
    done = stack("restore", "--data", str(data / "there"), str(found))
    assert done.returncode == 0, done.stderr
    assert query(data / "there", "SELECT sum(n), count(*) > 0 FROM ops_count WHERE name = 'pair'") == (
        "[(Decimal('0'), True)]"
    )


def test_a_damaged_archive_touches_nothing(archive: Path, data: Path) -> None:  # noqa: F811
    there = data / "there"
    changed = bytearray(archive.read_bytes())
    changed[5000] ^= 1
    (data / "bad.tar").write_bytes(changed)
    done = stack("restore", "--data", str(there), str(data / "bad.tar"))
    assert (done.returncode, "is damaged" in done.stderr) == (1, True)
    (data / "short.tar").write_bytes(archive.read_bytes()[:-200_000])
    done = stack("restore", "--data", str(there), str(data / "short.tar"))
    assert done.returncode == 1
    assert sorted(path.name for path in data.iterdir()) == ["bad.tar", "short.tar"]


@pytest.mark.slow
def test_a_dump_that_does_not_load_leaves_nothing(data: Path) -> None:  # noqa: F811
    bad = data / "bad.tar"
    dump = b"PGDMP but no more"
    manifest = {
        "format": 1, "version": "0", "created": "now", "bucket": "",
        "members": {"database.dump": {"sha256": hashlib.sha256(dump).hexdigest(), "size": len(dump)}},
    }  # fmt: skip
    make_tar(bad, {"database.dump": dump, "manifest.json": json.dumps(manifest).encode()})
    done = stack("restore", "--data", str(data / "there"), str(bad))
    assert (done.returncode, "pg_restore failed" in done.stderr) == (1, True)
    assert [path.name for path in data.iterdir()] == ["bad.tar"]


def make_tar(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "secrets/labeling_admin", "files/../../evil"])
def test_a_member_that_does_not_belong_there_is_refused(tmp_path: Path, name: str) -> None:
    content = {"database.dump": b"x", name: b"y"}
    members = {key: {"sha256": hashlib.sha256(value).hexdigest(), "size": 1} for key, value in content.items()}
    manifest = {"format": 1, "created": "", "bucket": "", "members": members}
    make_tar(tmp_path / "a.tar", content | {"manifest.json": json.dumps(manifest).encode()})
    with pytest.raises(StackError, match="does not belong there"):
        check_archive(tmp_path / "a.tar")


def test_an_external_database_without_the_programs_is_said(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))
    env = environment() | {"DATABASE_URL": "postgres://app:hidden@db.example/labeling", "PATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "labeling_platform.stack", "backup", "--data", str(tmp_path), str(tmp_path / "x.tar")],
        env=env, cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, "pg_dump is not on the PATH" in done.stderr) == (1, True)
    assert "hidden" not in done.stderr + done.stdout


def test_nothing_to_back_up_is_said(tmp_path: Path) -> None:
    done = stack("backup", "--data", str(tmp_path / "none"), str(tmp_path / "x.tar"))
    assert (done.returncode, "There is nothing to back up" in done.stderr) == (1, True)
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_an_external_database_is_restored_and_backed_up(archive: Path, full: Path, data: Path) -> None:  # noqa: F811
    """A database that only its address is known of, and programs from the PATH."""
    places = prepare_places(data / "server")
    postgres = Postgres(places)
    postgres.prepare()
    postgres.start()
    try:
        postgres.make_roles()
        host = quote(str(places.sockets), safe="")
        env = environment() | {
            "DATABASE_URL": f"postgres://{OWNER}:{secret(places, OWNER)}@{host}/labeling",
            "PATH": f"{places.binaries}:{os.environ['PATH']}",
            "SECRET_KEY": "from-the-environment",
        }

        def run(*arguments: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-m", "labeling_platform.stack", *arguments]
            return subprocess.run(command, env=env, cwd=PROJECT, capture_output=True, text=True, check=False)

        done = run("restore", "--data", str(data / "files-only"), str(archive))
        assert done.returncode == 0, done.stderr
        assert files_of(data / "files-only") == files_of(full)
        again = run("restore", "--data", str(data / "other"), str(archive))
        assert (again.returncode, "already exists" in again.stderr) == (1, True)
        assert not (data / "other" / "files").exists()
        done = run("restore", "--force", "--data", str(data / "other"), str(archive))
        assert done.returncode == 0, done.stderr
        done = run("backup", "--data", str(data / "files-only"), str(data / "again.tar"))
        assert done.returncode == 0, done.stderr
        assert "second factors need it" in done.stdout
        members = check_archive(data / "again.tar")["members"]
        assert {name for name in members if name != "database.dump"} == {*files_of(full)}
    finally:
        postgres.child.ask_to_stop()
        postgres.child.wait_stopped()
