"""Numbers in words, as people say them."""

from __future__ import annotations


def duration(seconds: float | None) -> str:
    """A rough time in words: 95 -> about 2 minutes; nothing for None."""
    if seconds is None:
        return ""
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size * 1.5 or (unit == "minute" and seconds >= 90):
            count = round(seconds / size)
            return f"about {count} {unit}{'' if count == 1 else 's'}"
    return "about a minute" if seconds > 45 else "less than a minute"


def count_of(number: int, one: str, many: str = "") -> str:
    """A number with its noun: 1 -> 1 row, 1200 -> 1,200 rows."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
