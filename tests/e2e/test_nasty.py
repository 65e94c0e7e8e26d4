"""Attacks in every text, in a real browser: nothing runs, nothing is asked of other hosts, no policy is broken."""

from __future__ import annotations

import os
import subprocess

import psutil
import pytest
from playwright.sync_api import Browser, Page

from .conftest import EMBEDDED, PROJECT, Running, stack
from .guide import sign_in

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]

MAKE = """
from django_scopes import scopes_disabled
from jobs_app.models import Job, TestQuestion
from labeling_platform.accounts.models import Team, User
from tests.nasty import EVERYTHING
from tests.test_nasty import PAGES, design, nasty_world
from tests.test_tenancy import address, make_world
from workflows_app.models import WorkflowRow

with scopes_disabled():
    world = make_world("nasty")
    nasty_world(world, 0, team=world["team"])
    for role in ("owner", "contributor"):
        person = world["people"][role]
        person.email, person.name = f"{role}@nasty.example", EVERYTHING[:100]
        person.set_password(PASSWORD)
        person.save()
    # Nobody is to work on it: other tests share these workers.
    WorkflowRow.objects.filter(team=world["team"]).update(state="failed", reason="http_error")
for name in PAGES:
    if name not in {"teams:picture", "teams:home"}:
        print("page", name, address(name, world, world["team"]))
"""
WATCH = """
window.__broken = [];
document.addEventListener("securitypolicyviolation", event => window.__broken.push(
  `${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber} ${event.sample}`));
for (const name of ["alert", "confirm", "prompt"]) window[name] = () => window.__broken.push(`${name} was called`);
"""


TOUCH = """
document.querySelectorAll("details").forEach(it => { it.open = true; });
document.querySelectorAll("[title], td, span, p, a, img, input").forEach(it => {
  for (const kind of ["mouseover", "focus", "error"]) it.dispatchEvent(new Event(kind, {bubbles: true}));
});
"""


def make(running: Running) -> dict[str, str]:
    """Name and address of every page of a team that is full of attacks."""
    code = f"PASSWORD = {running.password!r}\n{MAKE}"
    command = stack("manage", "--data", str(running.data), "shell", "-c", code)
    own = {*EMBEDDED, "DJANGO_SETTINGS_MODULE"}
    env = {name: value for name, value in os.environ.items() if name not in own}
    done = subprocess.run(command, cwd=PROJECT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [line.split(" ") for line in done.stdout.splitlines() if line.startswith("page ")]
    return {name: url for _, name, url in lines}


def watched(browser: Browser, running: Running, role: str, broken: list[str]) -> Page:
    page = sign_in(browser, running.base, f"{role}@nasty.example", running.password)
    page.add_init_script(WATCH)
    page.on("dialog", lambda dialog: (broken.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.on("pageerror", lambda error: broken.append(f"error {error}"))
    page.on(
        "console", lambda message: broken.append(message.text) if "Content Security Policy" in message.text else None
    )
    page.on("request", lambda request: None if request.url.startswith((running.base, "data:", "blob:", "about:"))
            else broken.append(f"asked {request.url}"))  # fmt: skip
    return page


def proves_that_it_sees(page: Page, running: Running) -> None:
    """A script put into a page is not run, and that is noted."""
    page.goto(running.base + "/t/nasty/jobs/")
    page.evaluate("const s = document.createElement('script'); s.text = 'alert(1)'; document.body.append(s)")
    page.wait_for_function("window.__broken.length > 0")
    assert "script-src" in page.evaluate("window.__broken")[0]


def test_nothing_in_any_text_runs(running: Running, browser: Browser) -> None:
    pages = make(running)
    broken: list[str] = []
    owner, worker = (watched(browser, running, role, broken) for role in ("owner", "contributor"))
    proves_that_it_sees(owner, running)
    broken.clear()
    looked = 0
    for name, url in pages.items():
        page = worker if name.startswith("contribute:") else owner
        before = len(broken)
        try:
            page.goto(running.base + url, wait_until="load")
        except Exception as error:
            assert "Download is starting" in str(error), name
            continue
        page.evaluate(TOUCH)
        for frame in page.frames:
            assert frame.locator("xss7f, [onxss7f], iframe:not(.preview-frame)").count() == 0, name
        broken += page.evaluate("window.__broken || []")
        assert broken[before:] == [], name
        looked += 1
    assert looked > 45
    print(f"{looked} pages walked")
    for page in (owner, worker):
        page.context.close()


def test_no_secret_is_in_a_command_line_or_a_log(running: Running) -> None:
    """Passwords come by file, socket or environment; `ps` and the logs show none of them."""
    secrets = [path.read_text().strip() for path in (running.data / "secrets").iterdir() if path.is_file()]
    assert len(secrets) >= 3
    secrets.append(running.password)
    lines = []
    for process in psutil.process_iter():
        try:
            lines.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    ours = [line for line in lines if str(running.data) in line or "labeling_platform" in line]
    assert ours
    assert [line[:80] for line in ours for secret in secrets if secret in line] == []
    logs = [path for path in (running.data / "logs").iterdir() if path.is_file()]
    assert len(logs) >= 4
    assert [path.name for path in logs for secret in secrets if secret in path.read_text(errors="replace")] == []
