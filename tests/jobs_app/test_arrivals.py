"""Rows that are launched together: by number, by time, by the button, by the workflow that has no more."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest
from django.db import connection, transaction
from django.db.models import Count
from django.urls import reverse
from django.utils import timezone
from django_scopes import scopes_disabled

from jobs_app.models import Job, Unit, UnitTally
from jobs_app.services import cancel_unit, launch_job, launch_overdue, launch_queued, save_settings
from jobs_app.services.results import finish_job_when_done
from jobs_app.tasks import sweep
from labeling_platform.accounts.tenancy import team_scope
from labeling_platform.lib.errors import Refused
from labeling_platform.lib.tallies import tallies

from .conftest import fill
from .test_concurrency import make_job


@pytest.fixture
def together(running_job) -> Job:
    """A running job that launches three rows together."""
    save_settings(job=running_job, actor=None, auto_launch_threshold=3, auto_launch_timeout=60)
    running_job.refresh_from_db()
    return running_job


def states(job: Job) -> dict[str, int]:
    counted = dict(Unit.objects.filter(job=job).order_by().values_list("state").annotate(n=Count("pk")))
    found = {line: n for line, n in tallies(UnitTally, "job", [job.pk])[job.pk].items() if n}
    assert found == counted
    return counted


def age(job: Job, seconds: float) -> None:
    Unit.objects.filter(job=job).update(created_at=timezone.now() - timedelta(seconds=seconds))


def test_rows_wait_until_enough_are_there(together) -> None:
    fill(together, 2)
    assert states(together) == {"queued": 2}
    fill(together, 2, start=2)
    assert states(together) == {"judgable": 4}
    assert set(Unit.objects.values_list("slots", "wanted")) == {(1, 1)}
    fill(together, 1, start=4)
    assert states(together) == {"judgable": 4, "queued": 1}


def test_the_same_rows_again_are_not_more(together) -> None:
    fill(together, 2)
    fill(together, 2)
    assert states(together) == {"queued": 2}


def test_the_oldest_row_that_waited_long_enough_takes_the_others_along(together) -> None:
    fill(together, 1)
    age(together, 59)
    fill(together, 1, start=1)
    with scopes_disabled():
        assert launch_overdue() == 0
    age(together, 61)
    fill(together, 1, start=1)
    sweep()
    assert states(together) == {"judgable": 2}
    with scopes_disabled():
        assert launch_overdue() == 0


def test_a_finished_job_runs_again_when_its_rows_are_launched(together) -> None:
    Job.objects.filter(pk=together.pk).update(state="finished")
    fill(together, 2)
    assert Job.objects.get(pk=together.pk).state == "finished"
    launch_queued(job=together)
    assert Job.objects.get(pk=together.pk).state == "running"


def test_a_canceled_job_launches_nothing(together) -> None:
    fill(together, 2)
    Job.objects.filter(pk=together.pk).update(state="canceled")
    age(together, 100)
    assert launch_queued(job=together) == 0
    with scopes_disabled():
        assert launch_overdue() == 0
    assert states(together) == {"queued": 2}


def test_a_lower_number_launches_what_waits(together) -> None:
    fill(together, 2)
    save_settings(job=together, actor=None, auto_launch_threshold=2)
    assert states(together) == {"judgable": 2}


def test_without_automatic_launching_they_wait_for_a_person(together) -> None:
    Job.objects.filter(pk=together.pk).update(design_frozen_at=None)
    fill(together, 2)
    save_settings(job=together, actor=None, auto_launch=False)
    assert states(together) == {"new": 2}


def test_a_launch_by_hand_takes_them_along(together) -> None:
    fill(together, 2)
    assert launch_job(job=together, actor=None) == 2
    assert states(together) == {"judgable": 2}


def test_a_waiting_row_can_be_withdrawn(together) -> None:
    fill(together, 2)
    cancel_unit(unit=Unit.objects.first(), actor=None)
    assert states(together) == {"queued": 1, "canceled": 1}


def test_many_together_need_a_longest_wait(together) -> None:
    with pytest.raises(Refused) as caught:
        save_settings(job=together, actor=None, auto_launch_timeout=None)
    assert caught.value.code == "no_timeout"
    save_settings(job=together, actor=None, auto_launch_threshold=1, auto_launch_timeout=None)
    with pytest.raises(Refused, match="would wait for ever"):
        save_settings(job=together, actor=None, auto_launch_threshold=2)


def test_the_settings_say_it_at_the_field(together, client_for, owner) -> None:
    data = {
        "judgments_per_unit": 1, "units_per_page": 1, "seconds_per_page": 90, "minimum_accuracy": 70,
        "min_seconds_per_page": 0, "auto_launch": "on", "auto_launch_threshold": 5, "auto_launch_timeout": "",
    }  # fmt: skip
    url = reverse("jobs:settings", args=[together.team.slug, together.pk])
    answer = client_for(owner).post(url, data)
    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == ["auto_launch_timeout"]
    assert client_for(owner).post(url, data | {"auto_launch_timeout": 30}).status_code == 302
    together.refresh_from_db()
    assert (together.auto_launch_threshold, together.auto_launch_timeout) == (5, 30)


def test_waiting_rows_are_shown_and_can_be_launched_at_once(together, client_for, owner, viewer) -> None:
    fill(together, 2)
    slug, pk = together.team.slug, together.pk
    for name in ("jobs:detail", "jobs:data"):
        page = client_for(owner).get(reverse(name, args=[slug, pk])).content.decode()
        assert "2 rows wait to be launched" in page
        assert "when 3 wait, or 60 seconds after the first one came" in page
        assert "Launch them now" in page
        assert "Launch them now" not in client_for(viewer).get(reverse(name, args=[slug, pk])).content.decode()
    answer = client_for(owner).post(reverse("jobs:launch_queued", args=[slug, pk]), follow=True)
    assert "2 rows launched." in answer.content.decode()
    assert states(together) == {"judgable": 2}
    answer = client_for(owner).post(reverse("jobs:launch_queued", args=[slug, pk]), follow=True)
    assert "No row waits to be launched any more." in answer.content.decode()


@pytest.mark.django_db(transaction=True)
def test_two_arrivals_at_once_that_together_are_enough(db) -> None:
    """Each brings one row less than wanted; whichever commits last must see the other's."""
    job = make_job(0, auto_launch_threshold=10, auto_launch_timeout=60)
    for turn in range(5):
        gate = threading.Barrier(2)

        def arrive(first: int, gate: threading.Barrier = gate) -> None:
            try:
                with team_scope(job.team):
                    gate.wait()
                    fill(job, 5, start=first)
            finally:
                connection.close()

        threads = [threading.Thread(target=arrive, args=(turn * 10 + part * 5,)) for part in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with team_scope(job.team):
            assert Unit.objects.filter(job=job, state="judgable").count() == (turn + 1) * 10
            assert not Unit.objects.filter(job=job, state="queued").exists()


def elsewhere(job: Job, work: Callable[[], object]) -> threading.Thread:
    """Do it at once, on a connection of its own."""

    def run() -> None:
        try:
            with team_scope(job.team), transaction.atomic():
                work()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.django_db(transaction=True)
def test_arrivals_do_not_wait_for_each_other_and_finishing_waits_for_them(db) -> None:
    job = make_job(0)
    with team_scope(job.team):
        with transaction.atomic():
            fill(job, 1)
            other = elsewhere(job, lambda: fill(job, 1, start=1))
            other.join(20)
            assert not other.is_alive()
            elsewhere(job, lambda: Unit.objects.filter(key="k1").update(state="finalized")).join(20)
            end = elsewhere(job, lambda: finish_job_when_done(job))
            end.join(0.5)
            assert end.is_alive()
        end.join(20)
        assert not end.is_alive()
        assert Job.objects.get().state == "running"


@pytest.mark.django_db(transaction=True)
def test_two_arrivals_at_once_wake_a_finished_job(db) -> None:
    """Each would need the job for itself while the other shares it."""
    job = make_job(0)
    for turn in range(5):
        with team_scope(job.team):
            Unit.objects.filter(state="judgable").update(state="finalized")
            with transaction.atomic():
                finish_job_when_done(job)
            assert Job.objects.get().state == "finished"
            threads = [elsewhere(job, partial(fill, job, 2, start=turn * 4 + part * 2)) for part in (0, 1)]
            for thread in threads:
                thread.join(20)
            assert Job.objects.get().state == "running"
            assert Unit.objects.filter(key__startswith="k").count() == (turn + 1) * 4
