"""Ring 2 continued: signing in, and the traps of IBM's client."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from models_app.backends.base import AuthFailed, Misconfigured, Transient
from models_app.backends.watson import Connection, WatsonBackend
from models_app.backends.watson import client as client_module
from models_app.backends.watson.errors import from_answer

from .desk import TOKEN, Desk, pictures, sdk, spec
from .server import HTML, KEY, Fault, WireServer, json_fault

# --- signing in -----------------------------------------------------------------------------------------


def iam(server: WireServer, secret: str = KEY) -> Desk:
    desk = Desk(server, auth="iam", secret=secret, iam_url=server.url)
    client_module.forget(desk.connection)
    server.auth = "bearer"
    return desk


@pytest.mark.parametrize(
    ("auth", "how"),
    [
        ("none", {}),
        ("basic", {"secret": KEY}),
        ("basic", {"username": "apikey", "secret": KEY}),
        ("bearer", {"secret": KEY}),
    ],
    ids=["none", "basic", "basic with name", "bearer"],
)
def test_ways_to_sign_in(server: WireServer, auth: str, how: dict[str, str]) -> None:
    server.auth = auth
    assert Desk(server, auth=auth, **how).backend.check().ok
    wrong = Desk(server, auth=auth, **how | {"secret": "wrong-key"}).backend
    if auth != "none":
        assert wrong.check().message == "The service does not accept the credentials: Unauthorized."
        with pytest.raises(AuthFailed):
            wrong.poll("x")


def test_iam_token_is_asked_for_once(server: WireServer) -> None:
    desk = iam(server)
    for _ in range(2):
        assert WatsonBackend(desk.connection).check().ok
    assert len(server.of("token")) == 1
    assert server.of("list")[0].headers["authorization"].startswith("Bearer eyJ")


@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        (json_fault(400, {"errorCode": "BXNIM0415E", "errorMessage": "No such key."}), AuthFailed, "auth_failed"),
        (json_fault(401, {"errorMessage": "No"}), AuthFailed, "auth_failed"),
        (Fault(404, HTML, "text/html"), Misconfigured, "not_the_service"),
        (Fault(200, HTML, "text/html"), Misconfigured, "not_the_service"),
        (json_fault(200, {"access_token": "opaque"}), Misconfigured, "not_the_service"),
        (json_fault(200, {}), Misconfigured, "not_the_service"),
        (json_fault(200, []), Misconfigured, "not_the_service"),
        (Fault(503), Transient, "service_error"),
        (Fault(drop=True), Transient, "unreachable"),
        (Fault(302, headers={"Location": "/x"}), Misconfigured, "not_the_service"),
    ],
    ids=["400 shape G", "401", "404 html", "200 html", "opaque", "no token", "a list", "503", "dropped", "302"],
)
def test_troubles_of_the_token_service(server: WireServer, fault: Fault, kind: type[Exception], code: str) -> None:
    """They are told from the service's own, and the next try need not wait (the SDK's manager would, for a minute)."""
    desk = iam(server)
    server.fail("token", fault)
    with pytest.raises(kind) as caught:
        desk.backend.start_training(spec(), TOKEN)
    assert caught.value.code == code
    assert [request for request in server.requests if request.method == "POST" and "/v3/" in request.path] == []
    began = time.monotonic()
    assert desk.backend.check().ok
    assert time.monotonic() - began < 5


def test_a_token_that_ended_early_is_replaced_once(server: WireServer) -> None:
    """Its maker has started anew: the connection is not broken, and the files are sent whole once more."""
    desk = iam(server)
    assert desk.backend.check().ok
    server.fail("create", json_fault(401, {"code": 401, "error": "Unauthorized"}))
    ref = desk.trained()
    first, second = server.of("create")
    assert {name: part.data for name, part in first.parts.items()} == {
        name: part.data for name, part in second.parts.items()
    }
    assert (len(server.of("token")), list(server.made)) == (2, [ref])
    refused = json_fault(401, {"code": 401, "error": "Unauthorized"})
    server.fail("get", refused, refused)
    with pytest.raises(AuthFailed):
        desk.backend.poll(ref)
    assert (len(server.of("token")), len(server.of("get"))) == (3, 2)
    assert desk.backend.poll(ref).phase == "ready"


def test_secrets_are_never_said(server: WireServer) -> None:
    desk = iam(server, "other-secret")
    with pytest.raises(AuthFailed) as caught:
        desk.backend.poll("x")
    assert "other-secret" not in str(caught.value) + repr(desk.connection) + desk.backend.check().message


# --- IBM's client, tamed --------------------------------------------------------------------------------


def test_case29_nothing_around_us_changes_the_connection(server: WireServer, monkeypatch, tmp_path, capsys) -> None:
    """Traps 5 and 6: the constructor prints, and reads environment and credential files over what it was given."""
    settings = {"URL": "http://127.0.0.1:9/elsewhere", "DISABLE_SSL": "true", "AUTH_TYPE": "noAuth", "APIKEY": "other",
                "ENABLE_RETRIES": "true"}  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(f"VISUAL_RECOGNITION_{name}", value)
    (tmp_path / "ibm-credentials.env").write_text("VISUAL_RECOGNITION_URL=http://127.0.0.1:9/file\n")
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login netrc password netrc\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    server.auth = "basic"
    desk = Desk(server, auth="basic", secret=KEY)
    assert desk.backend.check().ok
    service = sdk(desk)
    assert (service.disable_ssl_verification, service.retry_config) == (False, None)
    assert capsys.readouterr() == ("", "")
    assert sdk(Desk(server, url=f"{server.url}/instances/abc/")).service_url == f"{server.url}/instances/abc"


def test_case30_headers(server: WireServer) -> None:
    Desk(server, customer_id="team 7/ä").trained()
    headers = server.of("create")[0].headers
    assert headers["x-watson-learning-opt-out"] == "true"
    assert headers["x-watson-metadata"] == "customer_id=team_7__"
    assert headers["accept"] == "application/json"
    service = sdk(Desk(server))
    service.list_classifiers(headers={"X-Watson-Test": "1", "User-Agent": "ours"})
    assert (server.requests[-1].headers["x-watson-test"], server.requests[-1].headers["user-agent"]) == ("1", "ours")


SHAPES = {
    "A": ({"code": 400, "error": "text"}, "text"),
    "B": ({"error": {"code": 400, "description": "text", "error_id": "input_error"}}, "text"),
    "C'": ({"images": [{"error": {"code": 400, "description": "text"}}]}, "text"),
    "D": ({"status": "ERROR", "statusInfo": "text"}, "text"),
    "F": ({"errors": [{"code": "x", "message": "text"}], "trace": "y"}, "text"),
    "G": ({"errorCode": "x", "errorMessage": "text"}, "text"),
    "odd": ({"error": None, "errors": [], "images": [], "message": " text\n\x00 "}, "text"),
    "none": ({"x": 1}, ""),
    "long": ({"error": "text " * 200}, ("text " * 60).strip()),
}


@pytest.mark.parametrize(("body", "text"), SHAPES.values(), ids=SHAPES)
def test_case35_error_shapes(body: dict[str, Any], text: str) -> None:
    class Answer:
        headers: dict[str, str] = {}
        content = b"x"

        def json(self) -> Any:
            return body

    expected = f"The service refuses the training data: {text}." if text else "The service refuses the training data."
    assert from_answer(400, Answer(), "create").message == expected


def test_case35_traps_of_the_client(desk: Desk, server: WireServer) -> None:
    """2: every file has a name. 3: class names are plain. 9: plain dicts. 13: nothing is repeated by the SDK.

    1 is case 9; 5 and 6 are case 29; 8 does not concern us; 10 and 11 are case 31; 12 are the time limits below.
    """
    awkward = ('quo"te', "new\r\nline", "Schuhe größe", "T-shirt", "boots", "Boots", "c001")
    ref = desk.trained(awkward)
    parts = server.of("create")[0].parts
    assert all(part.filename for name, part in parts.items() if name != "name")
    names = sorted(name.removesuffix("_positive_examples") for name in parts if name != "name")
    assert names == ["c001", "c002", "c003", "c004", "c005", "c006", "c007"]
    assert set(desk.backend.predict(ref, pictures("boots", count=1))[0].scores) == set(awkward)
    for action in ("create", "classify", "get"):
        server.fail(action, Fault(503))
    server.requests.clear()
    for call in (lambda: desk.backend.start_training(spec(), "9-x"), lambda: desk.backend.poll(ref),
                 lambda: desk.backend.predict(ref, pictures("boots", count=1))):  # fmt: skip
        with pytest.raises(Transient):
            call()
    assert [len(server.of(action)) for action in ("create", "classify", "get")] == [1, 1, 1]


def test_case35_time_limits(desk: Desk, monkeypatch) -> None:
    """Trap 12: each request has its own."""
    seen: dict[str, Any] = {}
    service = desk.backend._client._service()
    send = service.http_client.request

    def request(**how: Any) -> Any:
        seen[f"{how['method']} {how['url'].partition('/v3/')[2]}"] = (how["timeout"], how["allow_redirects"])
        return send(**how)

    monkeypatch.setattr(service.http_client, "request", request)
    ref = desk.trained()
    desk.backend.predict(ref, pictures("boots", count=1))
    desk.backend.poll(ref)
    desk.backend.delete(ref)
    assert seen == {
        "GET classifiers": ((10, 30), False),
        "POST classifiers": ((10, 600), False),
        "POST classify": ((10, 120), False),
        f"GET classifiers/{ref}": ((10, 30), False),
        f"DELETE classifiers/{ref}": ((10, 30), False),
    }


def test_redirects_are_not_followed(desk: Desk, server: WireServer) -> None:
    server.fail("get", Fault(302, headers={"Location": f"{server.url}/v3/classifiers"}))
    with pytest.raises(Misconfigured):
        desk.backend.poll("x")
    assert len(server.requests) == 1


def test_an_endless_answer_is_cut(desk: Desk, server: WireServer, monkeypatch) -> None:
    monkeypatch.setattr(client_module, "MAX_ANSWER", 1000)
    server.fail("get", Fault(200, b'{"status": "' + b"x" * 2000 + b'"}'))
    with pytest.raises(Misconfigured):
        desk.backend.poll("x")


def test_each_request_goes_through_the_gate(server: WireServer) -> None:
    inside: list[int] = []

    @contextmanager
    def gate() -> Any:
        inside.append(len(server.requests))
        yield
        assert len(server.requests) == inside[-1] + 1

    backend = WatsonBackend(Connection(server.url, "none"), gate=gate)
    ref = backend.start_training(spec(), TOKEN).ref
    backend.predict(ref, pictures("boots", count=25))
    backend.delete(ref)
    assert inside == [0, 1, 2, 3, 4]


def test_threads_share_a_backend(desk: Desk) -> None:
    """Each has its own session."""
    ref = desk.trained()
    asked = [pictures("boots", first, 5) for first in range(0, 40, 5)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda some: desk.backend.predict(ref, some), asked))
    assert together == [desk.backend.predict(ref, some) for some in asked]
