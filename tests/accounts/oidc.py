"""A small OpenID Connect provider on loopback, for tests: real HTTP, real RS256 signatures, PKCE checked."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT, SECRET = "labeling", "a secret of the tests"


class Provider:
    """One provider. `person` is who is signed in there; `claims`, `key`, `broken` make its answers wrong."""

    def __init__(self, port: int = 0) -> None:
        self.key = self.own_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.person: dict[str, Any] = {"sub": "1", "email": "new@corp.example", "email_verified": True, "name": "New"}
        self.claims: dict[str, Any] = {}
        self.algorithm = "RS256"
        self.info: dict[str, Any] = {}
        self.broken: set[str] = set()
        self.asked: dict[str, dict[str, str]] = {}
        self.failures: list[str] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", port), handler_of(self))
        self.base = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """End it; twice changes nothing."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def app(self) -> dict[str, Any]:
        """The setting SOCIALACCOUNT_PROVIDERS for this provider."""
        app = {
            "provider_id": "sso",
            "name": "Corp",
            "client_id": CLIENT,
            "secret": SECRET,
            "settings": {"server_url": self.base},
        }
        return {"sso": {"APPS": [app]}}

    def configuration(self) -> dict[str, Any]:
        ends = {"authorization": "authorize", "token": "token", "userinfo": "userinfo"}
        return {
            "issuer": self.base,
            **{f"{name}_endpoint": f"{self.base}/{path}" for name, path in ends.items()},
            "jwks_uri": f"{self.base}/jwks",
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
        }

    def jwks(self) -> dict[str, Any]:
        public = jwt.algorithms.RSAAlgorithm.to_jwk(self.own_key.public_key(), as_dict=True)
        return {"keys": [public | {"kid": "k1", "alg": "RS256", "use": "sig"}]}

    def token(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        asked = self.asked.pop(form.get("code", ""), None)
        wanted = (form.get("client_id"), form.get("client_secret"))
        if asked is None or wanted != (CLIENT, SECRET) or form.get("redirect_uri") != asked["redirect_uri"]:
            self.failures.append("token request")
            return 400, {"error": "invalid_grant"}
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != asked.get("code_challenge"):
            self.failures.append("PKCE")
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {"iss": self.base, "aud": CLIENT, "iat": now, "exp": now + 60, "nonce": asked.get("nonce")}
        claims |= self.person | self.claims
        claims = {name: value for name, value in claims.items() if value is not None}
        key: Any = SECRET if self.algorithm == "HS256" else None if self.algorithm == "none" else self.key
        signed = jwt.encode(claims, key, algorithm=self.algorithm, headers={"kid": "k1"})
        return 200, {"access_token": "at", "token_type": "Bearer", "expires_in": 60, "id_token": signed}

    def authorize(self, query: dict[str, str]) -> str:
        code = secrets.token_urlsafe(8)
        self.asked[code] = query
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"


def handler_of(provider: Provider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self, status: int, content: dict[str, Any] | bytes, **headers: str) -> None:
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            given = {"Content-Type": "application/json", "Content-Length": str(len(body))} | headers
            for name, value in given.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            name = parts.path.rsplit("/", maxsplit=1)[-1]
            if name in provider.broken:
                self.answer(503, b"<h1>Down</h1>")
            elif name == "authorize":
                self.answer(302, b"", Location=provider.authorize(query))
            elif name == "userinfo":
                self.answer(200, provider.person | provider.info)
            elif name == "jwks":
                self.answer(200, provider.jwks())
            else:
                self.answer(200, provider.configuration())

        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["Content-Length"])).decode()
            if "token" in provider.broken:
                self.answer(503, b"<h1>Down</h1>")
            else:
                self.answer(*provider.token({name: values[0] for name, values in parse_qs(text).items()}))

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    return Handler
