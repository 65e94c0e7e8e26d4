"""Loads model instances by SQL, for the few places where all wait for the time that the ORM takes to write it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar

from django.db import connection
from django.db.models import Model

M = TypeVar("M", bound=Model)


@lru_cache(maxsize=32)
def _plan(model: type[Model]) -> tuple[str, list[str], list[tuple[int, Any]]]:
    fields = model._meta.concrete_fields
    columns = ", ".join(f't."{field.column}"' for field in fields)
    converters = [
        (place, converter) for place, field in enumerate(fields) if (converter := getattr(field, "from_db_value", None))
    ]
    head = f'SELECT {columns} FROM "{model._meta.db_table}" t '  # noqa: S608 - names of our own models
    return head, [field.attname for field in fields], converters


def load(model: type[M], tail: str, params: list[Any]) -> list[M]:
    """Whole rows of `model` as instances. `tail` is what follows SELECT ... FROM its table, which is called t.

    No scope is applied: the caller's condition must name what belongs to the team.
    """
    head, names, converters = _plan(model)
    with connection.cursor() as cursor:
        cursor.execute(head + tail, params)
        found = [list(row) for row in cursor.fetchall()]
    for row in found:
        for place, convert in converters:
            row[place] = convert(row[place], None, connection)
    return [model.from_db(connection.alias, names, row) for row in found]
