"""Inputs that once broke something are thrown again for ever; a short search of its own; every form with nonsense."""

from __future__ import annotations

import logging
import os
import random
import re
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.signals import got_request_exception
from django.db import transaction
from django_scopes import scopes_disabled

from fuzz.targets import TARGETS

from .nasty import EVERYTHING, NASTY, dangers
from .test_tenancy import TABLE, World, address, make_world

REGRESSIONS = Path(__file__).parent / "regressions"
KEPT = [path for path in sorted(REGRESSIONS.glob("*/*")) if path.parent.name in TARGETS]
SECONDS = float(os.environ.get("FUZZ_SECONDS", "5"))


@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_once_broke_is_whole(path: Path) -> None:
    TARGETS[path.parent.name][0](path.read_bytes())


def changed(dice: random.Random, seeds: list[bytes]) -> bytes:
    """A seed with some bytes changed, taken out, doubled, or parts of another in it."""
    data = bytearray(dice.choice(seeds))
    for _ in range(dice.randint(0, 8)):
        place, length = dice.randrange(len(data) + 1), dice.randint(0, 20)
        piece = dice.choice(seeds)
        start = dice.randrange(len(piece) + 1)
        new = dice.choice(
            [b"", bytes([dice.randrange(256)]), piece[start : start + length], b"\0", b"\r\n", b'"', b"{{", b"\xf0\x9f"]
        )
        data[place : place + dice.choice([0, length])] = new
    return bytes(data)


@pytest.mark.parametrize("name", TARGETS)
def test_a_short_search_breaks_nothing(name: str) -> None:
    target, seeds = TARGETS[name]
    dice, end = random.Random(time.time_ns()), time.monotonic() + 0.7
    while time.monotonic() < end:
        data = changed(dice, seeds)
        try:
            target(data)
        except Exception as error:
            raise AssertionError(f"{name} broke at {data!r}") from error


# --- pages --------------------------------------------------------------------------------------------------

NUMBERS = ["0", "-1", "1", "2", "0.7", "1e309", "NaN", "9" * 30, "2147483648", "9223372036854775808", "", " ", "true"]
DATES = ["2026-01-01", "2026-02-30", "0000-00-00", "2026-01-01T00:00", "99999-01-01"]
IDS = ["0", "2147483648", "9223372036854775807", "9223372036854775808", "9" * 40]
TEXTS = [
    *NASTY,
    EVERYTHING,
    "\0",
    "a\0b",
    "\ud7ff",
    "x" * 10_000,
    "ü" * 300,
    "\u202e",
    "[]",
    "{}",
    "null",
    '{"a":[1]}',
    "../x",
]
NAME = re.compile(r'<(?:input|select|textarea|button)\b[^>]*?\bname="([^"]+)"')
VALUE = re.compile(r'<(?:option|input|button)\b[^>]*?\bvalue="([^"]*)"')
COMMON = ["page", "q", "sort", "order", "filter", "state", "kind", "unit", "skip", "next", "action", "limit", "from"]


class Nonsense:
    """Draws requests: names that the pages themselves use, with values that fit and values that do not."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.names: set[str] = set(COMMON)
        self.values: set[str] = {"1"}

    def learn(self, page: str) -> None:
        self.names.update(NAME.findall(page))
        self.values.update(VALUE.findall(page)[:50])

    def value(self) -> str:
        pool = self.dice.choice([NUMBERS, TEXTS, DATES, sorted(self.values), sorted(self.values)])
        return self.dice.choice(pool)

    def fields(self) -> dict[str, Any]:
        names = self.dice.sample(sorted(self.names), min(len(self.names), self.dice.randint(0, 12)))
        drawn: dict[str, Any] = {}
        for name in names:
            count = self.dice.choice([1, 1, 1, 2, 5])
            drawn[name] = [self.value() for _ in range(count)] if count > 1 else self.value()
        return drawn

    def file(self) -> SimpleUploadedFile:
        data = self.dice.choice([seed for _, seeds in TARGETS.values() for seed in seeds])
        return SimpleUploadedFile(self.dice.choice(["a.csv", "<b>.csv", "a" * 300, "ü.csv", "a/../b"]), data)


@pytest.fixture
def said() -> Iterator[list[str]]:
    """What went wrong inside of views."""
    found: list[str] = []

    def note(**_: Any) -> None:
        found.append(traceback.format_exc()[-2500:])

    got_request_exception.connect(note, weak=False)
    yield found
    got_request_exception.disconnect(note)


def test_http_no_form_and_no_address_gives_a_500(db: None, client_for, said: list[str]) -> None:
    """Each request is rolled back, so that all of them meet the same team."""
    seed = int(os.environ.get("FUZZ_SEED", time.time_ns() % 10**9))
    dice = random.Random(seed)
    with scopes_disabled():
        world: World = make_world("ours")
    clients = [client_for(world["people"][role]) for role in ("owner", "contributor")]
    for client in clients:
        client.raise_request_exception = False
    logging.disable(logging.CRITICAL)
    nonsense, requests, bad = Nonsense(dice), 0, []
    names = list(TABLE)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end or requests < len(names):
        name = names[requests % len(names)] if requests < len(names) else dice.choice(names)
        method = dice.choice(TABLE[name][0].split()) if dice.random() < 0.95 else "POST"
        client = clients[name.startswith("contribute:")] if dice.random() < 0.9 else dice.choice(clients)
        data = nonsense.fields()
        if method == "POST" and dice.random() < 0.3:
            data["file"] = nonsense.file()
        headers = {"HTTP_HX_REQUEST": "true"} if dice.random() < 0.4 else {}
        with transaction.atomic():
            send = client.get if method == "GET" else client.post
            url = address(name, world, world["team"])
            if dice.random() < 0.1:
                url = re.sub(r"/\d+/", lambda _: f"/{dice.choice(IDS)}/", url)
            response = send(url, data, **headers)
            if "html" in response.get("Content-Type", "") and not response.streaming:
                page = response.content.decode()
                nonsense.learn(page)
                if found := dangers(page):
                    bad.append(f"{method} {name} {data!r}: {found[:3]}"[:1500])
            if response.status_code >= 500:
                reason = said[-1] if said else ""
                bad.append(f"{method} {name} {response.status_code} {data!r}"[:1500] + reason)
            transaction.set_rollback(True)
        requests += 1
        if len(bad) > 5:
            break
    logging.disable(logging.NOTSET)
    print(f"\nhttp: {requests} executions, {requests / max(SECONDS, 1):.0f} a second, {len(bad)} crashes, seed {seed}")
    assert bad == [], "\n\n".join(bad)
