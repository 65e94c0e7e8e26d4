"""How fast answers of a backend that needs no time become results: claim, route, write, by the product's services.

Several processes work on one workflow, as many as the worker has, each claiming and finishing chunks until nothing is
left. Bare is one UPDATE of the same columns of as many rows, in one statement.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from statistics import median
from typing import Any

import django
import psutil

from .product import Running, owner_connection, peak_rss_mb, say

PROCESSES = 2  # as many as the worker has
CHUNK = 1000
OUTCOMES = ["boots", "sneakers", "sandals", "negative_examples"]
FILL = """
INSERT INTO workflows_app_workflowrow (team_id, workflow_id, upload_id, line, image_url, cells, state, reason,
    error_message, attempts, token, predicted, "unlike")
SELECT %(team)s, %(workflow)s, %(upload)s, n, 'https://pictures.example/' || n || '.jpg',
    ARRAY['https://pictures.example/' || n || '.jpg', 'SKU-' || n], 'awaiting', '', '', 0, 0, '', false
FROM generate_series(2, %(rows)s + 1) n
"""
BARE = """
UPDATE workflows_app_workflowrow SET state = 'confident', scores = '{0.9,0.05,0.03,0.02}', predicted = 'boots',
    confidence = 0.9, version_id = %(version)s, predicted_at = clock_timestamp()
WHERE workflow_id = %(workflow)s
"""


def run(options: argparse.Namespace, product: Running) -> Iterator[dict[str, Any]]:
    """One line for each size and kind of workflow."""
    from .team import make_team

    team = make_team("dispatch")
    # Without beat nobody calls the product's own workers to these rows, whose pictures do not exist.
    psutil.Process(product.pid("beat")).suspend()
    for rows in options.rows or [100_000]:
        for kind in ("model_only", "model_then_job"):
            turns = [_turn(team, rows, kind) for _ in range(options.repeat)]
            seconds = median(turn["seconds"] for turn in turns)
            bare = median(turn["bare"] for turn in turns)
            yield {
                "kind": kind,
                "rows": rows,
                "processes": PROCESSES,
                "seconds": round(seconds, 2),
                "rows_per_s": round(rows / seconds),
                "bare_rows_per_s": round(rows / bare),
                "ratio": round(bare / seconds, 3),
                "peak_rss_mb": round(max(turn["peak_rss_mb"] for turn in turns), 1),
                "each": [round(turn["seconds"], 2) for turn in turns],
            }


def _turn(team: Any, rows: int, kind: str) -> dict[str, float]:
    workflow = _fill(team, rows, kind)
    command = [sys.executable, "-m", "bench.dispatch", str(team.pk), str(workflow.pk)]
    working = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(PROCESSES)]
    for process in working:
        assert process.stdout is not None
        process.stdout.readline()
    began = time.perf_counter()
    for process in working:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    found = [json.loads(process.communicate()[0]) for process in working]
    seconds = time.perf_counter() - began
    _check(workflow, rows)
    say(f"{kind}, {rows} rows: {seconds:.2f} s")
    return {
        "seconds": seconds,
        "peak_rss_mb": max(one["peak_rss_mb"] for one in found),
        "bare": _bare(team, rows),
    }


def _fill(team: Any, rows: int, kind: str) -> Any:
    """A running workflow of so many waiting rows."""
    from django_scopes import scope

    from jobs_app.services import create_routing_job, freeze_design
    from models_app.models import CustomModel, ModelVersion
    from workflows_app.models import Workflow, WorkflowUpload

    with scope(team=team):
        model = CustomModel.objects.create(team=team, name=f"{rows} {time.monotonic_ns()}")
        version = ModelVersion.objects.create(
            team=team, model=model, number=1, state="ready", outcomes=OUTCOMES, backend="local"
        )
        CustomModel.objects.filter(pk=model.pk).update(current=version)
        model.refresh_from_db()
        job = None
        if kind == "model_then_job":
            job = create_routing_job(model=model, actor=None)
            freeze_design(job=job)
        workflow = Workflow.objects.create(
            team=team, name="rows", kind=kind, model=model, job=job, version=version, outcomes=OUTCOMES, state="running"
        )
        upload = WorkflowUpload.objects.create(
            team=team, workflow=workflow, file="", original_name="rows", state="ready", columns=["image_url", "sku"]
        )
    connection = owner_connection()
    with connection, connection.cursor() as cursor:
        given = {"team": team.pk, "workflow": workflow.pk, "upload": upload.pk, "rows": rows}
        cursor.execute(FILL, given)
    connection.close()
    return workflow


def _check(workflow: Any, rows: int) -> None:
    from django_scopes import scope

    from workflows_app.models import WorkflowRow
    from workflows_app.querysets import counted_rows, tallied_rows

    with scope(team=workflow.team):
        truth = counted_rows(WorkflowRow.objects.filter(workflow=workflow))
        if truth["awaiting_prediction"] or sum(truth.values()) != rows or truth != tallied_rows(workflow):
            raise SystemExit(f"Not every row has its answer: {truth}")


def _bare(team: Any, rows: int) -> float:
    workflow = _fill(team, rows, "model_only")
    connection = owner_connection()
    with connection.cursor() as cursor:
        began = time.perf_counter()
        cursor.execute(BARE, {"workflow": workflow.pk, "version": workflow.version_id})
        connection.commit()
        seconds = time.perf_counter() - began
    connection.close()
    return seconds


def work(team: int, workflow: int) -> None:
    """What one of the processes does: claim and finish until nothing is left. A third of the answers are unsure."""
    from django_scopes import scope

    from labeling_platform.accounts.models import Team
    from models_app.classify import Scored
    from workflows_app import services
    from workflows_app.models import Workflow

    sure = Scored([0.9, 0.05, 0.03, 0.02], "boots", 0.9, None, False)
    unsure = Scored([0.6, 0.3, 0.07, 0.03], "boots", 0.6, None, False)
    with scope(team=Team.objects.get(pk=team)):
        found = Workflow.objects.select_related("job", "version", "team").get(pk=workflow)
        print("ready", flush=True)
        sys.stdin.readline()
        after = 0
        while claims := services.claim_rows(workflow=found, limit=CHUNK, after=after):
            after = claims[-1].row_id
            answers = [(claim, unsure if claim.row_id % 3 == 0 else sure) for claim in claims]
            services.finish_rows(workflow=found, results=answers)
    print(json.dumps({"peak_rss_mb": peak_rss_mb()}))


if __name__ == "__main__":
    django.setup()
    work(*map(int, sys.argv[1:]))
