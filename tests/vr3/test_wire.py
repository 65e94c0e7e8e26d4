"""Ring 2 of three (reference/watson.md 4.9): the Watson backend, through IBM's SDK, against a server with faults.

The names of the tests carry the numbers of the table of cases. Checked with IBM's client 5.3.1 and its published
documents; never against IBM's service, which ended on 2021-12-01.
"""

from __future__ import annotations

import io
import re
import socket
import ssl
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from ibm_cloud_sdk_core import ApiException

from models_app.backends.base import (
    AuthFailed,
    BackendError,
    InvalidTrainingData,
    Misconfigured,
    ModelNotFound,
    QuotaExceeded,
    RateLimited,
    TooLarge,
    TrainingSpec,
    Transient,
)
from models_app.backends.watson import Connection, WatsonBackend
from models_app.backends.watson import client as client_module
from tests.backends.worlds import picture

from . import test_wire_client, test_wire_predict
from .desk import CLASSES, TOKEN, Desk, pictures, sdk, spec
from .server import HTML, Fault, WireServer, json_fault, wire_server

HERE = {5, 7, 9, 11, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 26, 27, 29, 30, 31, 33, 34, 35}
RING_3 = {1, 2, 3, 4, 6, 8, 10, 12, 23, 24, 25, 28, 32}
"""What only a server can get right: tests/vr3/test_api_cases.py (which repeats many of those above)."""


def test_every_case_of_the_table_has_its_ring() -> None:
    assert set(range(1, 36)) == HERE | RING_3
    other = Path(__file__).with_name("test_api_cases.py")
    if other.exists():
        there = re.findall(r"^def test_case((?:\d\d_)+)", other.read_text(), re.MULTILINE)
        assert {int(number) for found in there for number in found.strip("_").split("_")} >= RING_3
    modules: list[ModuleType] = [sys.modules[__name__], test_wire_client, test_wire_predict]
    names = [name for module in modules for name in vars(module)]
    assert {int(found.group(1)) for name in names if (found := re.match(r"test_case(\d\d)_", name))} == HERE


# --- the failure table of 4.7 ---------------------------------------------------------------------------

QUOTA = {"status": "ERROR", "statusInfo": "daily-transaction-limit-exceeded"}
BAD_KEY = {"status": "ERROR", "statusInfo": "invalid-api-key"}
A = {"code": 400, "error": "Cannot execute: no images"}
B = {"error": {"code": 400, "description": "no valid parameter", "error_id": "parameter_error"}}
C_BARE = {"images": [{"error": {"code": 400, "description": "No valid classifier IDs"}}], "images_processed": 0}
G = {"errorCode": "BXNIM0415E", "errorMessage": "Provided API key could not be found."}
F = {"errors": [{"code": "missing_field", "message": "The request has no name"}], "trace": "x"}
GATEWAY = "<html><body>502 Bad Gateway</body></html>"

OPERATIONS: dict[str, Callable[[WatsonBackend, str], object]] = {
    "create": lambda backend, ref: backend.start_training(spec(), "8-other"),
    "find": lambda backend, ref: backend.find_training(TOKEN),
    "poll": lambda backend, ref: backend.poll(ref),
    "classify": lambda backend, ref: backend.predict(ref, pictures("boots", count=1)),
    "delete": lambda backend, ref: backend.delete(ref),
}
ASKED = {"create": "create", "find": "list", "poll": "get", "classify": "classify", "delete": "delete"}
READS = ("find", "poll", "classify", "delete")
ALL = ("create", *READS)


def html(status: int) -> Fault:
    return Fault(status, HTML, "text/html")


FAILURES: list[tuple[str, tuple[str, ...], Fault, type[BackendError], str]] = [
    ("dropped", ALL, Fault(drop=True), Transient, "unreachable"),
    ("slow", ALL, Fault(200, b"{}", wait=0.6), Transient, "timeout"),
    ("500 with error", ALL, json_fault(500, {"code": 500, "error": "boom"}), Transient, "service_error"),
    ("500 empty", ALL, Fault(500), Transient, "service_error"),
    ("502 html", ALL, Fault(502, GATEWAY.encode(), "text/html"), Transient, "service_error"),
    ("503", ALL, json_fault(503, B), Transient, "service_error"),
    ("504", ALL, Fault(504), Transient, "service_error"),
    ("429", ALL, json_fault(429, A, headers={"Retry-After": "17"}), RateLimited, "rate_limited"),
    ("403 quota", ALL, json_fault(403, QUOTA), QuotaExceeded, "quota_exceeded"),
    ("403 key, shape D", ALL, json_fault(403, BAD_KEY), AuthFailed, "auth_failed"),
    ("403 else", ALL, json_fault(403, {"code": 403, "error": "Forbidden"}), AuthFailed, "auth_failed"),
    ("401", ALL, json_fault(401, {"code": 401, "error": "Unauthorized"}), AuthFailed, "auth_failed"),
    ("401 html", ALL, html(401), AuthFailed, "auth_failed"),
    ("404 classify", ("classify",), json_fault(404, A), ModelNotFound, "backend_error"),
    ("404 html", ALL, html(404), Misconfigured, "not_the_service"),
    ("404 list", ("find", "create"), json_fault(404, A), Misconfigured, "not_the_service"),
    ("413 html", ("create", "find", "poll", "delete"), html(413), TooLarge, "too_large"),
    ("400 create", ("create",), json_fault(400, A), InvalidTrainingData, "invalid_training_data"),
    ("400 create, shape F", ("create",), json_fault(400, F), InvalidTrainingData, "invalid_training_data"),
    ("400 without classifier", ("classify",), json_fault(400, C_BARE), ModelNotFound, "backend_error"),
    ("200 html", ("create", "find", "poll", "classify"), html(200), Misconfigured, "not_the_service"),
    ("200 broken json", ALL, Fault(200, b'{"a": '), Misconfigured, "not_the_service"),
    ("200 deep json", ALL, Fault(200, b"[" * 200_000), Misconfigured, "not_the_service"),
    ("400 deep json", ("poll",), Fault(400, b"[" * 200_000), Misconfigured, "not_the_service"),
    ("200 a list", ("find", "poll", "classify"), json_fault(200, []), Misconfigured, "not_the_service"),
    ("200 empty", ("find", "classify"), Fault(200), Misconfigured, "not_the_service"),
    ("200 empty", ("create",), Fault(200), Transient, "no_classifier_id"),
    ("200 other json", ("find", "classify"), json_fault(200, {"items": []}), Misconfigured, "not_the_service"),
    ("302", ALL, Fault(302, headers={"Location": "http://127.0.0.1:9/x"}), Misconfigured, "not_the_service"),
]
ROWS = [
    pytest.param(operation, fault, kind, code, id=f"case31-{name}-{operation}")
    for name, operations, fault, kind, code in FAILURES
    for operation in operations
]


@pytest.mark.parametrize(("operation", "fault", "kind", "code"), ROWS)
def test_case31_failure_table(
    desk: Desk, server: WireServer, monkeypatch, operation: str, fault: Fault, kind: type[BackendError], code: str
) -> None:
    """What came, and what it is called; nothing of requests or the SDK gets out, nothing is sent again by itself."""
    ref = desk.trained()
    server.requests.clear()
    if fault.wait:
        monkeypatch.setattr(client_module, "TIMEOUTS", {})
        monkeypatch.setattr(client_module, "OTHER_TIMEOUT", (5, 0.15))
    server.fail(ASKED[operation], fault)
    with pytest.raises(BackendError) as caught:
        OPERATIONS[operation](desk.backend, ref)
    assert (type(caught.value), caught.value.code) == (kind, code)
    assert caught.value.retryable == issubclass(kind, Transient)
    assert len(server.of(ASKED[operation])) == 1 if operation != "find" else True
    assert re.fullmatch(r"[A-Z0-9][^<>{}\n]+\.", caught.value.message), caught.value.message
    if isinstance(caught.value, RateLimited):
        assert caught.value.retry_after == 17.0


def test_case31_failures_that_need_no_server(server: WireServer) -> None:
    """Nobody listens; TLS where there is none; addresses that are none; credentials that cannot be."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    expected = [
        (Connection(nobody, "none"), Transient, "unreachable"),
        (Connection(server.url.replace("http:", "https:"), "none"), Misconfigured, "tls"),
        (Connection("no address", "none"), Misconfigured, "bad_url"),
        (Connection("ftp://127.0.0.1/x", "none"), Misconfigured, "bad_url"),
        (Connection("{http://127.0.0.1}", "none"), Misconfigured, "bad_url"),
        (Connection(server.url, "iam", "{key}"), Misconfigured, "bad_credentials"),
        (Connection(server.url, "iam", ""), Misconfigured, "bad_credentials"),
        (Connection(server.url, "cp4d", "key"), Misconfigured, "bad_credentials"),
        (Connection(server.url, "bearer", "line\nbreak"), Misconfigured, "bad_credentials"),
        (Connection(server.url, "bearer", "Schlüssel…"), Misconfigured, "bad_credentials"),
    ]
    for connection, kind, code in expected:
        with pytest.raises(BackendError) as caught:
            WatsonBackend(connection).poll("x")
        assert (type(caught.value), caught.value.code) == (kind, code), connection
        assert not WatsonBackend(connection).check().ok
    assert server.requests == []


def test_case31_a_certificate_of_nobody(server: WireServer, tmp_path: Path, monkeypatch) -> None:
    """There is no switch that ignores TLS, and the SDK's own from the environment does not count."""
    monkeypatch.setenv("VISUAL_RECOGNITION_DISABLE_SSL", "true")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))
    with wire_server(tls=context) as other:
        desk = Desk(other)
        with pytest.raises(Misconfigured, match="TLS certificate") as caught:
            desk.backend.poll("x")
        assert (caught.value.code, other.requests) == ("tls", [])


def self_signed(folder: Path) -> Path:
    """A PEM file with a key and a certificate for 127.0.0.1 that nobody has vouched for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "both.pem"
    plain = serialization.NoEncryption()
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("5", 5.0),
        ("999999", 3600.0),
        ("", 60.0),
        ("soon", 60.0),
        ("²", 60.0),
        ("9" * 400, 3600.0),
        ("Mon, 01 Jan 2001 00:00:00 GMT", 0.0),
    ],
)
def test_case31_retry_after(desk: Desk, server: WireServer, value: str, seconds: float) -> None:
    server.fail("get", json_fault(429, A, headers={"Retry-After": value} if value else {}))
    with pytest.raises(RateLimited) as caught:
        desk.backend.poll("x")
    assert caught.value.retry_after == seconds


def test_case31_413_halves_a_batch(desk: Desk, server: WireServer) -> None:
    ref = desk.trained()
    server.fail("classify", html(413), html(413))
    results = desk.backend.predict(ref, pictures("boots", count=8))
    assert [result.error for result in results] == [None] * 8
    assert len(server.of("classify")) == 1 + 1 + 2 + 1
    server.fail("classify", html(413))
    assert desk.backend.predict(ref, pictures("boots", count=1))[0].error.code == "too_large"


# --- creating -------------------------------------------------------------------------------------------


def archive_of(part: Any) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(part.data))


def test_case13_create_with_three_classes(desk: Desk, server: WireServer) -> None:
    state = desk.backend.start_training(spec(("boots", "hats", "T-shirt")), TOKEN)
    (made,) = server.made.values()
    assert (state.ref, state.phase, made.name) == (made.id, "training", f"caf-shoes-3 {TOKEN}")
    assert set(made.learned) == {"boots", "hats", "c001"}
    assert state.details["watson"] == {
        "aliases": {"boots": "boots", "hats": "hats", "T-shirt": "c001"},
        "negatives": False,
    }
    assert (state.details["images_sent"], state.details["left_out"], desk.metered) == (30, {}, [30])


def test_case14_one_class_and_negatives(desk: Desk, server: WireServer) -> None:
    ref = desk.trained(("boots", "negative_examples"))
    (made,) = server.made.values()
    assert (list(made.learned), len(made.negatives)) == (["boots"], 10)
    parts = server.of("create")[0].parts
    assert list(parts) == ["name", "boots_positive_examples", "negative_examples"]
    trained_on, none = desk.backend.predict(ref, [picture("T-shirt", 0), picture("boots", 0)])
    assert trained_on.scores == {"boots": 0.9, "negative_examples": pytest.approx(0.1)}
    assert none.scores == {"boots": 0.05, "negative_examples": 0.95}


def test_case15_two_classes_until_ready(desk: Desk, server: WireServer) -> None:
    ref = desk.trained(("sandals", "boots"))
    assert desk.backend.poll(ref).phase == "ready"
    assert sorted(
        item["class"] for item in desk.backend._client.call("poll", "get_classifier", classifier_id=ref)["classes"]
    ) == [
        "boots",
        "sandals",
    ]


def test_case16_a_picture_instead_of_a_zip(desk: Desk) -> None:
    image = io.BytesIO(picture("boots", 1))
    image.name = "boots.jpg"
    with pytest.raises(InvalidTrainingData, match="no valid zip file"):
        desk.backend._client.call(
            "create", "create_classifier", name="x", positive_examples={"boots": image, "hats": image}
        )


def test_case17_failed_at_once(desk: Desk, server: WireServer) -> None:
    server.status = "failed"
    state = desk.backend.start_training(spec(), TOKEN)
    assert (state.phase, state.message) == ("failed", "The training failed: the service gave no reason.")
    server.explanation = "Too  few\ndifferent images."
    assert desk.backend.poll(state.ref).message == "The training failed: Too few different images."


def test_case18_nothing_is_sent_that_cannot_be(desk: Desk, server: WireServer) -> None:
    service = sdk(desk)
    for name, examples in ((None, {"a": io.BytesIO(b"x")}), ("name", None), ("name", {})):
        with pytest.raises(ValueError, match="must be provided"):
            service.create_classifier(name, examples)
    for training in (spec(count=9), spec(("boots",)), spec(("negative_examples",)), TrainingSpec((), [], 1, "x")):
        with pytest.raises(InvalidTrainingData):
            desk.backend.start_training(training, TOKEN)
    for token in ("", "two words"):
        with pytest.raises(Misconfigured):
            desk.backend.start_training(spec(), token)
    assert (server.requests, desk.metered) == ([], [])


def test_case34_archives_hold_pictures_and_nothing_else(desk: Desk, server: WireServer) -> None:
    desk.trained()
    parts = server.of("create")[0].parts
    sets = {name: archive_of(part) for name, part in parts.items() if name != "name"}
    assert list(sets) == ["c001_positive_examples", "boots_positive_examples", "negative_examples"]
    for archive in sets.values():
        assert [info.filename for info in archive.infolist()] == [f"{number:06}.jpg" for number in range(10)]
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
    assert archive_of(parts["boots_positive_examples"]).read("000003.jpg") == picture("boots", 3)
    examples = {"a": mac_archive(), "b": mac_archive()}
    with pytest.raises(InvalidTrainingData, match="at least 10 images"):  # the server counts one
        desk.backend._client.call("create", "create_classifier", name="x", positive_examples=examples)


def mac_archive() -> io.BytesIO:
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("cars/", b"")
        for name in ("__MACOSX/cars/._1.jpg", "cars/.DS_Store", "cars/1.jpg"):
            archive.writestr(name, b"x" * 10)
    zipped.seek(0)
    zipped.name = "cars.zip"
    return zipped


# --- an unclear create ----------------------------------------------------------------------------------


def test_create_that_worked_but_never_answered_is_adopted(desk: Desk, server: WireServer) -> None:
    server.fail("create", Fault(drop=True, work=True))
    state = desk.backend.start_training(spec(), TOKEN)
    assert (state.ref, state.phase) == (next(iter(server.made)), "training")
    assert (len(server.made), desk.metered, desk.slept) == (1, [30], [])
    assert [request.query["verbose"] for request in server.of("list")] == ["true", "true"]
    assert set(desk.backend.predict(state.ref, pictures("boots", count=1))[0].scores) == set(CLASSES)


def test_create_that_shows_late_is_adopted_at_the_second_look(desk: Desk, server: WireServer) -> None:
    nothing = json_fault(200, {"classifiers": []})
    server.fail("create", Fault(504, work=True))
    server.fail("list", nothing, nothing)
    state = desk.backend.start_training(spec(), TOKEN)
    assert (state.ref, len(server.made), desk.slept) == (next(iter(server.made)), 1, [5.0])


def test_create_that_failed_is_sent_again_by_the_next_call(desk: Desk, server: WireServer) -> None:
    server.fail("create", json_fault(500, {"code": 500, "error": "too many training requests"}))
    with pytest.raises(Transient, match="too many training requests"):
        desk.backend.start_training(spec(), TOKEN)
    assert (len(server.of("create")), len(server.made), desk.metered) == (1, 0, [])
    assert desk.backend.start_training(spec(), TOKEN).phase == "training"
    assert (len(server.of("create")), len(server.made)) == (2, 1)


def test_create_that_shows_after_the_call_gave_up_is_not_sent_again(server: WireServer) -> None:
    nothing = json_fault(200, {"classifiers": []})
    server.fail("create", Fault(drop=True, work=True))
    server.fail("list", nothing, nothing, nothing)
    with pytest.raises(Transient):
        Desk(server).backend.start_training(spec(), TOKEN)
    assert Desk(server).trained() == next(iter(server.made))
    assert len(server.of("create")) == 1


def test_unreadable_answer_to_a_create_is_looked_into(desk: Desk, server: WireServer) -> None:
    server.fail("create", Fault(200, HTML, "text/html", work=True))
    assert desk.trained() == next(iter(server.made))


def test_a_clear_no_is_not_looked_into(desk: Desk, server: WireServer) -> None:
    server.fail("create", json_fault(429, A))
    with pytest.raises(RateLimited):
        desk.trained()
    assert len(server.of("list")) == 1


def test_a_create_that_never_left_is_not_looked_into(server: WireServer) -> None:
    """All turns are taken: nothing was sent, so there is nothing to look for."""
    entered: list[int] = []

    @contextmanager
    def gate() -> Iterator[None]:
        entered.append(1)
        if len(entered) > 1:
            raise Transient("All turns are taken.", code="all_busy")
        yield

    backend = WatsonBackend(Connection(server.url, "none"), gate=gate, sleep=entered.append)
    with pytest.raises(Transient, match="All turns"):
        backend.start_training(spec(), TOKEN)
    assert (entered, len(server.requests)) == ([1, 1], 1)


def test_of_two_with_one_token_the_first_counts(desk: Desk, server: WireServer) -> None:
    first = desk.trained()
    server.fail("list", json_fault(200, {"classifiers": []}))
    assert desk.trained() != first
    assert desk.backend.find_training(TOKEN).ref == first
    assert desk.backend.find_training("abcdef") is None


def test_create_answered_with_nothing_is_looked_into(desk: Desk, server: WireServer) -> None:
    server.fail("create", Fault(200, work=True))
    assert desk.trained() == next(iter(server.made))


# --- polling, listing, deleting -------------------------------------------------------------------------


def test_case19_poll_until_it_ends(desk: Desk, server: WireServer) -> None:
    server.polls_until_ready = 3
    ref = desk.trained()
    assert [desk.backend.poll(ref).phase for _ in range(4)] == ["training", "training", "ready", "ready"]
    for status, phase in (("retraining", "training"), ("queued by a newer service", "training"), ("failed", "failed")):
        server.status = status
        assert desk.backend.poll(ref).phase == phase
    desk.backend.delete(ref)
    assert server.made == {}


def test_case20_delete_while_training(desk: Desk, server: WireServer) -> None:
    server.polls_until_ready = 99
    ref = desk.trained()
    desk.backend.delete(ref)
    desk.backend.delete(ref)
    state = desk.backend.poll(ref)
    assert (server.made, state.phase) == ({}, "lost")


def test_case21_brief_and_verbose_list(desk: Desk, server: WireServer) -> None:
    desk.trained()
    (brief,) = sdk(desk).list_classifiers().get_result()["classifiers"]
    assert set(brief) == {"classifier_id", "name", "status"}
    (verbose,) = sdk(desk).list_classifiers(verbose=True).get_result()["classifiers"]
    assert {"owner", "status", "classes", "created"} <= set(verbose)
    assert desk.backend.check().ok


def test_case22_unknown_classifier(desk: Desk) -> None:
    desk.trained()
    state = desk.backend.poll("foo-bar-baz")
    assert (state.ref, state.phase) == ("foo-bar-baz", "lost")
    with pytest.raises(ModelNotFound):
        desk.backend.predict("foo-bar-baz", pictures("boots", count=3))


@pytest.mark.parametrize(
    "fault",
    [Fault(200), Fault(204), Fault(200, b"deleted", "text/plain"), Fault(404), json_fault(404, A)],
    ids=["empty", "204", "text", "404 empty", "404"],
)
def test_case26_delete_answers(desk: Desk, server: WireServer, fault: Fault) -> None:
    server.fail("delete", fault)
    desk.backend.delete("x_1")
    assert len(server.of("delete")) == 1


def test_case27_a_core_ml_model_comes_back_whole(desk: Desk, server: WireServer) -> None:
    """The client's part of it: bytes of every value, none of them taken for text. Our backend has no use for it."""
    ref = desk.trained()
    server.core_ml = bytes(range(256)) * 1000
    answer = sdk(desk).get_core_ml_model(ref).get_result()
    assert (answer.content, answer.headers["Content-Type"]) == (server.core_ml, "application/octet-stream")
    (asked,) = server.of("core_ml")
    assert asked.headers["accept"] == "application/octet-stream"
    with pytest.raises(ApiException) as error:
        sdk(desk).get_core_ml_model("Nobody_0000000001")
    assert error.value.status_code == 404


def test_case33_ids_are_encoded(desk: Desk, server: WireServer) -> None:
    desk.backend.poll("../../identity/token?x=1#y")
    assert server.requests[0].target.endswith(
        "/v3/classifiers/..%2F..%2Fidentity%2Ftoken%3Fx%3D1%23y?version=2018-03-19"
    )
