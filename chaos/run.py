"""One run from an empty product to a verdict. Imported when Django is set up."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg2

from . import evidence, ledger, sabotage
from .check import FoundRow, Verdict, check_history, check_judgments, check_report, check_rows, check_units
from .faults import Faults, Signs
from .people import People, make_people
from .plan import Plan
from .product import Product, say
from .workload import CLASSES, Workload, set_up

EVERY = 1.0
STALLED_SECONDS = 60.0


@dataclass
class Watch:
    """Looks at the database once a second: how far it is, and how long nothing moved although rows waited."""

    product: Product
    workload: Workload
    began: float
    longest_stall: float = 0.0
    moved: float = field(default_factory=time.monotonic)
    last: evidence.Counts | None = None

    def until_done(self, wanted: int, ready: Callable[[], bool], limit: float) -> bool:
        """Wait for the end of all work. False when the time is up, or nothing moves any more."""
        told = 0.0
        while time.monotonic() - self.began < limit:
            counts = self.look()
            now = time.monotonic()
            if counts is not None:
                if now - told > 10:
                    told = now
                    say(f"[{now - self.began:6.1f} s] {dict(counts.states)}, {counts.open_units} units open")
                if ready() and counts.rows >= wanted and not counts.awaiting and not counts.open_units:
                    return True
            if ready() and now - self.moved > STALLED_SECONDS:
                say(f"nothing has moved for {STALLED_SECONDS:.0f} s")
                return False
            time.sleep(EVERY)
        say("the time is up")
        return False

    def working(self) -> bool:
        """Whether a worker process holds rows just now."""
        return self.ask(ledger.working_sessions) >= 1

    def both_busy(self) -> bool:
        """Whether two worker processes hold many rows just now."""
        return self.ask(ledger.busy_sessions) >= 2

    def taken(self) -> bool:
        """Whether rows have a new holder while the old one still lives."""
        return self.ask(ledger.taken_over) >= 4

    def ask(self, question: Callable[[psycopg2.extensions.connection], int]) -> int:
        """An answer of the ledger; 0 while the database is away."""
        try:
            connection = self.product.database()
        except psycopg2.Error:
            return 0
        try:
            return question(connection)
        except psycopg2.Error:
            return 0
        finally:
            connection.close()

    def look(self) -> evidence.Counts | None:
        """The counts now, None while the database is away."""
        try:
            connection = self.product.database()
        except psycopg2.Error:
            return None
        try:
            counts = evidence.count(connection, self.workload)
        except psycopg2.Error:
            return None
        finally:
            connection.close()
        now = time.monotonic()
        if counts != self.last or not counts.rows:
            if self.last is not None and self.last.awaiting:
                self.longest_stall = max(self.longest_stall, now - self.moved)
            self.last, self.moved = counts, now
        return counts


def run(product: Product, plan: Plan, host: str, *, lease_seconds: float, broken: str = "") -> dict[str, Any]:
    """Set everything up, break things while work goes on, and judge what is left. Returns the figures."""
    workload = set_up(plan, host)
    connection = product.database()
    ledger.install(connection)
    if broken == "unique":
        sabotage.drop_keys(connection)
    connection.close()
    people = make_people(
        workload.team, workload.job, list(CLASSES), product.address, count=plan.scale.contributors, seed=plan.seed
    )
    say(f"{len(plan.rows)} rows, {len(plan.faults)} faults in {plan.seconds:.0f} s")
    began = time.monotonic()
    watch = Watch(product, workload, began)
    signs = Signs(watch.working, watch.both_busy, watch.taken)
    faults = Faults(product, plan, lease_seconds, workload.again, signs)
    threads = [
        threading.Thread(target=workload.run_uploads, args=(began,)),
        threading.Thread(target=faults.run, args=(began,)),
    ]
    people.start()
    for thread in threads:
        thread.start()
    limit = plan.seconds + plan.scale.settle_seconds
    ended = watch.until_done(len(plan.rows), lambda: not any(thread.is_alive() for thread in threads), limit)
    seconds = time.monotonic() - began
    people.end()
    for thread in threads:
        thread.join()
    return judge(product, workload, people, faults) | {
        "seconds": round(seconds, 1),
        "after_last_fault_s": round(max(0.0, seconds - plan.seconds), 1),
        "longest_stall_s": round(watch.longest_stall, 1),
        "ended": ended,
    }


def judge(product: Product, workload: Workload, people: People, faults: Faults) -> dict[str, Any]:
    """Gather what is there, compare it with what must be, and print the table."""
    plan, verdict = workload.plan, Verdict()
    connection = product.database()
    rows = evidence.find_rows(connection, workload)
    units = evidence.find_units(connection, workload)
    stored = evidence.find_judgments(connection, workload)
    history = ledger.read_history(ledger.entries(connection))
    connection.close()
    check_rows(verdict, plan.rows, evidence.expectations(plan.rows), rows)
    check_units(verdict, rows, units)
    acknowledged = people.acknowledged()
    check_judgments(verdict, acknowledged, people.sent(), stored)
    check_history(verdict, history)
    check_report(verdict, CLASSES, rows, evidence.build_report(workload))
    if faults.failed:
        say(f"faults that could not be done: {faults.failed}")
    figures = {
        "rows": len(rows),
        "lost": verdict.lost,
        "duplicated": verdict.duplicated,
        "judgments_lost": verdict.judgments_lost,
        "judgments_unknown": verdict.judgments_unknown,
        "report_mismatches": verdict.report_mismatches,
        "late_accepted": verdict.late_accepted,
        "stuck_units": verdict.stuck,
        "late_refused": _late(product),
        "units": len(units),
        "judgments": len(stored),
        "acknowledged": len(acknowledged),
        "double_submits": sum(one.doubled for one in people.labelers),
        "failed_requests": sum(one.failures for one in people.labelers),
        "faults": sum(faults.done.values()),
        "faults_not_done": len(faults.failed),
        "claims": history.claims,
        "most_claims": history.most_claims,
        "restarts": product.restarts(),
        "clean": verdict.clean,
    }
    _table(rows, faults.done, figures, verdict)
    return figures


def _late(product: Product) -> int:
    """Answers that came after somebody else had claimed the row, and were refused."""
    lines = product.count_in_log("worker", "answers came too late and changed nothing")
    return sum(int(line.split("answers came")[0].split()[-1]) for line in lines)


def _table(rows: list[FoundRow], done: Counter[str], figures: dict[str, Any], verdict: Verdict) -> None:
    states = Counter(row.state + (f", unit {row.unit_state}" if row.unit_state else "") for row in rows)
    reasons = Counter(row.reason for row in rows if row.state == "failed")
    say("")
    for title, counted in (("rows", states), ("failed because", reasons), ("faults", done), ("figures", figures)):
        say(title)
        for name, value in sorted(counted.items()) if title != "figures" else counted.items():
            say(f"  {name:44} {value:>8}")
    for problem in verdict.problems:
        say(f"  ! {problem}")
