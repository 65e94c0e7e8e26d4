"""Pages of a list by key: each walks an index from its key on, so the last of a million rows comes as the first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db import connection
from django.db.models import F, Model, QuerySet
from django.db.models.fields.tuple_lookups import Tuple, TupleGreaterThan, TupleLessThan

MOST_ID = 2**63 - 1
M = TypeVar("M", bound=Model)


@dataclass(frozen=True)
class KeyPage(Generic[M]):
    """Things of one page; the keys to go on from are "" at the ends."""

    items: list[M]
    previous: str
    next: str


def page_by_key(
    found: QuerySet[M], query: Mapping[str, str], *, size: int, by: str = "", newest_first: bool = False
) -> KeyPage[M]:
    """The page of `found` that `query` asks for by `after` or `before` (a key that another page named).

    The order is that of the ids (`newest_first`: turned round), or by the numbers in the field `by`, lowest first:
    then only those that have one are in it. A key that is none gives the first page. Needs a transaction; joins belong
    into a second query for the rows of the page alone.
    """
    backwards = bool(query.get("before")) and not query.get("after")
    key = (query.get("before") if backwards else query.get("after")) or ""
    ordered = _behind(found, key, by, backwards, newest_first)
    with _along_the_index():
        listed = list(ordered[: size + 1])
    more, page = len(listed) > size, listed[:size]
    if backwards:
        page.reverse()
    return KeyPage(
        items=page,
        previous=_key(page[0], by) if page and (more if backwards else key) else "",
        next=_key(page[-1], by) if page and (backwards or more) else "",
    )


@contextmanager
def _along_the_index() -> Iterator[None]:
    """For the rest of the transaction: plans that stop when the page is full, whatever the statistics say.

    Right after a million rows came in, the planner takes them for a handful and would read and sort them all.
    """
    _plans("off")
    yield
    _plans("on")


def _plans(switch: str) -> None:
    with connection.cursor() as cursor:
        for name in ("enable_sort", "enable_bitmapscan", "enable_hashjoin"):
            cursor.execute(f"SET LOCAL {name} = {switch}")


def _behind(found: QuerySet[M], key: str, by: str, backwards: bool, newest_first: bool) -> QuerySet[M]:
    if by:
        found = found.filter(**{f"{by}__isnull": False}).order_by(by, "pk")
        text, _, after = key.partition("~")
        if (number := _share(text)) is not None:
            beyond = TupleLessThan if backwards else TupleGreaterThan
            found = found.filter(beyond(Tuple(F(by), F("pk")), (number, _number(after))))
    else:
        found = found.order_by("-pk" if newest_first else "pk")
        if number := _number(key):
            found = found.filter(pk__gt=number) if backwards == newest_first else found.filter(pk__lt=number)
    return found.reverse() if backwards else found


def _key(item: Any, by: str) -> str:
    return f"{getattr(item, by)!r}~{item.pk}" if by else str(item.pk)


def _number(text: str) -> int:
    return min(int(text), MOST_ID) if text.isascii() and text.isdigit() and len(text) < 25 else 0


def _share(text: str) -> float | None:
    try:
        share = float(text)
    except ValueError:
        return None
    return share if math.isfinite(share) else None
