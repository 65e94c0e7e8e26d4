"""Workers on machines of their own; one of them is cut off in the middle of its work, and later killed."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Any

from . import evidence, ledger
from .check import Verdict, check_history, check_report, check_rows, check_units
from .network import Machine
from .plan import Plan
from .product import say
from .site import Site
from .workload import CLASSES, Workload, set_up

CUT_AT = 0.2
KILL_AFTER = 6.0
LIMIT_SECONDS = 240.0
WORST_MOMENT_SECONDS = 8.0
IN_TRANSACTION = """
SELECT 1 FROM pg_stat_activity a
JOIN pg_locks l ON l.pid = a.pid AND l.relation = 'jobs_app_job'::regclass AND l.mode = 'RowShareLock'
WHERE a.client_addr = %s AND a.state = 'idle in transaction' LIMIT 1
"""
SHARE = """
SELECT count(DISTINCT l.row_id) FROM chaos.ledger l JOIN pg_stat_activity a ON a.pid = l.session
WHERE l.claimed AND a.client_addr = %s
"""


def run(it: Site, plan: Plan, host: str, settings: dict[str, str]) -> dict[str, Any]:
    """A workflow over several machines. The last of them loses its cable when a third of the rows is done."""
    for machine in it.network.machines:
        it.start_worker(machine, settings)
    it.wait_for_workers()
    workload = set_up(plan, host)
    connection = it.database()
    ledger.install(connection)
    for number, (_, rows) in enumerate(plan.uploads):
        workload.upload(f"part-{number}.csv", rows)
    began = time.monotonic()
    say(f"{len(plan.rows)} rows on {len(it.network.machines)} machines")
    victim, wanted = it.network.machines[-1], len(plan.rows)
    cut = killed = done = None
    shares: dict[str, int] = {}
    holding = False
    while time.monotonic() - began < LIMIT_SECONDS and done is None:
        counts = evidence.count(connection, workload)
        finished, now = counts.rows - counts.awaiting, time.monotonic() - began
        if cut is None and finished >= wanted * CUT_AT:
            shares = {machine.name: claimed(connection, machine.address) for machine in it.network.machines}
        if cut is None and shares and (all(shares.values()) or finished == wanted):
            holding = cut_off_in_transaction(connection, victim)
            cut = time.monotonic() - began
            say(f"[{cut:6.1f} s] {finished} rows done; {victim.name} is cut off; rows claimed so far: {shares}")
            say(f"           it {'holds' if holding else 'holds no'} locks in the database")
        if cut is not None and killed is None and now - cut > KILL_AFTER:
            kill(it, victim.name)
            killed = now
            say(f"[{now:6.1f} s] {victim.name} is killed; {counts.awaiting} rows wait")
        if counts.rows >= wanted and not counts.awaiting and killed is not None:
            done = now
        time.sleep(0.2)
    say(f"[{time.monotonic() - began:6.1f} s] {dict(counts.states)}")
    figures = judge(connection, workload)
    connection.close()
    return figures | {
        "machines": len(it.network.machines),
        "claimed_by_machine": list(shares.values()),
        "cut_with_locks": holding,
        "cut_at_s": round(cut or -1, 1),
        "killed_at_s": round(killed or -1, 1),
        "seconds": round(done or time.monotonic() - began, 1),
        "ended": done is not None and all(shares.values()),
    }


def cut_off_in_transaction(connection: Any, victim: Machine) -> bool:
    """Pull the cable while the machine is inside a transaction that holds locks: the worst moment.

    The database does not hear that the machine is gone. Returns whether it came to that; else the cable is out at
    some other moment.
    """
    deadline = time.monotonic() + WORST_MOMENT_SECONDS
    while time.monotonic() < deadline:
        if _in_transaction(connection, victim):
            victim.cut_off()
            time.sleep(0.2)  # what was on its way has arrived
            if _in_transaction(connection, victim):
                return True
            victim.join()
        time.sleep(0.001)
    victim.cut_off()
    return False


def _in_transaction(connection: Any, victim: Machine) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(IN_TRANSACTION, [victim.address])
        return cursor.fetchone() is not None


def claimed(connection: Any, address: str) -> int:
    """Rows that the machine with this address has claimed, by the connections it has now."""
    with connection.cursor() as cursor:
        cursor.execute(SHARE, [address])
        return int(cursor.fetchone()[0])


def kill(it: Site, name: str) -> None:
    """All processes of a machine at once. They are one group of the harness's own child."""
    process = it.workers[name].process
    assert process is not None
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


def judge(connection: Any, workload: Workload) -> dict[str, Any]:
    plan, verdict = workload.plan, Verdict()
    rows = evidence.find_rows(connection, workload)
    units = evidence.find_units(connection, workload)
    history = ledger.read_history(ledger.entries(connection))
    check_rows(verdict, plan.rows, evidence.expectations(plan.rows), rows)
    check_units(verdict, rows, units)
    check_history(verdict, history)
    check_report(verdict, CLASSES, rows, evidence.build_report(workload))
    for problem in verdict.problems:
        say(f"  ! {problem}")
    return {
        "rows": len(rows),
        "lost": verdict.lost,
        "duplicated": verdict.duplicated,
        "judgments_lost": 0,
        "report_mismatches": verdict.report_mismatches,
        "late_accepted": verdict.late_accepted,
        "stuck_units": verdict.stuck,
        "units": len(units),
        "claims": history.claims,
        "most_claims": history.most_claims,
        "clean": verdict.clean,
    }
