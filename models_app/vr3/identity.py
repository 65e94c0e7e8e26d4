"""Access tokens for clients that exchange their key first (the IAM flow of IBM's SDKs). Signed, short-lived, not kept.

An access token stands for an API token and opens nothing by itself: with each request the API token is looked up and
judged again, so what revokes, expires or limits that one holds at once.
"""

from __future__ import annotations

import hashlib
import time
from datetime import UTC
from typing import Any

import jwt
from django.conf import settings

from labeling_platform.accounts.models import ApiToken
from labeling_platform.accounts.tokens import find_token, find_token_by_id

SECONDS = 3600
GRANT = "urn:ibm:params:oauth:grant-type:apikey"
AUDIENCE = "visual-recognition"
_ALGORITHM = "HS256"


def _key(secret: str) -> bytes:
    return hashlib.sha256(b"vr3 access token\0" + secret.encode()).digest()


def access_token(token: ApiToken) -> dict[str, Any]:
    """The answer of /identity/token for an API token that works."""
    now = int(time.time())
    ends = min(now + SECONDS, int(token.expires_at.astimezone(UTC).timestamp()))
    # The client's library takes the token apart for its times, so it must be a JWT.
    claims = {"sub": str(token.pk), "aud": AUDIENCE, "iat": now, "exp": ends}
    signed = jwt.encode(claims, _key(settings.SECRET_KEY), algorithm=_ALGORITHM)
    return {
        "access_token": signed,
        "refresh_token": "not_supported",
        "token_type": "Bearer",
        "expires_in": ends - now,
        "expiration": ends,
        "scope": "ibm openid",
    }


def token_of(text: str) -> ApiToken | None:
    """The API token behind what a client sent: that token itself, or an access token that still holds."""
    if "." not in text:
        return find_token(text)
    for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        try:
            claims = jwt.decode(
                text,
                _key(secret),
                algorithms=[_ALGORITHM],
                audience=AUDIENCE,
                options={"require": ["exp", "iat", "sub", "aud"]},
            )
            return find_token_by_id(int(claims["sub"]))
        except (jwt.InvalidTokenError, ValueError):
            continue
    return None
