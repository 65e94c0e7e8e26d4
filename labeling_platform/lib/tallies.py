"""Counters that equal the truth: every change of a counted table writes what it changed, in its own transaction.

Counting a million rows on every page view is too slow, and one counter row per thing makes all writers wait for each
other. So triggers of the database append differences (`n` more or fewer of a `line`), the sum of which is the count at
any moment, and `compact` adds up old ones. Nothing but the triggers writes them, so no code path can forget to.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from django.db import connection, models
from django.db.models.functions import Now

KEEP = timedelta(seconds=120)
"""Younger differences stay as they are: the pace of the last half minute is read from them."""


class Tally(models.Model):
    """A difference: since `at` there are `n` more things of kind `line` (fewer, when negative)."""

    line = models.CharField(max_length=20)
    n = models.BigIntegerField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        abstract = True


def tallies(kind: type[Tally], owner: str, ids: Collection[int]) -> dict[int, dict[str, int]]:
    """The counts by owner id and line; every owner of `ids` is in it. `owner` is the foreign key's name."""
    found: dict[int, dict[str, int]] = {pk: {} for pk in ids}
    rows = kind._default_manager.filter(**{f"{owner}__in": list(ids)}).order_by()
    for pk, line, n in rows.values_list(owner, "line").annotate(total=models.Sum("n")):
        found[pk][line] = n
    return found


def compact(kind: type[Tally], owner: str) -> int:
    """Add up differences that are older than KEEP; returns how many rows fewer there are. Two at once do no harm."""
    table, column = kind._meta.db_table, kind._meta.get_field(owner).column  # type: ignore[union-attr]
    sql = f"""
    WITH many AS (
        SELECT {column} AS owner, line FROM {table} WHERE at < statement_timestamp() - %(keep)s
        GROUP BY {column}, line HAVING count(*) > 1 LIMIT 500
    ), old AS (
        DELETE FROM {table} WHERE id IN (
            SELECT tally.id FROM {table} tally JOIN many ON many.owner = tally.{column} AND many.line = tally.line
            WHERE tally.at < statement_timestamp() - %(keep)s
            ORDER BY tally.id LIMIT 50000 FOR UPDATE OF tally SKIP LOCKED)
        RETURNING team_id, {column}, line, n
    ), sums AS (
        INSERT INTO {table} (team_id, {column}, line, n, at)
        SELECT team_id, {column}, line, sum(n), statement_timestamp() - %(keep)s FROM old
        GROUP BY team_id, {column}, line HAVING sum(n) <> 0 RETURNING 1
    )
    SELECT (SELECT count(*) FROM old) - (SELECT count(*) FROM sums)
    """  # noqa: S608 - names of our own models only
    with connection.cursor() as cursor:
        cursor.execute(sql, {"keep": KEEP})  # type: ignore[dict-item]
        return int(cursor.fetchone()[0])
