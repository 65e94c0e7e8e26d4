"""Pages on which a person decides about a version: which threshold, and which of two versions."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from labeling_platform.accounts.pictures import picture_url
from labeling_platform.accounts.tenancy import TeamRequest

from .advisor import advise
from .comparing import COMMON_THRESHOLD, compare_versions, lines_of
from .models import ModelVersion
from .presenting import page_context
from .states import VersionState
from .views import get_model, may_view

SHOWN = 24


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0


@require_safe
@may_view
def threshold(request: TeamRequest, pk: int) -> HttpResponse:
    """The threshold advisor on the holdout of the version in service, or of ?version=N."""
    model = get_model(request, pk)
    version = model.current
    if number := request.GET.get("version"):
        version = get_object_or_404(ModelVersion, model=model, number=_number(number), state=VersionState.READY)
    context = {
        **page_context(request, model, "threshold"),
        "version": version,
        "advisor": advise(version=version) if version else None,
        "threshold": "0.8",
    }
    return render(request, "models/threshold.html", context)


@require_safe
@may_view
def compare(request: TeamRequest, pk: int) -> HttpResponse:
    """All trained versions side by side, and what changed between two of them (?old=N&new=M)."""
    model = get_model(request, pk)
    ready = ModelVersion.objects.filter(model=model, state=VersionState.READY)
    versions = [version for version in ready if version.metrics.get("accuracy") is not None]
    by_number = {version.number: version for version in versions}
    newest = [version.number for version in versions[:2]]
    new = by_number.get(_number(request.GET.get("new", "")) or (newest[0] if newest else 0))
    old = by_number.get(_number(request.GET.get("old", "")) or (newest[1] if len(newest) > 1 else 0))
    context: dict[str, Any] = {
        **page_context(request, model, "train"),
        "versions": versions,
        "lines": lines_of(versions),
        "common": COMMON_THRESHOLD,
        "lowest": max(0.0, min((version.metrics["accuracy_low"] for version in versions), default=0.0) - 0.05),
        "old": old,
        "new": new,
    }
    if old and new and old != new:
        comparison = compare_versions(old=old, new=new)
        changes: list[Any] = comparison.changes[:SHOWN]
        for change in changes:
            change.picture = picture_url(request.team, change.image_url, "small")
        context |= {"comparison": comparison, "changes": changes}
    return render(request, "models/compare.html", context)
