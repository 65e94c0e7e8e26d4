"""One way to say what states a thing can be in, and the one way to move it.

A state enum carries for each member its value, label and colour, and for the whole the table of legal
moves. `move` is one conditional UPDATE: repeating it, or racing another process for it, changes nothing.
"""

from __future__ import annotations

from enum import nonmember
from typing import Any, cast

from django.db import models

__all__ = ["States", "nonmember"]


class States(models.TextChoices):
    """Base of every state enum; subclasses declare members, `moves` and `colors` (both as nonmember)."""

    @classmethod
    def legal_moves(cls) -> dict[str, set[str]]:
        return cast("dict[str, set[str]]", getattr(cls, "moves"))  # noqa: B009 - an attribute of subclasses only

    @classmethod
    def move(cls, rows: models.QuerySet[Any], to: str, **also: Any) -> int:
        """Move those of `rows` that may go to state `to`, setting the fields in `also`; return how many moved."""
        sources = [state for state, targets in cls.legal_moves().items() if to in targets]
        return rows.filter(state__in=sources).update(state=to, **also)

    @property
    def color(self) -> str:
        """Colour name of the badge that shows this state."""
        return cast("dict[str, str]", getattr(self, "colors"))[self.value]  # noqa: B009

    @classmethod
    def final(cls) -> set[str]:
        """The states that nothing leaves."""
        return {state for state in cls.values if not cls.legal_moves().get(state)}
