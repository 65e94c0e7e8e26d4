"""The guide (the request) as steps in a browser: train, evaluate, job, workflow, launch, label, report.

Used by the browser test and by script/try_real; both talk to a real server only through its pages.
"""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, Playwright, expect

CHROMIUM_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


def launch_browser(playwright: Playwright, path: str) -> Browser:
    return playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)


@dataclass
class Guide:
    """One signed-in requester in one team."""

    page: Page
    base: str
    team: str

    def url(self, path: str) -> str:
        return f"{self.base}/t/{self.team}/{path}"

    def visit(self, path: str) -> None:
        response = self.page.goto(self.url(path))
        assert response is not None
        assert response.status == 200, f"{path}: {response.status}"

    def number(self) -> int:
        """The id in the present address, like 7 in /models/7/."""
        found = re.search(r"/(\d+)/", self.page.url)
        assert found is not None, self.page.url
        return int(found.group(1))

    def upload(self, name: str, content: bytes, button: str = "Upload") -> None:
        field = self.page.locator("input[type=file]").first
        field.set_input_files({"name": name, "mimeType": "text/csv", "buffer": content})
        self.page.get_by_role("button", name=button, exact=True).click()
        self.page.wait_for_load_state()

    # -- the steps

    def create_model(self, name: str) -> int:
        self.visit("models/")
        self.page.get_by_role("link", name="Create Custom Model").first.click()
        self.page.get_by_label("Name").fill(name)
        self.page.locator("main form button[type=submit]").click()
        self.page.wait_for_url(re.compile(r"/models/\d+/"))
        return self.number()

    def train(self, model: int, content: bytes, *, timeout: float) -> None:
        """Upload training data, wait until it is read, begin training, wait until it is ready."""
        self.visit(f"models/{model}/")
        self.upload("training.csv", content)
        begin = self.page.get_by_role("button", name="Begin Training")
        expect(begin).to_be_enabled(timeout=60_000)
        begin.click()
        expect(self.page.get_by_text("in service", exact=False).first).to_be_visible(timeout=timeout * 1000)

    def evaluate(self, model: int, content: bytes, *, timeout: float = 120) -> None:
        """Upload a CSV to evaluate and wait for the predictions snapshot."""
        self.visit(f"models/{model}/evaluate/")
        self.upload("evaluation.csv", content, "Upload and predict")
        self.page.wait_for_url(re.compile(r"/evaluations/\d+/"))
        expect(self.page.locator(".picture-card").first).to_be_visible(timeout=timeout * 1000)

    def create_job(
        self, model_name: str, title: str, instructions: str, *, design: Callable[[str], str] | None = None
    ) -> int:
        """Make the routing job, write instructions, perhaps change the design."""
        self.visit("jobs/new/")
        self.page.get_by_label("Model").select_option(label=model_name)
        self.page.get_by_label("Title").fill(title)
        self.page.get_by_role("button", name="Create job").click()
        self.page.wait_for_url(re.compile(r"/jobs/\d+/design/"))
        self.page.get_by_label("Instructions").fill(instructions)
        if design is not None:
            self.page.get_by_role("button", name="Code", exact=True).click()
            editor = self.page.locator("#id_cml")
            editor.fill(design(editor.input_value()))
        self.page.get_by_role("button", name="Save", exact=True).click()
        expect(self.page.get_by_text("Saved.", exact=True)).to_be_visible()
        return self.number()

    def create_workflow(self, name: str, model: int, job: int | None, threshold: str = "0.8") -> int:
        self.visit("workflows/new/")
        self.page.get_by_label("Name").fill(name)
        self.page.locator(f"#kind-{'model_then_job' if job else 'model_only'}").check(force=True)
        self.page.locator(f"#model-{model}").check(force=True)
        if job:
            expect(self.page.locator(f"#job-{job}")).to_be_enabled()
            self.page.locator(f"#job-{job}").check(force=True)
            self.page.locator("#id_threshold").fill(threshold)
        self.page.get_by_role("button", name="Save", exact=True).click()
        self.page.wait_for_url(re.compile(r"/workflows/\d+/"))
        return self.number()

    def upload_rows(self, workflow: int, content: bytes, *, timeout: float = 120) -> None:
        self.visit(f"workflows/{workflow}/data/")
        self.upload("unlabeled.csv", content)
        self.visit(f"workflows/{workflow}/data/")
        expect(self.page.get_by_text("Ready", exact=True).first).to_be_visible(timeout=timeout * 1000)

    def launch(self, workflow: int) -> None:
        self.visit(f"workflows/{workflow}/launch/")
        for box in self.page.locator("input[name=confirm]").all():
            box.check()
        self.page.get_by_role("button", name="Launch", exact=True).click()
        self.page.wait_for_load_state()
        self.visit(f"workflows/{workflow}/")
        expect(self.page.get_by_text("Running", exact=True).first).to_be_visible()

    def status_counts(self, workflow: int) -> dict[str, int]:
        """The five figures of the running page."""
        self.visit(f"workflows/{workflow}/")
        names = ["Awaiting prediction", "Completed by the model", "Awaiting human label", "Human labeled", "Error"]
        text = self.page.locator(".stats").first.inner_text()
        found = [int(part.replace(",", "")) for part in re.findall(r"^[\d,]+$", text, re.MULTILINE)]
        return dict(zip(names, found, strict=True))

    def wait_for_predictions(self, workflow: int, *, timeout: float) -> dict[str, int]:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            counts = self.status_counts(workflow)
            if counts["Awaiting prediction"] == 0:
                return counts
            time.sleep(0.5)
        raise AssertionError(f"rows still await prediction after {timeout} s: {counts}")

    def report(self, workflow: int, folder: Path, *, timeout: float = 120) -> list[dict[str, str]]:
        """Ask for the report, wait, download it; its rows."""
        self.visit(f"reports/workflow/{workflow}/")
        self.page.get_by_role("button", name="Generate report").click()
        link = self.page.get_by_role("link", name="Download CSV").first
        expect(link).to_be_visible(timeout=timeout * 1000)
        with self.page.expect_download() as waiting:
            link.click()
        target = folder / "report.csv"
        waiting.value.save_as(target)
        return list(csv.DictReader(io.StringIO(target.read_text(encoding="utf-8"))))


def sign_in(browser: Browser, base: str, email: str, password: str, **options: Any) -> Page:
    """A new browser window of a person who has signed in."""
    page = browser.new_context(**options).new_page()
    page.goto(f"{base}/accounts/login/")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(password)
    page.locator("main button[type=submit], form button[type=submit]").first.click()
    page.wait_for_url(re.compile(r"/t/|/admin/"))
    return page


def label_one(page: Page, answer: Callable[[str], str]) -> bool:
    """Answer the row that is shown, by keyboard; False when none is. `answer` gets the row's text and names a value."""
    if page.locator("#unit-form").count() == 0:
        return False
    before = page.locator("#unit-form input[name=page]").input_value()
    value = answer(page.locator("#unit-form").inner_text())
    key = page.locator(f'#unit-form input[value="{value}"]').first.get_attribute("data-key")
    page.keyboard.press(str(key))
    page.keyboard.press("Enter")
    page.wait_for_function(
        "before => { const page = document.querySelector('#unit-form input[name=page]');"
        " return !page || page.value !== before; }",
        arg=before,
    )
    return True


def to_csv(header: list[str], rows: list[list[str]]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue().encode()
