"""Draws a design as a form. Author's markup is rebuilt from a fixed set of tags; every value is escaped.

Nothing of the source text reaches the page as markup: cleaning before substitution would not hold, because
values come in afterwards (reference/reliability.md C4).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from typing import Any
from urllib.parse import urlsplit

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from .conditions import wanted_value
from .liquid import LIQUID, fill
from .parser import ALLOWED_HTML, HIDDEN_TEXT, VOID
from .tree import ONE_ANSWER, Design, Node, OnlyIf, Option, Question

PLAIN_ATTRIBUTES = {"class", "title", "alt", "colspan", "rowspan", "lang", "dir"}
KEYS = "1234567890qwertyuiopasdfghjklzxcvbnm"
"""One key for each answer, in the order of the keyboard; a question with more answers has none for the rest."""
INPUT_MODES = {
    "positiveInteger": "numeric",
    "digits": "numeric",
    "url": "url",
    "email": "email",
    "phone": "tel",
}
ImageUrl = Callable[[str], str]


def render_design(
    design: Design,
    *,
    row: Mapping[str, Any],
    image_url_for: ImageUrl,
    prefix: str = "",
    answers: Mapping[str, Sequence[str]] | None = None,
    errors: Mapping[str, str] | None = None,
) -> SafeString:
    """The form fields of one row, without the <form>. `prefix` keeps the rows of a page apart.

    Without `answers` (the first time a row is shown) the answers chosen beforehand are chosen; with answers,
    even with none, only those. An element with an only-if carries it as `data-only-if`, JSON: a list of
    alternatives, each a list of terms [input name, wanted value or null, negated, unchecked] that must all hold.
    null asks for any answer, unchecked for none; values are stored values, places are already resolved. A
    question that is hidden, itself or with its group, counts as unanswered.
    """
    drawing = _Drawing(design, row, image_url_for, prefix, answers, errors or {})
    return mark_safe(drawing.children(design.root))  # noqa: S308 - built from escaped parts only


class _Drawing:
    def __init__(
        self,
        design: Design,
        row: Mapping[str, Any],
        image_url_for: ImageUrl,
        prefix: str,
        answers: Mapping[str, Sequence[str]] | None,
        errors: Mapping[str, str],
    ) -> None:
        self.design, self.row, self.image_url_for, self.prefix = design, row, image_url_for, prefix
        self.answers, self.errors = answers, errors

    def fill(self, text: str) -> str:
        return fill(text, self.row)

    def children(self, node: Node) -> str:
        return "".join(self.node(child) for child in node.children)

    def node(self, node: Node) -> str:
        if not node.tag:
            return escape(self.fill(node.text))
        if node.question is not None:
            return self.question(node, node.question)
        if node.cml == "group":
            outside = f'class="{self.classes(node, "cml-group mb-3")}"{self.condition(node.only_if)}'
            return f"<div {outside}>{self.children(node)}</div>"
        if node.cml:
            return ""
        if node.tag == "img":
            return self.image(node)
        if node.tag not in ALLOWED_HTML:
            return "" if node.tag in HIDDEN_TEXT else self.children(node)
        attributes = self.attributes(node)
        return f"<{node.tag}{attributes}>" + ("" if node.tag in VOID else f"{self.children(node)}</{node.tag}>")

    def attributes(self, node: Node) -> str:
        parts = []
        for name, value in node.attributes.items():
            filled = self.fill(value)
            if name in PLAIN_ATTRIBUTES:
                parts.append(f' {name}="{escape(filled)}"')
            elif name == "href" and node.tag == "a" and _harmless_link(filled):
                parts.append(f' href="{escape(filled)}" target="_blank" rel="noopener noreferrer nofollow"')
        return "".join(parts)

    def image(self, node: Node) -> str:
        """A picture of the row, through our own copy. Any other source is left out: nothing loads from elsewhere."""
        source = node.attributes.get("src", "").strip()
        if not LIQUID.fullmatch(source):
            return ""
        url = self.fill(source).strip()
        if not url:
            return '<p class="text-secondary">This row has no picture.</p>'
        alt = self.fill(node.attributes.get("alt", "")) or "Picture to label"
        return f'<img class="unit-picture" src="{escape(self.image_url_for(url))}" alt="{escape(alt)}">'

    def classes(self, node: Node, own: str) -> str:
        """Our classes and the author's."""
        return escape(f"{own} {self.fill(node.attributes.get('class', ''))}".strip())

    def condition(self, only_if: OnlyIf | None) -> str:
        if only_if is None:
            return ""
        terms = [
            [
                [
                    self.prefix + term.question,
                    wanted_value(term, self.design.question(term.question)),
                    term.negated,
                    term.unchecked,
                ]
                for term in group
            ]
            for group in only_if
        ]
        return f' data-only-if="{escape(json.dumps(terms))}"'

    def question(self, node: Node, question: Question) -> str:
        name = escape(self.prefix + question.name)
        error = self.errors.get(question.name, "")
        hint = self.hint(node, question)
        help_ = f'<div class="form-hint" id="{name}-hint">{hint}</div>' if hint else ""
        problem = f'<div class="invalid-feedback d-block" id="{name}-error">{escape(error)}</div>' if error else ""
        told = " ".join(part for part in (f"{name}-hint" if hint else "", f"{name}-error" if error else "") if part)
        described = f' aria-describedby="{told}"' if told else ""
        label = escape(self.fill(question.label)) + _mark(question)
        outside = f'class="{self.classes(node, "cml-question mb-3")}"{self.condition(node.only_if)}'
        if question.options and question.kind != "select":
            body = self.choices(question, name)
            unseen = " visually-hidden" if question.kind == "checkbox" else ""  # its one answer says the same
            return (
                f'<fieldset {outside}{described}><legend class="form-label{unseen}">{label}</legend>'
                f"{help_}{body}{problem}</fieldset>"
            )
        described += ' aria-invalid="true"' if error else ""
        draw = self.select if question.kind == "select" else self.text
        return (
            f'<div {outside}><label class="form-label" for="{name}">{label}</label>'
            f"{help_}{draw(question, name, described)}{problem}</div>"
        )

    def hint(self, node: Node, question: Question) -> str:
        """The help text; its own tags are kept when it is written as <cml:instructions>."""
        parts: list[str] = []
        if given := node.attributes.get("instructions", "").strip():
            parts.append(escape(self.fill(given)))
        else:
            parts += [self.children(child).strip() for child in node.children if child.cml == "instructions"][:1]
        if question.multiple:
            lines = "an empty line between two answers" if question.kind == "textarea" else "one answer on each line"
            parts.append(f"You can give several answers: {lines}.")
        return " ".join(part for part in parts if part)

    def chosen(self, question: Question) -> list[str]:
        if self.answers is None:
            return [option.value for option in question.options if option.preset]
        return list(self.answers.get(question.name, []))

    def choices(self, question: Question, name: str) -> str:
        one = question.kind in ONE_ANSWER
        chosen = self.chosen(question)
        invalid = ' aria-invalid="true"' if question.name in self.errors else ""
        mark = _mark(question) if question.kind == "checkbox" else ""
        parts = []
        for option, pressed in zip_longest(question.options, KEYS[: len(question.options)], fillvalue=""):
            assert isinstance(option, Option)
            key = f' data-key="{pressed}"' if pressed else ""
            hint = f'<kbd class="key" aria-hidden="true">{str(pressed).upper()}</kbd>' if pressed else ""
            checked = " checked" if option.value in chosen else ""
            required = " required" if one and question.required else ""
            parts.append(
                f'<label class="answer"><input class="form-check-input" name="{name}"'
                f' type="{"radio" if one else "checkbox"}" value="{escape(option.value)}"'
                f"{key}{checked}{required}{invalid}>"
                f"<span>{escape(self.fill(option.label))}{mark}</span>{hint}</label>"
            )
        scale = " answers-scale" if question.kind == "ratings" else ""
        return f'<div class="answers{scale}">{"".join(parts)}</div>'

    def select(self, question: Question, name: str, described: str) -> str:
        chosen = self.chosen(question)
        options = "".join(
            f'<option value="{escape(option.value)}"{" selected" if option.value in chosen else ""}>'
            f"{escape(self.fill(option.label))}</option>"
            for option in question.options
        )
        required = " required" if question.required else ""
        return (
            f'<select class="form-select" id="{name}" name="{name}"{required}{described}>'
            f'<option value="">Choose…</option>{options}</select>'
        )

    def text(self, question: Question, name: str, described: str) -> str:
        given = [] if self.answers is None else self.answers.get(question.name, [])
        value = escape(("\n\n" if question.kind == "textarea" else "\n").join(given))
        required = " required" if question.required else ""
        placeholder = escape(self.fill(question.placeholder))
        shown = f' placeholder="{placeholder}"' if placeholder else ""
        asked = [word.partition(":")[0] for word in question.validates]
        mode = next((f' inputmode="{INPUT_MODES[word]}"' for word in asked if word in INPUT_MODES), "")
        common = f'class="form-control" id="{name}" name="{name}" maxlength="10000"{shown}{mode}{required}{described}'
        if question.kind == "textarea" or question.multiple:
            # The first line break in a textarea is not part of its value.
            return f'<textarea {common} rows="3">\n{value}</textarea>'
        return f'<input {common} type="{"date" if "date" in asked else "text"}" value="{value}">'


def _mark(question: Question) -> str:
    return ' <span class="text-danger" aria-hidden="true">*</span>' if question.required else ""


def _harmless_link(url: str) -> bool:
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.netloc)
