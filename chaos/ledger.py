"""A history of every row that the product does not know of: a trigger of the harness writes each claim and each end.

The product fences late workers by a token. Whether that holds cannot be seen in the rows afterwards, because a late
answer is mostly the same answer; in the ledger it can: who ends a row must be who claimed it last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import psycopg2

SCHEMA = """
CREATE SCHEMA chaos;
CREATE TABLE chaos.ledger (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL, row_id bigint NOT NULL,
    session int NOT NULL, token bigint NOT NULL, claimed boolean NOT NULL, before text NOT NULL, after text NOT NULL,
    reason text NOT NULL
);
CREATE INDEX ON chaos.ledger (row_id);
CREATE FUNCTION chaos.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = chaos AS $$
BEGIN
    INSERT INTO chaos.ledger (at, row_id, session, token, claimed, before, after, reason)
    VALUES (clock_timestamp(), NEW.id, pg_backend_pid(), NEW.token, NEW.token <> OLD.token, OLD.state, NEW.state,
            NEW.reason);
    RETURN NULL;
END $$;
CREATE TRIGGER chaos_note AFTER UPDATE ON workflows_app_workflowrow FOR EACH ROW
    WHEN (NEW.token <> OLD.token OR NEW.state <> OLD.state OR (NEW.lease_until IS NULL AND OLD.lease_until IS NOT NULL))
    EXECUTE FUNCTION chaos.note();
"""
BUSY = """
SELECT count(*) FROM (
    SELECT l.session FROM chaos.ledger l JOIN workflows_app_workflowrow r ON r.id = l.row_id AND r.token = l.token
    JOIN pg_stat_activity a ON a.pid = l.session
    WHERE l.claimed AND r.state = 'awaiting' AND r.lease_until > clock_timestamp()
      AND r.attempts <= %s
    GROUP BY l.session HAVING count(*) >= %s
) AS holding
"""
TAKEN = """
SELECT count(*) FROM chaos.ledger l
JOIN workflows_app_workflowrow r ON r.id = l.row_id AND r.token = l.token
JOIN chaos.ledger b ON b.row_id = l.row_id AND b.claimed AND b.token = l.token - 1 AND b.session <> l.session
JOIN pg_stat_activity a ON a.pid = b.session
WHERE l.claimed AND r.state = 'awaiting' AND r.lease_until > clock_timestamp()
  AND l.at > clock_timestamp() - interval '5 s'
"""
POISON = "stops_the_worker"


@dataclass(frozen=True)
class Entry:
    """One change of a row: a claim (the token rose), or the end of one (`after` may be awaiting again)."""

    row_id: int
    session: int
    token: int
    claimed: bool
    before: str
    after: str
    reason: str


@dataclass
class History:
    """What the ledger says. `late`: rows ended by somebody who was not the last to claim them."""

    claims: int = 0
    most_claims: int = 0
    late: list[int] = field(default_factory=list)
    ended_twice: list[int] = field(default_factory=list)
    falling: list[int] = field(default_factory=list)


def install(connection: psycopg2.extensions.connection) -> None:
    """Begin to write the history of all workflow rows."""
    with connection.cursor() as cursor:
        cursor.execute(SCHEMA)


def working_sessions(connection: psycopg2.extensions.connection) -> int:
    """How many worker processes hold rows."""
    return _number(connection, BUSY, 100, 1)


def busy_sessions(connection: psycopg2.extensions.connection) -> int:
    """How many worker processes hold several rows that nobody held before."""
    return _number(connection, BUSY, 1, 8)


def taken_over(connection: psycopg2.extensions.connection) -> int:
    """How many rows are held by a worker although the one that held them before still lives."""
    return _number(connection, TAKEN)


def _number(connection: psycopg2.extensions.connection, query: str, *values: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute(query, values or None)
        return int((cursor.fetchone() or [0])[0])


def entries(connection: psycopg2.extensions.connection) -> list[Entry]:
    """The whole ledger in order."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT row_id, session, token, claimed, before, after, reason FROM chaos.ledger ORDER BY row_id, id"
        )
        return [Entry(*line) for line in cursor]


def read_history(found: Iterable[Entry]) -> History:
    """Judge entries that are in order for every row."""
    by_row: dict[int, list[Entry]] = {}
    for entry in found:
        by_row.setdefault(entry.row_id, []).append(entry)
    history = History()
    _judge(history, by_row)
    return history


def _judge(history: History, by_row: Mapping[int, Sequence[Entry]]) -> None:
    for row_id, lines in by_row.items():
        claims = [line for line in lines if line.claimed]
        history.claims += len(claims)
        history.most_claims = max(history.most_claims, len(claims))
        tokens = [line.token for line in claims]
        if tokens != sorted(set(tokens)):
            history.falling.append(row_id)
        ends = [line for line in lines if line.after not in {line.before, "awaiting"}]
        if len(ends) > 1:
            history.ended_twice.append(row_id)
        if any(_is_late(lines, place) for place in range(len(lines))):
            history.late.append(row_id)


def _is_late(lines: Sequence[Entry], place: int) -> bool:
    """Whether this entry ends a claim of somebody else. The sweeper may: it fails rows that stop their workers."""
    entry = lines[place]
    if entry.claimed or entry.reason == POISON:
        return False
    claims = [line for line in lines[:place] if line.claimed]
    return bool(claims) and claims[-1].session != entry.session
