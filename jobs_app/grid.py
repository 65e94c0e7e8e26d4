"""The contact sheet: which designs can be answered picture by picture on a sheet of small ones. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .design import Design, Question
from .design.liquid import LIQUID, fill
from .design.parser import HIDDEN_TEXT
from .design.tree import Node

MAX_CAPTION = 80


@dataclass(frozen=True)
class Sheet:
    """What a contact sheet shows: the one question, the picture's source, and the texts of the design.

    `intro` is the same for every row, `texts` are filled with the row's values.
    """

    question: Question
    source: str
    intro: str
    texts: tuple[str, ...]

    def picture(self, row: Mapping[str, Any]) -> str:
        return fill(self.source, row).strip()

    def caption(self, row: Mapping[str, Any]) -> str:
        """What the design says of the row besides the picture, shortened."""
        text = " ".join(" ".join(fill(text, row) for text in self.texts).split())
        return text if len(text) <= MAX_CAPTION else f"{text[: MAX_CAPTION - 1]}…"


def sheet_of(design: Design) -> Sheet | None:
    """The contact sheet of a design; None when it asks more than one question of one picture.

    It must have exactly one question, of kind radios or select, always shown, with the same answers for every row,
    and exactly one picture that comes from a column.
    """
    if len(design.questions) != 1:
        return None
    question, sources = design.questions[0], picture_sources(design)
    if question.kind not in {"radios", "select"} or question.only_if or len(sources) != 1:
        return None
    if any(LIQUID.search(option.label) for option in question.options):
        return None
    texts = list(_texts(design.root))
    intro = " ".join(" ".join(text for text in texts if not LIQUID.search(text)).split())
    return Sheet(question, sources[0], intro, tuple(text for text in texts if LIQUID.search(text)))


def picture_sources(design: Design) -> list[str]:
    """What the pictures of a design are filled from, like {{image_url}}; other pictures are never drawn."""
    sources = [node.attributes.get("src", "").strip() for node in design.root.walk() if node.tag == "img"]
    return [source for source in sources if LIQUID.fullmatch(source)]


def _texts(node: Node) -> Iterator[str]:
    """The texts outside of the question."""
    for child in node.children:
        if child.question is not None or child.tag in HIDDEN_TEXT:
            continue
        if not child.tag:
            yield child.text
        yield from _texts(child)
