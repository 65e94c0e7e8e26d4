"""What a service raises when it refuses."""

from __future__ import annotations


class Refused(Exception):
    """A service did nothing, for a reason that a person can act on.

    `message` is shown where the person asked; `code` names the reason for programs and tests.
    """

    def __init__(self, message: str, *, code: str = "refused") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
