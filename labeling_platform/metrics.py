"""The platform's figures for Prometheus (/metrics), read from Postgres when they are asked for.

Any web process gives the same answer, and nothing is kept in a process. No row of a team's data is read but the
oldest one that waits: counts come from the tallies that the database writes (labeling_platform/lib/tallies.py).
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from ipaddress import ip_address
from itertools import accumulate
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from django_scopes import scopes_disabled
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from labeling_platform.ops.counters import CHUNK_BUCKETS, CHUNK_MS, IMAGES, LEASE_EXPIRIES, RETRIES, totals

PATIENCE = "5s"
FORWARDED = ("X-Forwarded-For", "Forwarded", "X-Real-IP")
# When the first claimable row of each running workflow came: its file, its retry time, the end of a lease that ran out.
AGES = """
SELECT 'rows', extract(epoch FROM statement_timestamp() - min(since))::float8 FROM (
    SELECT greatest(sent.created_at, workflow.launched_at, first.not_before, first.lease_until) AS since
    FROM workflows_app_workflow workflow CROSS JOIN LATERAL (
        SELECT upload_id, not_before, lease_until FROM workflows_app_workflowrow r
        WHERE r.workflow_id = workflow.id AND r.state = 'awaiting'
          AND (r.lease_until IS NULL OR r.lease_until < statement_timestamp())
          AND (r.not_before IS NULL OR r.not_before <= statement_timestamp())
        ORDER BY r.id LIMIT 1) AS first
    JOIN workflows_app_workflowupload sent ON sent.id = first.upload_id
    WHERE workflow.state = 'running' AND workflow.paused_at IS NULL AND workflow.team_id NOT IN
        (SELECT id FROM accounts_team WHERE paused_at IS NOT NULL OR closed_at IS NOT NULL)) AS waiting
UNION ALL
SELECT 'uploads', extract(epoch FROM statement_timestamp() - min(created_at))::float8 FROM (
    SELECT created_at FROM workflows_app_workflowupload WHERE state IN ('received', 'reading') AND NOT held
    UNION ALL SELECT created_at FROM jobs_app_jobupload WHERE state IN ('received', 'reading') AND NOT held
    UNION ALL SELECT created_at FROM models_app_trainingupload WHERE state IN ('received', 'reading')) AS unread
UNION ALL
SELECT 'reports', extract(epoch FROM statement_timestamp() - min(created_at))::float8
FROM reports_app_report WHERE state IN ('queued', 'building')
UNION ALL
SELECT 'remote', extract(epoch FROM statement_timestamp() - min(since))::float8 FROM (
    SELECT coalesce(next_poll_at, created_at) AS since FROM models_app_modelversion
    WHERE connection_id IS NOT NULL AND state IN ('queued', 'training') AND lease_until IS NULL
      AND (next_poll_at IS NULL OR next_poll_at <= statement_timestamp())
    UNION ALL SELECT next_try_at FROM models_app_remoteleftover WHERE next_try_at <= statement_timestamp()) AS elsewhere
"""
ROWS = "SELECT line, sum(n)::bigint FROM workflows_app_rowtally GROUP BY line"
UNITS = "SELECT line, sum(n)::bigint FROM jobs_app_unittally GROUP BY line"
REPORTS = "SELECT state, count(*) FROM reports_app_report GROUP BY state"
WORKERS = "SELECT worker, extract(epoch FROM at)::float8 FROM ops_workersign"


@transaction.non_atomic_requests
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """All figures as text. Needs METRICS_TOKEN as bearer token; without one set, a client on this machine."""
    if settings.METRICS_TOKEN:
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {settings.METRICS_TOKEN}".encode()):
            return HttpResponse("a bearer token is needed\n", status=401, headers={"WWW-Authenticate": "Bearer"})
    elif not _from_here(request):
        return HttpResponse("set METRICS_TOKEN to read this from elsewhere\n", status=403, content_type="text/plain")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Figures())
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    try:
        with scopes_disabled(), transaction.atomic():
            return HttpResponse(encode(registry), content_type=content_type)
    except DatabaseError:
        return HttpResponse("the database gave no figures in time\n", status=503, content_type="text/plain")


def _from_here(request: HttpRequest) -> bool:
    """Whether the client is on this machine, and not a proxy on it that speaks for somebody else."""
    if any(name in request.headers for name in FORWARDED):
        return False
    try:
        return ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


def _read(sql: str) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return dict(cursor.fetchall())


class Figures(Collector):
    """Reads every figure once, inside the caller's transaction."""

    def collect(self) -> Iterator[Metric]:
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = '{PATIENCE}'")
        yield _gauge("queue_age_seconds", "Age of the oldest that waits; 0 when none does", "queue", queue_ages())
        yield _gauge("rows", "Rows of workflows by status", "status", row_figures())
        units = _read(UNITS)
        judgments = units.pop("judgments", 0)
        yield _gauge("units", "Rows of jobs by state", "state", units)
        yield GaugeMetricFamily("labeling_judgments", "Judgments that count", value=judgments)
        yield _gauge("reports", "Reports by state", "state", _read(REPORTS))
        yield _gauge("worker_last_sign_timestamp_seconds", "When a worker last got a message", "worker", _read(WORKERS))
        yield from _counters(totals())


def queue_ages() -> dict[str, float]:
    return {queue: max(0.0, age or 0.0) for queue, age in _read(AGES).items()}


def row_figures() -> dict[str, int]:
    """The tally's lines as the status lines of the article; `unlike` is a mark and no status."""
    lines = _read(ROWS)
    human, withdrawn = lines.get("human", 0), lines.get("canceled", 0)
    return {
        "awaiting_prediction": lines.get("awaiting", 0),
        "model_labeled": lines.get("confident", 0),
        "awaiting_human": lines.get("routed", 0) - human - withdrawn,
        "human_labeled": human,
        "withdrawn": withdrawn,
        "error": lines.get("failed", 0),
    }


def _gauge(name: str, text: str, label: str, values: dict[str, Any]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"labeling_{name}", text, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], value)
    return family


def _counters(found: dict[str, int]) -> Iterator[Metric]:
    for name, key, text in (
        ("lease_expiries", LEASE_EXPIRIES, "Rows whose worker died or hung, and that were claimed again or given up"),
        ("retries", RETRIES, "Rows that are tried again because the reason may pass"),
        ("images", IMAGES, "Pictures that were answered"),
    ):
        yield CounterMetricFamily(f"labeling_{name}", text, value=found.get(key, 0))
    ends = [*(str(end) for end in CHUNK_BUCKETS), "+Inf"]
    sums = accumulate(found.get(f"chunk_le_{place}", 0) for place in range(len(ends)))
    chunks = HistogramMetricFamily("labeling_chunk_seconds", "Time from one written chunk of answers to the next")
    chunks.add_metric([], list(zip(ends, sums, strict=True)), sum_value=found.get(CHUNK_MS, 0) / 1000)
    yield chunks
