"""What one needs to know to reach a server that speaks IBM Watson Visual Recognition v3."""

from __future__ import annotations

from dataclasses import dataclass, field

AUTHS = ("iam", "basic", "bearer", "none")
"""IAM with a key, user name and password (`apikey` and the key for IBM), a ready token, nothing."""


@dataclass(frozen=True)
class Connection:
    """A service and how to sign in to it. `secret` is the key, password or token; it is never part of a repr.

    `url` is everything before `/v3`. `iam_url` is the token service's origin, empty for IBM's own.
    `customer_id` labels the data that is sent, for later erasure (X-Watson-Metadata).
    """

    url: str
    auth: str
    secret: str = field(default="", repr=False)
    username: str = ""
    iam_url: str = ""
    customer_id: str = ""
