"""Draws a design as a form. Author's markup is rebuilt from a fixed set of tags; every value is escaped.

Nothing of the source text reaches the page as markup: cleaning before substitution would not hold, because
values come in afterwards (reference/reliability.md C4).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from urllib.parse import urlsplit

import nh3
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from .parser import ALLOWED_HTML, HIDDEN_TEXT, VOID
from .tree import LIQUID, Design, Node, OnlyIf, Option, Question

PLAIN_ATTRIBUTES = {"class", "title", "alt", "colspan", "rowspan", "lang", "dir"}
INSTRUCTION_TAGS = {
    "a", "b", "blockquote", "br", "code", "em", "h1", "h2", "h3", "h4", "hr", "i", "li", "ol", "p", "pre", "s",
    "small", "strong", "sub", "sup", "table", "tbody", "td", "th", "thead", "tr", "u", "ul",
}  # fmt: skip
KEYS = "1234567890qwertyuiopasdfghjklzxcvbnm"
"""One key for each answer, in the order of the keyboard; a question with more answers has none for the rest."""
ImageUrl = Callable[[str], str]


def clean_instructions(html: str) -> SafeString:
    """A requester's instructions with only harmless tags left (nh3), safe to show."""
    attributes: dict[str, set[str]] = {"a": {"href", "title"}, "td": {"colspan"}, "th": {"colspan"}}
    cleaned = nh3.clean(html, tags=INSTRUCTION_TAGS, attributes=attributes, url_schemes={"http", "https", "mailto"})
    return mark_safe(cleaned)  # noqa: S308 - nh3 has just cleaned it


def render_design(
    design: Design,
    *,
    row: Mapping[str, str],
    image_url_for: ImageUrl,
    prefix: str = "",
    answers: Mapping[str, Sequence[str]] | None = None,
    errors: Mapping[str, str] | None = None,
) -> SafeString:
    """The form fields of one row, without the <form>. `prefix` keeps the rows of a page apart."""
    drawing = _Drawing(row, image_url_for, prefix, answers or {}, errors or {})
    return mark_safe(drawing.children(design.root))  # noqa: S308 - built from escaped parts only


class _Drawing:
    def __init__(
        self,
        row: Mapping[str, str],
        image_url_for: ImageUrl,
        prefix: str,
        answers: Mapping[str, Sequence[str]],
        errors: Mapping[str, str],
    ) -> None:
        self.row, self.image_url_for, self.prefix = row, image_url_for, prefix
        self.answers, self.errors = answers, errors

    def fill(self, text: str) -> str:
        """Replace {{column}} by the row's value, once; the result is plain text."""
        return LIQUID.sub(lambda match: self.row.get(match.group(1)) or match.group(2) or match.group(3) or "", text)

    def children(self, node: Node) -> str:
        return "".join(self.node(child) for child in node.children)

    def node(self, node: Node) -> str:
        if not node.tag:
            return escape(self.fill(node.text))
        if node.question is not None:
            return self.question(node, node.question)
        if node.cml == "group":
            return f'<div class="cml-group mb-3"{self.condition(node.only_if)}>{self.children(node)}</div>'
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

    def condition(self, only_if: OnlyIf | None) -> str:
        if only_if is None:
            return ""
        terms = [
            [[self.prefix + term.question, term.value, term.negated, term.unchecked] for term in group]
            for group in only_if
        ]
        return f' data-only-if="{escape(json.dumps(terms))}"'

    def question(self, node: Node, question: Question) -> str:
        name = escape(self.prefix + question.name)
        error = self.errors.get(question.name, "")
        named = f' aria-describedby="{name}-error"' if error else ""
        described = f' aria-invalid="true"{named}' if error else ""
        help_ = (
            f'<div class="form-hint">{escape(self.fill(question.instructions))}</div>' if question.instructions else ""
        )
        problem = f'<div class="invalid-feedback d-block" id="{name}-error">{escape(error)}</div>' if error else ""
        mark = ' <span class="text-danger" aria-hidden="true">*</span>' if question.required else ""
        label = escape(self.fill(question.label)) + mark
        condition = self.condition(node.only_if)
        if question.kind in {"radios", "ratings", "checkboxes", "checkbox"}:
            body = self.choices(question, name)
            return (
                f'<fieldset class="cml-question mb-3"{condition}{named}><legend class="form-label">{label}</legend>'
                f"{help_}{body}{problem}</fieldset>"
            )
        body = (
            self.select(question, name, described)
            if question.kind == "select"
            else self.text(question, name, described)
        )
        return (
            f'<div class="cml-question mb-3"{condition}><label class="form-label" for="{name}">{label}</label>'
            f"{help_}{body}{problem}</div>"
        )

    def choices(self, question: Question, name: str) -> str:
        one = question.kind in {"radios", "ratings"}
        chosen = self.answers.get(question.name, [])
        invalid = ' aria-invalid="true"' if question.name in self.errors else ""
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
                f"<span>{escape(self.fill(option.label))}</span>{hint}</label>"
            )
        return f'<div class="answers">{"".join(parts)}</div>'

    def select(self, question: Question, name: str, described: str) -> str:
        chosen = self.answers.get(question.name, [])
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
        value = escape("\n".join(self.answers.get(question.name, [])))
        required = " required" if question.required else ""
        common = f'class="form-control" id="{name}" name="{name}" maxlength="10000"{required}{described}'
        if question.kind == "textarea":
            return f'<textarea {common} rows="3">{value}</textarea>'
        return f'<input {common} type="text" value="{value}">'


def _harmless_link(url: str) -> bool:
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.netloc)
