"""Counting attempts in the cache, so that nobody can try things in bulk."""

from __future__ import annotations

import hashlib
import time

from django.core.cache import cache


def allow_attempt(action: str, who: str, *, limit: int, seconds: int) -> bool:
    """Count one attempt of `who` (an IP address, a key) at `action`.

    False when there were more than `limit` in this window of `seconds`; the windows are the same for everybody.
    """
    window = int(time.time()) // seconds
    key = f"attempts:{action}:{hashlib.sha256(who.encode()).hexdigest()[:32]}:{window}"
    cache.add(key, 0, seconds)
    try:
        return cache.incr(key) <= limit
    except ValueError:  # the window ended between the two calls
        return True
