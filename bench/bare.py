"""The rates that no pipeline can beat: decoding and inference with nothing around them. Needs no Django."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models_app.backends.embedder import load_embedder

PROCESSES = 2  # as many as the worker has
BATCH = 16
INFERENCE_ONLY = 512


def bare_rates(files: Sequence[Path], embedder: str, cache: Path) -> tuple[float, float]:
    """Pictures a second of (decode and inference, inference alone), in as many processes as the worker has.

    The bytes are in memory and nothing is fetched, stored or classified.
    """
    context = multiprocessing.get_context("spawn")
    gate, found = context.Barrier(PROCESSES), context.SimpleQueue()
    parts = [[str(file) for file in files[start::PROCESSES]] for start in range(PROCESSES)]
    own = (embedder, str(cache), gate, found)
    running = [context.Process(target=_measure, args=(part, *own), daemon=True) for part in parts]
    for process in running:
        process.start()
    for process in running:
        process.join()
    if any(process.exitcode for process in running):
        raise SystemExit("The bare rate could not be measured.")
    done = [found.get() for _ in running]
    both = len(files) / max(one[0] for one in done)
    return both, sum(one[2] for one in done) / max(one[1] for one in done)


def _measure(files: list[str], embedder_name: str, cache: str, gate: Any, found: Any) -> None:
    """Puts (seconds of decode and inference, seconds of inference alone, pictures of the latter)."""
    embedder = load_embedder(embedder_name, cache_dir=Path(cache), threads=1)
    contents = [Path(file).read_bytes() for file in files]
    embedder.embed([embedder.prepare(data) for data in contents[:BATCH]])
    gate.wait(120)
    began = time.monotonic()
    for start in range(0, len(contents), BATCH):
        embedder.embed([embedder.prepare(data) for data in contents[start : start + BATCH]])
    both = time.monotonic() - began
    prepared = [embedder.prepare(data) for data in contents[:INFERENCE_ONLY]]
    gate.wait(120)
    began = time.monotonic()
    for start in range(0, len(prepared), BATCH):
        embedder.embed(prepared[start : start + BATCH])
    found.put((both, time.monotonic() - began, len(prepared)))
