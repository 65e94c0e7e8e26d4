"""What the tests of the API share: operations as the registry knows them, tokens, requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from ninja.operation import Operation

from labeling_platform.accounts.models import Team, User
from labeling_platform.accounts.scopes import Scope
from labeling_platform.accounts.tenancy import team_scope
from labeling_platform.accounts.tokens import IssuedToken, make_token
from labeling_platform.api import api

ALL = [scope.value for scope in Scope]
ROOT = "/api/v1"


def operations() -> Iterator[tuple[str, str, str, Operation]]:
    """(name, method, path, operation) of every operation that ninja serves."""
    for router in api._get_bound_routers():
        for path, view in router.path_operations.items():
            for operation in view.operations:
                for method in operation.methods:
                    yield str(operation.operation_id), method, path, operation


def new_token(team: Team, actor: User, *scopes: str, **more: Any) -> IssuedToken:
    with team_scope(team):
        return make_token(team=team, actor=actor, name="test", scopes=scopes or ALL, **more)


def csv_upload(text: str = "image_url,label\nhttp://a.example/1.jpg,boots\n", name: str = "mine.csv") -> Any:
    return SimpleUploadedFile(name, text.encode(), "text/csv")


class Program:
    """A client that sends a token, and no cookies."""

    def __init__(self, token: str | None, client: Client | None = None) -> None:
        self.client = client or Client()
        self.headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """`body`: a dict is sent as JSON, one with a file as a form."""
        sent: dict[str, Any] = {}
        if isinstance(body, dict) and "file" in body:
            body["file"].seek(0)
            sent = {"data": body}
        elif body is not None:
            sent = {"data": json.dumps(body), "content_type": "application/json"}
        call = self.client.get if method == "GET" else self.client.post
        return call(f"{ROOT}{path}", headers=self.headers, **sent)

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(f"{ROOT}{path}", query, headers=self.headers)

    def post(self, path: str, body: Any = None) -> Any:
        return self.ask("POST", path, body)


def error_of(answer: Any) -> tuple[int, str]:
    """Status and code of an error."""
    return answer.status_code, answer.json()["error"]["code"]
