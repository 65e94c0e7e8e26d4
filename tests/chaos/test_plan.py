"""The plan of a run depends on its seed alone."""

from __future__ import annotations

from collections import Counter

from chaos.plan import BAD_KINDS, GOOD, SHORT, FaultKind, Scale, make_plan


def test_the_same_seed_gives_the_same_plan() -> None:
    assert make_plan(7, SHORT) == make_plan(7, SHORT)
    assert make_plan(7, SHORT) != make_plan(8, SHORT)


def test_the_long_plan_has_what_is_promised() -> None:
    for seed in range(5):
        plan = make_plan(seed, Scale())
        kinds = Counter(fault.kind for fault in plan.faults)
        assert kinds[FaultKind.KILL_WORKER] + kinds[FaultKind.KILL_CHILD] == 20
        assert (kinds[FaultKind.WIPE_BROKER], kinds[FaultKind.KILL_POSTGRES]) == (3, 2)
        assert (kinds[FaultKind.BEAT_OUTAGE], kinds[FaultKind.PAUSE], kinds[FaultKind.DUPLICATE]) == (1, 4, 6)
        assert [row.number for row in plan.rows] == list(range(10_000))
        bad = Counter(row.kind for row in plan.rows if row.kind != GOOD)
        assert bad.total() == 300
        assert set(bad) == set(BAD_KINDS)


def test_faults_are_in_order_and_uploads_end_before_they_do() -> None:
    plan = make_plan(3, Scale())
    times = [fault.at for fault in plan.faults]
    assert times == sorted(times)
    assert [len(rows) for _, rows in plan.uploads] == [2000] * 5
    assert plan.uploads[0][0] == 0
    assert plan.uploads[-1][0] < plan.seconds
