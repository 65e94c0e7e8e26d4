"""A deleted team leaves nothing behind, and takes nothing of another team with it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.db import DatabaseError, connection, transaction
from django.urls import reverse
from django.utils import timezone
from django_scopes import scopes_disabled

from jobs_app.models import Job, JobUpload, Judgment, Unit, UnitTally
from labeling_platform.accounts import quotas, support
from labeling_platform.accounts.models import Activity, Team, TeamDeletion
from labeling_platform.accounts.tenancy import team_scope
from labeling_platform.console import deleting, tasks, usage
from labeling_platform.console.deleting import THROUGH, delete_team, tables, team_models
from labeling_platform.lib import storage
from labeling_platform.lib.errors import Refused
from models_app.models import DataChange, HoldoutPrediction, LabelDoubt, PictureFeatures, TrainingImage
from tests.test_tenancy import make_world
from workflows_app.models import RowTally, Workflow, WorkflowRow


def counts(team: Team) -> dict[str, int]:
    with scopes_disabled():
        return {kind.__name__: kind._default_manager.filter(team=team).count() for kind in team_models()}


def files(team: Team) -> list[str]:
    top = Path(django_settings.MEDIA_ROOT) / "t" / str(team.pk)
    return sorted(str(path) for path in top.rglob("*"))


def fill(world, person) -> None:
    """What make_world leaves out."""
    team, model = world["team"], world["model"]
    version, image = model.current, TrainingImage.objects.filter(model=model).first()
    HoldoutPrediction.objects.create(
        team=team, version=version, image=image, label="boots", scores=[1.0], predicted="boots", confidence=1.0
    )
    LabelDoubt.objects.create(
        team=team, version=version, image=image, given="a", suggested="b", given_score=0.1, suggested_score=0.9
    )
    DataChange.objects.create(team=team, model=model, image=image, kind="confirmed", from_label="boots")
    PictureFeatures.objects.create(team=team, content_hash="x", version="1", data=b"1")
    first = JobUpload.objects.filter(team=team).first()
    twin = JobUpload.objects.create(
        team=team, job=first.job, file="none", original_name="twin.csv", duplicate_of=first, state="ready"
    )
    assert twin.duplicate_of_id == first.pk
    Unit.objects.bulk_create(Unit(team=team, job=world["job"], key=f"more{n}") for n in range(25))
    support.add_note(team=team, text="A good team.", actor=person)
    quotas.set_quota(team=team, actor=person, reason="x", limits={"rows_per_month": 5})
    quotas.use_training(team=team)
    quotas.measure(team)
    storage.save_bytes(b"jpeg", team_id=team.pk, area="pictures/ab", suffix=".jpg")


@pytest.fixture
def two_worlds(db, csm, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path / "files"
    with scopes_disabled():
        found = make_world("ours"), make_world("theirs")
        for world in found:
            fill(world, csm)
        yield found


def ask(team: Team, csm, *, due: bool = True) -> TeamDeletion:
    asked = support.ask_for_deletion(team=team, typed=team.name, reason="left", actor=csm)
    if due:
        TeamDeletion.objects.filter(pk=asked.pk).update(due_at=timezone.now())
    return asked


def test_everything_goes_and_nothing_of_the_others(two_worlds, csm) -> None:
    ours, theirs = (world["team"] for world in two_worlds)
    ask(ours, csm)
    had, others, other_files = counts(ours), counts(theirs), files(theirs)
    assert [name for name, count in had.items() if count] != []
    assert sum(1 for count in had.values() if count) >= 28
    assert len(files(ours)) >= 4
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # what each commit would find out
        assert delete_team(team=ours, batch=7)
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    assert {name for name, count in counts(ours).items() if count} == set()
    assert not Team.objects.filter(pk=ours.pk).exists()
    assert files(ours) == []
    assert not (Path(django_settings.MEDIA_ROOT) / "t" / str(ours.pk)).exists()
    assert counts(theirs) == others
    assert files(theirs) == other_files
    line = Activity.objects.get(verb="team deleted")
    assert (line.team, line.actor, line.object_name, line.data) == (None, csm, "Ours (ours)", {"reason": "left"})


def test_every_table_with_a_team_is_known(db) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.columns"
            " WHERE column_name = 'team_id' AND table_schema = 'public'"
        )
        found = {name for (name,) in cursor.fetchall()}
    assert {kind._meta.db_table for kind in team_models()} == found


def leads(table: str) -> set[str]:
    """The columns with which an index of the table begins; one that leaves out only what is NULL counts."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]"
            " WHERE i.indrelid = %s::regclass AND (i.indpred IS NULL"
            " OR pg_get_expr(i.indpred, i.indrelid) = format('(%%s IS NOT NULL)', a.attname))",
            [table],
        )
        return {name for (name,) in cursor.fetchall()}


def test_each_step_finds_its_rows_by_an_index(db) -> None:
    found = {kind: THROUGH.get(kind, ("team_id", None))[0] for kind in tables()}
    assert [kind.__name__ for kind, column in found.items() if column not in leads(kind._meta.db_table)] == []


def test_no_row_that_goes_makes_the_database_read_all_rows_that_might_refer_to_it(db) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.conrelid::regclass::text, array_agg(a.attname::text) FROM pg_constraint c JOIN pg_attribute a"
            " ON a.attrelid = c.conrelid AND a.attnum = ANY(c.conkey) WHERE c.contype = 'f' GROUP BY c.oid, c.conrelid"
        )
        references = cursor.fetchall()
    assert len(references) > 60
    assert [(table, columns) for table, columns in references if not leads(table) & set(columns)] == []


def test_an_interrupted_deletion_goes_on(two_worlds, csm) -> None:
    ours = two_worlds[0]["team"]
    ask(ours, csm)
    rounds = 0
    while not delete_team(team=ours, seconds=-1.0, batch=1):
        rounds += 1
        assert rounds < 500
    assert rounds > 20
    assert not Team.objects.filter(pk=ours.pk).exists()


def test_rows_go_before_what_they_refer_to_and_counters_after_what_they_count() -> None:
    order = tables()
    assert order.index(WorkflowRow) < order.index(Unit)
    assert max(order.index(kind) for kind in (Unit, Judgment)) < order.index(UnitTally) < order.index(Job)
    assert order.index(WorkflowRow) < order.index(RowTally) < order.index(Workflow)
    assert {column for _, column in deleting._knots()} == {"current_id", "duplicate_of_id", "copied_from_id"}


def test_before_the_time_nothing_goes(two_worlds, csm) -> None:
    ours = two_worlds[0]["team"]
    ask(ours, csm, due=False)
    had = counts(ours)
    tasks.delete_teams()
    assert not delete_team(team=ours)
    assert counts(ours) == had


def test_a_deletion_is_taken_back(two_worlds, csm) -> None:
    ours = two_worlds[0]["team"]
    ask(ours, csm)
    support.take_back_deletion(team=ours, actor=csm)
    had = counts(ours)
    tasks.delete_teams()
    assert counts(ours) == had
    ours.refresh_from_db()
    assert ours.deletion_due_at is None
    ask(ours, csm)


def test_what_has_begun_cannot_be_taken_back(two_worlds, csm, client_for) -> None:
    world = two_worlds[0]
    ask(world["team"], csm)
    assert support.begin_deletion(team=world["team"])
    with pytest.raises(Refused) as refused:
        support.take_back_deletion(team=world["team"], actor=csm)
    assert refused.value.code == "state"
    client = client_for(world["people"]["owner"])
    assert client.get(reverse("teams:people", args=["ours"])).status_code == 404


def test_the_sweep_deletes_what_is_due(two_worlds, csm) -> None:
    ask(two_worlds[0]["team"], csm)
    tasks.delete_teams()
    assert not Team.objects.filter(slug="ours").exists()
    assert Team.objects.filter(slug="theirs").exists()


@pytest.mark.parametrize(
    ("typed", "reason", "code"), [("ours", "left", "name"), ("", "left", "name"), ("Ours", " ", "missing")]
)
def test_asking_is_refused(typed, reason, code, two_worlds, csm) -> None:
    with pytest.raises(Refused) as refused:
        support.ask_for_deletion(team=two_worlds[0]["team"], typed=typed, reason=reason, actor=csm)
    assert refused.value.code == code


def test_asking_twice_is_refused(two_worlds, csm) -> None:
    ask(two_worlds[0]["team"], csm)
    with pytest.raises(Refused) as refused:
        ask(two_worlds[0]["team"], csm)
    assert refused.value.code == "state"


def test_the_log_of_a_team_that_stays_cannot_be_purged(two_worlds, csm) -> None:
    ours, theirs = (world["team"] for world in two_worlds)
    ask(ours, csm)
    assert support.begin_deletion(team=ours)
    for team in (theirs,):
        with pytest.raises(DatabaseError, match="has not begun"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT activity_purge(%s, 100)", [team.pk])


def test_usage_is_read_from_the_tallies_once(two_worlds) -> None:
    ours = two_worlds[0]["team"]
    usage.collect_usage()
    with team_scope(ours):
        first = usage._today(ours)
        before = first.predictions, first.judgments
        first_stored = first.storage_bytes
        row = WorkflowRow.objects.first()
        WorkflowRow.objects.filter(pk=row.pk).update(state="failed", scores=None, confidence=None, unit=None)
    assert first_stored == quotas.measured(ours)
    usage.collect_usage()
    usage.collect_usage()
    with team_scope(ours):
        again = usage._today(ours)
        assert again.trainings == 1
        assert (again.predictions, again.judgments) >= before
        assert again.errors == 1


def test_a_due_date_says_when(two_worlds, csm) -> None:
    asked = ask(two_worlds[0]["team"], csm, due=False)
    assert abs(asked.due_at - timezone.now() - django_settings.TEAM_DELETION_WAIT) < timedelta(minutes=1)
