"""Instructions for contributors: plain text or simple HTML, made safe to show."""

from __future__ import annotations

import re

import nh3
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

ALLOWED_TAGS = {
    "a", "b", "blockquote", "br", "code", "em", "h1", "h2", "h3", "h4", "hr", "i", "li", "ol", "p", "pre", "s",
    "small", "strong", "sub", "sup", "table", "tbody", "td", "th", "thead", "tr", "u", "ul",
}  # fmt: skip
MARKUP = re.compile(r"</?[a-zA-Z][^<>]*>")
HEADING = re.compile(r"(#{1,3})\s+(.+)")
ITEM = re.compile(r"[-*•]\s+(.+)")
STEP = re.compile(r"[0-9]{1,3}[.)]\s+(.+)")
OUTLINE = """# Overview
What this job is about and what your answers are used for.

# Steps
1. Look at the whole picture.
2. Choose the answer that fits best.
3. If nothing fits, choose “Other”.

# Rules
- What belongs to each answer, and what does not.
- What to do when two answers seem right.
- What to do when the picture is missing or too small to see.

# Examples
- A picture of …: answer …, because …
- A picture that is often answered wrong: …"""
"""What good instructions have, to be filled in."""


def clean_instructions(text: str) -> SafeString:
    """Instructions as HTML with only harmless tags left (nh3), safe to show.

    Text without any tag is laid out: blank lines part paragraphs, `#` begins a heading, `-` or `1.` an item.
    """
    html = text if MARKUP.search(text) else _laid_out(text)
    attributes: dict[str, set[str]] = {"a": {"href", "title"}, "td": {"colspan"}, "th": {"colspan"}}
    cleaned = nh3.clean(html, tags=ALLOWED_TAGS, attributes=attributes, url_schemes={"http", "https", "mailto"})
    return mark_safe(cleaned)  # noqa: S308 - nh3 has just cleaned it


def _laid_out(text: str) -> str:
    parts: list[str] = []
    inside = ""  # the list or paragraph that is open
    for written in [*text.splitlines(), ""]:
        line = written.strip()
        kind, body = _line(line)
        if inside and kind != inside:
            parts.append(f"</{inside}>")
            inside = ""
        if kind in {"ul", "ol", "p"}:
            parts.append(f"<{kind}>" if not inside else ("<br>" if kind == "p" else ""))
            inside = kind
        parts.append(body)
    return "".join(parts)


def _line(line: str) -> tuple[str, str]:
    """What a line belongs to ("" : stands for itself) and its HTML."""
    if not line:
        return "", ""
    if match := HEADING.fullmatch(line):
        level = len(match[1]) + 1
        return "", f"<h{level}>{escape(match[2])}</h{level}>"
    if match := ITEM.fullmatch(line):
        return "ul", f"<li>{escape(match[1])}</li>"
    if match := STEP.fullmatch(line):
        return "ol", f"<li>{escape(match[1])}</li>"
    return "p", escape(line)
