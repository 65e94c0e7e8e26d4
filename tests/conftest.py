"""Fixtures: a database owned by one role and used by another, a team and its people."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import environ
import pytest
from django.conf import settings
from django.db import connections
from django.test import Client
from django_scopes import scopes_disabled

from labeling_platform.accounts.models import Feature, Team, User
from labeling_platform.accounts.permissions import Role
from labeling_platform.accounts.services import create_team, set_role, switch_feature
from labeling_platform.accounts.tenancy import team_scope
from labeling_platform.lib.wall import OPERATOR

PASSWORD = "correct horse battery"


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """Create and migrate the test database as the owner role."""
    if settings.DATABASE_OWNER_URL:
        owner = environ.Env.db_url_config(settings.DATABASE_OWNER_URL)
        connections["default"].settings_dict.update(USER=owner["USER"], PASSWORD=owner["PASSWORD"])


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: pytest.FixtureRequest) -> Iterator[None]:
    """Then use it as the application's role, which may neither own tables nor bypass row security."""
    connection = connections["default"]
    owner = {key: connection.settings_dict[key] for key in ("USER", "PASSWORD")}
    app = settings.DATABASES["default"] if not settings.DATABASE_OWNER_URL else _app_role()
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        with connection.cursor() as cursor:
            name = f"{connection.ops.quote_name(app['USER'])}, {OPERATOR}"
            cursor.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA public TO {name}")
            # Tests with transactions of their own empty every table between them; test_activity.py tries the trigger.
            cursor.execute("ALTER TABLE accounts_activity DISABLE TRIGGER activity_no_truncate")
            cursor.execute(f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {name}")
        connection.close()
        connection.settings_dict.update(USER=app["USER"], PASSWORD=app["PASSWORD"])
        yield
        connection.close()
        connection.settings_dict.update(owner)


def _app_role() -> dict[str, str]:
    return environ.Env.db_url_config(environ.Env().str("DATABASE_URL"))


@pytest.fixture(autouse=True)
def _files(tmp_path, settings) -> None:
    settings.MEDIA_ROOT = tmp_path / "files"


def make_person(email: str, **fields) -> User:
    return User.objects.create_user(f"{email}@example.com", PASSWORD, name=email.title(), **fields)


@pytest.fixture
def team(db) -> Team:
    team = create_team(organization="Acme", name="Footwear", slug="footwear")
    switch_feature(team=team, feature=Feature.ML_ASSISTED_LABELING, on=True, actor=None)
    return team


@pytest.fixture
def other_team(db) -> Team:
    team = create_team(organization="Other", name="Rivals", slug="rivals")
    switch_feature(team=team, feature=Feature.ML_ASSISTED_LABELING, on=True, actor=None)
    return team


def _member(team: Team, name: str, role: Role) -> User:
    user = make_person(name)
    set_role(team=team, user=user, role=role)
    return user


@pytest.fixture
def owner(team: Team) -> User:
    return _member(team, "owner", Role.OWNER)


@pytest.fixture
def mate(team: Team) -> User:
    return _member(team, "mate", Role.MEMBER)


@pytest.fixture
def viewer(team: Team) -> User:
    return _member(team, "viewer", Role.VIEWER)


@pytest.fixture
def contributor(team: Team) -> User:
    return _member(team, "contributor", Role.CONTRIBUTOR)


@pytest.fixture
def second_contributor(team: Team) -> User:
    return _member(team, "second", Role.CONTRIBUTOR)


@pytest.fixture
def outsider(other_team: Team) -> User:
    return _member(other_team, "outsider", Role.OWNER)


@pytest.fixture
def csm(db) -> User:
    return make_person("csm", is_staff=True, is_superuser=True)


@pytest.fixture
def client_for() -> Callable[[User], Client]:
    """A test client that is signed in as the person."""

    def make(user: User) -> Client:
        client = Client()
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        return client

    return make


@pytest.fixture
def in_team(team: Team) -> Iterator[Team]:
    """Run the test inside the team's scope."""
    with team_scope(team):
        yield team


@pytest.fixture
def all_scopes() -> Iterator[None]:
    with scopes_disabled():
        yield
