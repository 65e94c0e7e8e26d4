"""Counters of what happened, kept in Postgres so that all processes of all machines add to the same ones.

Differences are appended in the transaction of the work that they count (never an UPDATE that others would wait for) and
added up later, as labeling_platform/lib/tallies.py does: what is rolled back was not counted.
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import timedelta

from django.db import connection, models

from .models import Count

LEASE_EXPIRIES, RETRIES, IMAGES, CHUNK_MS = "lease_expiries", "retries", "images", "chunk_ms"
CHUNK_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper ends of the chunk times that are told apart, in seconds; one more for what is longer."""
KEEP = timedelta(seconds=120)


def count(**lines: int) -> None:
    """Add to counters by name, in the caller's transaction; what is 0 is left out."""
    Count.objects.bulk_create([Count(name=name, n=n) for name, n in lines.items() if n])


def count_chunk(*, images: int, retries: int, seconds: float) -> None:
    """Count one chunk of pictures that was answered: how many, how many of them to be tried again, in what time."""
    count(
        **{
            IMAGES: images,
            RETRIES: retries,
            CHUNK_MS: round(seconds * 1000),
            f"chunk_le_{bisect_left(CHUNK_BUCKETS, seconds)}": 1,
        }
    )


def totals() -> dict[str, int]:
    """Every counter's value."""
    return dict(Count.objects.order_by().values_list("name").annotate(total=models.Sum("n")))


def compact() -> int:
    """Add up differences that are older than KEEP; returns how many rows fewer there are. Two at once do no harm."""
    sql = """
    WITH many AS (
        SELECT name FROM ops_count WHERE at < statement_timestamp() - %(keep)s GROUP BY name HAVING count(*) > 1
    ), old AS (
        DELETE FROM ops_count WHERE id IN (
            SELECT id FROM ops_count WHERE name IN (SELECT name FROM many) AND at < statement_timestamp() - %(keep)s
            ORDER BY id LIMIT 50000 FOR UPDATE SKIP LOCKED)
        RETURNING name, n
    ), sums AS (
        INSERT INTO ops_count (name, n, at) SELECT name, sum(n), statement_timestamp() - %(keep)s FROM old
        GROUP BY name HAVING sum(n) <> 0 RETURNING 1
    )
    SELECT (SELECT count(*) FROM old) - (SELECT count(*) FROM sums)
    """
    with connection.cursor() as cursor:
        cursor.execute(sql, {"keep": KEEP})  # type: ignore[dict-item]
        return int(cursor.fetchone()[0])
