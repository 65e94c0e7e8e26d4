"""The real thing: the platform as `script/server` runs it, on an empty data directory, and a browser."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from .guide import launch_browser, sign_in

PROJECT = Path(__file__).resolve().parent.parent.parent
EMBEDDED = ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "CELERY_BROKER_URL", "DATA_DIR", "SECRET_KEY")


@dataclass
class Running:
    """A running platform: its address, its data directory, the password of its people."""

    base: str
    data: Path
    password: str


def stack(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "labeling_platform.stack", *arguments]


@pytest.fixture(scope="package")
def running() -> Iterator[Running]:
    data = Path(tempfile.mkdtemp(prefix="labeling-e2e-"))
    data.chmod(0o711)
    env = {name: value for name, value in os.environ.items() if name not in EMBEDDED} | {"EMBEDDER": "fast"}
    env.pop("DJANGO_SETTINGS_MODULE", None)
    with open(data / "server.log", "wb") as log:
        process = subprocess.Popen(
            stack("serve", "--port", "0", "--no-demo", "--data", str(data)),
            env=env,
            cwd=PROJECT,
            stdout=log,
            stderr=log,
        )
    state = data / "run" / "state.json"
    deadline = time.monotonic() + 180
    address = ""
    while not address and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)
        if state.exists():
            address = json.loads(state.read_text()).get("address", "")
    assert address, (data / "server.log").read_text()
    password = secrets.token_urlsafe(12)
    people = [
        "owner:owner@e2e.example",
        "contributor:ann@e2e.example",
        "contributor:bo@e2e.example",
        "viewer:vi@e2e.example",
    ]
    subprocess.run(
        stack("manage", "--data", str(data), "make_team", "--slug", "e2e", "--feature", "ml_assisted_labeling",
              "E2E", *people),
        env=env | {"TEAM_PASSWORD": password}, cwd=PROJECT, check=True,
    )  # fmt: skip
    yield Running(address, data, password)
    process.send_signal(signal.SIGTERM)
    assert process.wait(90) == 0
    shutil.rmtree(data)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """A browser that ends with these tests: while Playwright's loop lives, Django thinks this thread is async."""
    if reason := os.environ.get("BROWSER_MISSING"):
        pytest.skip(f"no browser: {reason}")
    path = os.environ.get("CHROMIUM_PATH") or shutil.which("chromium") or shutil.which("google-chrome") or ""
    with sync_playwright() as playwright:
        found = launch_browser(playwright, path)
        yield found
        found.close()


def is_error(message: ConsoleMessage) -> bool:
    """Whether the console reports a fault: an answer 422 (a form that was filled in wrong) is none."""
    return message.type == "error" and "status of 422" not in message.text


@pytest.fixture
def person(running: Running, browser: Browser) -> Iterator[object]:
    """Sign somebody in: person("owner") gives a page; errors in the browser's console fail the test."""
    pages: list[Page] = []
    errors: list[str] = []

    def enter(name: str, **options: object) -> Page:
        page = sign_in(browser, running.base, f"{name}@e2e.example", running.password, **options)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if is_error(message) else None)
        pages.append(page)
        return page

    yield enter
    for page in pages:
        page.context.close()
    assert errors == []
