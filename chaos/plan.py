"""What happens in a run and when: rows, uploads and faults, all from one seed. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

GOOD = "good"
BAD_KINDS = ("hang", "reset", "trickle", "circle", "gone", "html", "short", "huge")
"""Hosts that never answer, reset, send a byte a second, redirect in a circle, have nothing (404), send a web page,
send less than they said, or say they will send 30 MB."""


class FaultKind(StrEnum):
    KILL_WORKER = "worker killed"
    KILL_CHILD = "worker child killed"
    WIPE_BROKER = "broker killed, data deleted"
    KILL_POSTGRES = "postgres killed"
    BEAT_OUTAGE = "beat kept down"
    PAUSE = "worker paused beyond its lease"
    DUPLICATE = "messages delivered again"


@dataclass(frozen=True)
class Scale:
    """How much of everything. `gap` is the least and the most number of seconds between two faults."""

    rows: int = 10_000
    bad_share: float = 0.03
    uploads: int = 5
    worker_kills: int = 20
    broker_wipes: int = 3
    postgres_kills: int = 2
    beat_outages: int = 1
    beat_seconds: float = 20.0
    pauses: int = 4
    duplicates: int = 6
    gap: tuple[float, float] = (2.5, 6.0)
    contributors: int = 4
    picture_seconds: float = 0.2
    fetch_seconds: float = 5.0
    settle_seconds: float = 420.0


SHORT = Scale(
    rows=600,
    bad_share=0.05,
    uploads=2,
    worker_kills=3,
    broker_wipes=1,
    postgres_kills=1,
    beat_outages=0,
    pauses=1,
    duplicates=2,
    gap=(1.0, 2.5),
    contributors=2,
    picture_seconds=0.5,
    fetch_seconds=4.0,
    settle_seconds=90.0,
)


@dataclass(frozen=True)
class Row:
    """One line that is uploaded: its number, and what its picture's host does."""

    number: int
    kind: str

    @property
    def path(self) -> str:
        return f"{self.kind}/{self.number}.jpg"


@dataclass(frozen=True)
class Fault:
    """`at` is in seconds after the start; `dice` decides what is left to chance when it happens (which child)."""

    at: float
    kind: FaultKind
    dice: int


@dataclass(frozen=True)
class Plan:
    """`uploads` are (seconds after the start, rows)."""

    seed: int
    scale: Scale
    uploads: Sequence[tuple[float, Sequence[Row]]]
    faults: Sequence[Fault]

    @property
    def rows(self) -> list[Row]:
        return [row for _, rows in self.uploads for row in rows]

    @property
    def seconds(self) -> float:
        """When the last fault begins."""
        return max((fault.at for fault in self.faults), default=0.0)


def make_plan(seed: int, scale: Scale) -> Plan:
    """The plan of a seed: the same seed and scale give the same plan, always."""
    rows = _rows(random.Random(f"rows-{seed}"), scale)
    faults = _faults(random.Random(f"faults-{seed}"), scale)
    end = max((fault.at for fault in faults), default=0.0)
    size = -(-len(rows) // scale.uploads)
    parts = [rows[start : start + size] for start in range(0, len(rows), size)]
    # The last upload comes at two thirds, so that faults hit work from the first to nearly the last.
    uploads = [(end * 0.66 * place / max(1, len(parts) - 1), part) for place, part in enumerate(parts)]
    return Plan(seed, scale, uploads, faults)


def _rows(dice: random.Random, scale: Scale) -> list[Row]:
    bad = dice.sample(range(scale.rows), round(scale.rows * scale.bad_share))
    kinds = {number: BAD_KINDS[place % len(BAD_KINDS)] for place, number in enumerate(bad)}
    return [Row(number, kinds.get(number, GOOD)) for number in range(scale.rows)]


def _faults(dice: random.Random, scale: Scale) -> list[Fault]:
    kinds = [
        *(dice.choice([FaultKind.KILL_WORKER, FaultKind.KILL_CHILD]) for _ in range(scale.worker_kills)),
        *[FaultKind.WIPE_BROKER] * scale.broker_wipes,
        *[FaultKind.KILL_POSTGRES] * scale.postgres_kills,
        *[FaultKind.BEAT_OUTAGE] * scale.beat_outages,
        *[FaultKind.PAUSE] * scale.pauses,
        *[FaultKind.DUPLICATE] * scale.duplicates,
    ]
    dice.shuffle(kinds)
    found, at = [], 2.0
    for kind in kinds:
        at += dice.uniform(*scale.gap)
        found.append(Fault(round(at, 2), kind, dice.randrange(2**31)))
    return found
