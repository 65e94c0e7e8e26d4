"""The way in: the switch, the key, and every answer in a shape that clients of the service can read."""

from __future__ import annotations

import base64
import binascii
import logging
import re
from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.db import transaction
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from labeling_platform.accounts.api_access import ApiRequest, ApiTokenAuth
from labeling_platform.accounts.models import Feature
from labeling_platform.accounts.scopes import Scope
from labeling_platform.accounts.tenancy import team_scope
from labeling_platform.lib.api import ApiError, careful
from labeling_platform.lib.errors import Refused
from labeling_platform.lib.wall import acting

from ..backends.base import BackendError
from .identity import token_of
from .shapes import Problem, Shape, error_answer
from .zips import BadZip

log = logging.getLogger(__name__)
ROOTS = ("/visual-recognition/", "/identity/")
VERSION = re.compile(r"\d{4}-\d{2}-\d{2}")
QUOTAS = frozenset({"images_per_month", "trainings_per_day", "storage", "team_paused"})
NO_KEY = "Send an API token of your team as the key: Basic with the user name apikey, or Bearer."
View = Callable[..., HttpResponseBase]


def endpoint(shape: Shape, operations: Mapping[str, tuple[Scope, View]]) -> View:
    """A view that serves each method by its operation, which takes a scope: called as operation(request, **path).

    Operations run inside the team's scope, outside of any transaction: reading 256 MB must not hold one open.
    """

    def view(request: Any, **path: str) -> HttpResponseBase:
        if not settings.VR3_API_ENABLED:
            raise Http404
        with_shape = _Answering(shape)
        return with_shape(lambda: _serve(request, operations, path))

    return csrf_exempt(transaction.non_atomic_requests(view))


def open_endpoint(shape: Shape, method: str, operation: View) -> View:
    """As `endpoint`, for an address that takes no key."""

    def view(request: Any, **path: str) -> HttpResponseBase:
        if not settings.VR3_API_ENABLED:
            raise Http404
        if request.method != method:
            return error_answer(shape, _wrong_method([method]))
        return _Answering(shape)(lambda: operation(request, **path))

    return csrf_exempt(transaction.non_atomic_requests(view))


def _serve(
    request: ApiRequest, operations: Mapping[str, tuple[Scope, View]], path: Mapping[str, str]
) -> HttpResponseBase:
    if (known := operations.get(request.method or "")) is None:
        raise _wrong_method(operations)
    scope, operation = known
    ApiTokenAuth(scope, Feature.ML_ASSISTED_LABELING).admit(request, token_of(key_of(request)))
    if not VERSION.fullmatch(request.GET.get("version", "")):
        raise Problem(400, "The parameter version is missing: a date such as 2018-03-19.")
    with team_scope(request.team), acting(request.actor.pk):
        return operation(request, **path)


def _wrong_method(known: Mapping[str, Any] | list[str]) -> Problem:
    return Problem(405, "This address does not know that method.", headers={"Allow": ", ".join(known)})


def key_of(request: HttpRequest) -> str:
    """The token in the header Authorization: Bearer, or Basic with the user name `apikey`. Raises Problem."""
    kind, _, value = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer" and value.strip():
        return value.strip()
    if kind.lower() == "basic":
        try:
            name, _, key = base64.b64decode(value.strip(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            name = key = ""
        if name == "apikey" and key:
            return key
    raise Problem(401, NO_KEY, headers={"WWW-Authenticate": 'Basic realm="visual recognition"'})


class _Answering:
    """Turns whatever an operation raises into an answer of the address's shape."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def __call__(self, work: Callable[[], HttpResponseBase]) -> HttpResponseBase:
        try:
            return work()
        except Problem as problem:
            return error_answer(self.shape, problem)
        except ApiError as error:
            return error_answer(self.shape, Problem(error.status, error.message, headers=error.headers))
        except BadZip as error:
            return error_answer(self.shape, Problem(413 if error.too_large else 400, error.message))
        except Refused as refused:
            return error_answer(self.shape, _refused(refused))
        except BackendError as error:
            log.warning("a classifier did not answer: %s", error.code)
            return error_answer(self.shape, Problem(503 if error.retryable else 500, error.message))
        except Exception:
            log.exception("an operation of the v3 API failed")
            return error_answer(self.shape, Problem(500, "Something went wrong on our side. Try again."))


def _refused(refused: Refused) -> Problem:
    if refused.code in QUOTAS:
        return Problem(403, refused.message, quota=True)
    return Problem(409 if refused.code == "in_use" else 400, refused.message)


class InShape:
    """Middleware: what never reached a view of ours (too large, no such host) is JSON, too, while the API is on."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        answer = self.get_response(request)
        if not (settings.VR3_API_ENABLED and request.path.startswith(ROOTS) and answer.status_code >= 400):
            return answer
        if answer.get("Content-Type", "").startswith("application/json"):
            return answer
        shape = Shape.CLASSIFY if request.path.endswith("/v3/classify") else Shape.CLASSIFIERS
        reason = "The request is too large." if answer.status_code == 413 else "There is nothing at this address."
        if answer.status_code not in {404, 413}:
            reason = "The request cannot be answered."
        shown = error_answer(shape, Problem(answer.status_code, reason))
        for name, value in careful(answer).items():
            shown[name] = value
        return shown
