"""The fetcher against a hostile host on loopback, and against addresses that no picture needs."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from PIL import Image

from labeling_platform.lib.images import FetchError, FetchPolicy, check_url, fetch_image, inspect_image, thumbnail
from labeling_platform.lib.urls import parse_allowances


def picture(kind: str = "JPEG", size: tuple[int, int] = (40, 30), mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, 128 if mode == "L" else (10, 200, 30, 0)[: len(mode)]).save(out, kind)
    return out.getvalue()


class Hostile(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: list[str] = []

    def log_message(self, *args: object) -> None:
        pass

    def _send(self, body: bytes, status: int = 200, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.seen.append(self.path)
        getattr(self, "get_" + self.path.strip("/").partition(".")[0])()

    def get_ok(self) -> None:
        self._send(picture())

    def get_png(self) -> None:
        self._send(picture("PNG"))

    def get_missing(self) -> None:
        self._send(b"no", 404)

    def get_closed(self) -> None:
        self._send(b"no", 403)

    def get_busy(self) -> None:
        self._send(b"no", 503)

    def get_html(self) -> None:
        self._send(b"<html>hello, this is a page</html>")

    def get_text(self) -> None:
        self._send(b"just a text file that calls itself a picture")

    def get_declared(self) -> None:
        self._send(b"\xff\xd8\xff", length=21 * 1024 * 1024)

    def get_endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"\xff\xd8\xff")
        try:
            while True:
                self.wfile.write(b"x" * 65536)
        except OSError:
            self.close_connection = True

    def get_private(self) -> None:
        self._send(b"", 302, Location="http://10.0.0.1/ok.jpg")

    def get_file(self) -> None:
        self._send(b"", 302, Location="file:///etc/passwd")

    def get_hop(self) -> None:
        self._send(b"", 302, Location="/ok.jpg")

    def get_loop(self) -> None:
        self._send(b"", 302, Location="/loop.jpg")

    def get_short(self) -> None:
        self._send(picture()[:50], length=500)
        self.close_connection = True

    def get_drip(self) -> None:
        try:
            for _ in range(200):
                self.wfile.write(b"H")
                time.sleep(0.1)
        except OSError:
            self.close_connection = True

    def get_cut(self) -> None:
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            for _ in range(200):
                self.wfile.write(b"\xff\xd8\xff\xe0")
                time.sleep(0.1)
        except OSError:
            pass


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hostile)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def policy_for(host: str, **limits: float) -> FetchPolicy:
    return FetchPolicy(allow=parse_allowances((host.removeprefix("http://"),)), **limits)


def code_of(url: str, policy: FetchPolicy) -> str:
    with pytest.raises(FetchError) as caught:
        fetch_image(url, policy)
    return caught.value.code


@pytest.mark.parametrize(("name", "kind"), [("ok.jpg", "JPEG"), ("png.png", "PNG"), ("hop.jpg", "JPEG")])
def test_fetches_a_picture(host: str, name: str, kind: str) -> None:
    image = fetch_image(f"{host}/{name}", policy_for(host))
    assert (image.format, image.width, image.height, len(image.content_hash)) == (kind, 40, 30, 64)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("missing.jpg", "not_found"),
        ("closed.jpg", "forbidden"),
        ("busy.jpg", "server_busy"),
        ("html.jpg", "not_an_image"),
        ("text.jpg", "not_an_image"),
        ("declared.jpg", "too_large"),
        ("endless.jpg", "too_large"),
        ("private.jpg", "address_refused"),
        ("file.jpg", "scheme_not_allowed"),
        ("loop.jpg", "too_many_redirects"),
        ("short.jpg", "truncated"),
    ],
)
def test_a_bad_answer_is_named(host: str, name: str, code: str) -> None:
    assert code_of(f"{host}/{name}", policy_for(host)) == code


@pytest.mark.parametrize("name", ["drip.jpg", "cut.jpg"])
def test_slow_drips_end_at_the_total_time(host: str, name: str) -> None:
    began = time.monotonic()
    assert code_of(f"{host}/{name}", policy_for(host, total_timeout=0.7)) == "timeout"
    assert time.monotonic() - began < 2.0


def test_the_allowance_names_the_port(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        assert code_of(f"http://127.0.0.1:{other.getsockname()[1]}/ok.jpg", policy_for(host)) == "address_refused"


def test_a_closed_port_is_unreachable(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        free = probe.getsockname()[1]
    policy = FetchPolicy(allow=parse_allowances(("127.0.0.1",)))
    assert code_of(f"http://127.0.0.1:{free}/ok.jpg", policy) == "connect_failed"


REFUSED = [
    "http://127.0.0.1/a.jpg", "http://localhost/a.jpg", "http://2130706433/a.jpg", "http://0x7f000001/a.jpg",
    "http://0177.0.0.1/a.jpg", "http://127.1/a.jpg", "http://0/a.jpg", "http://[::1]/a.jpg",
    "http://[::ffff:127.0.0.1]/a.jpg", "http://[::ffff:7f00:1]/a.jpg", "http://[fe80::1]/a.jpg",
    "http://[fc00::1]/a.jpg", "http://[2002:7f00:1::]/a.jpg", "http://[64:ff9b::7f00:1]/a.jpg",
    "http://169.254.169.254/latest/meta-data", "http://100.100.100.200/a.jpg", "http://10.0.0.1/a.jpg",
    "http://192.168.1.1/a.jpg", "http://172.16.0.1/a.jpg", "http://0.0.0.0/a.jpg", "http://224.0.0.1/a.jpg",
    "http://255.255.255.255/a.jpg", "http://198.18.0.1/a.jpg", "http://8.8.8.8:22/a.jpg", "http://8.8.8.8:6379/a.jpg",
    "file:///etc/passwd", "gopher://8.8.8.8/", "ftp://8.8.8.8/a.jpg", "data:image/png;base64,AAAA",
    "http://user:pw@8.8.8.8/a.jpg", "http://a@8.8.8.8/", "http:///a.jpg", "http://a b/c.jpg", "http://a\\b/c.jpg",
    "http://exa\nmple/", "//8.8.8.8/a.jpg", "http://8.8.8.8:99999/a.jpg", "s3://secret-bucket/a.jpg", "nonsense", "",
]  # fmt: skip


@pytest.mark.parametrize("url", REFUSED)
def test_refused_addresses_are_never_connected(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connects: list[object] = []
    monkeypatch.setattr(socket.socket, "connect", lambda *place: connects.append(place))
    assert code_of(url, FetchPolicy()) in {"url_invalid", "scheme_not_allowed", "address_refused"}
    assert connects == []


@pytest.mark.parametrize("url", ["ftp://a/b.jpg", "a/b.jpg", "", "http://a b/", "javascript:alert(1)"])
def test_check_url_needs_no_lookup(url: str) -> None:
    with pytest.raises(FetchError):
        check_url(url)


@pytest.mark.parametrize("url", ["http://example.com/a.jpg", "https://example.com/a?b=c", "s3://bucket/key.png"])
def test_check_url_takes_good_ones(url: str) -> None:
    check_url(url)


def test_too_many_pixels_are_refused_before_decoding() -> None:
    out = io.BytesIO()
    Image.new("1", (16_000, 12_000)).save(out, "PNG")
    with pytest.raises(FetchError) as caught:
        inspect_image(out.getvalue())
    assert caught.value.code == "too_many_pixels"


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_thumbnail_is_a_small_jpeg(mode: str) -> None:
    small = Image.open(io.BytesIO(thumbnail(picture("PNG", (400, 200), mode), 100)))
    assert (small.format, small.mode, small.size) == ("JPEG", "RGB", (100, 50))


def test_thumbnail_of_a_damaged_picture() -> None:
    with pytest.raises(FetchError) as caught:
        thumbnail(picture(size=(300, 300))[:400], 100)
    assert caught.value.code == "decode_failed"
