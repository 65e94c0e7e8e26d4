"""Several builders and people at once, on real connections."""

from __future__ import annotations

import io
import threading
import zipfile
from collections.abc import Iterator

import pytest
from django.core.files.storage import default_storage
from django.db import DatabaseError, connection

from jobs_app import services as jobs
from jobs_app.models import Job, Unit
from jobs_app.services import NewUnit
from labeling_platform.accounts.services import create_team
from labeling_platform.accounts.tenancy import team_scope
from labeling_platform.lib import storage
from reports_app import services
from reports_app.models import Report
from reports_app.services import building
from reports_app.states import ReportKind
from workflows_app.models import Workflow

pytestmark = pytest.mark.django_db(transaction=True)
ROWS = 3000


@pytest.fixture
def job() -> Iterator[Job]:
    team = create_team(organization="Acme", name="Crowd", slug="crowd")
    with team_scope(team):
        job = jobs.create_job(team=team, actor=None, title="Many", answers=["Yes", "No"])
        jobs.add_units(job=job, items=[NewUnit(str(n), "", {"n": str(n)}) for n in range(ROWS)])
        yield job


def elsewhere(job: Job | Workflow, work) -> None:
    """Do `work` on a connection of its own, to the end."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            with team_scope(job.team):
                work()
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert failures == []


def test_of_two_builders_at_once_one_builds(job):
    report = services.request_job_report(job=job, kind=ReportKind.SOURCE, actor=None)
    start, done = threading.Barrier(2), []

    def build() -> None:
        with team_scope(job.team):
            mine = Report.objects.select_related("job").get(pk=report.pk)
            start.wait()
            done.append(services.build_report(report=mine))
        connection.close()

    threads = [threading.Thread(target=build) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [False, True]
    report.refresh_from_db()
    assert default_storage.listdir(f"t/{job.team_id}/reports") == ([], [report.file.rpartition("/")[2]])
    with zipfile.ZipFile(io.BytesIO(storage.read_bytes(report.file))) as archive:
        lines = archive.read(archive.namelist()[0]).decode().splitlines()
    assert lines[0] == "n,_unit_id,_unit_state"
    assert [line.split(",")[0] for line in lines[1:]] == [str(n) for n in range(ROWS)]
    assert (report.rows_done, report.rows_total, report.token) == (ROWS, ROWS, 1)


def test_a_report_is_one_moment(job, monkeypatch):
    """A row with a new column that arrives between looking at the columns and writing the rows is not in it."""
    count = building._count

    def arrive(lines):
        elsewhere(job, lambda: jobs.add_units(job=job, items=[NewUnit("late", "", {"late": "x"})]))
        return count(lines)

    monkeypatch.setattr(building, "_count", arrive)
    report = services.request_job_report(job=job, kind=ReportKind.SOURCE, actor=None)
    services.build_report(report=report)
    report.refresh_from_db()
    assert Unit.objects.count() == ROWS + 1
    assert report.rows_done == ROWS


def test_nothing_is_written_inside_a_snapshot(job):
    with pytest.raises(DatabaseError, match="read-only transaction"), building._snapshot():
        Unit.objects.update(position=1)


def test_the_lease_and_the_counts_are_kept_fresh_while_it_is_written(job, monkeypatch):
    monkeypatch.setattr(building, "HEARTBEAT_SECONDS", 0.01)
    seen: list[tuple[int, bool]] = []
    copy = building._copy

    def slow(report, lines, file, progress):
        copy(report, lines, file, progress)
        before = Report.objects.values_list("lease_until", flat=True).get(pk=report.pk)
        threading.Event().wait(0.3)

        def look() -> None:
            found = Report.objects.get(pk=report.pk)
            seen.append((found.rows_done, found.rows_total, found.lease_until > before))

        elsewhere(job, look)

    monkeypatch.setattr(building, "_copy", slow)
    report = services.request_job_report(job=job, kind=ReportKind.SOURCE, actor=None)
    assert services.build_report(report=report) is True
    assert seen == [(ROWS, ROWS, True)]
