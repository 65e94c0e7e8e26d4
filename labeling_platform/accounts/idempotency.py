"""Sending again without doing again: the header Idempotency-Key of the HTTP API's POST operations.

The answer is kept in the transaction of what was done, so there is one exactly when the thing was done, and a process
that dies leaves neither. What was refused changed nothing and keeps nothing: the same key can be sent again.
(draft-ietf-httpapi-idempotency-key-header: 422 for another request with the key, 409 while the first is under way.)
"""

from __future__ import annotations

import hashlib
import re
from datetime import timedelta
from typing import Any

from django.db import connection
from django.http import HttpRequest
from django.utils import timezone

from labeling_platform.lib.api import ApiError

from .models import ApiAnswer, ApiToken

HEADER, REPLAYED = "Idempotency-Key", "Idempotency-Replayed"
KEPT = timedelta(hours=24)
FORGOTTEN_AT_ONCE = 5000
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
PARAMETER = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "string", "pattern": "^[\\x21-\\x7e]{1,255}$"},
    "description": "Sent again within 24 hours with the same token, address and body, the answer is that of the first"
    f" request, with the header {REPLAYED}: true, and nothing is done twice.",
}
"""How the OpenAPI document describes the header."""


def key_of(request: HttpRequest) -> str:
    """The key that the request carries; empty: none. Raises ApiError (400) for one that is no key."""
    key = request.headers.get(HEADER)
    if key is None:
        return ""
    if not _KEY.fullmatch(key):
        message = f"{HEADER} takes 1 to 255 letters, digits and signs of ASCII, without spaces."
        raise ApiError(400, "idempotency_key", message)
    return key


def fingerprint(request: HttpRequest) -> str:
    """SHA-256 of what is asked: method, address and body. Of a form: its fields, the names and contents of its files.

    The bytes of a form as a whole differ from one sending to the next: its boundary is drawn anew.
    """
    digest = hashlib.sha256()
    _add(digest, str(request.method), request.get_full_path())
    if not (request.content_type or "").startswith("multipart/"):
        _add(digest, request.body)
        return digest.hexdigest()
    for name, values in sorted(request.POST.lists()):
        _add(digest, name, *values)
    for name, files in sorted(request.FILES.lists()):
        for file in files:
            content = hashlib.sha256()
            for chunk in file.chunks():
                content.update(chunk)
            file.seek(0)
            _add(digest, name, file.name or "", content.digest())
    return digest.hexdigest()


def _add(digest: Any, *parts: str | bytes) -> None:
    """Each part with its length before it, so that no two lists of parts look the same."""
    digest.update(b"%d:" % len(parts))
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        digest.update(b"%d:" % len(raw))
        digest.update(raw)


def find_answer(*, token: ApiToken, key: str, asked: str) -> ApiAnswer | None:
    """The answer that was given to this request before; None: it is new, and is now held until the transaction ends.

    Needs a transaction. Raises ApiError: 409 while a request with this key is under way, 422 when the key came with
    another request (`asked`: its fingerprint).
    """
    with connection.cursor() as cursor:
        name = f"api answer {token.pk} {key}"
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [name])
        if not cursor.fetchone()[0]:
            message = "A request with this Idempotency-Key is under way. Ask again in a moment."
            raise ApiError(409, "idempotency_under_way", message, headers={"Retry-After": "1"})
    found = ApiAnswer.objects.filter(token=token, key=key).first()
    if found is None:
        return None
    if found.created_at <= timezone.now() - KEPT:
        found.delete()
        return None
    if found.fingerprint != asked:
        message = "This Idempotency-Key came with another address or body before. Use a new key for a new request."
        raise ApiError(422, "idempotency_key_used", message)
    return found


def keep_answer(*, token: ApiToken, key: str, asked: str, status: int, body: str) -> None:
    """Keep what is answered, in the transaction of what was done."""
    ApiAnswer.objects.create(
        team_id=token.team_id, token=token, key=key, fingerprint=asked, status=status, body=body
    )  # fmt: skip


def forget_answers() -> int:
    """Delete some of the answers that are too old to be given again; returns how many. Needs scopes disabled."""
    old = ApiAnswer.objects.filter(created_at__lte=timezone.now() - KEPT).order_by("created_at")
    return ApiAnswer.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:FORGOTTEN_AT_ONCE])).delete()[0]
