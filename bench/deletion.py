"""Deleting a large team while another team writes: how long, in which transactions, and how long the other waits.

The team is deleted by the service that the console's task calls, in a process of its own, as the application's role
with row-level security on. A third process writes for another team all the while (a row's answer, a row of a job, a
line of the log, in one transaction) and notes how long each took: alone, and then while the team goes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from statistics import median, quantiles
from typing import Any

import django
import psutil

from .product import PROJECT, Running, owner_connection, peak_rss_mb, say

if __name__ == "__main__":
    django.setup()

from django.contrib.auth.hashers import make_password
from django.db import connection, transaction
from django.utils import timezone
from django_scopes import scopes_disabled

from jobs_app.models import Contributor, Job, Judgment, Page, Unit
from labeling_platform.accounts import support
from labeling_platform.accounts.models import Activity, Team, TeamDeletion, User
from labeling_platform.accounts.services import record
from labeling_platform.accounts.tenancy import team_scope
from labeling_platform.console import deleting
from labeling_platform.lib import storage
from models_app.models import CustomModel, PictureFeatures, TrainingImage, TrainingUpload
from workflows_app.models import Workflow, WorkflowRow

from .report import fill
from .team import make_team

PEOPLE, PAGES, ON_PAGE = 100, 10, 10
FILES, PICTURES, LINES = 5000, 5000, 20_000
BESIDE = 1_000_000
BASE_SECONDS, PAUSE = 20.0, 0.01


def run(options: argparse.Namespace, product: Running) -> Iterator[dict[str, Any]]:
    """One line for each number of rows."""
    psutil.Process(product.pid("beat")).suspend()  # its sweep would delete the team in the worker
    beside = make_team("beside")
    fill(beside, BESIDE)
    for rows in options.rows or [200_000]:
        for _ in range(options.repeat):
            yield _turn(rows, beside)


def _turn(rows: int, beside: Team) -> dict[str, Any]:
    team = make_team(f"large-{time.monotonic_ns()}")
    _fill(team, rows)
    had, others = _left(team), _left(beside)
    say(f"the team has {sum(had['tables'].values()):,} rows in {len(had['tables'])} tables, {had['files']:,} files")
    with scopes_disabled():
        asked = support.ask_for_deletion(team=team, typed=team.name, reason="bench", actor=_person("staff"))
        TeamDeletion.objects.filter(pk=asked.pk).update(due_at=timezone.now())
    alone = _start("write", beside)
    time.sleep(BASE_SECONDS)
    before = _end(alone)
    writer = _start("write", beside)
    deleted = json.loads(
        subprocess.run(_command("delete", team), stdout=subprocess.PIPE, cwd=PROJECT, check=True).stdout
    )
    while_going = _end(writer)
    left = _left(team)
    if left != {"tables": {}, "files": 0} or Team.objects.filter(pk=team.pk).exists():
        raise SystemExit(f"Something of the team is left: {left}")
    if any(_left(beside)["tables"][name] < count for name, count in others["tables"].items()):
        raise SystemExit("Something of the other team is gone.")
    total = sum(had["tables"].values())
    return {
        "rows": rows,
        "all_rows": total,
        "tables": len(had["tables"]),
        "files": had["files"],
        **deleted,
        "rows_per_s": round(total / deleted["seconds"]),
        "other_team_alone": before,
        "other_team_meanwhile": while_going,
    }


# --- the team -------------------------------------------------------------------------------------------------


def _fill(team: Team, rows: int) -> None:
    """A workflow of so many rows with their answers, a job that people worked on, training data, files, a log."""
    workflow = fill(team, rows)
    with team_scope(team):
        _judge(Job.objects.get(workflows=workflow))
        _train(CustomModel.objects.get(workflow=workflow))
        for kind, count in (("uploads", 20), ("reports", 20), ("pictures/ab", FILES - 40)):
            for _ in range(count):
                storage.save_bytes(b"x" * 4096, team_id=team.pk, area=kind, suffix=".bin")
        Activity.objects.bulk_create(
            [Activity(team=team, verb="bench", object_type="row", object_id=str(n)) for n in range(LINES)], 2000
        )
    say("made its people, judgments, training data, files and log")


def _person(name: str) -> User:
    found = User.objects.filter(email=f"{name}@bench.example").first()
    return found or User.objects.create(email=f"{name}@bench.example", name=name, password=make_password(None))


def _judge(job: Job) -> None:
    """PEOPLE contributors with PAGES pages of ON_PAGE judgments each."""
    now = timezone.now()
    units = list(Unit.objects.filter(job=job).order_by("pk").values_list("pk", flat=True)[: PEOPLE * PAGES * ON_PAGE])
    people = Contributor.objects.bulk_create(
        Contributor(team=job.team, job=job, user=_person(f"c{n}")) for n in range(PEOPLE)
    )
    parts = [units[start : start + ON_PAGE] for start in range(0, len(units), ON_PAGE)]
    pages = Page.objects.bulk_create(
        Page(team=job.team, job=job, contributor=people[n % PEOPLE], unit_ids=part, state="submitted", expires_at=now)
        for n, part in enumerate(parts)
    )
    Judgment.objects.bulk_create(
        Judgment(
            team=job.team, job=job, unit_id=unit, contributor=page.contributor, page=page,
            answers={"image_category": "boots"}, started_at=now,
        )
        for page in pages for unit in page.unit_ids
    )  # fmt: skip


def _train(model: CustomModel) -> None:
    upload = TrainingUpload.objects.create(
        team=model.team, model=model, file="none", original_name="t.csv", state="ready", columns=["image_url", "label"]
    )
    TrainingImage.objects.bulk_create(
        TrainingImage(
            team=model.team, model=model, upload=upload, line=n, image_url=f"https://p.example/{n}", label="boots"
        )
        for n in range(PICTURES)
    )
    PictureFeatures.objects.bulk_create(
        PictureFeatures(team=model.team, content_hash=f"{n:064x}", version="1", data=b"x" * 2560)
        for n in range(PICTURES)
    )


def _left(team: Team) -> dict[str, Any]:
    """Rows by table, of every table that has a column for the team, as the owner of the tables sees them; and files."""
    owner = owner_connection()
    with owner, owner.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'r'"
            " WHERE a.attname = 'team_id' AND NOT a.attisdropped AND c.relnamespace = 'public'::regnamespace ORDER BY 1"
        )
        found = {}
        for (table,) in cursor.fetchall():
            cursor.execute(f"SELECT count(*) FROM {table} WHERE team_id = %s", [team.pk])
            found[table] = cursor.fetchone()[0]
    owner.close()
    files = sum(1 for _ in storage.files_of_team(team.pk))
    return {"tables": {name: count for name, count in found.items() if count}, "files": files}


# --- the two at work --------------------------------------------------------------------------------------------


def _command(what: str, team: Team) -> list[str]:
    return [sys.executable, "-m", "bench.deletion", what, str(team.pk)]


def _start(what: str, team: Team) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        _command(what, team), stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=PROJECT, env=os.environ
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def _end(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    return dict(json.loads(process.communicate(b"stop\n")[0]))


def write(team: Team) -> dict[str, Any]:
    """Write until something comes on standard input: how many transactions, and how long the waits were."""
    seconds: list[float] = []
    with team_scope(team):
        workflow = Workflow.objects.get()
        job = Job.objects.get(workflows=workflow)
        rows = list(
            WorkflowRow.objects.filter(workflow=workflow, state="confident").values_list("pk", flat=True)[:5000]
        )
        print("ready", flush=True)
        os.set_blocking(sys.stdin.fileno(), False)
        while not sys.stdin.buffer.read(1):
            began = time.perf_counter()
            with transaction.atomic():
                pk = rows[len(seconds) % len(rows)]
                WorkflowRow.objects.filter(pk=pk).update(confidence=0.9, predicted_at=timezone.now())
                Unit.objects.create(team=team, job=job, key=f"w{time.monotonic_ns()}", state="judgable")
                record(team=team, actor=None, verb="bench", obj=workflow)
            seconds.append(time.perf_counter() - began)
            time.sleep(PAUSE)
    return {
        "transactions": len(seconds),
        "p50_ms": round(median(seconds) * 1000, 1),
        "p99_ms": round(quantiles(seconds, n=100)[-1] * 1000, 1),
        "longest_ms": round(max(seconds) * 1000),
    }


def delete(team: Team) -> dict[str, Any]:
    """Delete the team as the task does, again and again until it is gone; what each transaction took."""
    steps: dict[str, list[tuple[int, float]]] = defaultdict(list)

    def note(name: str) -> None:
        inner = getattr(deleting, name)

        def noted(*given: Any) -> Any:
            began = time.perf_counter()
            found = inner(*given)
            about = given[0]._meta.db_table if name == "_delete_some" else name.removeprefix("_")
            steps[about].append((int(found or 0), time.perf_counter() - began))
            return found

        setattr(deleting, name, noted)

    for name in ("_untie", "_delete_some", "_purge", "_finish"):
        note(name)
    calls, written, memory = 0, _wal(), peak_rss_mb()
    began = time.perf_counter()
    gone = False
    while not gone:
        gone = deleting.delete_team(team=team)
        calls += 1
    seconds = time.perf_counter() - began
    totals = {about: sum(step[1] for step in found) for about, found in steps.items()}
    say(", ".join(f"{about} {total:.1f} s" for about, total in totals.items() if total > 0.1))
    slowest = {about: max(step[1] for step in found) for about, found in steps.items()}
    return {
        "seconds": round(seconds, 1),
        "seconds_files": round(seconds - sum(totals.values()), 1),
        "calls_of_45_s": calls,
        "rss_mb_before": round(memory, 1),
        "peak_rss_mb": round(peak_rss_mb(), 1),
        "transactions": sum(map(len, steps.values())),
        "most_rows_in_one": max(step[0] for found in steps.values() for step in found),
        "longest_transaction_s": round(max(slowest.values()), 2),
        "longest_in": max(slowest, key=lambda about: slowest[about]),
        "wal_mb": round((_wal() - written) / 1e6),
    }


def _wal() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")
        return int(cursor.fetchone()[0])


if __name__ == "__main__":
    print(json.dumps({"write": write, "delete": delete}[sys.argv[1]](Team.objects.get(pk=int(sys.argv[2])))))
