"""How fast an uploaded CSV becomes rows, beside a bare COPY of the same rows into the same table.

The product reads with the service that its task calls, in a process of its own (for its memory). Bare is one COPY with
the same columns, indexes, triggers and constraints, of lines that were formatted before the clock started, by the role
that owns the table. The two take turns; the order changes with each.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from django.core.files import File
from django_scopes import scope

from labeling_platform.accounts.models import Team
from labeling_platform.lib.uploads import UploadState
from models_app.models import CustomModel
from workflows_app import services
from workflows_app.models import Workflow, WorkflowKind, WorkflowRow, WorkflowUpload

from .product import Running, owner_connection, say
from .team import make_team

COLUMNS = ["image_url", "sku", "title", "price", "colour"]
COPIED = (
    "team_id, workflow_id, upload_id, line, image_url, cells, state, reason, error_message, attempts, token,"
    ' predicted, "unlike"'
)


def run(options: argparse.Namespace, _: Running) -> Iterator[dict[str, Any]]:
    """One line for each size of `options.rows`: the medians of `options.repeat` turns, and each of them."""
    team = make_team("ingest")
    workflow = new_workflow(team)
    for rows in options.rows or [100_000, 1_000_000]:
        turns = [_turn(team, workflow, rows, turn) for turn in range(options.repeat)]
        yield _figures(rows, turns)


def new_workflow(team: Team) -> Workflow:
    """A draft of a workflow, whose model is not asked."""
    with scope(team=team):
        model = CustomModel.objects.create(team=team, name="not asked")
        return Workflow.objects.create(team=team, name="rows", kind=WorkflowKind.MODEL_ONLY, model=model)


def cells(number: int) -> list[str]:
    """The cells of a row: like those of a shop's list."""
    url = f"https://pictures.shop.example/catalogue/{number % 1000:03}/{number}-front.jpg"
    return [url, f"SKU-{number:08}", f"Leather boot number {number}, wide", f"{number % 500}.95", "brown"]


def _turn(team: Team, workflow: Workflow, rows: int, turn: int) -> dict[str, Any]:
    steps = [("product", _product), ("bare", _bare)]
    found: dict[str, Any] = {}
    for name, step in steps if turn % 2 == 0 else reversed(steps):
        with scope(team=team):
            found[name] = step(workflow, rows)
        say(f"{rows} rows, {name}: {found[name]['seconds']:.2f} s")
    return found


def _product(workflow: Workflow, rows: int) -> dict[str, Any]:
    """Upload a file of so many rows and read it in a fresh process; its own seconds and peak memory."""
    upload = WorkflowUpload.objects.get(pk=_upload(workflow, rows))
    command = [sys.executable, "-m", "bench.reader", str(workflow.team_id), str(upload.pk)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    upload.refresh_from_db()
    if upload.state != UploadState.READY or WorkflowRow.objects.filter(upload=upload).count() != rows:
        raise SystemExit(f"Not all rows arrived: {upload.state}, {upload.refusal}")
    return dict(json.loads(done.stdout))


def _upload(workflow: Workflow, rows: int) -> int:
    path = Path(os.environ["DATA_DIR"]) / "run" / "bench.csv"
    with path.open("w", newline="") as file:
        file.write(",".join(COLUMNS) + "\n")
        for number in range(rows):
            file.write('{},{},"{}",{},{}\n'.format(*cells(number)))
    with path.open("rb") as file:
        upload = services.receive_rows(workflow=workflow, file=File(file, name="bench.csv"), actor=None)
    path.unlink()
    # Held, so that no worker of the product takes it before the process that is measured.
    WorkflowUpload.objects.filter(pk=upload.pk).update(held=True)
    return upload.pk


def _bare(workflow: Workflow, rows: int) -> dict[str, Any]:
    upload = WorkflowUpload.objects.create(
        team=workflow.team, workflow=workflow, file="", original_name="bare", state=UploadState.READY
    )
    head = f"{workflow.team_id}\t{workflow.pk}\t{upload.pk}\t"
    text = io.BytesIO()
    for number in range(rows):
        url, *rest = cells(number)
        listed = '","'.join([url, *rest])
        text.write(f'{head}{number + 2}\t{url}\t{{"{listed}"}}\tawaiting\t\t\t0\t0\t\tf\n'.encode())
    text.seek(0)
    connection = owner_connection()
    try:
        with connection, connection.cursor() as cursor:
            began = time.perf_counter()
            cursor.copy_expert(f"COPY workflows_app_workflowrow ({COPIED}) FROM STDIN", text, size=1 << 20)
            connection.commit()
            return {"seconds": time.perf_counter() - began}
    finally:
        connection.close()


def _figures(rows: int, turns: list[dict[str, Any]]) -> dict[str, Any]:
    seconds = median(turn["product"]["seconds"] for turn in turns)
    bare = median(turn["bare"]["seconds"] for turn in turns)
    return {
        "rows": rows,
        "seconds": round(seconds, 2),
        "rows_per_s": round(rows / seconds),
        "bare_rows_per_s": round(rows / bare),
        "ratio": round(bare / seconds, 3),
        "peak_rss_mb": round(max(turn["product"]["peak_rss_mb"] for turn in turns), 1),
        "each": [[round(turn["product"]["seconds"], 2), round(turn["bare"]["seconds"], 2)] for turn in turns],
    }
