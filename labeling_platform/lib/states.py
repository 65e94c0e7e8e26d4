"""One way to say what states a thing can be in, and the one way to move it.

A state enum carries for each member its value, label and colour, and for the whole the table of legal
moves. `move` is one conditional UPDATE: repeating it, or racing another process for it, changes nothing.
"""

from __future__ import annotations

from enum import nonmember
from typing import Any, ClassVar

from django.db import models

__all__ = ["States", "nonmember"]


class States(models.TextChoices):
    """Base of every state enum; subclasses declare members, `moves` and `colors`."""

    moves: ClassVar[dict[str, set[str]]]
    colors: ClassVar[dict[str, str]]

    @classmethod
    def move(cls, rows: models.QuerySet[Any], to: str, **also: Any) -> int:
        """Move those of `rows` that may go to state `to`, setting the fields in `also`; return how many moved."""
        sources = [state for state, targets in cls.moves.items() if to in targets]
        return rows.filter(state__in=sources).update(state=to, **also)

    @property
    def color(self) -> str:
        """Colour name of the badge that shows this state."""
        return self.colors[self.value]

    @classmethod
    def final(cls) -> set[str]:
        """The states that nothing leaves."""
        return {state for state in cls.values if not cls.moves.get(state)}
