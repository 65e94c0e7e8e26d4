"""Claiming and finishing rows: nothing twice, nothing lost."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from threading import Barrier, Thread

import pytest
from django.db import DatabaseError, connection
from django.db.models.functions import Now
from django.utils import timezone
from django_scopes import scopes_disabled

from jobs_app.models import Unit
from labeling_platform.accounts.services import create_team
from labeling_platform.accounts.tenancy import team_scope
from models_app.classify import Unreadable
from models_app.models import ModelVersion
from tests.workflows_app.conftest import csv_of, launch_all, make_model, scored, upload_csv
from workflows_app import services
from workflows_app.models import Workflow, WorkflowKind, WorkflowRow
from workflows_app.routing import LOW_CONFIDENCE, UNLIKE
from workflows_app.services import Hint, dispatch
from workflows_app.services.dispatch import MAX_ATTEMPTS, POISON, retry_delay
from workflows_app.states import RowState

SLOW = Unreadable("timeout", "The host did not answer in time.", True)
MISSING = Unreadable("not_found", "There is no such picture (404).", False)


def claim(workflow, limit=10):
    return services.claim_rows(workflow=workflow, limit=limit)


def finish(workflow, *results):
    return services.finish_rows(workflow=workflow, results=list(results))


def states(workflow):
    return list(WorkflowRow.objects.filter(workflow=workflow).values_list("state", flat=True))


def let_leases_expire(workflow):
    WorkflowRow.objects.filter(workflow=workflow, lease_until__isnull=False).update(
        lease_until=Now() - timedelta(seconds=1)
    )


def test_confident_rows_are_done_and_low_ones_become_units(running):
    first, second, third = claim(running)
    moved = finish(running, (first, scored(boots=0.97)), (second, scored(boots=0.6)), (third, scored(boots=0.8)))
    assert moved == {first.row_id, second.row_id, third.row_id}
    rows = {row.pk: row for row in WorkflowRow.objects.select_related("unit")}
    assert [row.state for row in rows.values()] == [RowState.CONFIDENT, RowState.ROUTED, RowState.CONFIDENT]
    low = rows[second.row_id]
    assert (low.reason, low.predicted, low.confidence, low.scores) == (LOW_CONFIDENCE, "boots", 0.6, [0.6, 0.2, 0.2])
    assert low.version_id == running.version_id
    assert low.predicted_at is not None
    assert low.lease_until is None
    assert low.unit.job == running.job
    assert low.unit.key == f"workflow-row:{low.pk}"
    assert low.unit.data == {"image_url": "https://pictures.example/new-2.jpg", "sku": "SKU-2"}
    assert low.unit.state == "judgable"
    assert Unit.objects.count() == 1


def test_model_only_never_routes(model_only):
    finish(model_only, *[(c, scored(boots=0.4)) for c in claim(model_only)])
    assert states(model_only) == [RowState.CONFIDENT] * 3
    assert not Unit.objects.exists()


def test_rows_unlike_the_training_data_go_to_people_unless_switched_off(running):
    first, second, _ = claim(running)
    assert running.route_unlike
    running.route_unlike = False
    finish(running, (first, scored(boots=0.99, unlike=True)))
    running.route_unlike = True
    finish(running, (second, scored(boots=0.99, unlike=True)))
    rows = list(WorkflowRow.objects.all()[:2])
    assert [(row.state, row.reason, row.unlike) for row in rows] == [
        (RowState.CONFIDENT, "", True),
        (RowState.ROUTED, UNLIKE, True),
    ]


def test_a_claimed_row_is_not_claimed_again(running):
    assert len(claim(running, 2)) == 2
    assert len(claim(running)) == 1
    assert claim(running) == []


def test_an_expired_lease_goes_out_again_with_a_higher_token(running):
    old = claim(running)
    let_leases_expire(running)
    new = claim(running)
    assert [(c.row_id, c.token, c.attempts) for c in new] == [(c.row_id, c.token + 1, 2) for c in old]


def test_a_stale_token_changes_nothing_and_makes_no_unit(running):
    old = claim(running)
    let_leases_expire(running)
    claim(running)
    assert finish(running, *[(c, scored(boots=0.6)) for c in old[:1]]) == set()
    assert finish(running, *[(c, scored(boots=0.9)) for c in old[1:]]) == set()
    assert states(running) == [RowState.AWAITING] * 3
    assert not Unit.objects.exists()


def test_a_late_worker_whose_row_nobody_took_may_finish(running):
    old = claim(running)
    let_leases_expire(running)
    assert len(finish(running, *[(c, scored(boots=0.6)) for c in old])) == 3


def test_finishing_twice_makes_one_unit(running):
    first = claim(running)[0]
    finish(running, (first, scored(boots=0.6)))
    assert finish(running, (first, scored(boots=0.6))) == set()
    assert Unit.objects.count() == 1


def test_a_permanent_failure_fails_at_once(running):
    first = claim(running)[0]
    finish(running, (first, MISSING))
    row = WorkflowRow.objects.get(pk=first.row_id)
    assert (row.state, row.reason, row.error_message) == (RowState.FAILED, MISSING.code, MISSING.message)
    assert row.scores is None
    assert row.version is None


def test_a_transient_failure_waits_and_in_the_end_fails_with_the_last_reason(running):
    WorkflowRow.objects.filter(line__gt=2).delete()
    for attempt in range(1, MAX_ATTEMPTS + 1):
        (held,) = claim(running)
        assert held.attempts == attempt
        finish(running, (held, SLOW))
        row = WorkflowRow.objects.get()
        if attempt < MAX_ATTEMPTS:
            assert row.state == RowState.AWAITING
            assert row.not_before > timezone.now()
            assert claim(running) == []
            WorkflowRow.objects.update(not_before=Now() - timedelta(seconds=1))
    assert (row.state, row.reason) == (RowState.FAILED, "timeout")


def test_retry_delays_grow_and_are_bounded():
    assert [retry_delay(n, jitter=lambda: 1.0) for n in range(1, 8)] == [10, 20, 40, 80, 160, 300, 300]
    assert retry_delay(3, jitter=lambda: 0.0) == 20


def test_unusable_scores_fail_the_row(running):
    first, second, _ = claim(running)
    answer = scored(boots=0.9)
    answer.scores[1] = float("nan")
    finish(running, (first, answer), (second, type(answer)([0.9], "boots", 0.9, None, False)))
    assert states(running)[:2] == [RowState.FAILED, RowState.FAILED]
    assert set(WorkflowRow.objects.filter(state="failed").values_list("reason", flat=True)) == {"bad_scores"}


def test_suspect_rows_are_claimed_a_few_at_a_time_then_alone_and_after_the_others(running, owner):
    upload_csv(running, csv_of(10, first=10), owner)
    for _ in range(2):
        claim(running, 10)
        let_leases_expire(running)
    assert [c.attempts for c in claim(running)] == [1] * 3
    assert [c.attempts for c in claim(running)] == [3] * 8
    assert [c.attempts for c in claim(running)] == [3] * 2
    let_leases_expire(running)
    assert [c.attempts for c in claim(running)] == [2] * 3
    assert [[c.attempts for c in claim(running)] for _ in range(11)] == [[4]] * 10 + [[]]


def test_a_picture_that_stops_its_worker_does_not_fail_its_neighbours(running, owner):
    """Whoever claims the first row dies; all others are answered in the end."""
    upload_csv(running, csv_of(20, first=10), owner)
    poison = WorkflowRow.objects.order_by("pk").first()
    while claims := claim(running, 32):
        if poison.pk in {found.row_id for found in claims}:
            let_leases_expire(running)
        else:
            finish(running, *((found, scored(boots=0.97)) for found in claims))
    services.fail_poisoned(workflow=running)
    reasons = dict(WorkflowRow.objects.values_list("state", "reason").distinct())
    assert reasons == {RowState.CONFIDENT: "", RowState.FAILED: POISON}
    assert WorkflowRow.objects.filter(state=RowState.FAILED).count() == 1


def test_a_row_that_keeps_stopping_its_worker_is_failed(running):
    claim(running, 1)
    WorkflowRow.objects.filter(attempts=1).update(attempts=MAX_ATTEMPTS)
    let_leases_expire(running)
    assert len(claim(running)) == 2
    assert services.fail_poisoned(workflow=running) == 1
    assert WorkflowRow.objects.filter(state=RowState.FAILED, reason=POISON).count() == 1


def test_released_rows_do_not_count_the_attempt(running):
    services.release_rows(workflow=running, claims=claim(running))
    assert [c.attempts for c in claim(running)] == [1, 1, 1]


def test_leases_are_extended_only_by_their_holder(running):
    old = claim(running)
    let_leases_expire(running)
    claim(running, 1)
    services.extend_leases(workflow=running, claims=old)
    assert claim(running) == []


def test_a_workflow_that_is_turned_off_hands_out_nothing_but_lets_work_end(running, owner):
    first, *rest = claim(running)
    services.release_rows(workflow=running, claims=rest)
    services.turn_off(workflow=running, actor=owner)
    assert claim(running) == []
    assert finish(running, (first, scored(boots=0.6))) == {first.row_id}
    services.turn_on(workflow=running, actor=owner)
    assert len(claim(running)) == 2


def test_failed_rows_wait_again_when_asked(running, owner):
    upload_csv(running, "image_url,sku\nnot an address,1\n", owner)
    finish(running, *[(c, MISSING) for c in claim(running)])
    assert services.retry_failed(workflow=running, actor=owner) == 3
    assert services.retry_failed(workflow=running, actor=owner) == 0
    assert states(running) == [RowState.AWAITING] * 3 + [RowState.FAILED]
    assert [c.attempts for c in claim(running)] == [1, 1, 1]


def test_a_service_that_asks_for_a_pause_costs_no_attempt(running):
    asked = Unreadable("rate_limited", "The service asks for a pause.", True, of_service=True, pause=40.0)
    for _ in range(MAX_ATTEMPTS + 2):
        (first, *others) = claim(running)
        services.release_rows(workflow=running, claims=others)
        assert first.attempts == 1
        finish(running, (first, asked))
        row = WorkflowRow.objects.annotate(now=Now()).get(pk=first.row_id)
        assert (row.state, row.attempts, row.reason) == ("awaiting", 0, "rate_limited")
        assert timedelta(seconds=39) < row.not_before - row.now <= timedelta(seconds=51)
        WorkflowRow.objects.filter(pk=first.row_id).update(not_before=None)


def test_hints_for_running_workflows_with_waiting_rows_take_turns(running, model_only, owner):
    upload_csv(model_only, csv_of(450, first=10), owner)
    team = running.team_id
    with scopes_disabled():
        hints = [(hint.team_id, hint.workflow_id) for hint in services.find_hints()]
    assert hints == [(team, running.pk), (team, model_only.pk), (team, model_only.pk), (team, model_only.pk)]
    claim(running)
    services.turn_off(workflow=model_only, actor=owner)
    with scopes_disabled():
        assert services.find_hints() == []


def test_teams_take_turns_and_in_a_team_its_workflows(running, model_only, owner):
    upload_csv(model_only, csv_of(9, first=10), owner)
    other = create_team(organization="Other", name="Other")
    with team_scope(other):
        small = launch_all(
            services.create_workflow(
                team=other, actor=None, name="Small", kind=WorkflowKind.MODEL_ONLY, model=make_model(other)
            )
        )
        upload_csv(small, csv_of(1))
    with scopes_disabled():
        first = services.next_turn()
        served = []
        for _ in range(6):
            turn = services.next_turn()
            served.append(turn.workflow_id)
            services.take_turn(workflow=Workflow.objects.get(pk=turn.workflow_id))
    assert first == Hint(running.team_id, running.pk)
    assert served[:4] == [running.pk, small.pk, model_only.pk, small.pk]


def test_nobody_has_a_turn_when_no_row_can_be_claimed(running):
    claim(running)
    with scopes_disabled():
        assert services.next_turn() is None


def rows_read(statement: str, values: dict[str, object]) -> int:
    """How many rows of workflows the statement looks at while it is done, those that it drops included."""
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + statement, values)
        waiting = [cursor.fetchone()[0][0]["Plan"]]
    read = 0
    while waiting:
        node = waiting.pop()
        waiting += node.get("Plans", [])
        if node["Node Type"].endswith("Scan") and node.get("Relation Name") == "workflows_app_workflowrow":
            parts = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
            read += int(sum(node.get(part, 0) for part in parts) * node["Actual Loops"])
    return read


def test_claiming_and_finishing_read_no_other_rows(running):
    """Without statistics, as after a large upload, the planner once took all waiting rows for a handful.

    Rows are counted, not plans compared: which index it takes depends on when the table was last analyzed.
    """
    found = claim(running)
    lines = json.dumps([dispatch._line(running, found[0], scored(boots=0.97)).as_json()])
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO workflows_app_workflowrow (team_id, workflow_id, upload_id, line, image_url, cells, state,"
            ' reason, error_message, attempts, token, predicted, "unlike")'
            " SELECT team_id, workflow_id, upload_id, n, image_url, cells, state, '', '', 0, 0, '', false"
            " FROM workflows_app_workflowrow, generate_series(100, 40_000) n WHERE id = %s",
            [found[0].row_id],
        )
    ending = {"workflow": running.pk, "version": running.version_id, "lines": lines, "ids": [found[0].row_id]}
    assert rows_read(dispatch._FINISH, ending) == 1
    claiming = {"workflow": running.pk, "team": running.team_id, "limit": 32, "after": 0, "lease": 60.0}
    assert 64 <= rows_read(dispatch._CLAIM, claiming) < 100  # each of 32 rows once to choose it and once to write it
    assert rows_read("SELECT count(*) FROM workflows_app_workflowrow WHERE cells = '{}'", {}) > 39_000  # it can fail


def test_predicting_asks_the_model_and_writes_what_it_says(tiny, owner):
    """Pictures over HTTP, a backend from the plug point, rows and units in the database: nothing is pretended."""
    lines = ["97", "80", "79", "missing", "text", *(str(n) for n in range(60, 70))]
    workflow = tiny.running(lines, owner)
    assert services.predict_rows(workflow=workflow) is False
    rows = list(WorkflowRow.objects.filter(workflow=workflow).order_by("line"))
    assert [row.state for row in rows] == ["confident"] * 2 + ["routed"] + ["failed"] * 2 + ["routed"] * 10
    assert [row.confidence for row in rows[:4]] == [0.97, 0.8, 0.79, None]
    assert rows[3].error_message
    assert rows[3].reason != rows[4].reason
    assert Unit.objects.count() == 11


def test_a_host_that_fails_for_a_while_is_tried_again(tiny, owner):
    workflow = tiny.running(["busy"], owner)
    services.predict_rows(workflow=workflow)
    row = WorkflowRow.objects.get(workflow=workflow)
    assert (row.state, row.attempts) == (RowState.AWAITING, 1)
    assert row.not_before > timezone.now()
    assert row.error_message


def test_a_model_that_cannot_answer_fails_its_rows_with_the_reason(tiny, owner):
    workflow = tiny.running(["97"], owner)
    ModelVersion.objects.update(feature_version="older")
    workflow = Workflow.objects.select_related("version__model", "version__team", "team").get(pk=workflow.pk)
    assert services.predict_rows(workflow=workflow) is False
    row = WorkflowRow.objects.get(workflow=workflow)
    assert (row.state, row.reason) == (RowState.FAILED, "features_changed")


def test_a_fault_of_ours_lets_the_rows_wait(tiny, owner):
    workflow = tiny.running(["97"], owner)
    ModelVersion.objects.update(backend="unheard-of")
    workflow = Workflow.objects.select_related("version__model", "version__team", "team").get(pk=workflow.pk)
    assert services.predict_rows(workflow=workflow) is False
    row = WorkflowRow.objects.get(workflow=workflow)
    assert (row.state, row.reason) == (RowState.AWAITING, "prediction_failed")


def test_the_last_suspects_are_predicted_too(tiny, owner):
    workflow = tiny.running(["97", "95"], owner)
    for _ in range(2):
        claim(workflow)
        let_leases_expire(workflow)
    assert services.predict_rows(workflow=workflow) is False
    assert states(workflow) == [RowState.CONFIDENT] * 2


@pytest.mark.django_db(transaction=True)
def test_two_claimers_never_get_the_same_row(running, owner):
    upload_csv(running, csv_of(400, first=10), owner)
    barrier, got = Barrier(4), []

    def worker():
        try:
            with team_scope(running.team):
                barrier.wait()
                while claims := services.claim_rows(workflow=running, limit=7):
                    got.extend(c.row_id for c in claims)
        finally:
            connection.close()

    threads = [Thread(target=worker) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == len(set(got)) == 403


@pytest.mark.django_db(transaction=True)
def test_two_finishers_of_one_claim_make_one_unit(running):
    held = claim(running)
    barrier, moved = Barrier(2), []

    def worker():
        try:
            with team_scope(running.team):
                barrier.wait()
                moved.append(len(finish(running, *[(c, scored(boots=0.6)) for c in held])))
        finally:
            connection.close()

    threads = [Thread(target=worker) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(moved) == [0, 3]
    assert Unit.objects.count() == 3


def test_leases_are_kept_while_slow_hosts_are_waited_for(running, monkeypatch, settings):
    """No answer comes for longer than the lease: the rows stay ours, at their first attempt."""
    settings.LEASE_TIME = timedelta(seconds=1)
    taken: list[int] = []

    def slow(*, version, items, tick):
        held = list(items)
        for _ in range(4):
            time.sleep(0.5)
            tick()
            taken.extend(found.row_id for found in claim(running))
        yield from ((key, scored(boots=0.97)) for key, _ in held)

    monkeypatch.setattr(dispatch, "classify", slow)
    services.predict_rows(workflow=running, seconds=0.1)
    assert taken == []
    rows = WorkflowRow.objects.filter(workflow=running)
    assert set(rows.values_list("state", "attempts")) == {(RowState.CONFIDENT, 1)}


def test_answers_that_come_too_late_are_noted(running, caplog):
    first = claim(running, limit=1)[0]
    let_leases_expire(running)
    second = claim(running, limit=1)[0]
    with caplog.at_level("INFO", logger=dispatch.__name__):
        assert finish(running, (first, scored(boots=0.97))) == set()
        assert finish(running, (second, scored(boots=0.97))) == {second.row_id}
    assert [record.message for record in caplog.records] == [
        f"workflow {running.pk}: 1 answers came too late and changed nothing"
    ]


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_freezes_in_the_middle_of_writing_lets_go(running, settings, monkeypatch):
    """It holds the job's lock; after a lease's time the database ends its session, and others can go on."""
    settings.LEASE_TIME = timedelta(seconds=1)
    make_units = dispatch._make_units

    def freeze(*arguments):
        made = make_units(*arguments)
        time.sleep(2)
        return made

    first = claim(running, 1)[0]
    monkeypatch.setattr(dispatch, "_make_units", freeze)
    with pytest.raises(DatabaseError):
        finish(running, (first, scored(boots=0.6)))
    connection.close()
    monkeypatch.undo()
    assert Unit.objects.count() == 0
    second = claim(running, 1)[0]
    assert (second.row_id, second.attempts) == (first.row_id, 2)
    assert finish(running, (second, scored(boots=0.6))) == {first.row_id}
