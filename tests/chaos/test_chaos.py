"""The short form of script/chaos on the real stack: a clean run, and one that must not be clean."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from chaos.product import EMBEDDED

PROJECT = Path(__file__).resolve().parent.parent.parent
pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.xdist_group("chaos")]


def chaos(*arguments: str, code: int) -> dict[str, Any]:
    """The last line of a run that ends with this exit code."""
    env = {name: value for name, value in os.environ.items() if name not in {*EMBEDDED, "DJANGO_SETTINGS_MODULE"}}
    command = [sys.executable, "-m", "chaos", *arguments]
    done = subprocess.run(command, cwd=PROJECT, env=env, capture_output=True, text=True, check=False, timeout=400)
    assert done.returncode == code, done.stderr[-6000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_nothing_is_lost_or_doubled_while_parts_are_killed() -> None:
    found = chaos("--short", "--seed", "1", code=0)
    assert (found["rows"], found["faults"], found["faults_not_done"]) == (600, 8, 0)
    damage = ["lost", "duplicated", "judgments_lost", "judgments_unknown", "report_mismatches", "late_accepted"]
    assert {name: found[name] for name in damage} == dict.fromkeys(damage, 0)
    assert (found["stuck_units"], found["judgments"], found["acknowledged"]) == (
        0,
        2 * found["units"],
        2 * found["units"],
    )
    assert 300 < found["units"] < 380


def test_a_missing_unique_key_is_noticed() -> None:
    """The harness would see it: without the key, rows that are sent to people again become second units."""
    found = chaos("--short", "--calm", "--rows", "150", "--sabotage", "unique", code=1)
    assert found["duplicated"] > 0


def test_workers_on_machines_that_share_nothing_but_addresses() -> None:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and the command `ip`")
    if find_spec("moto") is None:
        pytest.skip("the package moto (object storage for tests) is not installed")
    found = chaos("--machines", "3", code=0)
    assert (found["rows"], found["lost"], found["duplicated"], found["stuck_units"]) == (600, 0, 0, 0)
    assert min(found["claimed_by_machine"]) > 0
