"""Sample data that the product serves itself, so that the demo and the tests need no network.

Drawings and CSVs are made on the fly by lib/samples.py; nothing here needs a sign-in or touches a team.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from labeling_platform.lib.samples import BROKEN_NAMES, LABELS, render_sample, sample_names

TRAINING_PER_LABEL, EVALUATION_PER_LABEL, UNLABELED_PER_LABEL = 60, 15, 60
Lines = Iterator[list[str]]


@require_safe
@cache_control(public=True, max_age=86400)
def picture(request: HttpRequest, name: str) -> HttpResponse:
    """One drawing, named like boots-0012.jpg; the broken ones answer with what is broken about them."""
    data = render_sample(name)
    if data is None:
        raise Http404
    kind = "image/jpeg" if data.startswith(b"\xff\xd8") else "text/plain"
    return HttpResponse(data, content_type=kind, headers={"X-Content-Type-Options": "nosniff"})


def address(name: str) -> str:
    return f"{settings.PUBLIC_URL}/samples/{name}"


def training_lines() -> Lines:
    yield ["image_url", "label"]
    for label in LABELS:
        for name in sample_names(label, TRAINING_PER_LABEL):
            yield [address(name), label]


def _unlabeled(first: int, count: int) -> Lines:
    names = [sample_names(label, first + count)[first:] for label in LABELS]
    for together in zip(*names, strict=True):
        for name in together:
            yield [address(name)]


def evaluation_lines() -> Lines:
    yield ["image_url"]
    yield from _unlabeled(TRAINING_PER_LABEL, EVALUATION_PER_LABEL)


def unlabeled_lines() -> Lines:
    """New drawings for a workflow, with an extra column and a few broken pictures among them."""
    yield ["image_url", "sku"]
    for number, line in enumerate(_unlabeled(TRAINING_PER_LABEL + EVALUATION_PER_LABEL, UNLABELED_PER_LABEL), 1):
        yield [*line, f"SKU-{number:04d}"]
    for name in BROKEN_NAMES:
        yield [address(name), name]


TABLES = {"training.csv": training_lines, "evaluation.csv": evaluation_lines, "unlabeled.csv": unlabeled_lines}


def table_bytes(name: str) -> bytes:
    """The CSV called `name` (a key of TABLES) as UTF-8 bytes."""
    out = io.StringIO()
    csv.writer(out).writerows(TABLES[name]())
    return out.getvalue().encode()


@require_safe
def table(request: HttpRequest, name: str) -> HttpResponse:
    if name not in TABLES:
        raise Http404
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return HttpResponse(table_bytes(name), content_type="text/csv; charset=utf-8", headers=headers)
