"""The second wall: what PostgreSQL itself refuses when a query of ours forgets the team."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from django.apps import apps
from django.db import IntegrityError, ProgrammingError, connection, models, transaction
from django_scopes import scope, scopes_disabled
from psycopg2.errors import ForeignKeyViolation, InsufficientPrivilege

from labeling_platform.accounts.models import Team, User
from labeling_platform.accounts.pictures import picture_url, read_token
from labeling_platform.lib import storage, wall
from models_app.models import CustomModel
from workflows_app.models import Workflow, WorkflowRow

from .test_tenancy import TABLE, WITH_IDS, World, address, ask, make_world, worlds  # noqa: F401


def tenant_models() -> list[type[models.Model]]:
    """Every table that says whose its rows are."""
    found = apps.get_models(include_auto_created=True)
    return [model for model in found if any(field.name == "team" for field in model._meta.fields)]


TENANT_TABLES = [model._meta.db_table for model in tenant_models()]


def sql(statement: str, *values: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else [cursor.rowcount]


def bare(statement: str, *values: Any) -> list[Any]:
    """A statement past Django, as a stranger in the application's role would send it."""
    connection.ensure_connection()
    with connection.connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else [cursor.rowcount]


# --- who is behind it ---------------------------------------------------------------------------------------


def test_every_table_of_a_team_has_both_policies(db: None) -> None:
    found = sql(
        "SELECT p.tablename, array_agg(p.policyname::text ORDER BY p.policyname) FROM pg_policies p"
        " JOIN pg_class c ON c.relname = p.tablename AND c.relrowsecurity GROUP BY p.tablename"
    )
    shared = {
        "models_app_watsonconnection": ["every_team", "one_team", "shared"]
    }  # those for all teams are read by all
    assert dict(found) == {table: ["every_team", "one_team"] for table in TENANT_TABLES} | shared


def test_the_application_neither_owns_tables_nor_bypasses_policies(db: None) -> None:
    assert bare("SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user") == [(False, False)]
    assert bare("SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tableowner = current_user") == [(0,)]
    assert bare("SELECT pg_has_role(%s, 'USAGE'), pg_has_role(%s, 'SET')", wall.OPERATOR, wall.OPERATOR) == [
        (False, True)
    ]


def test_every_reference_between_tables_of_teams_holds_the_team(db: None) -> None:
    """All foreign keys from one team's table to another's have two columns; rows to uploads have triggers."""
    single = sql(
        "SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE contype = 'f'"
        " AND conrelid::regclass::text = ANY(%s) AND confrelid::regclass::text = ANY(%s)"
        " AND array_length(conkey, 1) = 1",
        TENANT_TABLES,
        TENANT_TABLES,
    )
    assert single == []


# --- raw SQL ------------------------------------------------------------------------------------------------


@pytest.fixture
def theirs(worlds: tuple[World, World]) -> World:  # noqa: F811
    return worlds[1]


@pytest.mark.parametrize("table", TENANT_TABLES)
def test_raw_sql_for_the_wrong_team_gets_nothing(table: str, theirs: World, team: Team) -> None:
    with scopes_disabled():
        before = sql(f"SELECT count(*) FROM {table} WHERE team_id = %s", theirs["team"].pk)[0][0]
    with scope(team=team):
        assert sql(f"SELECT count(*) FROM {table} WHERE team_id = %s", theirs["team"].pk) == [(0,)]
        assert sql(f"SELECT count(*) FROM {table} WHERE team_id <> %s", team.pk) == [(0,)]
        assert sql(f"UPDATE {table} SET team_id = team_id WHERE team_id = %s", theirs["team"].pk) == [0]
        assert sql(f"DELETE FROM {table} WHERE team_id = %s", theirs["team"].pk) == [0]
    assert sql(f"SELECT count(*) FROM {table}") == [(0,)]
    with scopes_disabled():
        assert sql(f"SELECT count(*) FROM {table} WHERE team_id = %s", theirs["team"].pk) == [(before,)]


def test_the_world_of_these_tests_has_rows_to_hide(theirs: World) -> None:
    """Or the test above would hold in an empty database."""
    with scopes_disabled():
        filled = {
            table for table in TENANT_TABLES if sql(f"SELECT 1 FROM {table} WHERE team_id = %s", theirs["team"].pk)
        }
    assert len(filled) >= 20


def test_what_no_scope_sent_sees_nothing(theirs: World) -> None:
    """A connection as it is after another request: the setting is '' then, and must not be an error either."""
    assert sql("SELECT count(*) FROM workflows_app_workflow") == [(0,)]
    with scope(team=theirs["team"]):
        assert sql("SELECT count(*) FROM workflows_app_workflow") == [(1,)]
    assert sql("SELECT count(*) FROM workflows_app_workflow") == [(0,)]


def test_a_row_for_another_team_is_refused(theirs: World, team: Team) -> None:
    with scope(team=team), pytest.raises(ProgrammingError) as caught, transaction.atomic():
        Workflow.objects.create(team=theirs["team"], name="Mine", kind="model_only")
    assert isinstance(caught.value.__cause__, InsufficientPrivilege)


def test_a_row_cannot_be_given_away(theirs: World, worlds: tuple[World, World]) -> None:  # noqa: F811
    ours = worlds[0]
    with scope(team=ours["team"]), pytest.raises(ProgrammingError), transaction.atomic():
        sql("UPDATE workflows_app_workflow SET team_id = %s", theirs["team"].pk)


def test_a_row_cannot_point_at_a_row_of_another_team(worlds: tuple[World, World]) -> None:  # noqa: F811
    """Foreign keys do not see policies, so they hold the team themselves."""
    ours, theirs = worlds
    sql("SET CONSTRAINTS ALL IMMEDIATE")
    with scope(team=ours["team"]), pytest.raises(IntegrityError) as caught, transaction.atomic():
        sql("UPDATE workflows_app_workflow SET job_id = %s", theirs["job"].pk)
    assert isinstance(caught.value.__cause__, ForeignKeyViolation)


def test_a_file_of_another_team_is_not_opened_and_not_deleted(theirs: World, team: Team) -> None:
    """Should a name of theirs ever reach a query of ours."""
    name = theirs["file"]
    with scope(team=team):
        with pytest.raises(FileNotFoundError):
            storage.open_file(name)
        with pytest.raises(FileNotFoundError):
            storage.delete_file(name)
    with scope(team=theirs["team"]):
        assert storage.read_bytes(name).startswith(b"image_url")


@pytest.mark.parametrize(("days", "found"), [(0, True), (7, True), (14, False), (-7, False)])
def test_the_address_of_a_picture_ends(team: Team, monkeypatch: pytest.MonkeyPatch, days: int, found: bool) -> None:
    token = picture_url(team, "https://a.example/1.jpg").rpartition("/")[2]
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + days * 24 * 3600)
    assert (read_token(team, token) is not None) is found


def test_an_address_signed_for_one_team_is_none_for_another(team: Team, other_team: Team) -> None:
    token = picture_url(team, "https://a.example/1.jpg").rpartition("/")[2]
    assert (read_token(team, token), read_token(other_team, token)) == ("https://a.example/1.jpg", None)


# --- connections that are used again ----------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_connection_keeps_nothing_of_the_team(team: Team, other_team: Team) -> None:
    with scopes_disabled():
        for whose in (team, other_team):
            CustomModel.objects.create(team=whose, name=whose.slug)
    setting = "SELECT current_setting('app.team', true), current_user"
    me = bare("SELECT current_user")[0][0]
    pid = bare("SELECT pg_backend_pid()")
    for whose in (team, other_team):
        with scope(team=whose):
            assert CustomModel.objects.get().name == whose.slug
            with transaction.atomic():
                assert CustomModel.objects.get().name == whose.slug
                assert bare(setting) == [(str(whose.pk), me)]
        assert bare(setting) == [("", me)]
    with scopes_disabled(), transaction.atomic():
        assert CustomModel.objects.count() == 2
        assert bare(setting) == [("", wall.OPERATOR)]
        with scope(team=team):
            assert CustomModel.objects.get().name == team.slug
            assert bare(setting) == [(str(team.pk), me)]
    assert bare(setting) == [("", me)]
    assert bare("SELECT pg_backend_pid()") == pid


@pytest.mark.django_db(transaction=True)
def test_going_back_to_a_savepoint_takes_no_team_along(team: Team, other_team: Team) -> None:
    """SET LOCAL is undone with its savepoint; the wall must not believe otherwise."""
    with scopes_disabled():
        for whose in (team, other_team):
            CustomModel.objects.create(team=whose, name=whose.slug)
    with transaction.atomic():
        with scope(team=team):
            assert CustomModel.objects.get().name == team.slug
        with scope(team=other_team):
            with transaction.atomic():
                assert CustomModel.objects.get().name == other_team.slug
                transaction.set_rollback(True)
            assert sql("SELECT name FROM models_app_custommodel") == [(other_team.slug,)]
        assert sql("SELECT count(*) FROM models_app_custommodel") == [(0,)]


@pytest.mark.django_db(transaction=True)
def test_a_cursor_on_the_server_needs_a_transaction_and_keeps_to_the_team(team: Team, other_team: Team) -> None:
    with scopes_disabled():
        for whose in (team, other_team):
            CustomModel.objects.create(team=whose, name=whose.slug)
    with scope(team=team):
        with pytest.raises(RuntimeError, match="needs a transaction"):
            list(CustomModel.objects.iterator())
        with transaction.atomic():
            assert [one.name for one in CustomModel.objects.iterator()] == [team.slug]


def test_who_acts_is_told_to_the_database(team: Team, owner: User) -> None:
    with scope(team=team), wall.acting(owner.pk):
        assert sql("SELECT current_setting('app.actor', true)") == [(str(owner.pk),)]
    assert sql("SELECT current_setting('app.actor', true)") == [("",)]


# --- the first wall taken down ----------------------------------------------------------------------------------


@pytest.fixture
def no_first_wall(monkeypatch: pytest.MonkeyPatch) -> None:
    """Managers that forget the team: they behave as if all scopes were disabled, while the scope is open."""
    for model in tenant_models():
        manager = model._default_manager
        plain = models.Manager.get_queryset
        monkeypatch.setattr(type(manager), "get_queryset", lambda self, plain=plain: plain(self))


def test_without_the_first_wall_managers_do_not_filter(no_first_wall: None, theirs: World) -> None:
    """Or the test below would hold for the wrong reason."""
    with scope(team=theirs["team"]):
        assert "team_id" not in str(WorkflowRow.objects.all().query).partition("WHERE")[2]


@pytest.mark.parametrize("name", WITH_IDS)
def test_without_the_first_wall_ids_of_another_team_are_still_not_found(
    name: str,
    worlds: tuple[World, World],  # noqa: F811
    client_for: Any,
    no_first_wall: None,
) -> None:
    ours, theirs = worlds
    url = address(name, theirs, ours["team"])
    if url == address(name, ours, ours["team"]):
        return  # a page without ids
    client = client_for(ours["people"]["owner"])
    for method in TABLE[name][0].split():
        assert ask(client, method, url).status_code == 404


LISTS = ["models:list", "jobs:list", "workflows:list", "reports:list", "contribute:list", "teams:people"]


@pytest.mark.parametrize("name", LISTS)
def test_without_the_first_wall_lists_show_the_own_team_only(
    name: str,
    worlds: tuple[World, World],  # noqa: F811
    client_for: Any,
    no_first_wall: None,
) -> None:
    ours, theirs = worlds
    with scopes_disabled():
        Workflow.objects.filter(pk=theirs["workflow"].pk).update(name="Secret of theirs")
        theirs["model"].name = theirs["job"].title = "Secret of theirs"
        theirs["model"].save()
        theirs["job"].save()
    page = client_for(ours["people"]["owner"]).get(address(name, ours, ours["team"])).content.decode()
    assert not re.search("Secret of theirs|@theirs.example", page)
