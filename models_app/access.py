"""What a person says of a connection. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Access:
    """What a person says of a connection. An empty `secret` keeps the one that is there."""

    name: str
    url: str
    auth: str = "iam"
    iam_url: str = ""
    username: str = ""
    secret: str = ""
    at_once: int = 8

    def __repr__(self) -> str:
        return f"Access({self.name!r})"
