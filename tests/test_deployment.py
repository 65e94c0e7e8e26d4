"""The files of a deployment agree with the code. No container engine is needed; none is started here."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from labeling_platform.stack.postgres import GRANTS

PROJECT = Path(__file__).resolve().parent.parent
SETTINGS = (PROJECT / "labeling_platform" / "settings.py").read_text()
OURS = ["web", "worker", "trainer", "beat", "migrate"]


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
        for name in ("worker", "trainer")
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
