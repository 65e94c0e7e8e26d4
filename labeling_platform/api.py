"""The HTTP API for programs: /api/v1/. Each app brings its operations in its api.py."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from ninja import NinjaAPI, Router, Schema
from pydantic import Field

from jobs_app.api import router as jobs
from labeling_platform.accounts.api_access import ApiRequest, operation
from labeling_platform.lib.api import use_error_shape
from models_app.api import evaluations
from models_app.api import router as models
from reports_app.api import router as reports
from workflows_app.api import router as workflows

ABOUT = """Train image classifiers, evaluate them, send pictures through workflows and jobs, and fetch reports.

**Tokens.** Every request carries `Authorization: Bearer mll_live_...`. A token belongs to one team; people make it on
the page API of the team. It never allows more than its creator may do. Cookies open nothing here.

**Background work.** Uploads, trainings, predictions and reports are done in the background: the answer is 202 with
the thing's state; ask for it again every few seconds.

**Sending again.** A POST with the header `Idempotency-Key` is done once: the same request with the same key within 24
hours gets the first answer again (`Idempotency-Replayed: true`); another request with the key is 422
`idempotency_key_used`, and while the first is under way 409 `idempotency_under_way`.

**Lists** come in pages: `limit` (at most 100) and `after` (the `next` of the page before).

**Errors** have one shape, `{"error": {"code", "message", "fields"?, "request_id"}}`: 400 unreadable, 401 no token that
works, 403 scope, role or feature, 404 not there, or of another team, 405 method, 409 not now, 413 too large, 422 a
field is wrong, 429 too often (`Retry-After` says how long to wait)."""

router = Router(tags=["Account"])


class TokenOut(Schema):
    name: str
    prefix: str = Field(description="The part of the token that people may see.", examples=["mll_live_Ab3dEf"])
    scopes: list[str] = Field(examples=[["read", "write"]])
    expires_at: datetime


class TeamOut(Schema):
    name: str
    slug: str


class Limits(Schema):
    requests_per_minute: int
    file_bytes: int
    file_rows: int
    evaluation_rows: int


class MeOut(Schema):
    """Whose token this is, and what it may do."""

    team: TeamOut
    role: str = Field(description="The role of the token's creator now; the token allows no more.")
    token: TokenOut
    features: list[str]
    limits: Limits


@operation(router, "GET", "/me", answer=MeOut)
def get_me(request: ApiRequest) -> dict[str, Any]:
    """Get the team, scopes and limits of this token."""
    token = request.token
    return {
        "team": {"name": request.team.name, "slug": request.team.slug},
        "role": request.membership.role,
        "token": {name: getattr(token, name) for name in ("name", "prefix", "scopes", "expires_at")},
        "features": sorted(request.features),
        "limits": {
            "requests_per_minute": settings.API_REQUESTS_PER_MINUTE,
            "file_bytes": settings.CSV_MAX_BYTES,
            "file_rows": settings.CSV_MAX_ROWS,
            "evaluation_rows": settings.EVALUATION_MAX_ROWS,
        },
    }


api = NinjaAPI(
    title="Labeling Platform",
    version="1",
    description=ABOUT,
    openapi_url=None,
    docs_url=None,
    urls_namespace="api",
)
use_error_shape(api)
for part in (router, models, evaluations, workflows, jobs, reports):
    api.add_router("", part)
