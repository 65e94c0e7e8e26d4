"""At most so many at once, over all processes: a semaphore in Redis whose places come free by themselves."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache

import redis
from django.conf import settings

LIFE = 660.0
"""Seconds after which a place is free although nobody gave it back: longer than the longest request."""
_TAKE = """
local now = redis.call('TIME')
now = now[1] + now[2] / 1000000
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[3])
redis.call('PEXPIRE', KEYS[1], math.ceil(ARGV[2] * 1000))
return 1
"""


class AllBusy(Exception):
    """No place came free in time, or Redis is away: nothing was begun."""


@contextmanager
def turn(
    name: str, *, places: int, wait: float = 60.0, life: float = LIFE, tick: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Hold one of `places` places of `name` for the block. Waits `wait` seconds for one, then raises AllBusy.

    A process that dies gives its place back after `life` seconds. `tick` runs while one waits.
    """
    key, mine, until = f"turns:{name}", secrets.token_hex(8), time.monotonic() + wait
    try:
        take = _client(settings.REDIS_URL).register_script(_TAKE)
        while not take(keys=[key], args=[places, life, mine]):
            if time.monotonic() >= until:
                raise AllBusy
            tick()
            time.sleep(0.1 + secrets.randbelow(100) / 1000)
    except redis.RedisError:
        raise AllBusy from None
    try:
        yield
    finally:
        with suppress(redis.RedisError):
            _client(settings.REDIS_URL).zrem(key, mine)


@lru_cache(maxsize=2)
def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_timeout=10, socket_connect_timeout=3)
