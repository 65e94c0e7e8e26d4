"""A server that speaks Visual Recognition v3 as reference/watson.md 1 describes it, with switches for faults.

Only IBM's SDK talks to it. It keeps each request as it came. Its scores are canned: a picture it was trained on gets
0.9 for its class, any other picture numbers made of its bytes. They must not be taken for accuracy.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import ssl
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

HTML = b"<html><head><title>413 Request Entity Too Large</title></head><body>nginx</body></html>"
KEY = "the-key"


@dataclass
class Part:
    """One part of a multipart body, as it came."""

    name: str
    filename: str | None
    content_type: str | None
    data: bytes


@dataclass
class Recorded:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.target).query).items()}

    @property
    def parts(self) -> dict[str, Part]:
        return {part.name: part for part in parse_multipart(self.headers.get("content-type", ""), self.body)}


def parse_multipart(content_type: str, body: bytes) -> list[Part]:
    """The parts of a body; [] when the header names no boundary."""
    boundary = re.search(r'boundary="?([^";]+)', content_type)
    parts = []
    for piece in body.split(b"--" + boundary.group(1).encode())[1:-1] if boundary else []:
        head, _, data = piece[2:-2].partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        disposition = next(line for line in lines if line.lower().startswith("content-disposition"))
        kind = next((line.split(": ", 1)[1] for line in lines if line.lower().startswith("content-type")), None)
        name = re.search(r'\bname="([^"]*)"', disposition)
        filename = re.search(r'filename="([^"]*)"', disposition)
        assert name is not None
        parts.append(Part(name.group(1), filename.group(1) if filename else None, kind, data))
    return parts


@dataclass
class Fault:
    """What happens to a request instead of, or after, its work.

    `work`: the request does its work first. `drop`: the connection is closed without an answer. `wait` seconds pass
    before the answer.
    """

    status: int = 500
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    work: bool = False
    drop: bool = False
    wait: float = 0.0


def json_fault(status: int, body: Any, **more: Any) -> Fault:
    return Fault(status, json.dumps(body).encode(), **more)


@dataclass
class Made:
    """A classifier of this server."""

    id: str
    name: str
    learned: dict[str, list[bytes]]
    negatives: list[bytes]
    headers: dict[str, str]
    number: int
    polls: int = 0


@dataclass
class WireServer:
    """The state of the server and its switches; `reset` puts all back."""

    url: str = ""
    requests: list[Recorded] = field(default_factory=list)
    made: dict[str, Made] = field(default_factory=dict)
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    number: int = 0
    # training
    polls_until_ready: int = 1
    status: str | None = None  # said instead of training and ready
    explanation: str | None = None
    # predicting
    change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]] | None = None  # of the images of an answer
    poison: set[bytes] = field(default_factory=set)  # pictures that spoil a whole request
    core_ml: bytes = b""
    # signing in
    auth: str = "none"  # none, basic, bearer
    opaque_token: bool = False
    token_seconds: int = 3600
    max_body: int | None = None

    def reset(self) -> None:
        fresh = WireServer(self.url)
        for name in vars(fresh):
            setattr(self, name, getattr(fresh, name))

    def fail(self, action: str, *faults: Fault) -> None:
        """The next requests of this kind (create, classify, list, get, update, delete, token) go wrong so."""
        self.faults.setdefault(action, []).extend(faults)

    def of(self, action: str) -> list[Recorded]:
        """The recorded requests of one kind."""
        return [request for request in self.requests if action_of(request) == action]


def action_of(request: Recorded) -> str:
    path = request.path.partition("/v3/")[2]
    if request.path.endswith("/identity/token"):
        return "token"
    if path == "classify":
        return "classify"
    if path == "user_data":
        return "erase"
    if path == "classifiers":
        return "create" if request.method == "POST" else "list"
    if path.endswith("/core_ml_model"):
        return "core_ml"
    return {"GET": "get", "POST": "update", "DELETE": "delete"}[request.method]


class Refusal(Exception):
    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(status)
        self.status, self.body = status, body


def refuse_a(status: int, text: str) -> Refusal:
    return Refusal(status, {"code": status, "error": text})


def refuse_b(status: int, text: str, error_id: str) -> Refusal:
    return Refusal(status, {"error": {"code": status, "description": text, "error_id": error_id}})


def pictures_in(data: bytes) -> dict[str, bytes]:
    """The pictures of a zip by their path; folders, Mac debris and dot files do not count."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {
                info.filename: archive.read(info)
                for info in archive.infolist()
                if not info.is_dir()
                and not info.filename.startswith("__MACOSX/")
                and not info.filename.rpartition("/")[2].startswith(".")
            }
    except zipfile.BadZipFile as error:
        raise refuse_a(400, "Cannot execute learning task: the examples are no valid zip file") from error


class Work:
    """What requests do."""

    def __init__(self, server: WireServer) -> None:
        self.server = server

    def create(self, request: Recorded) -> tuple[int, Any]:
        name = request.parts["name"].data.decode()
        learned = {
            part.name.removesuffix("_positive_examples"): list(pictures_in(part.data).values())
            for part in request.parts.values()
            if part.name.endswith("_positive_examples")
        }
        negatives = request.parts.get("negative_examples")
        made = Made(
            "", name, learned, list(pictures_in(negatives.data).values()) if negatives else [], request.headers, 0
        )
        sets = [*learned.values(), *([made.negatives] if negatives else [])]
        if len(sets) < 2 or min(len(one) for one in sets) < 10:
            raise refuse_a(400, "Cannot execute learning task: verify there are at least 10 images in each set")
        self.server.number += 1
        made.number = self.server.number
        made.id = f"{name.replace(' ', '')}_{made.number:010}"
        self.server.made[made.id] = made
        return 200, self.shown(made, "training")

    def shown(self, made: Made, status: str, *, verbose: bool = True) -> dict[str, Any]:
        status = self.server.status or status
        if not verbose:
            return {"classifier_id": made.id, "name": made.name, "status": status}
        when = f"2019-03-01T12:00:{made.number % 60:02}.000Z"
        shown = {
            "classifier_id": made.id,
            "name": made.name,
            "owner": "2a4b3c1d-0000-4000-8000-000000000000",
            "status": status,
            "core_ml_enabled": False,
            "created": when,
            "updated": when,
            "classes": [{"class": name} for name in sorted(made.learned, reverse=True)],
        }
        return shown | ({"explanation": self.server.explanation} if self.server.explanation else {})

    def _known(self, request: Recorded) -> Made:
        made = self.server.made.get(unquote(request.path.rpartition("/")[2]))
        if made is None:
            raise refuse_a(404, "Classifier does not exist")
        return made

    def _status(self, made: Made) -> str:
        return "ready" if made.polls >= self.server.polls_until_ready else "training"

    def get(self, request: Recorded) -> tuple[int, Any]:
        made = self._known(request)
        made.polls += 1
        return 200, self.shown(made, self._status(made))

    def list(self, request: Recorded) -> tuple[int, Any]:
        verbose = request.query.get("verbose") == "true"
        made = reversed(list(self.server.made.values()))
        return 200, {"classifiers": [self.shown(one, self._status(one), verbose=verbose) for one in made]}

    def delete(self, request: Recorded) -> tuple[int, Any]:
        del self.server.made[self._known(request).id]
        return 200, {}

    def erase(self, request: Recorded) -> tuple[int, Any]:
        return 202, {}

    def core_ml(self, request: Recorded) -> tuple[int, Any]:
        made = self.server.made.get(unquote(request.path.split("/")[-2]))
        if made is None:
            raise refuse_a(404, "Classifier does not exist")
        return 200, self.server.core_ml

    def classify(self, request: Recorded) -> tuple[int, Any]:
        if "images_file" not in request.parts:
            raise refuse_b(400, "No images were specified.", "parameter_error")
        part = request.parts["images_file"]
        ids = [one for one in self._text(request, "classifier_ids", "default").split(",") if one in self.server.made]
        if not ids:
            body = {"code": 400, "description": "No valid classifier IDs were given."}
            raise Refusal(400, {"images": [{"error": body, "image": part.filename}], "images_processed": 0})
        threshold = float(self._text(request, "threshold", "0.5"))
        if part.data.startswith(b"PK"):
            pictures = {f"{part.filename}/{name}": data for name, data in pictures_in(part.data).items()}
        else:
            pictures = {str(part.filename): part.data}
        if len(pictures) > 20:
            raise refuse_b(400, "Too many images in collection", "limit_exceeded")
        if self.server.poison & set(pictures.values()):
            raise refuse_b(400, "The zip file is corrupt.", "input_error")
        images = [
            {"classifiers": [self._scored(self.server.made[one], data, threshold) for one in ids], "image": name}
            for name, data in pictures.items()
        ]
        images.reverse()  # the order of the zip was never kept
        if self.server.change is not None:
            images = self.server.change(images)
        classes = sum(len(self.server.made[one].learned) for one in ids)
        return 200, {"images": images, "images_processed": len(pictures), "custom_classes": classes}

    @staticmethod
    def _text(request: Recorded, name: str, default: str) -> str:
        part = request.parts.get(name)
        return part.data.decode() if part else default

    @staticmethod
    def _scored(made: Made, data: bytes, threshold: float) -> dict[str, Any]:
        scores = {
            name: 0.9 if data in learned else hashlib.sha256(data + name.encode()).digest()[0] / 255 * 0.6
            for name, learned in made.learned.items()
        }
        if data in made.negatives:
            scores = dict.fromkeys(scores, 0.05)
        classes = [
            {"class": name, "score": round(score, 3)} for name, score in scores.items() if round(score, 3) >= threshold
        ]
        return {"classifier_id": made.id, "name": made.name, "classes": classes}

    def token(self, request: Recorded) -> tuple[int, Any]:
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if form.get("apikey") != KEY:
            return 400, {"errorCode": "BXNIM0415E", "errorMessage": "Provided API key could not be found."}
        token = "opaque" if self.server.opaque_token else self.jwt()
        return 200, {"access_token": token, "expires_in": self.server.token_seconds, "token_type": "Bearer"}

    def jwt(self) -> str:
        now = int(time.time())
        pieces = [{"alg": "RS256", "typ": "JWT"}, {"iat": now, "exp": now + self.server.token_seconds}]
        coded = [base64.urlsafe_b64encode(json.dumps(piece).encode()).rstrip(b"=").decode() for piece in pieces]
        return ".".join([*coded, "c2lnbmF0dXJl"])

    def check_auth(self, request: Recorded) -> None:
        sent = request.headers.get("authorization", "")
        basic = "Basic " + base64.b64encode(f"apikey:{KEY}".encode()).decode()
        if self.server.auth == "basic" and sent != basic:
            raise refuse_a(401, "Unauthorized")
        if self.server.auth == "bearer" and not (sent == f"Bearer {KEY}" or sent.startswith("Bearer eyJ")):
            raise refuse_a(401, "Unauthorized")


def _handler(server: WireServer) -> type[BaseHTTPRequestHandler]:
    work, lock = Work(server), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or each answer waits 40 ms for the client's acknowledgement

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Recorded(self.command, self.path, headers, body)
            action = action_of(request)
            with lock:
                server.requests.append(request)
                waiting = server.faults.get(action, [])
                fault = waiting.pop(0) if waiting else None
                status, shown = self.work(action, request) if fault is None or fault.work else (0, None)
            if fault is None and isinstance(shown, bytes):
                return self.send(status, shown, "application/octet-stream", {})
            if fault is None:
                return self.send(status, json.dumps(shown).encode(), "application/json", {})
            time.sleep(fault.wait)
            if fault.drop:
                self.close_connection = True
                return None
            return self.send(fault.status, fault.body, fault.content_type, fault.headers)

        def work(self, action: str, request: Recorded) -> tuple[int, Any]:
            try:
                if action != "token":
                    work.check_auth(request)
                if server.max_body is not None and len(request.body) > server.max_body:
                    return 413, {"code": 413, "error": "too large"}
                answered: tuple[int, Any] = getattr(work, action)(request)
            except Refusal as refusal:
                return refusal.status, refusal.body
            return answered

        def send(self, status: int, body: bytes, content_type: str, headers: dict[str, str]) -> None:
            try:
                self.send_response(status)
                for name, value in {"Content-Type": content_type, "Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                self.close_connection = True  # the client did not wait

        do_GET = do_POST = do_DELETE = answer

        def log_message(self, *args: object) -> None:
            pass

    return Handler


@contextmanager
def wire_server(tls: ssl.SSLContext | None = None) -> Iterator[WireServer]:
    """A running server on a free port of the loopback."""
    state = WireServer()
    listening = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    listening.daemon_threads = True
    if tls is not None:
        listening.socket = tls.wrap_socket(listening.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    state.url = f"{'https' if tls else 'http'}://127.0.0.1:{listening.server_address[1]}/visual-recognition/api"
    try:
        yield state
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()
