"""The Watson backend: a server that speaks IBM Watson Visual Recognition v3, reached through IBM's own SDK.

IBM's hosted service ended on 2021-12-01; what remains is its protocol (reference/watson.md). The SDK is imported
when the first request is made, so the other backends run without it.
"""

from .backend import FEATURE_VERSION, WatsonBackend, ignore
from .connection import AUTHS, Connection

__all__ = ["AUTHS", "FEATURE_VERSION", "Connection", "WatsonBackend", "ignore"]
