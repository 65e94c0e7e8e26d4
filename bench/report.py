"""How fast a workflow's report is built, against a bare COPY of the same query on the same Postgres.

Each size is built in a process of its own by the service that the worker calls: once right after the rows came in
(`cold_seconds`), then between two bare COPYs to /dev/null, whose mean is the bare rate.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django

from .product import PROJECT, Running, say

if __name__ == "__main__":
    django.setup()

from django.conf import settings
from django.db import connection
from django.utils import timezone
from django_scopes import scope, scopes_disabled

from jobs_app.services import create_routing_job, freeze_design
from labeling_platform.accounts.models import Team
from labeling_platform.accounts.services import create_team
from labeling_platform.lib.uploads import UploadState
from models_app.models import CustomModel, ModelVersion
from models_app.states import VersionState
from reports_app.services import build_report, request_report
from reports_app.services.building import _snapshot
from reports_app.services.copying import copy_statement, keep_order
from reports_app.services.workflow_lines import workflow_lines
from workflows_app.models import Workflow, WorkflowKind, WorkflowUpload
from workflows_app.states import WorkflowState

SIZES = [100_000, 1_000_000]
OUTCOMES = ["boots", "sneakers", "sandals", "negative_examples"]
COLUMNS = ["image_url", "sku", "title", "price", "note"]
# Of a hundred rows: 70 confident, 15 finalized by people, 5 with people, 3 failed, 7 awaiting.
_UNITS = """
INSERT INTO jobs_app_unit (team_id, job_id, key, data, image_url, state, position, wanted, slots, judgments_count,
    result, shares, agreement, created_at, finalized_at)
SELECT %(team)s, %(job)s, 'workflow-row:' || n, '{}', 'https://pictures.example/' || n || '.jpg', 'judgable', 0, 3, 3,
    0, '{}', NULL, NULL, now(), NULL
FROM generate_series(1, %(rows)s) AS n WHERE n %% 100 BETWEEN 70 AND 89
"""
# Afterwards, as people do it: the counters of rows follow the change of units.
_FINALIZE = """
UPDATE jobs_app_unit SET state = 'finalized', slots = 0, judgments_count = 3, finalized_at = now(), agreement = 0.6667,
    shares = jsonb_build_object('boots', 0.6667, 'sandals', 0.3333)
WHERE job_id = %(job)s AND split_part(key, ':', 2)::int %% 100 < 85
"""
_ROWS = """
INSERT INTO workflows_app_workflowrow (team_id, workflow_id, upload_id, line, image_url, cells, state, attempts, token,
    version_id, scores, predicted, confidence, "unlike", reason, error_message, predicted_at, unit_id)
SELECT %(team)s, %(workflow)s, %(upload)s, n + 1, url, ARRAY[
        url, 'SKU-' || lpad(n::text, 8, '0'),
        CASE WHEN n %% 10 = 0 THEN 'Boot "Alpine", brown' ELSE 'Running shoe for the road no ' || n %% 1000 END,
        (20 + n %% 180)::text || '.90', CASE WHEN n %% 50 = 0 THEN '=see row above' ELSE '' END],
    CASE WHEN n %% 100 < 70 THEN 'confident' WHEN n %% 100 < 90 THEN 'routed' WHEN n %% 100 < 93 THEN 'failed'
        ELSE 'awaiting' END,
    1, 1, CASE WHEN n %% 100 < 90 THEN %(version)s END,
    CASE WHEN n %% 100 < 90 THEN ARRAY[best, (1 - best) * 0.62, (1 - best) * 0.27, (1 - best) * 0.11] END,
    CASE WHEN n %% 100 < 90 THEN 'boots' ELSE '' END, CASE WHEN n %% 100 < 90 THEN best END, false,
    CASE WHEN n %% 100 < 70 THEN '' WHEN n %% 100 < 90 THEN 'low_confidence' WHEN n %% 100 < 93 THEN 'not_found'
        ELSE '' END,
    CASE WHEN n %% 100 BETWEEN 90 AND 92 THEN 'There is no such picture (404).' ELSE '' END,
    CASE WHEN n %% 100 < 93 THEN now() END, u.id
FROM generate_series(1, %(rows)s) AS n
CROSS JOIN LATERAL (SELECT 'https://pictures.example/set-' || n / 1000 || '/' || n || '.jpg',
    CASE WHEN n %% 100 < 70 THEN 0.8 + (hashint4(n) & 65535) / 330000.0 ELSE 0.4 + (hashint4(n) & 65535) / 200000.0
    END::float8) AS made(url, best)
LEFT JOIN jobs_app_unit u ON u.job_id = %(job)s AND u.key = 'workflow-row:' || n
ORDER BY n
"""


def fill(team: Team, rows: int) -> Workflow:
    """A running workflow with so many rows, straight in the database."""
    with scope(team=team):
        model = CustomModel.objects.create(team=team, name=f"Footwear {rows}")
        model.current = ModelVersion.objects.create(
            team=team, model=model, number=1, state=VersionState.READY, outcomes=OUTCOMES, backend="local"
        )
        model.save(update_fields=["current"])
        job = create_routing_job(model=model, actor=None, title=f"{rows} rows")
        freeze_design(job=job)
        workflow = Workflow.objects.create(
            team=team,
            name=f"{rows} rows",
            kind=WorkflowKind.MODEL_THEN_JOB,
            model=model,
            job=job,
            state=WorkflowState.OFF,
            version=model.current,
            outcomes=OUTCOMES,
            launched_at=timezone.now(),
        )
        upload = WorkflowUpload.objects.create(
            team=team,
            workflow=workflow,
            file="none",
            original_name="shoes.csv",
            state=UploadState.READY,
            columns=COLUMNS,
            rows_total=rows,
            rows_read=rows,
            rows_ok=rows,
            last_line=rows + 1,
            finished_at=timezone.now(),
        )
        given = {
            "team": team.pk,
            "job": job.pk,
            "workflow": workflow.pk,
            "upload": upload.pk,
            "version": model.current.pk,
            "rows": rows,
        }
        with connection.cursor() as cursor:
            cursor.execute(_UNITS, given)
            cursor.execute(_ROWS, given)
            cursor.execute(_FINALIZE, given)
        say(f"made a workflow of {rows} rows")
        return workflow


def run(options: argparse.Namespace, product: Running) -> Iterator[dict[str, Any]]:
    """One line for each number of rows and format."""
    team = create_team(organization="Reports", name="Reports", slug="reports")
    for rows in options.rows or SIZES:
        workflow = fill(team, rows)
        for form in options.format or ["csv"]:
            command = [sys.executable, "-m", "bench.report", str(workflow.pk), form]
            done = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, check=True)
            yield json.loads(done.stdout)


def measure(workflow: Workflow, form: str) -> dict[str, Any]:
    """Build the report twice in this process, and copy the same query to nowhere before and after the second."""
    cold = _build(workflow, form)
    before = _bare(workflow, form)
    built = _build(workflow, form)
    peak = _peak_rss()
    bare = (before + _bare(workflow, form)) / 2
    rows = built["rows"]
    return {
        "rows": rows,
        "format": form,
        "seconds": round(built["seconds"], 3),
        "rows_per_s": round(rows / built["seconds"]),
        "bare_rows_per_s": round(rows / bare),
        "ratio": round(bare / built["seconds"], 3),
        "first_byte_s": round(built["first_byte"], 3),
        "peak_rss_mb": round(peak / 1e6, 1),
        "file_mb": round(built["size"] / 1e6, 1),
        "cold_seconds": round(cold["seconds"], 3),
        "cold_first_byte_s": round(cold["first_byte"], 3),
    }


def _build(workflow: Workflow, form: str) -> dict[str, float]:
    """Seconds to the end and to the first byte in the storage."""
    report = request_report(workflow=workflow, actor=None, options={"format": form})
    with _FirstByte(Path(settings.MEDIA_ROOT) / f"t/{workflow.team_id}/reports") as first:
        began = time.monotonic()
        if not build_report(report=report):
            raise SystemExit("The report was not built.")
        seconds = time.monotonic() - began
    report.refresh_from_db()
    return {
        "rows": report.rows_done,
        "size": report.size,
        "seconds": seconds,
        "first_byte": (first.at or began + seconds) - began,
    }


def _bare(workflow: Workflow, form: str) -> float:
    """Seconds of a COPY of the report's query to nowhere."""
    report = request_report(workflow=workflow, actor=None, options={"format": form})
    try:
        with _snapshot(), connection.cursor() as cursor, open(os.devnull, "wb") as nowhere:
            keep_order()
            statement = copy_statement(workflow_lines(report), report.options).as_string(cursor.cursor)
            began = time.monotonic()
            cursor.copy_expert(statement, nowhere)
            return time.monotonic() - began
    finally:
        report.delete()


def _peak_rss() -> int:
    """The most memory this process ever had (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


class _FirstByte:
    """Notes when a file that is new in a folder gets its first byte."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.at: float | None = None
        self._known = set(self._names())
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> _FirstByte:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _names(self) -> list[str]:
        return [name.name for name in self.folder.iterdir()] if self.folder.exists() else []

    def _watch(self) -> None:
        while self.at is None and not self._over.wait(0.002):
            for name in set(self._names()) - self._known:
                if (self.folder / name).stat().st_size:
                    self.at = time.monotonic()


def main() -> None:
    """What `run` starts: measure one workflow in a process that did nothing before."""
    pk, form = int(sys.argv[1]), sys.argv[2]
    with scopes_disabled():
        workflow = Workflow.objects.select_related("team").get(pk=pk)
    with scope(team=workflow.team):
        print(json.dumps(measure(workflow, form)))


if __name__ == "__main__":
    main()
