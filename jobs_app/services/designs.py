"""What a job's rows say about its design."""

from __future__ import annotations

from itertools import chain

from ..design import DesignProblem, check_columns, check_golds, parse_design
from ..models import Job, Unit
from ..states import UnitState

LOOKED_AT = 20


def columns_of(job: Job) -> list[str]:
    """The columns of the job's rows, from its first and last ones (all uploads of a job are of one kind)."""
    rows = Unit.objects.filter(job=job, state__in=UnitState.row_states()).only("data", "image_url")
    found: dict[str, None] = {}
    for unit in chain(rows.order_by("pk")[:LOOKED_AT], rows.order_by("-pk")[:LOOKED_AT]):
        if unit.image_url:
            found.setdefault("image_url")
        found.update(dict.fromkeys(unit.data))
    return list(found)


def check_design(*, job: Job, cml: str) -> list[DesignProblem]:
    """All problems of a design for this job: its own, and those with the columns of the job's rows."""
    design = parse_design(cml)
    columns = columns_of(job)
    problems = [*design.problems, *check_columns(design, columns), *check_golds(design, columns)]
    return sorted(problems, key=lambda problem: (problem.level != "error", problem.line, problem.column))
