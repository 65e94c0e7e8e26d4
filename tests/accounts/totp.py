"""An authenticator app."""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct


def code_at(secret: str, moment: float) -> str:
    """The code of an authenticator app: RFC 6238 with SHA-1, 30 seconds, 6 digits."""
    counter = struct.pack(">Q", int(moment) // 30)
    digest = hmac.new(base64.b32decode(secret), counter, hashlib.sha1).digest()
    start = digest[-1] & 15
    number = struct.unpack(">I", digest[start : start + 4])[0] & 0x7FFFFFFF
    return f"{number % 1_000_000:06}"
