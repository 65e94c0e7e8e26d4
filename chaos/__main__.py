"""Command line of script/chaos."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import django

from labeling_platform.stack.places import StackError

from .host import served
from .network import NotPossible, network
from .plan import SHORT, Plan, Scale, make_plan
from .product import running, say
from .sabotage import KINDS, SETTINGS, VARIABLE
from .site import site

LEASE_SECONDS, RETRY_SECONDS = 4, 1


def main() -> int:
    """One run: a table for people, one line for programs; 0 when all is well, 1 when not, 2 when it cannot be run."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that everything is taken down again
    plan = make_plan(options.seed, _scale(options))
    settings = {
        "LEASE_SECONDS": str(LEASE_SECONDS),
        "RETRY_SECONDS": str(RETRY_SECONDS),
        "IMAGE_FETCH_SECONDS": str(plan.scale.fetch_seconds),
        "CLASSIFIER_BACKENDS": "digest",
    }
    if options.sabotage:
        say(f"sabotage: {options.sabotage}")
        settings |= {VARIABLE: options.sabotage, "DJANGO_SETTINGS_MODULE": SETTINGS}
    figures = _machines(options, plan, settings) if options.machines else _one_machine(options, plan, settings)
    clean = figures["clean"] and figures["ended"] and not figures.get("faults_not_done")
    print(json.dumps(figures | {"seed": options.seed, "sabotage": options.sabotage, "clean": clean}), flush=True)
    return 0 if clean else 1


def _scale(options: argparse.Namespace) -> Scale:
    scale = SHORT if options.short or options.machines else Scale()
    if options.rows:
        scale = replace(scale, rows=options.rows)
    if options.calm or options.machines:
        scale = replace(scale, worker_kills=0, broker_wipes=0, postgres_kills=0, beat_outages=0, pauses=0, bad_share=0)
    return scale


def _one_machine(options: argparse.Namespace, plan: Plan, settings: dict[str, str]) -> dict[str, Any]:
    with served(plan.scale.picture_seconds) as host:
        with running(settings | {"IMAGE_FETCH_ALLOW": host}, keep=options.logs) as product:
            django.setup()
            run = import_module("chaos.run").run
            figures: dict[str, Any] = run(
                product, plan, host, lease_seconds=LEASE_SECONDS, broken=options.sabotage or ""
            )
    return figures


def _machines(options: argparse.Namespace, plan: Plan, settings: dict[str, str]) -> dict[str, Any]:
    with network(options.machines) as net, served(plan.scale.picture_seconds, net.address) as host:
        settings = settings | {"IMAGE_FETCH_ALLOW": host}
        with site(net, settings, keep=options.logs) as it:
            django.setup()
            figures: dict[str, Any] = import_module("chaos.machines").run(it, plan, host, settings)
    return figures


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="script/chaos", description="Break the product while it works, and check.")
    parser.add_argument("--rows", type=int, help="rows of the workflow (10,000; 600 with --short or --machines)")
    parser.add_argument("--seed", type=int, default=1, help="of the plan of faults and of all that is left to chance")
    parser.add_argument("--short", action="store_true", help="one to two minutes, for the tests")
    parser.add_argument("--calm", action="store_true", help="only repeated messages: nothing killed, no bad host")
    parser.add_argument("--sabotage", choices=KINDS, help="break the product itself: the run must then report damage")
    parser.add_argument("--machines", type=int, help="instead: workers on so many machines, one of them is cut off")
    parser.add_argument("--logs", type=Path, help="keep the logs of all parts in this folder")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (StackError, NotPossible) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
