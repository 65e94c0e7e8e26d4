"""A program goes the whole way of docs/api.md on the running platform, with a token that a person made on the page."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from labeling_platform.lib.samples import LABELS, sample_names

from .conftest import PROJECT, Running
from .guide import Guide, to_csv

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]

AXE = PROJECT / "node_modules" / "axe-core" / "axe.min.js"
TRAIN, EVALUATE, ROWS = 12, 3, 5


def pictures(running: Running, first: int, count: int) -> list[list[str]]:
    return [
        [f"{running.base}/samples/{name}", label]
        for label in LABELS
        for name in sample_names(label, first + count)[first:]
    ]


def make_token(guide: Guide) -> str:
    """What a person does on the page; the token is shown this one time."""
    page = guide.page
    guide.visit("api/")
    page.get_by_label("Name").fill("nightly upload")
    for scope in ("Write", "Download"):
        page.get_by_label(re.compile(f"^{scope}:")).check()
    page.get_by_role("button", name="Make token").click()
    return page.get_by_label("Token", exact=True).input_value()


def test_the_documented_way(running: Running, person, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl on this machine")
    guide = Guide(person("owner"), running.base, "e2e")
    token = make_token(guide)
    (tmp_path / "training.csv").write_bytes(to_csv(["image_url", "label"], pictures(running, 0, TRAIN)))
    (tmp_path / "pictures.csv").write_bytes(
        to_csv(["image_url"], [[url] for url, _ in pictures(running, 20, EVALUATE)])
    )
    sent = [[url, f"sku-{number}"] for number, (url, _) in enumerate(pictures(running, 30, ROWS))]
    (tmp_path / "rows.csv").write_bytes(to_csv(["image_url", "sku"], sent))
    (script,) = re.findall(r"```sh\n(.*?)```", (PROJECT / "docs" / "api.md").read_text(), re.DOTALL)
    with open(tmp_path / "said.log", "w") as said:
        done = subprocess.run(
            ["timeout", "400", "bash", "-euo", "pipefail", "-c", script],
            env={"PATH": os.environ["PATH"], "API": f"{running.base}/api/v1", "TOKEN": token},
            cwd=tmp_path, stdout=said, stderr=said, check=False,
        )  # fmt: skip
    log = (running.data / "server.log").read_text()
    assert done.returncode == 0, (tmp_path / "said.log").read_text() + log[-3000:]
    with open(tmp_path / "report.csv", newline="") as file:
        report = list(csv.DictReader(file))
    assert [row["sku"] for row in report] == [sku for _, sku in sent]
    assert {row["completed"] for row in report} == {"true"}
    assert token[15:] not in log
    revoke(guide)
    refused = subprocess.run(
        ["curl", "-sS", "-H", f"Authorization: Bearer {token}", f"{running.base}/api/v1/me"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert '"token_revoked"' in refused.stdout


def revoke(guide: Guide) -> None:
    guide.visit("api/")
    guide.page.get_by_role("button", name="Revoke nightly upload").click()
    guide.page.locator("#ask").get_by_role("button", name="Continue").click()
    guide.page.get_by_text("is revoked. Programs that use it get in no more.").wait_for()


def test_the_pages_of_the_api_pass_axe(running: Running, person) -> None:
    page = person("owner")
    found = []
    for address in (f"{running.base}/t/e2e/api/", f"{running.base}/api/"):
        for width, theme in ((1280, "light"), (390, "dark")):
            page.emulate_media(color_scheme=theme)
            page.set_viewport_size({"width": width, "height": 900})
            page.goto(address)
            page.evaluate("for (const one of document.querySelectorAll('details[id]')) one.open = true")
            page.evaluate(AXE.read_text())
            result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
            found += [f"{address} {width}: {one['id']} {one['nodes'][0]['html']}" for one in result["violations"]]
            if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
                found.append(f"{address} is wider than {width}")
    assert found == []
