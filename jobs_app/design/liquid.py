"""{{column}} in a design: the row's value, escaped; nothing else of Liquid (domain.md 1.7)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html import unescape
from typing import Any

from .tree import ColumnUse, DesignProblem, Node

LIQUID = re.compile(r"\{\{\s*(\w[\w .:/#()-]*?)\s*(?:\|\s*default:\s*(?:\"([^\"]*)\"|'([^']*)')\s*)?\}\}")
BRACES = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
MAX_SHOWN = 60


def fill(text: str, row: Mapping[str, Any]) -> str:
    """Replace each {{column}} by the row's value, once. The result is plain text: escape it."""
    return LIQUID.sub(lambda match: _value(row.get(match[1])) or match[2] or match[3] or "", text)


def _value(value: Any) -> str:
    """A cell as text: a list (a split column) with commas between."""
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    return "" if value is None else str(value)


def uses_of(root: Node, source: str) -> list[ColumnUse]:
    """The columns a design refers to, in the order of the page."""
    places = _places(source)
    found: dict[str, ColumnUse] = {}
    for node in root.walk():
        for text in (node.text, *node.attributes.values()):
            for match in LIQUID.finditer(text):
                name, has_default = match[1], bool(match[2] or match[3])
                known = found.get(name)
                line, column = places.get(name, (node.line, node.column))
                found[name] = ColumnUse(name, line, column, has_default and (known is None or known.has_default))
    return list(found.values())


def liquid_problems(source: str) -> Iterator[DesignProblem]:
    """Braces that contributors would see as they are, because they are not {{column}}."""
    for line, column, text in _braces(source):
        if LIQUID.fullmatch(unescape(text)):
            continue
        shown = text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
        yield DesignProblem(
            line,
            column,
            "bad_liquid",
            f'“{shown}” is not understood. Write {{{{column}}}} or {{{{column | default: "text"}}}}.',
        )


def without_comments(source: str) -> str:
    """The source with comments blanked, so that places stay what they are."""
    return COMMENT.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), source)


def _places(source: str) -> dict[str, tuple[int, int]]:
    places: dict[str, tuple[int, int]] = {}
    for line, column, text in _braces(source):
        if match := LIQUID.fullmatch(unescape(text)):
            places.setdefault(match[1], (line, column))
    return places


def _braces(source: str) -> Iterator[tuple[int, int, str]]:
    text = without_comments(source)
    for match in BRACES.finditer(text):
        before = text.rfind("\n", 0, match.start())
        yield text.count("\n", 0, match.start()) + 1, match.start() - before, match[0]
