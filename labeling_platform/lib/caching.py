"""The cache: Redis, and a table of PostgreSQL while Redis is away.

What lies in the cache are counters of limits (allauth's, our own) and codes that were used. Without Redis they must go
on counting, or nobody could sign in, or everybody could try at will. Sessions and locks of sign-in are in PostgreSQL
anyway. Counters that began in Redis begin anew in PostgreSQL, and the other way round.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.core.cache.backends.redis import RedisCache
from django.core.signals import request_finished
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from redis import RedisError

log = logging.getLogger(__name__)
AWAY_SECONDS = 5.0
"""After a failure, Redis is asked again so many seconds later: waiting for it at each step would take too long."""
FOR_EVER = datetime(9999, 1, 1, tzinfo=UTC)
_back_at: dict[str, float] = {}


class SteadyCache(BaseCache):
    """Redis while it answers, else PostgreSQL; what begins with a prefix in `kept` is always in PostgreSQL.

    `kept` maps prefixes to the seconds that such a thing is kept at least. Values must be JSON.
    """

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        options = dict(params.get("OPTIONS", {}))
        self._prefixes: dict[str, int] = options.pop("kept", {})
        self.redis = RedisCache(server, params | {"OPTIONS": options})
        self.table = TableCache(params | {"OPTIONS": {}})
        self._server = server

    def _do(self, step: Callable[[BaseCache], Any], key: str = "") -> Any:
        if not key.startswith(tuple(self._prefixes)) and time.monotonic() >= _back_at.get(self._server, 0.0):
            try:
                return step(self.redis)
            except (RedisError, OSError) as error:
                log.warning("Redis is away (%s): limits are counted in PostgreSQL", type(error).__name__)
                _back_at[self._server] = time.monotonic() + AWAY_SECONDS
        return step(self.table)

    def _at_least(self, key: str, timeout: Any) -> Any:
        least = next((seconds for prefix, seconds in self._prefixes.items() if key.startswith(prefix)), None)
        given = isinstance(timeout, int | float) and least is not None
        return max(timeout, least) if given else timeout

    def add(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        timeout = self._at_least(key, timeout)
        return bool(self._do(lambda cache: cache.add(key, value, timeout, version), key))

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        return self._do(lambda cache: cache.get(key, default, version), key)

    def set(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        timeout = self._at_least(key, timeout)
        self._do(lambda cache: cache.set(key, value, timeout, version), key)

    def touch(self, key: str, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return bool(self._do(lambda cache: cache.touch(key, timeout, version), key))

    def delete(self, key: str, version: int | None = None) -> bool:
        return bool(self._do(lambda cache: cache.delete(key, version), key))

    def incr(self, key: str, delta: int = 1, version: int | None = None) -> int:
        return int(self._do(lambda cache: cache.incr(key, delta, version), key))

    def has_key(self, key: str, version: int | None = None) -> bool:
        return bool(self._do(lambda cache: cache.has_key(key, version), key))

    def clear(self) -> None:
        self.table.clear()
        self._do(lambda cache: cache.clear())


class TableCache(BaseCache):
    """Values as JSON in the table `cache_while_away`, over a connection of its own: what is counted stays counted when
    a request is rolled back, and nobody waits for another's transaction. Keys are kept as hashes."""

    def add(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return bool(
            self._run(
                "INSERT INTO cache_while_away AS old (key, value, expires) VALUES (%s, %s, %s) ON CONFLICT (key) DO"
                " UPDATE SET value = excluded.value, expires = excluded.expires WHERE old.expires <= now() RETURNING 1",
                self._key(key, version), json.dumps(value), self._end(timeout),
            )
        )  # fmt: skip

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        found = self._run(
            "SELECT value FROM cache_while_away WHERE key = %s AND expires > now()", self._key(key, version)
        )
        return json.loads(found[0][0]) if found else default

    def set(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        self._run(
            "INSERT INTO cache_while_away (key, value, expires) VALUES (%s, %s, %s) ON CONFLICT (key) DO UPDATE"
            " SET value = excluded.value, expires = excluded.expires RETURNING 1",
            self._key(key, version), json.dumps(value), self._end(timeout),
        )  # fmt: skip
        self._run(
            "DELETE FROM cache_while_away WHERE key IN (SELECT key FROM cache_while_away WHERE expires <= now()"
            " LIMIT 100 FOR UPDATE SKIP LOCKED) RETURNING 1"
        )

    def touch(self, key: str, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return bool(
            self._run(
                "UPDATE cache_while_away SET expires = %s WHERE key = %s AND expires > now() RETURNING 1",
                self._end(timeout), self._key(key, version),
            )
        )  # fmt: skip

    def delete(self, key: str, version: int | None = None) -> bool:
        return bool(self._run("DELETE FROM cache_while_away WHERE key = %s RETURNING 1", self._key(key, version)))

    def incr(self, key: str, delta: int = 1, version: int | None = None) -> int:
        found = self._run(
            "UPDATE cache_while_away SET value = (value::bigint + %s)::text WHERE key = %s AND expires > now()"
            " RETURNING value",
            delta, self._key(key, version),
        )  # fmt: skip
        if not found:
            raise ValueError(f"Key {key!r} not found")
        return int(found[0][0])

    def has_key(self, key: str, version: int | None = None) -> bool:
        return self.get(key, version=version) is not None

    def clear(self) -> None:
        self._run("DELETE FROM cache_while_away RETURNING 1")

    def _key(self, key: str, version: int | None) -> str:
        return hashlib.sha256(self.make_and_validate_key(key, version=version).encode()).hexdigest()

    def _end(self, timeout: Any) -> datetime:
        end = self.get_backend_timeout(timeout)
        return FOR_EVER if end is None else datetime.fromtimestamp(end, UTC)

    def _run(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with _connection().cursor() as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall())


_mine = threading.local()


def _connection() -> BaseDatabaseWrapper:
    """This thread's connection beside the one of its request."""
    if getattr(_mine, "connection", None) is None:
        _mine.connection = connections.create_connection("default")
    return _mine.connection  # type: ignore[no-any-return]


def close_connection(**kwargs: Any) -> None:
    """Give this thread's connection back; the next use makes another."""
    if (connection := getattr(_mine, "connection", None)) is not None:
        _mine.connection = None
        connection.close()


request_finished.connect(close_connection, dispatch_uid="cache_connection")
