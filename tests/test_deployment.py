"""The files of a deployment agree with the code. No container engine is needed; none is started here."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from labeling_platform.stack.postgres import GRANTS

PROJECT = Path(__file__).resolve().parent.parent
SETTINGS = (PROJECT / "labeling_platform" / "settings.py").read_text()
OURS = ["web", "worker", "trainer", "remote", "beat", "migrate"]


def compose() -> dict:
    return yaml.safe_load((PROJECT / "docker-compose.yml").read_text())["services"]


def test_the_example_names_every_variable_of_the_settings_and_no_other() -> None:
    read = set(re.findall(r'env(?:\.\w+)?\(\s*"([A-Z0-9_]+)"', SETTINGS))
    named = set(re.findall(r"^([A-Z0-9_]+)=", (PROJECT / ".env.example").read_text(), re.MULTILINE))
    assert named == read


def test_only_the_migration_runs_as_the_owner() -> None:
    roles = {name: compose()[name]["environment"]["DATABASE_URL"].split("//")[1].split(":")[0] for name in OURS}
    assert roles == {name: "labeling_owner" if name == "migrate" else "labeling_app" for name in OURS}


def test_every_queue_has_a_worker() -> None:
    queues = {
        queue
        for name in ("worker", "trainer", "remote")
        for queue in compose()[name]["command"].split("-Q ")[1].split()[0].split(",")
    }
    assert queues == {"default", *re.findall(r'"queue": "(\w+)"', SETTINGS)}


def test_passwords_have_no_default() -> None:
    text = (PROJECT / "docker-compose.yml").read_text()
    assert re.findall(r"\$\{\w+(?!\w*:\?)[^}]*\}", text) == []


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
    assert flower["entrypoint"][-1].startswith(': "$${FLOWER_BASIC_AUTH:?')


def test_published_ports_are_on_loopback_only() -> None:
    assert [
        port for service in compose().values() for port in service.get("ports", []) if not port.startswith("127.")
    ] == []


def test_logs_are_for_programs() -> None:
    assert {compose()[name]["environment"]["LOG_FORMAT"] for name in OURS} == {"json"}
