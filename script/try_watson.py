"""Two instances, one the Watson backend of the other: see script/try_watson."""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

PROJECT = Path(__file__).resolve().parent.parent
ACCURACY, SCORE, AGREED = 0.05, 0.05, 0.95
"""Tolerances: accuracy on the holdout, mean difference of a score, share of rows with the same class."""
TOKEN = """
from labeling_platform.accounts.models import Team, User
from labeling_platform.accounts.tenancy import team_scope
from labeling_platform.accounts.tokens import make_token
team = Team.objects.get(slug="try")
with team_scope(team):
    scopes = ["read", "write", "download"]
    made = make_token(team=team, actor=User.objects.get(email="owner@try.example"), name="try_watson", scopes=scopes)
print("token:" + made.text)
"""


@dataclass
class Instance:
    """A platform on an empty data directory."""

    name: str
    settings: dict[str, str]
    data: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="try-watson-")))
    process: subprocess.Popen[bytes] | None = None
    address: str = ""
    token: str = ""

    def start(self) -> None:
        """Start it, wait until it serves, make the team and a token."""
        self.data.chmod(0o711)
        command = [sys.executable, "-m", "labeling_platform.stack", "serve", "--port", "0", "--no-demo"]
        self.process = subprocess.Popen(
            [*command, "--data", str(self.data)], env=os.environ | self.settings, cwd=PROJECT, stdout=sys.stderr
        )
        state = self.data / "run" / "state.json"
        until = time.monotonic() + 300
        while not self.address:
            if time.monotonic() > until or self.process.poll() is not None:
                raise SystemExit(f"instance {self.name} did not start")
            time.sleep(0.2)
            self.address = json.loads(state.read_text()).get("address", "") if state.exists() else ""
        people = ["Try", "owner:owner@try.example"]
        self.manage("make_team", "--slug", "try", "--feature", "ml_assisted_labeling", *people)
        said = self.manage("shell", "-c", TOKEN)
        self.token = next(line for line in said.splitlines() if line.startswith("token:")).removeprefix("token:")

    def manage(self, *arguments: str, **more: str) -> str:
        command = [sys.executable, "-m", "labeling_platform.stack", "manage", "--data", str(self.data), *arguments]
        env = os.environ | self.settings | {"TEAM_PASSWORD": secrets.token_urlsafe(12)} | more
        done = subprocess.run(command, env=env, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"instance {self.name}: {arguments[0]} failed")
        return done.stdout

    def stop(self, *, keep: bool) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(90)
        if keep:
            print(f"instance {self.name}: {self.data}", file=sys.stderr)
        else:
            shutil.rmtree(self.data, ignore_errors=True)

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """GET, or POST with a body, of the HTTP API."""
        data = None if body is None else json.dumps(body).encode()
        return json.loads(self._send(path, data, "application/json"))

    def upload(self, path: str, text: str) -> Any:
        edge = secrets.token_hex(12)
        head = f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="rows.csv"\r\n'
        data = f"{head}Content-Type: text/csv\r\n\r\n{text}\r\n--{edge}--\r\n".encode()
        return json.loads(self._send(path, data, f"multipart/form-data; boundary={edge}"))

    def download(self, path: str) -> str:
        return self._send(path, None, "").decode()

    def _send(self, path: str, data: bytes | None, kind: str) -> bytes:
        headers = {"Authorization": f"Bearer {self.token}"} | ({"Content-Type": kind} if data is not None else {})
        request = urllib.request.Request(f"{self.address}/api/v1{path}", data=data, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{path}: {error.code} {error.read().decode(errors='replace')[:800]}") from None

    def wait(self, path: str, name: str, wanted: str, *, seconds: float = 1800) -> Any:
        """Ask until the field `name` is `wanted`."""
        until = time.monotonic() + seconds
        while (found := self.ask(path))[name] != wanted:
            if found[name] in {"failed", "refused", "canceled"} or time.monotonic() > until:
                raise SystemExit(f"{path}: {json.dumps(found)[:800]}")
            time.sleep(0.5)
        return found


@dataclass
class Tables:
    """The CSVs that both models get, and the true classes where they are known."""

    training: str
    evaluation: str
    rows: str
    truth: dict[str, str] = field(default_factory=dict)


@dataclass
class Result:
    """What one model made of them: scores by address and class."""

    name: str
    accuracy: float
    seconds: float
    holdout: int
    evaluation: dict[str, dict[str, float]]
    report: dict[str, dict[str, float]]
    failed: int
    rows_per_second: float


def samples(instance: Instance) -> Tables:
    def table(name: str) -> str:
        with urllib.request.urlopen(f"{instance.address}/samples/{name}.csv", timeout=60) as answer:
            return answer.read().decode()

    return Tables(table("training"), table("evaluation"), table("unlabeled"))


def manifest(options: argparse.Namespace) -> Tables:
    base = options.base_url.rstrip("/")
    with open(options.manifest, newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    random.Random(options.seed).shuffle(lines)
    train = [line for line in lines if line["split"] == "train"][: options.train or None]
    test = [line for line in lines if line["split"] == "test"][: options.rows]

    def place(line: dict[str, str]) -> str:
        return f"{base}/{quote(line['path'])}"

    return Tables(
        to_csv(["image_url", "label"], [[place(line), line["label"]] for line in train]),
        to_csv(["image_url"], [[place(line)] for line in test[:100]]),
        to_csv(["image_url"], [[place(line)] for line in test]),
        {place(line): line["label"] for line in test},
    )


def same_holdout(training: str, seed: int) -> str:
    """The training data with one picture in five of each class set aside, the same ones for both models.

    Left to itself each model draws its own holdout, and then the two are not trained on the same pictures.
    """
    lines = list(csv.DictReader(io.StringIO(training)))
    by_label: dict[str, list[dict[str, str]]] = {}
    for line in lines:
        by_label.setdefault(line["label"], []).append(line)
    for label in sorted(by_label):
        drawn = by_label[label]
        random.Random(f"{seed} {label}").shuffle(drawn)
        for place, line in enumerate(drawn):
            line["holdout"] = "yes" if place < round(len(drawn) / 5) else "no"
    names = ["image_url", "label", "holdout"]
    return to_csv(names, [[line[name] for name in names] for line in lines])


def to_csv(columns: list[str], lines: list[list[str]]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows([columns, *lines])
    return out.getvalue()


def run(on: Instance, tables: Tables, name: str, connection: int | None) -> Result:
    """Train, evaluate, workflow, report, by the HTTP API."""
    say(f"{name}: training")
    model = on.ask("/models", {"name": name, "connection_id": connection})["id"]
    upload = on.upload(f"/models/{model}/uploads", tables.training)["id"]
    on.wait(f"/models/{model}/uploads/{upload}", "state", "ready")
    began = time.monotonic()
    number = on.ask(f"/models/{model}/versions", {})["number"]
    version = on.wait(f"/models/{model}/versions/{number}", "state", "ready")
    seconds = time.monotonic() - began
    say(f"{name}: trained in {seconds:.0f} s, accuracy {version['accuracy']['share']:.1%}; evaluating")
    evaluation = on.upload(f"/models/{model}/evaluations", tables.evaluation)["id"]
    on.wait(f"/models/{model}/evaluations/{evaluation}", "prediction_state", "done")
    page = on.ask(f"/models/{model}/evaluations/{evaluation}/rows?limit=100")
    evaluated = {row["image_url"]: row["scores"] for row in page["items"] if row["scores"]}
    say(f"{name}: {len(evaluated)} pictures evaluated; workflow")
    report, failed, pace = workflow(on, tables, name, model)
    accuracy = version["accuracy"]["share"]
    return Result(name, accuracy, seconds, version["rows_holdout"], evaluated, report, failed, pace)


def workflow(on: Instance, tables: Tables, name: str, model: int) -> tuple[dict[str, dict[str, float]], int, float]:
    made = on.ask("/workflows", {"name": name, "kind": "model_only", "model_id": model})["id"]
    upload = on.upload(f"/workflows/{made}/uploads", tables.rows)["id"]
    on.wait(f"/workflows/{made}/uploads/{upload}", "state", "ready")
    warnings = [one["code"] for one in on.ask(f"/workflows/{made}/launch") if one["warning"]]
    began = time.monotonic()
    on.ask(f"/workflows/{made}/launch", {"confirm": warnings})
    while (found := on.ask(f"/workflows/{made}"))["rows_done"] < found["rows"]:
        if time.monotonic() - began > 1800:
            raise SystemExit(f"workflow: {found['rows_done']} of {found['rows']} rows after half an hour")
        time.sleep(0.5)
    seconds = time.monotonic() - began
    report = on.ask(f"/workflows/{made}/reports", {"format": "csv"})["id"]
    on.wait(f"/reports/{report}", "state", "ready")
    lines = list(csv.DictReader(io.StringIO(on.download(f"/reports/{report}/file"))))
    say(f"{name}: report of {len(lines)} rows")
    scores = {line["image_url"]: machine(line) for line in lines if line["error"] == "false"}
    return scores, sum(line["error"] == "true" for line in lines), len(lines) / seconds


def machine(line: dict[str, str]) -> dict[str, float]:
    head = "machine_label:"
    return {name.removeprefix(head): float(value) for name, value in line.items() if name.startswith(head) and value}


def best(scores: dict[str, float]) -> str:
    return max(sorted(scores), key=lambda name: scores[name])


def compare(far: Result, near: Result, tables: Tables) -> bool:
    """Print both beside each other; whether they are alike within the tolerances."""
    both = {**far.evaluation, **far.report}
    other = {**near.evaluation, **near.report}
    shared = sorted(both.keys() & other.keys())
    gaps = sorted(abs(both[url][name] - other[url][name]) for url in shared for name in other[url])
    agreed = sum(best(both[url]) == best(other[url]) for url in shared) / max(len(shared), 1)
    mean = sum(gaps) / max(len(gaps), 1)
    print(f"\n{'':34}{far.name:>14}{near.name:>14}")
    for label, one, two in [
        ("accuracy on the holdout", f"{far.accuracy:.1%}", f"{near.accuracy:.1%}"),
        ("pictures of the holdout", far.holdout, near.holdout),
        ("training, seconds", f"{far.seconds:.0f}", f"{near.seconds:.0f}"),
        ("evaluated pictures", len(far.evaluation), len(near.evaluation)),
        ("report rows with scores", len(far.report), len(near.report)),
        ("report rows with an error", far.failed, near.failed),
        ("workflow, rows per second", f"{far.rows_per_second:.1f}", f"{near.rows_per_second:.1f}"),
    ]:
        print(f"{label:34}{one!s:>14}{two!s:>14}")
    if tables.truth:
        right = [
            sum(best(r.report[u]) == tables.truth[u] for u in r.report) / max(len(r.report), 1) for r in (far, near)
        ]
        print(f"{'right rows of the report':34}{right[0]:>14.1%}{right[1]:>14.1%}")
    difference = abs(far.accuracy - near.accuracy)
    lines = [
        ("difference of the accuracies", difference, f"at most {ACCURACY}", difference <= ACCURACY),
        ("mean difference of a score", mean, f"at most {SCORE}", mean <= SCORE),
        ("rows with the same class", agreed, f"at least {AGREED}", agreed >= AGREED),
        ("99 of 100 scores differ by at most", gaps[int(len(gaps) * 0.99)] if gaps else 0.0, "reported only", True),
        ("largest difference of a score", max(gaps, default=0.0), "reported only", True),
    ]
    print()
    for label, value, rule, good in lines:
        print(f"{label:34}{value:>14.4f}  {rule}{'' if good else '  TOO MUCH'}")
    same_rows = far.report.keys() == near.report.keys() and far.failed == near.failed
    print(f"{'the same rows have scores':34}{'yes' if same_rows else 'NO':>14}")
    return all(good for *_, good in lines) and same_rows and bool(gaps)


def say(text: str) -> None:
    print(f"[{time.monotonic() - BEGAN:6.1f} s] {text}", file=sys.stderr, flush=True)


BEGAN = time.monotonic()


def main() -> int:
    parser = argparse.ArgumentParser(prog="script/try_watson")
    parser.add_argument("--manifest", type=Path)
    parser.add_argument("--base-url", default="")
    parser.add_argument("--rows", type=int, default=200, help="test pictures to send through the workflow")
    parser.add_argument("--train", type=int, default=0, help="use at most so many training pictures (0: all)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--own-holdout", action="store_true", help="let each model draw its own holdout")
    parser.add_argument("--keep", action="store_true", help="keep both data directories")
    options = parser.parse_args()
    if bool(options.manifest) != bool(options.base_url):
        parser.error("--manifest and --base-url go together")
    allow = {"IMAGE_FETCH_ALLOW": urlsplit(options.base_url).netloc} if options.base_url else {}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that both instances are stopped
    far = Instance("B", {"VR3_API_ENABLED": "true"})
    near = Instance("A", {"CLASSIFIER_BACKENDS": "local,watson", **allow})
    try:
        far.start()
        say(f"instance B serves the API at {far.address}/visual-recognition/api")
        near.settings["WATSON_HOSTS"] = urlsplit(far.address).netloc
        near.start()
        say(f"instance A: {near.address}")
        service = f"{far.address}/visual-recognition/api"
        made = near.manage("make_connection", "--team", "try", "Instance B", service, CONNECTION_SECRET=far.token)
        connection = int(made.strip().splitlines()[-1])
        tables = manifest(options) if options.manifest else samples(near)
        if not options.own_holdout:
            tables.training = same_holdout(tables.training, options.seed)
        results = [run(near, tables, "connection", connection), run(near, tables, "local", None)]
    finally:
        for instance in (near, far):
            instance.stop(keep=options.keep)
    return 0 if compare(*results, tables) else 1


if __name__ == "__main__":
    sys.exit(main())
