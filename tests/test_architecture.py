"""The rules that no person should have to check: lint, types, the ladder of imports, migrations, templates."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import call_command
from django.template.loader import get_template
from django.urls import URLPattern, URLResolver, get_resolver

from labeling_platform.lib.states import States

PROJECT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
TEMPLATES = sorted(path.relative_to(PROJECT / "templates") for path in (PROJECT / "templates").rglob("*.html"))


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["lint-imports"],
        ["mypy"],
        ["djlint", "--lint", "templates"],
    ],
    ids=lambda command: command[0] + command[1] if len(command) > 1 else command[0],
)
def test_tool_finds_nothing(command: list[str]) -> None:
    done = subprocess.run(
        [str(BIN / command[0]), *command[1:]], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]


@pytest.mark.django_db
def test_no_migration_is_missing() -> None:
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


def test_django_finds_nothing() -> None:
    call_command("check", fail_level="WARNING")


@pytest.mark.parametrize("name", TEMPLATES, ids=str)
def test_template_compiles(name: Path) -> None:
    get_template(str(name))


def team_patterns(resolver: URLResolver, prefix: str = "") -> list[tuple[str, URLPattern]]:
    found: list[tuple[str, URLPattern]] = []
    for item in resolver.url_patterns:
        path = prefix + str(item.pattern)
        if isinstance(item, URLResolver):
            found += team_patterns(item, path)
        else:
            found.append((path, item))
    return [(path, item) for path, item in found if path.startswith("t/<slug:team_slug>/")]


def test_every_team_page_goes_through_the_door() -> None:
    patterns = team_patterns(get_resolver())
    assert len(patterns) > 40
    assert [path for path, item in patterns if not hasattr(item.callback, "team_access")] == []


OWN_STATES = [kind for kind in States.__subclasses__() if not kind.__module__.startswith("tests.")]


@pytest.mark.parametrize("kind", OWN_STATES, ids=lambda kind: kind.__name__)
def test_states_say_every_colour_and_no_unknown_move(kind: type[States]) -> None:
    moves = kind.legal_moves()
    assert set(moves) == set(kind.values)
    assert {target for targets in moves.values() for target in targets} <= set(kind.values)
    assert all(member.color for member in kind)


def test_every_tenant_table_has_a_team() -> None:
    own = {"accounts", "models_app", "jobs_app", "workflows_app", "reports_app"}
    without = {"User", "Organization", "Team", "Membership", "TeamFeature", "UsedAssertion"}
    tables = {model.__name__: model for model in apps.get_models() if model._meta.app_label in own}
    assert {name for name, model in tables.items() if not hasattr(model, "team") or name in without} == without


def tracked(*patterns: str) -> list[Path]:
    done = subprocess.run(["git", "ls-files", *patterns], cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode:
        return [path for pattern in patterns or ("*",) for path in PROJECT.glob(pattern)]
    return [PROJECT / name for name in done.stdout.splitlines()]


def test_lock_files_name_no_host() -> None:
    for name in ("package-lock.json", "requirements.txt", "requirements-dev.txt", "requirements-node.txt"):
        text = (PROJECT / name).read_text()
        assert '"resolved"' not in text
        assert "index-url" not in text


def test_no_path_of_one_machine_is_in_the_project() -> None:
    paths = re.compile(r"(?<![\w.])/(?:work|root|home)/[a-z]")
    bad = []
    for path in tracked("*.py", "*.html", "*.js", "*.md", "*.toml", "*.yml", "script/*", ".ci/*"):
        if path.is_file() and path != Path(__file__).resolve():
            bad += [str(path) for line in path.read_text(errors="replace").splitlines() if paths.search(line)]
    assert bad == []
