"""A little internet on loopback: a DNS server that speaks UDP, a resolver that asks it, hosts with and without TLS."""

from __future__ import annotations

import datetime
import io
import ipaddress
import socket
import ssl
import struct
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from PIL import Image

from .cases import ZONE

A, AAAA = 1, 28


def jpeg() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (10, 200, 30)).save(out, "JPEG")
    return out.getvalue()


PICTURE = jpeg()


class Names(threading.Thread):
    """A DNS server: answers from ZONE, the first question for a name by its first line, and so on. TTL is 0."""

    def __init__(self, address: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, port))
        self.place = self.socket.getsockname()
        self.asked: Counter[tuple[str, int]] = Counter()

    def run(self) -> None:
        while True:
            try:
                packet, client = self.socket.recvfrom(512)
            except OSError:
                return
            self.socket.sendto(self.answer(packet), client)

    def answer(self, packet: bytes) -> bytes:
        name, end = _name(packet, 12)
        kind = struct.unpack(">H", packet[end : end + 2])[0]
        lines = ZONE.get(name.lower())
        found = []
        if lines:
            texts = lines[min(self.asked[name.lower(), kind], len(lines) - 1)]
            wanted = {A: 4, AAAA: 6}.get(kind)
            found = [ipaddress.ip_address(text) for text in texts]
            found = [address for address in found if address.version == wanted]
        self.asked[name.lower(), kind] += 1
        head = struct.pack(
            ">HHHHHH", *struct.unpack(">H", packet[:2]), 0x8180 if lines else 0x8183, 1, len(found), 0, 0
        )
        records = b"".join(
            struct.pack(">HHHIH", 0xC00C, kind, 1, 0, len(address.packed)) + address.packed for address in found
        )
        return head + packet[12 : end + 4] + records


def _name(packet: bytes, place: int) -> tuple[str, int]:
    parts = []
    while length := packet[place]:
        if length >= 0xC0:
            return ".".join(parts), place + 2
        parts.append(packet[place + 1 : place + 1 + length].decode("latin-1"))
        place += length + 1
    return ".".join(parts), place + 1


def ask(server: tuple[str, int], name: str, kind: int) -> list[str]:
    """One real question over UDP; the addresses of the answer."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".") if part)
    query = struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        connection.settimeout(2)
        connection.sendto(query, server)
        packet = connection.recv(512)
    _, place = _name(packet, 12)
    place += 4
    found = []
    for _ in range(struct.unpack(">H", packet[6:8])[0]):
        _, place = _name(packet, place)
        length = struct.unpack(">H", packet[place + 8 : place + 10])[0]
        found.append(str(ipaddress.ip_address(packet[place + 10 : place + 10 + length])))
        place += 10 + length
    return found


class Host(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, str]] = []
    """(own address that was connected to, path) of every request."""

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.seen.append((self.connection.getsockname()[0].removeprefix("::ffff:"), self.path))
        parts = urlsplit(self.path)
        if parts.path == "/go":
            self.send(302, b"", Location=parse_qs(parts.query)["to"][0])
        elif parts.path == "/circle":
            self.send(302, b"", Location="/circle")
        elif parts.path == "/empty-redirect":
            self.send(302, b"")
        elif parts.path == "/ok.jpg":
            self.send(200, PICTURE)
        else:
            self.send(404, b"")

    def send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Web(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: str, port: int, context: ssl.SSLContext | None = None) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.context = context
        super().__init__((address, port), Host)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.context is not None:
            try:
                request = self.context.wrap_socket(request, server_side=True)
            except (OSError, ssl.SSLError):
                return
        super().finish_request(request, client_address)


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for `name` signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


def server_context(paths: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*paths)
    return context
