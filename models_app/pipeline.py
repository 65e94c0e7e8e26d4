"""Threads that fetch and decode ahead of the one thread that computes. No tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeVar

Key = TypeVar("Key")
Item = TypeVar("Item")
Loaded = TypeVar("Loaded")

TICK_SECONDS = 1.0


def load_ahead(
    items: Iterable[tuple[Key, Item]],
    load: Callable[[Item], Loaded],
    *,
    threads: int,
    tick: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Key, Loaded]]:
    """Run `load` over the items in `threads` threads and yield (key, result) as they finish, in any order.

    At most two items a thread are under way or waiting to be taken, so memory stays bounded however slowly the
    caller consumes. `tick` runs in the caller's thread at least once a second while it waits; an exception in it,
    or closing the iterator, drops what has not begun.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="load")
    waiting: dict[Future[Loaded], Key] = {}
    source = iter(items)
    try:
        while True:
            for key, item in islice(source, 2 * threads - len(waiting)):
                waiting[pool.submit(load, item)] = key
            if not waiting:
                return
            done, _ = wait(waiting, timeout=TICK_SECONDS, return_when=FIRST_COMPLETED)
            tick()
            for future in done:
                yield waiting.pop(future), future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def in_batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items in lists of `size`, the last one perhaps shorter."""
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch
