"""Pictures from addresses that customers give: fetched safely, checked, made small.

The fetcher resolves a name once, judges every answer and connects to the judged address, so that nothing
can change in between; redirects go through the same judgement. Design and attacks: reference/reliability.md C1, C2.
"""

from __future__ import annotations

import contextlib
import hashlib
import heapq
import io
import ipaddress
import itertools
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import urljoin

import urllib3
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from PIL import Image, ImageOps, UnidentifiedImageError
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.response import BaseHTTPResponse

from labeling_platform.lib.urls import (
    MAX_URL,
    ORDINARY,
    REFUSED_ADDRESS,
    Allowance,
    Target,
    UrlRefused,
    bucket_and_key,
    may_connect,
    may_use_port,
    parse_allowances,
    parse_target,
    split_url,
    target_of,
)

MAX_BYTES = 20 * 1024 * 1024
MAX_PIXELS = 40_000_000
MAX_SIDE = 16_384
MAX_REDIRECTS = 3
CHUNK = 64 * 1024
FORMATS = {"JPEG": b"\xff\xd8\xff", "PNG": b"\x89PNG\r\n\x1a\n"}
USER_AGENT = "labeling-platform image fetcher"
_decoding = threading.BoundedSemaphore(2)


class FetchError(Exception):
    """A picture could not be had. `code` names the reason, `message` says it to people, `transient`: try again."""

    def __init__(self, code: str, message: str, *, transient: bool = False) -> None:
        super().__init__(message)
        self.code, self.message, self.transient = code, message, transient


def _failure(code: str) -> FetchError:
    message, transient = FAILURES[code]
    return FetchError(code, message, transient=transient)


FAILURES = {
    "address_refused": (REFUSED_ADDRESS, False),
    "not_found": ("There is nothing at this address (404).", False),
    "forbidden": ("The host does not allow us to see this picture (401 or 403).", False),
    "http_error": ("The host answered with an error instead of a picture.", False),
    "server_busy": ("The host had a problem of its own or was too busy.", True),
    "too_large": ("The picture is larger than 20 MB.", False),
    "not_an_image": ("This is not a JPG or PNG picture.", False),
    "truncated": ("The picture arrived incomplete.", True),
    "timeout": ("The host did not deliver the picture in time.", True),
    "connect_failed": ("The host could not be reached, or it is not one of the open internet.", True),
    "too_many_redirects": ("The address redirects too often.", False),
    "bad_redirect": ("The address redirects to a place that may not be used.", False),
    "too_many_pixels": ("The picture has too many pixels (at most 40 million, 16,384 a side).", False),
    "decode_failed": ("The picture is damaged and cannot be read.", False),
}


@dataclass(frozen=True)
class S3Access:
    """Where s3:// pictures come from; only the named buckets are open."""

    buckets: tuple[str, ...] = ()
    endpoint_url: str | None = None
    region: str | None = None


@dataclass(frozen=True)
class FetchPolicy:
    """Limits of one fetch: seconds and bytes, and the private addresses that are allowed all the same."""

    allow: tuple[Allowance, ...] = ()
    max_bytes: int = MAX_BYTES
    connect_timeout: float = 3.0
    read_timeout: float = 5.0
    total_timeout: float = 20.0
    s3: S3Access = field(default_factory=S3Access)


@dataclass(frozen=True)
class FetchedImage:
    """A picture that was fetched and whose header was checked. `content_hash` is the SHA-256 of `data`, hex."""

    data: bytes
    content_hash: str
    format: str
    width: int
    height: int


def policy_from_settings() -> FetchPolicy:
    """The policy of this installation (the settings IMAGE_..., S3_ENDPOINT_URL, S3_REGION)."""
    return _policy(
        tuple(settings.IMAGE_FETCH_ALLOW),
        settings.IMAGE_FETCH_SECONDS,
        S3Access(tuple(settings.IMAGE_S3_BUCKETS), settings.S3_ENDPOINT_URL, settings.S3_REGION),
    )


@lru_cache(maxsize=8)
def _policy(allow: tuple[str, ...], seconds: float, s3: S3Access) -> FetchPolicy:
    return FetchPolicy(allow=parse_allowances(allow), total_timeout=seconds, s3=s3)


def check_url(url: str) -> None:
    """Check a picture's URL for syntax and scheme, without any lookup. Raises FetchError."""
    if len(url) <= MAX_URL and ORDINARY.fullmatch(url):
        return
    try:
        parts = split_url(url)
        if parts.scheme.lower() == "s3":
            bucket_and_key(url)
        else:
            target_of(parts)
    except UrlRefused as error:
        raise FetchError(error.code, error.message) from error


def fetch_image(url: str, policy: FetchPolicy) -> FetchedImage:
    """Fetch a picture over http(s) or from S3. Raises FetchError with one of a dozen codes."""
    check_url(url)
    data = _fetch_s3(url, policy) if url[:5].lower() == "s3://" else _fetch_http(url, policy)
    kind, width, height = inspect_image(data)
    return FetchedImage(data, hashlib.sha256(data).hexdigest(), kind, width, height)


# --- http -----------------------------------------------------------------------------------------------


class _Deadline:
    """Ends a fetch after so many seconds by shutting its socket: slow drips cannot outlive it."""

    def __init__(self, seconds: float) -> None:
        self.passed = False
        self._socket: socket.socket | None = None
        self._over = False
        self._when = time.monotonic() + seconds
        _watchdog.watch(self, self._when)

    def left(self) -> float:
        """Seconds until then. Raises FetchError when there are none."""
        left = self._when - time.monotonic()
        if self.passed or left <= 0:
            raise _failure("timeout")
        return left

    def watch(self, connection: socket.socket) -> None:
        self._socket = connection

    def end(self) -> None:
        """The time is up."""
        if self._over:
            return
        self.passed = True
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def cancel(self) -> None:
        self._over, self._socket = True, None


class _Watchdog:
    """One thread for all deadlines of a process: a timer of its own for every picture costs more than its fetch."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._heap: list[tuple[float, int, _Deadline]] = []
        self._count = itertools.count()
        self._thread: threading.Thread | None = None

    def watch(self, deadline: _Deadline, when: float) -> None:
        with self._changed:
            heapq.heappush(self._heap, (when, next(self._count), deadline))
            if self._thread is None or not self._thread.is_alive():  # the first fetch, also after a fork
                self._thread = threading.Thread(target=self._run, name="fetch-deadlines", daemon=True)
                self._thread.start()
            elif self._heap[0][2] is deadline:
                self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._heap or self._heap[0][0] > time.monotonic():
                    self._changed.wait(self._heap[0][0] - time.monotonic() if self._heap else None)
                _, _, deadline = heapq.heappop(self._heap)
            deadline.end()


_watchdog = _Watchdog()


def _look_up(target: Target, seconds: float) -> list[Any]:
    """The addresses of a host. The system's resolver knows no limit of time, so a thread waits for it."""
    found: list[Any] = []

    def ask() -> None:
        with contextlib.suppress(OSError, UnicodeError):
            found.extend(socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM))

    if target.says_where:
        ask()
    else:
        asking = threading.Thread(target=ask, name="fetch-lookup", daemon=True)
        asking.start()
        asking.join(seconds)
        if asking.is_alive():
            raise _failure("timeout")
    if not found:
        raise _failure("address_refused" if target.says_where else "connect_failed")
    return found


class _JudgedConnection(HTTPConnection):
    """Connects only to an address that was judged, and to the very one that was."""

    target: Target
    policy: FetchPolicy
    deadline: _Deadline

    def _new_conn(self) -> socket.socket:
        if not may_use_port(self.target, self.policy.allow):
            raise _failure("address_refused")
        answers = _look_up(self.target, self.deadline.left())
        # One bad answer among good ones is an attack or a broken set-up; refuse all.
        for *_, place in answers:
            if not may_connect(self.target, ipaddress.ip_address(place[0]), self.policy.allow):
                # Of a name, no word may tell whether it exists inside our network.
                raise _failure("address_refused" if self.target.says_where else "connect_failed")
        for family, kind, protocol, _, place in answers[:4]:
            patience = min(self.policy.connect_timeout, self.deadline.left())
            connection = socket.socket(family, kind, protocol)
            connection.settimeout(patience)
            self.deadline.watch(connection)
            try:
                connection.connect(place)
            except OSError:
                connection.close()
                continue
            connection.settimeout(self.policy.read_timeout)
            return connection
        raise _failure("connect_failed")


class _JudgedTlsConnection(_JudgedConnection, HTTPSConnection):
    """The same with TLS; the certificate must be the original name's."""


class _Kept(threading.local):
    """One connection per host and thread, kept for the next picture of the same host."""

    def __init__(self) -> None:
        self.connections: dict[tuple[str, str, int, FetchPolicy], _JudgedConnection] = {}

    def take(self, key: tuple[str, str, int, FetchPolicy]) -> _JudgedConnection | None:
        return self.connections.pop(key, None)

    def give(self, key: tuple[str, str, int, FetchPolicy], connection: _JudgedConnection) -> None:
        while len(self.connections) >= 4:
            self.connections.pop(next(iter(self.connections))).close()
        self.connections[key] = connection


_kept = _Kept()


def _fetch_http(url: str, policy: FetchPolicy) -> bytes:
    deadline = _Deadline(policy.total_timeout)
    try:
        for _ in range(MAX_REDIRECTS + 1):
            deadline.left()
            answer = _get(url, policy, deadline)
            if isinstance(answer, bytes):
                return answer
            if url.lower().startswith("https:") and answer.lower().startswith("http:"):
                raise _failure("bad_redirect")
            url = answer
        raise _failure("too_many_redirects")
    finally:
        deadline.cancel()


def _get(url: str, policy: FetchPolicy, deadline: _Deadline) -> bytes | str:
    """One request: the body, or the address it redirects to."""
    try:
        target = parse_target(url)
    except UrlRefused as error:
        raise FetchError(error.code, error.message) from error
    key = (target.scheme, target.host, target.port, policy)
    connection = _kept.take(key)
    if connection is not None:
        try:
            return _exchange(connection, key, target, deadline)
        except FetchError as error:
            # A kept connection may have been closed by the host meanwhile; that is no fault of the picture.
            if error.code not in {"connect_failed", "truncated"} or deadline.passed:
                raise
    kind = _JudgedTlsConnection if target.scheme == "https" else _JudgedConnection
    fresh = kind(target.host, target.port, timeout=policy.connect_timeout)
    fresh.target, fresh.policy = target, policy
    return _exchange(fresh, key, target, deadline)


def _exchange(
    connection: _JudgedConnection, key: tuple[str, str, int, FetchPolicy], target: Target, deadline: _Deadline
) -> bytes | str:
    headers = {"Accept": "image/jpeg,image/png", "Accept-Encoding": "identity", "User-Agent": USER_AGENT}
    clean = False
    connection.deadline = deadline
    try:
        if connection.sock is None:
            connection.connect()
        # Kept here because http.client lets go of the socket when an answer has no declared length.
        deadline.watch(connection.sock)
        connection.request("GET", target.path, headers=headers, preload_content=False, decode_content=False)
        response = connection.getresponse()
        answer = _read(response, target, connection.policy, deadline)
        clean = isinstance(answer, bytes) and response.headers.get("Connection", "").lower() != "close"
        return answer
    except FetchError:
        raise
    except (TimeoutError, urllib3.exceptions.TimeoutError) as error:
        raise _failure("timeout") from error
    except (urllib3.exceptions.ProtocolError, urllib3.exceptions.IncompleteRead) as error:
        raise _failure("timeout" if deadline.passed else "truncated") from error
    except (OSError, urllib3.exceptions.HTTPError, ValueError) as error:
        raise _failure("timeout" if deadline.passed else "connect_failed") from error
    except Exception as error:  # http.client raises bare exceptions for malformed answers
        raise _failure("timeout" if deadline.passed else "http_error") from error
    finally:
        if clean and not deadline.passed:
            _kept.give(key, connection)
        else:
            connection.close()


def _read(response: BaseHTTPResponse, target: Target, policy: FetchPolicy, deadline: _Deadline) -> bytes | str:
    status = response.status
    if status in {301, 302, 303, 307, 308}:
        place = response.headers.get("Location")
        if not place:
            raise _failure("http_error")
        origin = f"{target.scheme}://{target.host}:{target.port}{target.path}"
        return urljoin(origin, place)
    if status != 200:
        raise _failure(_status_code(status))
    declared = response.headers.get("Content-Length", "")
    if declared.isdigit() and int(declared) > policy.max_bytes:
        raise _failure("too_large")
    body = bytearray()
    for piece in _pieces(response):
        body += piece
        if len(body) > policy.max_bytes:
            raise _failure("too_large")
        if len(body) >= 8 and not bytes(body[:8]).startswith(tuple(FORMATS.values())):
            raise _failure("not_an_image")
        if deadline.passed:
            raise _failure("timeout")
    if deadline.passed:
        # A body without a declared length that we cut ourselves looks complete; it is not.
        raise _failure("timeout")
    if declared.isdigit() and len(body) != int(declared):
        raise _failure("truncated")
    return bytes(body)


def _pieces(response: BaseHTTPResponse) -> Iterator[bytes]:
    while piece := response.read(CHUNK, decode_content=False):
        yield piece


def _status_code(status: int) -> str:
    if status in {404, 410}:
        return "not_found"
    if status in {401, 403}:
        return "forbidden"
    return "server_busy" if status == 429 or status >= 500 else "http_error"


# --- S3 -------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4)
def _s3_client(access: S3Access) -> Any:
    import boto3  # here: it takes a quarter of a second, and most installations read no bucket
    from botocore.config import Config

    config = Config(connect_timeout=2, read_timeout=10, retries={"mode": "standard", "max_attempts": 3})
    return boto3.client("s3", endpoint_url=access.endpoint_url, region_name=access.region, config=config)


def _fetch_s3(url: str, policy: FetchPolicy) -> bytes:
    bucket, key = bucket_and_key(url)
    if bucket not in policy.s3.buckets:
        raise FetchError("address_refused", f"Pictures may not be fetched from the bucket {bucket}.")
    try:
        answer = _s3_client(policy.s3).get_object(Bucket=bucket, Key=key)
        if answer["ContentLength"] > policy.max_bytes:
            raise _failure("too_large")
        began, body = time.monotonic(), bytearray()
        for piece in answer["Body"].iter_chunks(CHUNK):
            body += piece
            if time.monotonic() - began > policy.total_timeout:
                raise _failure("timeout")
        return bytes(body)
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        known = {"NoSuchKey": "not_found", "NoSuchBucket": "not_found", "404": "not_found", "AccessDenied": "forbidden"}
        raise _failure(known.get(code, "server_busy")) from error
    except BotoCoreError as error:
        raise _failure("connect_failed") from error


# --- pixels ---------------------------------------------------------------------------------------------


def open_image(data: bytes) -> Image.Image:
    """Open a JPG or PNG with its header checked; pixels are not decoded yet. Raises FetchError."""
    if not data.startswith(tuple(FORMATS.values())):
        raise _failure("not_an_image")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=list(FORMATS))
    except Image.DecompressionBombError as error:
        raise _failure("too_many_pixels") from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise _failure("decode_failed") from error
    width, height = image.size
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise _failure("too_many_pixels")
    return image


def inspect_image(data: bytes) -> tuple[str, int, int]:
    """Format (JPEG or PNG), width and height in pixels, from the header. Raises FetchError."""
    image = open_image(data)
    return str(image.format), image.width, image.height


def thumbnail(data: bytes, size: int) -> bytes:
    """Our own JPEG copy that fits into size x size pixels: upright, without metadata. Raises FetchError.

    It is made small before anything else is done with it, and few at a time: 40 million pixels take 160 MB.
    """
    image = open_image(data)
    try:
        with _decoding:
            image.draft("RGB", (size * 2, size * 2))
            if "transparency" in image.info:
                image = image.convert("RGBA")
            elif image.mode not in {"RGB", "RGBA", "L", "LA", "CMYK"}:
                image = image.convert("RGB")
            image.thumbnail((size, size), Image.Resampling.LANCZOS)
        image = ImageOps.exif_transpose(image)
        if image.mode in {"RGBA", "LA"}:
            layer = image.convert("RGBA")
            image = Image.new("RGB", layer.size, "white")
            image.paste(layer, mask=layer.getchannel("A"))
        image = image.convert("RGB")
        image.info.clear()  # a comment would be written along
        out = io.BytesIO()
        image.save(out, "JPEG", quality=85)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _failure("decode_failed") from error
    return out.getvalue()
