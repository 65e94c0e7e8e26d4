"""The guide on real pictures: see script/try_real."""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, urlsplit

from playwright.sync_api import sync_playwright

from tests.e2e.guide import Guide, label_one, launch_browser, sign_in, to_csv

PROJECT = Path(__file__).resolve().parent.parent
SLIP = 0.05
STATUSES = ["awaiting_prediction", "model_labeled", "awaiting_human", "human_labeled", "error"]


class Broken(BaseHTTPRequestHandler):
    """Serves what no picture should be."""

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path == "/large.jpg":
            self.send_response(200)
            self.send_header("Content-Length", str(21 * 1024 * 1024))
            self.end_headers()
            self.wfile.write(b"\xff\xd8\xff")
            return
        body = b"a text file that calls itself a picture" if self.path == "/text.jpg" else b"<html><p>a page</p></html>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def serve_broken() -> str:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Broken)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"127.0.0.1:{server.server_port}"


def start_server(data: Path, allow: str) -> tuple[subprocess.Popen[bytes], str]:
    """Start the platform on an empty data directory; wait until it serves."""
    env = os.environ | {"IMAGE_FETCH_ALLOW": allow}
    command = [
        sys.executable,
        "-m",
        "labeling_platform.stack",
        "serve",
        "--port",
        "0",
        "--no-demo",
        "--data",
        str(data),
    ]
    process = subprocess.Popen(command, env=env, cwd=PROJECT, stdout=sys.stderr)
    state = data / "run" / "state.json"
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and process.poll() is None:
        if state.exists() and (address := json.loads(state.read_text()).get("address")):
            return process, address
        time.sleep(0.2)
    raise SystemExit("the server did not start")


def make_team(data: Path, password: str) -> None:
    people = ["owner:owner@try.example", "contributor:ann@try.example", "contributor:bo@try.example"]
    command = [sys.executable, "-m", "labeling_platform.stack", "manage", "--data", str(data), "make_team"]
    command += ["--slug", "try", "--feature", "ml_assisted_labeling", "Try", *people]
    subprocess.run(command, env=os.environ | {"TEAM_PASSWORD": password}, cwd=PROJECT, check=True, stdout=sys.stderr)


def say(began: float, text: str) -> None:
    print(f"[{time.monotonic() - began:6.1f} s] {text}", file=sys.stderr, flush=True)


def status_of(row: dict[str, str], outcomes: list[str]) -> str:
    """Which of the article's five lines a report row is."""
    machine = row[f"machine_label:{outcomes[0]}"] != ""
    human = row[f"human_label:{outcomes[0]}"] != ""
    key = (row["error"], row["completed"], machine, human)
    lines = {
        ("false", "false", False, False): STATUSES[0],
        ("false", "true", True, False): STATUSES[1],
        ("false", "false", True, False): STATUSES[2],
        ("false", "true", True, True): STATUSES[3],
        ("true", "true", False, False): STATUSES[4],
    }
    return lines[key]


def best(row: dict[str, str], prefix: str, outcomes: list[str]) -> str:
    return max(outcomes, key=lambda name: float(row[f"{prefix}:{name}"]))


def figures(report: list[dict[str, str]], truth: dict[str, str]) -> dict[str, object]:
    """Shares and accuracies from the downloaded report and the manifest's labels alone."""
    outcomes = [name.removeprefix("machine_label:") for name in report[0] if name.startswith("machine_label:")]
    statuses = Counter(status_of(row, outcomes) for row in report)
    automated = [row for row in report if status_of(row, outcomes) == "model_labeled"]
    human = [row for row in report if status_of(row, outcomes) == "human_labeled"]
    machine_right = sum(best(row, "machine_label", outcomes) == truth[row["ref"]] for row in automated)
    human_right = sum(best(row, "human_label", outcomes) == truth[row["ref"]] for row in human)
    alone = sum(best(row, "machine_label", outcomes) == truth[row["ref"]] for row in automated + human)
    predicted = len(automated) + len(human)
    return {
        "rows": len(report),
        "statuses": {name: statuses.get(name, 0) for name in STATUSES},
        "share_routed": round(len(human) / max(predicted, 1), 4),
        "accuracy_automated": round(machine_right / max(len(automated), 1), 4),
        "accuracy_model_alone": round(alone / max(predicted, 1), 4),
        "accuracy_final": round((machine_right + human_right) / max(predicted, 1), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="script/try_real")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--rows", type=int, default=300, help="test pictures to send through the workflow")
    parser.add_argument("--train", type=int, default=0, help="use at most so many training pictures (0: all)")
    parser.add_argument("--threshold", default="0.8")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    dice = random.Random(options.seed)
    with open(options.manifest, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    base = options.base_url.rstrip("/")
    truth = {row["path"]: row["label"] for row in rows}
    train = [row for row in rows if row["split"] == "train"]
    test = [row for row in rows if row["split"] == "test"]
    dice.shuffle(train)
    dice.shuffle(test)
    train = train[: options.train or None]
    broken = serve_broken()
    bad = [
        ("missing", f"{base}/images/there-is-no-such-picture.jpg"), ("page", f"http://{broken}/page.jpg"),
        ("large", f"http://{broken}/large.jpg"), ("text", f"http://{broken}/text.jpg"),
        ("private", "http://10.11.12.13/picture.jpg"),
    ]  # fmt: skip
    data = Path(tempfile.mkdtemp(prefix="try-real-"))
    data.chmod(0o711)
    password = secrets.token_urlsafe(12)
    began = time.monotonic()
    process, address = start_server(data, f"{urlsplit(base).netloc},{broken}")
    try:
        make_team(data, password)
        result = walk(options, address, password, base, train, test, bad, truth, dice, data, began)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        shutil.rmtree(data, ignore_errors=True)
    print(json.dumps(result))


def walk(
    options: argparse.Namespace,
    address: str,
    password: str,
    base: str,
    train: list[dict[str, str]],
    test: list[dict[str, str]],
    bad: list[tuple[str, str]],
    truth: dict[str, str],
    dice: random.Random,
    data: Path,
    began: float,
) -> dict[str, object]:
    """The guide, step by step."""
    place = lambda row: f"{base}/{quote(row['path'])}"  # noqa: E731
    with sync_playwright() as playwright:
        browser = launch_browser(playwright, os.environ.get("CHROMIUM_PATH") or shutil.which("chromium") or "")
        guide = Guide(sign_in(browser, address, "owner@try.example", password), address, "try")
        model = guide.create_model("Real pictures")
        say(began, f"training on {len(train)} pictures")
        started = time.monotonic()
        guide.train(model, to_csv(["image_url", "label"], [[place(r), r["label"]] for r in train]), timeout=1500)
        training_seconds = time.monotonic() - started
        guide.visit(f"models/{model}/")
        stats = guide.page.locator(".stats").first.inner_text().replace("\n", " ")
        say(began, f"trained: {stats}")
        guide.evaluate(model, to_csv(["image_url"], [[place(r)] for r in test[:100]]))
        say(began, f"evaluated {guide.page.locator('.picture-card').count()} pictures")
        job = guide.create_job(
            "Real pictures",
            "Which category is it?",
            "<p>Choose the category that fits the picture best.</p>",
            design=lambda cml: cml.replace("</div>", "</div>\n<p>{{ref}}</p>", 1),
        )
        workflow = guide.create_workflow("Real workflow", model, job, options.threshold)
        chosen = test[: options.rows]
        lines = [[place(r), r["path"]] for r in chosen] + [[url, name] for name, url in bad]
        dice.shuffle(lines)
        guide.upload_rows(workflow, to_csv(["image_url", "ref"], lines))
        started = time.monotonic()
        guide.launch(workflow)
        counts = guide.wait_for_predictions(workflow, timeout=900)
        predict_seconds = time.monotonic() - started
        say(began, f"predicted: {counts}")
        labeled = label_all(browser, address, password, job, truth, dice)
        say(began, f"labeled: {labeled}")
        report = guide.report(workflow, data)
        browser.close()
    accuracy = float(stats.split("Accuracy")[1].split("%")[0]) / 100
    return {
        "train_pictures": len(train),
        "holdout_accuracy": round(accuracy, 4),
        "training_seconds": round(training_seconds, 1),
        "threshold": options.threshold,
        **figures(report, truth),
        "images_per_s": round(len(chosen) / predict_seconds, 1),
        "labeled_by": labeled,
    }


def label_all(
    browser: object, address: str, password: str, job: int, truth: dict[str, str], dice: random.Random
) -> dict[str, int]:
    """Two contributors take turns; they know the truth and slip once in twenty rows."""
    names = sorted(set(truth.values()))

    def answer(text: str) -> str:
        right = next(truth[line.strip()] for line in text.splitlines() if line.strip() in truth)
        return dice.choice([name for name in names if name != right]) if dice.random() < SLIP else right

    pages = {}
    for who in ("ann", "bo"):
        pages[who] = sign_in(browser, address, f"{who}@try.example", password)  # type: ignore[arg-type]
        pages[who].goto(f"{address}/t/try/contribute/{job}/work/")
    done = dict.fromkeys(pages, 0)
    going = set(pages)
    while going:
        for who in sorted(going):
            if label_one(pages[who], answer):
                done[who] += 1
            else:
                going.discard(who)
    return done


if __name__ == "__main__":
    main()
