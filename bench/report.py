"""How fast a workflow's report is built, against a bare COPY of the same query on the same Postgres."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import psutil
from django.db import connection
from django.utils import timezone
from django_scopes import scope

from jobs_app.models import Job
from jobs_app.services import create_routing_job, freeze_design
from labeling_platform.accounts.models import Team
from labeling_platform.lib.uploads import UploadState
from models_app.models import CustomModel, ModelVersion
from models_app.states import VersionState
from workflows_app.models import Workflow, WorkflowKind, WorkflowUpload
from workflows_app.states import WorkflowState

from .product import say
from .team import make_team

OUTCOMES = ["boots", "sneakers", "sandals", "negative_examples"]
COLUMNS = ["image_url", "sku", "title", "price", "note"]
# Of a hundred rows: 70 confident, 15 finalized by people, 5 with people, 3 failed, 7 awaiting.
_UNITS = """
INSERT INTO jobs_app_unit (team_id, job_id, key, data, image_url, state, position, wanted, slots, judgments_count,
    result, shares, agreement, created_at, finalized_at)
SELECT %(team)s, %(job)s, 'workflow-row:' || n, '{}', 'https://pictures.example/' || n || '.jpg',
    CASE WHEN n %% 100 < 85 THEN 'finalized' ELSE 'judgable' END, 0, 3, CASE WHEN n %% 100 < 85 THEN 0 ELSE 3 END,
    CASE WHEN n %% 100 < 85 THEN 3 ELSE 0 END, '{}',
    CASE WHEN n %% 100 < 85 THEN jsonb_build_object('boots', 0.6667, 'sandals', 0.3333) END,
    CASE WHEN n %% 100 < 85 THEN 0.6667 END, now(), CASE WHEN n %% 100 < 85 THEN now() END
FROM generate_series(1, %(rows)s) AS n WHERE n %% 100 BETWEEN 70 AND 89
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
        say(f"made a workflow of {rows} rows")
        return workflow
