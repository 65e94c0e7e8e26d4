"""Whether this process lives (/healthz) and whether it can serve (/readyz)."""

from __future__ import annotations

from django.core.cache import caches
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from labeling_platform.lib.caching import SteadyCache


@transaction.non_atomic_requests
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """200 as long as this process answers: starting it anew helps nobody whose database is away."""
    return HttpResponse("ok", content_type="text/plain")


@transaction.non_atomic_requests
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when the database and the broker's server answer, 503 with the failing parts otherwise."""
    checks = {"database": _works(_database), "redis": _works(_redis)}
    return JsonResponse(checks, status=200 if all(checks.values()) else 503)


def _works(check: object) -> bool:
    try:
        check()  # type: ignore[operator]
    except Exception:  # any failure at all means "not ready"; the part's own log has the reason
        return False
    return True


def _database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _redis() -> None:
    """Redis itself: the cache answers without it, too."""
    default = caches["default"]
    (default.redis if isinstance(default, SteadyCache) else default).get("readyz")
