"""Our v3 API on a live server, and IBM's SDK as its client. One world for all tests of a module."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import override_settings
from ibm_cloud_sdk_core.authenticators import Authenticator, BasicAuthenticator
from ibm_watson import VisualRecognitionV3
from pytest_django.live_server_helper import LiveServer

from labeling_platform.accounts.models import Feature, Team, User
from labeling_platform.accounts.permissions import Role
from labeling_platform.accounts.services import create_team, set_role, switch_feature
from labeling_platform.accounts.tenancy import team_scope
from labeling_platform.accounts.tokens import IssuedToken, make_token
from models_app import services, tasks
from models_app.models import ModelVersion
from tests.models_app.conftest import draw

VERSION = "2018-03-19"
BASE = "/visual-recognition/api"


def picture(shape: str, number: int) -> bytes:
    return draw(f"{shape}-{number:04d}")


def zip_of(entries: dict[str, bytes], name: str | None = "examples.zip") -> io.BytesIO:
    """A zip as clients send it; without a name the SDK sends it without a file name."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path, data in entries.items():
            archive.writestr(path, data)
    out.seek(0)
    if name:
        out.name = name
    return out


def examples(shape: str, count: int = 12, first: int = 0, name: str | None = "examples.zip") -> io.BytesIO:
    return zip_of({f"{shape}-{n}.jpg": picture(shape, n) for n in range(first, first + count)}, name)


def file_of(data: bytes, name: str) -> io.BytesIO:
    out = io.BytesIO(data)
    out.name = name
    return out


@dataclass
class World:
    """A team with a token, the server, and the trainings that were asked for."""

    url: str
    files: Path
    team: Team
    owner: User
    token: IssuedToken
    pending: list[dict[str, int]] = field(default_factory=list)
    shared: dict[str, Any] = field(default_factory=dict)
    clients: list[VisualRecognitionV3] = field(default_factory=list)

    def client(self, auth: Authenticator | None = None) -> VisualRecognitionV3:
        client = VisualRecognitionV3(VERSION, auth or BasicAuthenticator("apikey", self.token.text))
        client.set_service_url(self.url + BASE)
        self.clients.append(client)
        return client

    def hang_up(self) -> None:
        """End the clients' connections: a thread of the server, with its session of the database, waits at each."""
        for client in self.clients:
            client.http_client.close()
        deadline = time.monotonic() + 1
        while len(sessions()) > 1 and time.monotonic() < deadline:
            time.sleep(0.05)
        with connection.cursor() as cursor:  # those of clients that nobody can close any more
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                " AND usename = current_user AND pid <> pg_backend_pid()"
            )

    def new_token(self, *scopes: str, team: Team | None = None, actor: User | None = None) -> IssuedToken:
        with team_scope(team or self.team):
            return make_token(
                team=team or self.team, actor=actor or self.owner, name="test", scopes=scopes or ("read", "write")
            )

    def train(self) -> None:
        """Do what a worker would: run every training that was asked for."""
        while self.pending:
            asked = self.pending.pop(0)
            with team_scope(Team.objects.get(pk=asked["team_id"])):
                version = ModelVersion.objects.filter(pk=asked["version_id"]).first()
                if version is not None:
                    services.run_training(version=version)

    def trained(self, client: VisualRecognitionV3, name: str, **sets: Any) -> str:
        found = client.create_classifier(name, **sets).get_result()
        self.train()
        return str(found["classifier_id"])

    @property
    def shapes(self) -> str:
        """The id of a classifier of three shapes, trained once for the module."""
        if "shapes" not in self.shared:
            shapes = {shape: examples(shape) for shape in ("circles", "squares", "stripes")}
            self.shared["shapes"] = self.trained(self.client(), "Three Shapes", positive_examples=shapes)
        return str(self.shared["shapes"])


def sessions() -> list[int]:
    """The sessions that the database has now, ours included."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND usename = current_user")
        return [pid for (pid,) in cursor.fetchall()]


def make_team(slug: str) -> tuple[Team, User]:
    team = create_team(organization=slug, name=slug, slug=slug)
    switch_feature(team=team, feature=Feature.ML_ASSISTED_LABELING, on=True, actor=None)
    owner = User.objects.create_user(f"{slug}@example.com", "correct horse battery", name=slug)
    set_role(team=team, user=owner, role=Role.OWNER)
    return team, owner


@contextmanager
def open_world(files: Path, cache: Path) -> Iterator[World]:
    """Needs the database to be unblocked; empties it at the end."""
    server = LiveServer("127.0.0.1")
    host = server.url.removeprefix("http://")
    patch = pytest.MonkeyPatch()
    try:
        with override_settings(
            VR3_API_ENABLED=True, MEDIA_ROOT=files, CLASSIFIER_CACHE_DIR=cache, IMAGE_FETCH_ALLOW=(host,)
        ):
            team, owner = make_team("acme")
            world = World(server.url, files, team, owner, token=None)  # type: ignore[arg-type]
            world.token = world.new_token()
            patch.setattr(tasks.train, "delay_on_commit", lambda **ids: world.pending.append(ids))
            yield world
            world.hang_up()
    finally:
        patch.undo()
        server.stop()
        call_command("flush", verbosity=0, interactive=False, reset_sequences=False)
