"""The door of the HTTP API: a token, its team, and what its creator may do now. Counterpart of tenancy.team_view."""

from __future__ import annotations

import inspect
import json
import logging
import time
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from ninja import Router
from ninja.responses import NinjaJSONEncoder, Status
from ninja.security import HttpBearer
from pydantic import TypeAdapter

from labeling_platform.lib.api import ApiError, ErrorOut, refused_as_error
from labeling_platform.lib.attempts import allow_attempt
from labeling_platform.lib.errors import Refused
from labeling_platform.lib.wall import acting

from . import idempotency
from .features import CONTACT, enabled_features
from .models import ApiToken, Membership, Team, User
from .scopes import Scope, scope_of
from .second_factor import has_second_factor
from .tenancy import team_scope
from .tokens import find_token, note_use

log = logging.getLogger(__name__)
WINDOW = 60
FORM_BYTES = 1024 * 1024
"""What a multipart request may have beyond its file."""
HEADERS_OF_401 = {"WWW-Authenticate": 'Bearer realm="labeling platform"'}
TOKENS = "Make a token on the page API of your team and send it as: Authorization: Bearer mll_live_..."


class ApiRequest(HttpRequest):
    """What an operation gets: a request of a program, inside its team's scope."""

    token: ApiToken
    team: Team
    actor: User
    membership: Membership
    features: set[str]


class ApiTokenAuth(HttpBearer):
    """Lets a request in when its token works, has the scope, and its creator's role and the team's features allow it.

    Cookies are not looked at: a person's session opens nothing here, so there is nothing to forge across sites.
    """

    def __init__(self, scope: Scope, feature: str) -> None:
        super().__init__()
        self.scope, self.feature = scope, feature

    def __call__(self, request: HttpRequest) -> Any:
        found = super().__call__(request)
        if found is None:
            raise _unknown("token_missing", f"This needs a token. {TOKENS}")
        return found

    def authenticate(self, request: Any, token: str) -> ApiToken:
        """The token; request.team, .actor, .membership and .features are set. Raises ApiError."""
        found = self.admit(request, find_token(token.strip()))
        _check_size(request)
        return found

    def admit(self, request: Any, found: ApiToken | None) -> ApiToken:
        """Let the request in with this token, however it was shown: as `authenticate`, without looking at its size."""
        if found is None:
            raise _unknown("token_unknown", f"There is no such token. {TOKENS}")
        actor = creator_of(found)
        count_use(found)
        with team_scope(found.team):
            membership = Membership.objects.select_related("user").filter(team=found.team, user=actor).first()
            if membership is None:
                raise _unknown("token_ended", "Who made this token is no longer in the team. Make a new one.")
            features = enabled_features(found.team)
            note_use(token=found)
        request.token, request.team, request.actor = found, found.team, actor
        request.membership, request.features = membership, features
        self._check(found, membership, features)
        return found

    def _check(self, token: ApiToken, membership: Membership, features: set[str]) -> None:
        if self.scope.value not in token.scopes:
            raise ApiError(403, "scope", f"This takes a token with the scope {self.scope.value}.")
        if not membership.may(self.scope.action):
            role = membership.get_role_display().lower()
            raise ApiError(403, "role", f"Who made this token is now {role} of the team, which does not allow this.")
        if token.team.needs_second_factor and not has_second_factor(membership.user):
            message = "This team needs a second factor, and who made this token has none."
            raise ApiError(403, "second_factor", message)
        if self.feature and self.feature not in features:
            raise ApiError(403, "feature", CONTACT)


def _unknown(code: str, message: str) -> ApiError:
    return ApiError(401, code, message, headers=HEADERS_OF_401)


def creator_of(token: ApiToken) -> User:
    """Who made a token that works. Raises ApiError for one that does not."""
    if token.revoked_at is not None:
        raise _unknown("token_revoked", "This token was revoked. Make a new one.")
    if token.expires_at <= timezone.now():
        raise _unknown("token_expired", "This token has expired. Make a new one.")
    if token.team.closed_at is not None:
        raise _unknown("token_ended", "The team of this token is being deleted.")
    if token.created_by is None or not token.created_by.is_active:
        raise _unknown("token_ended", "Who made this token is no longer in the team. Make a new one.")
    return token.created_by


def count_use(token: ApiToken) -> None:
    """Raises ApiError when the token was used too often in this minute. Without the cache nothing is counted."""
    try:
        allowed = allow_attempt("api", str(token.pk), limit=settings.API_REQUESTS_PER_MINUTE, seconds=WINDOW)
    except Exception:  # whatever the cache's client raises: an outage there must not stop programs
        log.warning("requests of API tokens are not counted: the cache is away")
        return
    if not allowed:
        wait = WINDOW - int(time.time()) % WINDOW
        message = f"At most {settings.API_REQUESTS_PER_MINUTE} requests a minute. Try again in {wait} seconds."
        raise ApiError(429, message=message, headers={"Retry-After": str(wait)})


def _check_size(request: HttpRequest) -> None:
    """Raises ApiError before a body that is too large is read."""
    length = request.META.get("CONTENT_LENGTH") or "0"
    file = (request.content_type or "").startswith("multipart/")
    most = settings.CSV_MAX_BYTES + FORM_BYTES if file else settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    if length.isascii() and length.isdigit() and int(length) > most:
        raise ApiError(413, message=f"The request has {int(length):,} bytes; at most {most:,} are possible.")


def operation(
    router: Router,
    method: str,
    path: str,
    *,
    answer: Any = None,
    status: int = 200,
    feature: str = "",
    fields: Mapping[str, str] | None = None,
    content: Mapping[str, Any] | None = None,
    conflicts: bool = False,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a function an operation of the API; its name is the operation's, its docstring what the document says.

    Which scope it takes stands in scopes.py. It is called inside the team's scope and in a transaction of its own;
    what a service refuses becomes 409, or 422 when the refusal's code names a field of the request (`fields`: field
    by code). A POST with an Idempotency-Key is done once (idempotency.py). `content` are media types of an answer that
    is no JSON; `conflicts`: a GET that can answer 409, too.
    """

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        scope = scope_of(view.__name__)

        @wraps(view)
        def guarded(request: ApiRequest, **values: Any) -> Any:
            key = idempotency.key_of(request) if method == "POST" else ""
            asked = idempotency.fingerprint(request) if key else ""
            try:
                with team_scope(request.team), acting(request.actor.pk), transaction.atomic():
                    if key and (kept := idempotency.find_answer(token=request.token, key=key, asked=asked)):
                        return _answer(kept.status, kept.body, {idempotency.REPLAYED: "true"})
                    result = view(request, **values)
                    if key:
                        body = _as_json(answer, result) if answer else ""
                        idempotency.keep_answer(token=request.token, key=key, asked=asked, status=status, body=body)
                        return _answer(status, body)
            except Refused as refused:
                raise refused_as_error(refused, fields or {}) from refused
            return result if isinstance(result, HttpResponseBase) else Status(status, result)

        # ninja would look for the names in the annotations in this module.
        guarded.__signature__ = inspect.signature(view, eval_str=True)  # type: ignore[attr-defined]
        guarded.api_access = (scope, feature)  # type: ignore[attr-defined]
        errors = _errors(path, guarded, changes=method != "GET", conflicts=conflicts)
        summary, _, more = inspect.cleandoc(view.__doc__ or "").partition("\n")
        router.add_api_operation(
            path,
            [method],
            guarded,
            auth=ApiTokenAuth(scope, feature),
            response={status: answer, frozenset(errors): ErrorOut},
            operation_id=view.__name__,
            summary=summary.rstrip("."),
            description="\n\n".join(part for part in (more.strip(), f"Scope: `{scope.value}`.") if part),
            url_name=view.__name__,
            openapi_extra=_more(method, status, content),
        )
        return guarded

    return decorate


def _more(method: str, status: int, content: Mapping[str, Any] | None) -> dict[str, Any]:
    """What ninja cannot know of an operation for the document."""
    found: dict[str, Any] = {"responses": {status: {"content": content}}} if content else {}
    return found | ({"parameters": [idempotency.PARAMETER]} if method == "POST" else {})


def _as_json(kind: Any, result: Any) -> str:
    """What ninja would make of an operation's result."""
    adapter = TypeAdapter(kind)
    return json.dumps(adapter.dump_python(adapter.validate_python(result, from_attributes=True)), cls=NinjaJSONEncoder)


def _answer(status: int, body: str, headers: Mapping[str, str] | None = None) -> HttpResponse:
    return HttpResponse(body, status=status, content_type="application/json; charset=utf-8", headers=headers)


def _errors(path: str, view: Callable[..., Any], *, changes: bool, conflicts: bool) -> list[int]:
    """The statuses of the errors that an operation can answer."""
    found = [400, 401, 403, 413, 429]
    parameters = set(inspect.signature(view).parameters) - {"request"}
    in_path = {name for name in parameters if f"{{{name}}}" in path}
    if in_path:
        found.append(404)
    if parameters - in_path or changes:
        found.append(422)
    if conflicts or changes:
        found.append(409)
    return sorted(found)
