"""No address that a customer writes leads the fetcher anywhere but to hosts of the open internet.

Two ways to run the same table. `wired`: in this process; the system's resolver and the last step of connecting are
replaced (questions go over UDP to our own DNS server, connections to our own hosts, and every address that the
fetcher wanted is noted); the rest, TLS too, is real. `in a namespace` (needs root): nothing is replaced.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from labeling_platform.lib import images
from labeling_platform.lib.images import FAILURES, FetchError, FetchPolicy, S3Access, check_url, fetch_image
from labeling_platform.lib.urls import parse_allowances

from .cases import CASES, DEAD, PUBLIC, PUBLIC_SIX
from .internet import AAAA, PICTURE, A, Host, Names, Web, ask, certificate, server_context

PROJECT = Path(__file__).resolve().parent.parent.parent
REAL_LOOKUP, REAL_CONNECT = socket.getaddrinfo, socket.socket.connect


@dataclass
class Wire:
    """What the fetcher wanted to connect to, and the ports on loopback where it came out instead."""

    names: Names
    plain: dict[int, int]
    tls: dict[int, int]
    wanted: list[tuple[str, int]] = field(default_factory=list)

    def look_up(self, host: str, port: int, *_: object, **__: object) -> list[tuple]:
        with contextlib.suppress(socket.gaierror):
            return REAL_LOOKUP(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        found = [address for kind in (A, AAAA) for address in ask(self.names.place, host, kind)]
        if host == "localhost" or host.endswith(".localhost"):
            found = ["127.0.0.1"]
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [entry for text in found for entry in REAL_LOOKUP(text, port, type=socket.SOCK_STREAM)]

    def connect(self, connection: socket.socket, place: tuple) -> None:
        if connection.family == socket.AF_UNIX or connection.type != socket.SOCK_STREAM:
            return REAL_CONNECT(connection, place)
        self.wanted.append((place[0], place[1]))
        if place[0] == DEAD:
            raise ConnectionRefusedError
        six = connection.family == socket.AF_INET6
        ports = self.tls if place[1] == 443 else self.plain
        return REAL_CONNECT(connection, ("::1" if six else "127.0.0.1", ports[6 if six else 4]))


@pytest.fixture(scope="module")
def wires(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Wire, Path]]:
    paths = certificate(tmp_path_factory.mktemp("tls"), "public.test")
    context = server_context(paths)
    names = Names()
    names.start()
    servers = [Web(address, 0, tls) for tls in (None, context) for address in ("127.0.0.1", "::1")]
    ports = [server.server_address[1] for server in servers]
    yield Wire(names, {4: ports[0], 6: ports[1]}, {4: ports[2], 6: ports[3]}), paths[0]
    for server in servers:
        server.shutdown()
        server.server_close()
    names.socket.close()


@pytest.fixture
def wired(wires: tuple[Wire, Path], monkeypatch: pytest.MonkeyPatch) -> Wire:
    wire, authority = wires
    wire.wanted.clear()
    wire.names.asked.clear()
    images._kept.connections.clear()
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    monkeypatch.setattr(socket, "getaddrinfo", wire.look_up)
    monkeypatch.setattr(socket.socket, "connect", lambda self, place: wire.connect(self, place))  # noqa: PLW0108
    return wire


def code_of(url: str, **limits: object) -> str:
    try:
        fetch_image(url, FetchPolicy(**limits))  # type: ignore[arg-type]
    except FetchError as error:
        if not url.startswith("s3:"):
            assert (error.message, error.transient) == FAILURES.get(error.code, (error.message, False))
        return error.code
    return "ok"


def test_the_table_is_long_enough_and_says_everything_once() -> None:
    assert len({url for url, _ in CASES}) == len(CASES) >= 60


@pytest.mark.parametrize(("url", "code"), CASES, ids=range(len(CASES)))
def test_wired(url: str, code: str, wired: Wire) -> None:
    assert code_of(url) == code
    assert {address for address, _ in wired.wanted} <= {PUBLIC, PUBLIC_SIX, DEAD}
    assert {port for _, port in wired.wanted} <= {80, 443}
    if code in {"url_invalid", "scheme_not_allowed"} and "go?to=" not in url:
        assert wired.wanted == []
        assert sum(wired.names.asked.values()) == 0
        with pytest.raises(FetchError):
            check_url(url)


def test_a_name_is_asked_for_once_and_the_judged_address_is_the_one(wired: Wire) -> None:
    assert code_of("http://rebind.test/ok.jpg") == "ok"
    assert wired.wanted == [(PUBLIC, 80)]
    assert wired.names.asked["rebind.test", A] == 1
    assert ask(wired.names.place, "rebind.test", A) == ["127.0.0.1"]  # whoever asked again would be led inside


def test_in_a_namespace_with_the_systems_own_resolver() -> None:
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("ip"):
        pytest.skip("network namespaces need root, unshare and ip")
    command = ["unshare", "--net", "--mount", sys.executable, "-m", "tests.ssrf.inside"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=120)
    if "Operation not permitted" in done.stderr:
        pytest.skip("this machine makes no network namespaces")
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    wrong = [(url, code, got) for (url, code), got in zip(CASES, found["codes"], strict=True) if code != got]
    assert wrong == []
    assert found["reached"] == sorted([PUBLIC, PUBLIC_SIX])
    assert found["asked"] == 1
    # The hosts inside do answer those who take no care.
    assert {"127.0.0.1", "10.0.0.5", "169.254.169.254"} <= set(found["naive_inner"])


SAME = ["nowhere.test", "private.test", "loopback.test", "dead.test", "mixed.test", "other.test"]


def test_nobody_learns_whether_a_name_exists_inside_or_a_port_is_open(wired: Wire) -> None:
    """No such name, a private address, nobody listening, another's certificate: the same words for all."""
    said = set()
    for name in SAME:
        with pytest.raises(FetchError) as caught:
            fetch_image(f"https://{name}/ok.jpg", FetchPolicy())
        said.add((caught.value.code, caught.value.message, caught.value.transient))
    assert len(said) == 1
    assert all(name not in str(said) for name in [*SAME, "10.0.0", "127.0.0", "93.184"])


@pytest.mark.parametrize("port", [22, 443, 6379])
def test_an_open_port_answers_like_a_closed_one(port: int, wired: Wire) -> None:
    assert [code_of(f"http://{host}:{port}/ok.jpg") for host in ("public.test", "dead.test", "private.test")] == (
        ["address_refused"] * 3
    )
    assert wired.wanted == []


def test_proxies_of_the_environment_are_never_read(wired: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://10.0.0.5:3128")
    assert [code_of(f"{scheme}://public.test/ok.jpg") for scheme in ("http", "https")] == ["ok", "ok"]
    assert wired.wanted == [(PUBLIC, 80), (PUBLIC, 443)]


def test_what_is_sent_names_the_host_and_nobody_else(wired: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = []
    original = Host.do_GET
    monkeypatch.setattr(Host, "do_GET", lambda self: (sent.append(dict(self.headers)), original(self)))
    assert code_of("http://public.test/ok.jpg") == "ok"
    assert sent == [
        {
            "Host": "public.test",
            "Accept": "image/jpeg,image/png",
            "Accept-Encoding": "identity",
            "User-Agent": "labeling-platform image fetcher",
        }
    ]


def test_a_resolver_that_never_answers_ends_at_the_total_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(3) or [])
    began = time.monotonic()
    assert code_of("http://public.test/ok.jpg", total_timeout=0.4) == "timeout"
    assert time.monotonic() - began < 1.5


# --- hosts that want to keep us ---------------------------------------------------------------------------


def serve_raw(answer: object) -> int:
    """A host that is spoken for by answer(connection); its port."""
    server = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                threading.Thread(target=quietly, args=(connection,), daemon=True).start()

    def quietly(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            answer(connection)  # type: ignore[operator]

    threading.Thread(target=run, daemon=True).start()
    return server.getsockname()[1]


def drip(text: bytes, pause: float = 0.05) -> object:
    def answer(connection: socket.socket) -> None:
        for _ in range(400):
            connection.sendall(text)
            time.sleep(pause)

    return answer


def say(text: bytes) -> object:
    return lambda connection: (connection.recv(1000), connection.sendall(text), time.sleep(0.05))


HEAD = b"HTTP/1.1 200 OK\r\n"
HOSTILE = {
    "silent": (lambda connection: time.sleep(20), "timeout"),
    "drips headers": (drip(b"HTTP/1.1 200 OK\r\nX: "), "timeout"),
    "drips one byte": (drip(b"H"), "timeout"),
    "drips a body": (lambda c: (c.sendall(HEAD + b"\r\n\xff\xd8\xff"), drip(b"x")(c)), "timeout"),  # type: ignore[operator]
    "endless body": (lambda c: (c.sendall(HEAD + b"\r\n\xff\xd8\xff"), drip(b"x" * 1_000_000, 0)(c)), "too_large"),  # type: ignore[operator]
    "21 MB declared": (say(HEAD + b"Content-Length: 22020096\r\n\r\n\xff\xd8\xff"), "too_large"),
    "short body": (say(HEAD + b"Content-Length: 100\r\n\r\n\xff\xd8\xff" + b"x" * 20), "truncated"),
    "closes at once": (lambda connection: None, "connect_failed"),
    "endless headers": (drip(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 2000, 0), "http_error"),
    "a page": (say(HEAD + b"Content-Length: 12\r\n\r\n<html></html>"), "not_an_image"),
    "negative length": (say(HEAD + b"Content-Length: -5\r\n\r\n" + PICTURE), "ok"),
    "nonsense": (say(b"\x00\x01\x02nonsense\r\n\r\n"), "http_error"),
    "endless chunk": (say(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"F" * 40), "truncated"),
    "gzip bomb": (
        say(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 12\r\n\r\n\x1f\x8b" + b"\0" * 10),
        "not_an_image",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_host_is_left_in_time(name: str) -> None:
    answer, code = HOSTILE[name]
    port = serve_raw(answer)
    allow = parse_allowances((f"127.0.0.1:{port}",))
    began = time.monotonic()
    got = code_of(f"http://127.0.0.1:{port}/a.jpg", allow=allow, total_timeout=0.8, read_timeout=0.5)
    assert got == code
    assert time.monotonic() - began < 2.0


@pytest.mark.parametrize("answer", [lambda connection: time.sleep(20), drip(b"\x16\x03\x03\x40\x00", 0.1)])
def test_tls_that_never_begins_is_left_in_time(answer: object) -> None:
    port = serve_raw(answer)
    allow = parse_allowances((f"127.0.0.1:{port}",))
    began = time.monotonic()
    code = code_of(f"https://127.0.0.1:{port}/a.jpg", allow=allow, total_timeout=1.0, read_timeout=0.8)
    assert code in {"timeout", "connect_failed"}
    assert time.monotonic() - began < 2.0


def test_many_addresses_that_swallow_connections_share_the_total_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four addresses at three seconds each would be more than the limit of one second."""
    places = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"93.184.216.{n}", 80)) for n in range(4)]

    def swallow(connection: socket.socket, place: object) -> None:
        time.sleep(min(connection.gettimeout() or 9, 9))
        raise TimeoutError

    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: places)
    monkeypatch.setattr(socket.socket, "connect", swallow)
    began = time.monotonic()
    assert code_of("http://public.test/ok.jpg", total_timeout=1.0, connect_timeout=0.6) == "timeout"
    assert time.monotonic() - began < 1.6


# --- S3 -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Access]:
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    old = {name: os.environ.get(name) for name in keys}
    os.environ.update(keys)
    client = boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1")
    for bucket in ("pictures", "secret"):
        client.create_bucket(Bucket=bucket)
        client.put_object(Bucket=bucket, Key="a.jpg", Body=PICTURE)
    client.put_object(Bucket="pictures", Key="page.jpg", Body=b"<html></html>")
    client.put_object(Bucket="pictures", Key="large.jpg", Body=b"\xff\xd8\xff" + b"x" * 21 * 1024 * 1024)
    yield S3Access(("pictures",), f"http://{host}:{port}", "us-east-1")
    server.stop()
    for name, value in old.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("s3://pictures/a.jpg", "ok"),
        ("S3://pictures/a.jpg", "ok"),
        ("s3://pictures/none.jpg", "not_found"),
        ("s3://pictures/page.jpg", "not_an_image"),
        ("s3://pictures/large.jpg", "too_large"),
        ("s3://pictures/", "url_invalid"),
        ("s3://pictures", "url_invalid"),
        ("s3://secret/a.jpg", "address_refused"),
        ("s3://nosuchbucket/a.jpg", "address_refused"),
        ("s3://PICTURES/a.jpg", "address_refused"),
        ("s3://pictures:80/a.jpg", "address_refused"),
        ("s3://user@pictures/a.jpg", "url_invalid"),
        ("s3://pictures/../secret/a.jpg", "url_invalid"),
        ("s3://pictures/x/../../secret/a.jpg", "url_invalid"),
        ("s3://pictures/%2e%2e/secret/a.jpg", "not_found"),
        ("s3://arn:aws:s3:::secret/a.jpg", "url_invalid"),
    ],
)
def test_only_the_named_buckets_are_open(url: str, code: str, s3: S3Access) -> None:
    try:
        fetch_image(url, FetchPolicy(s3=s3))
        got = "ok"
    except FetchError as error:
        got = error.code
    assert got == code
