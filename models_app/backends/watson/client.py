"""One connection's client: IBM's SDK without its surprises (traps of reference/watson.md 1.3)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from ..base import AuthFailed, Misconfigured
from .connection import Connection
from .errors import NOT_THE_SERVICE, bad_credentials, translated

API_VERSION = "2018-03-19"
TIMEOUTS = {"create": (10, 600), "classify": (10, 120)}
OTHER_TIMEOUT = (10, 30)
MAX_ANSWER = 32_000_000

_authenticators: dict[Connection, Any] = {}
_authenticators_lock = threading.Lock()


class OldToken(Exception):
    """The service refused a token that we had from earlier."""


class Client:
    """Sends one request at a time and returns plain data. The session belongs to the thread that made it."""

    def __init__(self, connection: Connection, gate: Callable[[], AbstractContextManager[object]]) -> None:
        self.connection, self.gate = connection, gate
        self._kept = threading.local()

    def call(self, action: str, method: str, **arguments: Any) -> dict[str, Any]:
        """The SDK's method of that name; the answer's JSON object, {} for an empty one. Raises as errors.translated."""
        self._kept.sent = False
        with self.gate():
            try:
                result = self._send(action, method, arguments, again=False)
            except OldToken:
                _rewind(arguments)
                result = self._send(action, method, arguments, again=True)
        if result is None:
            return {}
        if not isinstance(result, dict):
            if action == "delete":
                return {}  # old servers answer with an empty or untyped body
            raise Misconfigured(NOT_THE_SERVICE, code="not_the_service")
        return result

    def _send(self, action: str, method: str, arguments: dict[str, Any], *, again: bool) -> Any:
        """One request. Raises OldToken when it is refused for the first time and with a token of earlier.

        A token may end before its time, when its maker starts anew with another key; the connection is not broken.
        """
        service = self._service()
        fresh = self._sign_in(service)
        self._kept.sent = True
        timeout = TIMEOUTS.get(action, OTHER_TIMEOUT)
        try:
            with translated(action):
                return getattr(service, method)(**arguments, timeout=timeout, allow_redirects=False).get_result()
        except AuthFailed as error:
            if fresh is None:
                raise
            self._forget()
            if fresh or again:
                raise
            raise OldToken from error

    @property
    def sent(self) -> bool:
        """Did this thread's last call come as far as its request, past the gate and the token service?"""
        return bool(getattr(self._kept, "sent", False))

    def _service(self) -> Any:
        service = getattr(self._kept, "service", None)
        if service is None:
            service = self._kept.service = _make_service(self.connection)
        return service

    def _forget(self) -> None:
        forget(self.connection)
        self._kept.service = None

    def _sign_in(self, service: Any) -> bool | None:
        """Get the token before the request, so that the token service's troubles are told from the service's own.

        Returns whether it is a new one; None when none is needed. After a failure the authenticator is forgotten:
        it would make the next caller wait for up to a minute.
        """
        manager = getattr(service.authenticator, "token_manager", None)
        if manager is None:
            return None
        before = manager.access_token
        try:
            with translated("sign_in"):
                return bool(manager.get_token() != before)
        except Exception as error:
            self._forget()
            if type(error).__module__.partition(".")[0] == "jwt" or isinstance(error, (TypeError, AttributeError)):
                raise Misconfigured(
                    "The token service's answer has no token that says when it ends. Check its address.",
                    code="not_the_service",
                ) from error
            raise


def _rewind(arguments: dict[str, Any]) -> None:
    """Back to the start of every file that a first try has read."""
    for value in arguments.values():
        for file in value.values() if isinstance(value, dict) else [value]:
            if hasattr(file, "seek"):
                file.seek(0)


def forget(connection: Connection) -> None:
    """Drop the token of a connection."""
    with _authenticators_lock:
        _authenticators.pop(connection, None)


def _authenticator(connection: Connection) -> Any:
    """One per connection and process: it keeps the IAM token."""
    with _authenticators_lock:
        if connection not in _authenticators:
            _authenticators[connection] = _make_authenticator(connection)
        return _authenticators[connection]


def _make_authenticator(connection: Connection) -> Any:
    from ibm_cloud_sdk_core import authenticators as kinds

    secret = connection.secret
    if connection.auth != "none" and not secret:
        raise bad_credentials()
    try:
        if connection.auth == "iam":
            made = kinds.IAMAuthenticator(secret, url=connection.iam_url or None)
            made.token_manager.http_config = {"timeout": OTHER_TIMEOUT, "allow_redirects": False}
            return made
        if connection.auth == "basic":
            return kinds.BasicAuthenticator(connection.username or "apikey", secret)
        if connection.auth == "bearer":
            return kinds.BearerTokenAuthenticator(secret)
        if connection.auth == "none":
            return kinds.NoAuthAuthenticator()
    except ValueError as error:
        raise bad_credentials() from error
    raise Misconfigured(f"There is no way to sign in called “{connection.auth}”.", code="bad_credentials")


def _make_service(connection: Connection) -> Any:
    """A VisualRecognitionV3 that prints nothing and reads no environment, credential file, .netrc or redirect."""
    try:
        from ibm_cloud_sdk_core import BaseService
        from ibm_watson import VisualRecognitionV3
    except ImportError as error:
        raise Misconfigured("IBM's SDK (ibm-watson 5.3) is not installed here.", code="no_sdk") from error

    class Quiet(VisualRecognitionV3):  # type: ignore[misc]  # the SDK has no types
        def __init__(self) -> None:
            BaseService.__init__(self, service_url=connection.url, authenticator=_authenticator(connection))
            self.version = API_VERSION

    try:
        service = Quiet()
    except ValueError as error:
        raise Misconfigured("The service URL is not a valid address.", code="bad_url") from error
    # An own auth callable that adds nothing: otherwise requests would put a .netrc password over ours.
    service.http_client.auth = lambda request: request
    service.http_client.hooks["response"].append(_limit_answer)
    service.set_default_headers({})
    return service


def _limit_answer(response: Any, *args: object, **kwargs: object) -> Any:
    """Read the body here, at most MAX_ANSWER of it: a wrong server could send without end."""
    taken = bytearray()
    for piece in response.iter_content(65536):
        taken += piece
        if len(taken) > MAX_ANSWER:
            response.close()
            raise Misconfigured(NOT_THE_SERVICE, code="not_the_service")
    response._content = bytes(taken)
    return response
