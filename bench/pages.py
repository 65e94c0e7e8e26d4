"""How long the pages of a workflow with very many rows take, over HTTP, for one person.

Lists, every filter, deep pages and single rows of a workflow whose rows stand in all states (bench/report.py fills it).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from statistics import median, quantiles
from typing import Any

from django.contrib.auth.hashers import make_password
from django.urls import reverse
from django_scopes import scope

from labeling_platform.accounts.models import User
from labeling_platform.accounts.permissions import Role
from labeling_platform.accounts.services import set_role
from workflows_app.models import Workflow, WorkflowRow
from workflows_app.states import STATUS_LINES

from .labeling import PASSWORD, Person
from .product import Running, say
from .report import fill
from .team import make_team

TIMES = 20
WARM_UP = 6


def run(options: argparse.Namespace, product: Running) -> Iterator[dict[str, Any]]:
    """One line for each size: the middle and the 95th percentile of each page, in milliseconds."""
    team = make_team("pages")
    user = User.objects.create_user("owner@example.com", password=None)
    User.objects.filter(pk=user.pk).update(password=make_password(PASSWORD))
    set_role(team=team, user=user, role=Role.OWNER)
    person = Person(user, 0, product.address, 0)
    person.sign_in()
    for rows in options.rows or [100_000, 1_000_000]:
        workflow = fill(team, rows)
        pages = {name: _time(person, path) for name, path in _addresses(person, workflow).items()}
        slowest = max(pages, key=lambda name: pages[name]["p50_ms"])
        yield {
            "rows": rows,
            "slowest": slowest,
            "slowest_p50_ms": pages[slowest]["p50_ms"],
            "slowest_p95_ms": max(page["p95_ms"] for page in pages.values()),
            "pages": pages,
        }


def _addresses(person: Person, workflow: Workflow) -> dict[str, str]:
    """The pages by name. Deep ones are those whose key stands in the middle of the rows."""

    def at(name: str, **more: int) -> str:
        return reverse(f"workflows:{name}", kwargs={"team_slug": workflow.team.slug, "pk": workflow.pk, **more})

    rows = at("rows")
    with scope(team=workflow.team):
        mine = WorkflowRow.objects.filter(workflow=workflow)
        middle = mine.order_by("pk")[mine.count() // 2].pk
        sure = mine.filter(confidence__gt=0.9).order_by("confidence").first()
    assert sure is not None
    found = {
        "workflow list": reverse("workflows:list", kwargs={"team_slug": workflow.team.slug}),
        "overview": at("detail"),
        "data": at("data"),
        "rows": rows,
        "rows, deep": f"{rows}?after={middle}",
        "row": at("row", row_pk=middle),
    }
    found |= {f"rows, {line.key}": f"{rows}?status={line.key}" for line in STATUS_LINES}
    found |= {f"rows, {line.key}, deep": f"{rows}?status={line.key}&after={middle}" for line in STATUS_LINES}
    found |= {
        "rows, class": f"{rows}?label=boots",
        "rows, class without rows": f"{rows}?label=sandals",
        "rows, class and status": f"{rows}?label=boots&status=human_labeled",
        "rows, least sure first": f"{rows}?order=confidence",
        "rows, least sure first, deep": f"{rows}?order=confidence&after={sure.confidence!r}~{sure.pk}",
        "rows, by confidence": f"{rows}?at_least=70&at_most=75",
    }
    return found


def _time(person: Person, path: str) -> dict[str, float]:
    seconds = []
    for turn in range(WARM_UP + TIMES):
        person.reconnect()
        began = time.perf_counter()
        status, _ = person.ask(path)
        if status != 200:
            raise SystemExit(f"{path} answered {status}")
        if turn >= WARM_UP:
            seconds.append(time.perf_counter() - began)
    found = {"p50_ms": round(median(seconds) * 1000, 1), "p95_ms": round(quantiles(seconds, n=20)[-1] * 1000, 1)}
    say(f"{path}: {found}")
    return found
