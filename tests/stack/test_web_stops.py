"""The web server that is told to stop answers what it is in the middle of."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time

from .test_stack import PROJECT, environment

BODY = b"csrfmiddlewaretoken=" + b"x" * 32 + b"y" * 32
HEAD = (
    b"POST /t/team/jobs/1/pause/ HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: csrftoken=" + b"a" * 32 + b"\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(BODY)
)


def connect(port: int) -> socket.socket:
    deadline = time.monotonic() + 30
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=20)
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_a_request_in_flight_is_answered(tmp_path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    env = environment() | {
        "SECRET_KEY": "x" * 50,
        "DATA_DIR": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "labeling_platform.settings_test",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "labeling_platform.wsgi", "--bind", f"127.0.0.1:{port}", "--worker-class",
         "gthread", "--workers", "2", "--threads", "8", "--graceful-timeout", "10", "--no-control-socket",
         "--reuse-port", "--preload"],
        env=env, cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with connect(port) as ready:
            ready.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            assert ready.recv(100).startswith(b"HTTP/1.1 200")  # alive, although there is no database
        with connect(port) as unready:
            unready.sendall(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            assert unready.recv(100).startswith(b"HTTP/1.1 503")
        with connect(port) as figures:
            figures.sendall(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            assert figures.recv(100).startswith(b"HTTP/1.1 503")
        with connect(port) as slow:
            slow.sendall(HEAD + BODY[:10])  # the view waits for the rest of the form
            time.sleep(1)
            os.kill(process.pid, signal.SIGTERM)
            time.sleep(1)
            slow.sendall(BODY[10:])
            assert slow.recv(100).startswith(b"HTTP/1.1 403")  # the token is wrong, and that is an answer
        assert process.wait(20) == 0
    finally:
        process.kill()
