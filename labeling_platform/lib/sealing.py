"""Secrets as they are stored.

Those that are used later are encrypted with a key derived from SECRET_KEY; of those that somebody shows us, a hash is
kept.
"""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


class Unsealable(Exception):
    """No key that is set opens this: it was sealed with one that was taken out of the settings."""


def hash_of(token: str) -> str:
    """What is stored of a token. A plain SHA-256 is enough: the token has 256 random bits, nobody can guess it."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def seal(text: str) -> str:
    """The text, encrypted with the newest key. An empty text stays empty."""
    return _box().encrypt(text.encode()).decode() if text else ""


def unseal(sealed: str) -> str:
    """What was sealed, with SECRET_KEY or one of SECRET_KEY_FALLBACKS. Raises Unsealable."""
    if not sealed:
        return ""
    try:
        return _box().decrypt(sealed.encode()).decode()
    except InvalidToken:
        raise Unsealable from None


def reseal(sealed: str) -> str:
    """The same secret under the newest key. Raises Unsealable."""
    if not sealed:
        return ""
    try:
        return _box().rotate(sealed.encode()).decode()
    except InvalidToken:
        raise Unsealable from None


def _box() -> MultiFernet:
    return _made((settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))


@lru_cache(maxsize=4)
def _made(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(_derived(key)) for key in keys])


def _derived(key: str) -> bytes:
    # The purpose stands in `info`, so that nothing that signs with SECRET_KEY ever has this key.
    hkdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"labeling_platform.lib.sealing 1")
    return base64.urlsafe_b64encode(hkdf.derive(key.encode()))
