"""One list of texts that try to become more than text, a way to put them everywhere, and a look at what came of it."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

from django.apps import apps
from django.contrib.postgres.fields import ArrayField
from django.db import IntegrityError, models, transaction
from django_scopes import scopes_disabled

MARK = "xss7f"
NASTY = [
    f"'\"></textarea></script><{MARK} on{MARK}=1>",
    f"<script>alert('{MARK}')</script>",
    f"\"><img src=x onerror=alert('{MARK}')>",
    f"' onmouseover=alert('{MARK}') {MARK}='",
    f"\" autofocus onfocus=alert('{MARK}') {MARK}=\"",
    f"</script><svg onload=alert('{MARK}')>",
    f"</title></style></noscript><{MARK}>",
    f"javascript:alert('{MARK}')//",
    f"--><{MARK}><!--",
    f"{{{{7*7}}}}{{% debug %}}<{MARK}>",
    f"&lt;{MARK}&gt;&#60;{MARK}>&amp;lt;",
    f"\\u003c{MARK}\\u003e\\x3c{MARK}>",
    f"<![CDATA[<{MARK}>]]>",
    f"\u202e\u2028<{MARK}\x0conx=1>",
    f"data:text/html,<script>alert('{MARK}')</script>",
    f"<a href=\"javascript:alert('{MARK}')\">x</a>",
    f"<iframe srcdoc=\"<script>alert('{MARK}')</script>\">",
    f"<form action=javascript:alert('{MARK}')><button>",
    f"<math><mtext><table><mglyph><style><{MARK}>",
    f"`${{alert('{MARK}')}}`<{MARK}/>",
    f"<base href=//evil.example/{MARK}/>",
    f"<meta http-equiv=refresh content=0;url=//evil.example/{MARK}>",
    f"<cml:radio label=\"</label><{MARK}>\" value='{MARK}'/>",
    f'=HYPERLINK("http://evil.example/?{MARK}")',
]
EVERYTHING = " ".join(NASTY)

# --- putting them everywhere --------------------------------------------------------------------------------

OWN = {"accounts", "models_app", "jobs_app", "workflows_app", "reports_app"}
OURS = {
    "slug", "file", "sha256", "ref", "feature_version", "backend", "stage", "path", "token_hash", "password",
    "content_hash", "key_hash", "prefix", "cml", "object_type", "verb",
}  # fmt: skip
"""Columns that hold our own words: no person and no file can put a text there."""


def saturate(turn: int, texts: list[str] = NASTY, team: Any = None) -> int:
    """Overwrite every text of every row of every table of ours; how many values were written. With `team`: its rows."""
    written = 0
    with scopes_disabled():
        for model in apps.get_models():
            if model._meta.app_label not in OWN or model._meta.model_name == "activity":
                continue
            for row in list(model._base_manager.all()):
                if team is not None and getattr(row, "team_id", None) != team.pk and row != team:
                    continue
                values = dict(_values(model, row, turn, texts))
                for name, value in values.items():
                    with contextlib.suppress(IntegrityError), transaction.atomic():
                        written += model._base_manager.filter(pk=row.pk).update(**{name: value})
    return written


def _values(model: type[models.Model], row: Any, turn: int, texts: list[str]) -> Iterator[tuple[str, Any]]:
    for place, field in enumerate(model._meta.concrete_fields):
        name = field.attname
        if name in OURS or getattr(field, "choices", None) or getattr(field, "remote_field", None):
            continue
        text, long = short(turn, place, texts), " ".join(texts)
        old = getattr(row, name)
        if isinstance(field, ArrayField) and isinstance(field.base_field, models.CharField | models.TextField):
            # The names of classes are the same everywhere, or nothing would fit together.
            yield name, [f"{short(turn, 0, texts)}{number}" for number in range(len(old or [1, 2]))]
        elif name in {"label", "predicted"}:
            yield name, f"{short(turn, 0, texts)}0"
        elif isinstance(field, models.EmailField):
            yield name, f"{text}{row.pk}@x.example"
        elif isinstance(field, models.TextField) and not field.unique:
            yield name, long
        elif isinstance(field, models.CharField):
            if old is not None:
                yield name, f"{text}{row.pk}"[: field.max_length]
        elif filled := JSON_OF.get((model.__name__, name)):
            yield name, filled(text)


JSON_OF: dict[tuple[str, str], Any] = {
    ("Unit", "data"): lambda text: {"sku": text, text: EVERYTHING, "list": [text, EVERYTHING]},
    ("TestQuestion", "answers"): lambda text: {"image_category": [text]},
    ("TestQuestion", "reasons"): lambda text: {"image_category": EVERYTHING},
    ("Judgment", "answers"): lambda text: {"image_category": [text]},
    **{
        (name, "problems"): lambda text: [{"line": 2, "column": text, "code": "ragged", "message": EVERYTHING}]
        for name in ("TrainingUpload", "Evaluation", "JobUpload", "WorkflowUpload")
    },
    **{
        (name, "columns"): lambda text: ["image_url", text]
        for name in ("TrainingUpload", "Evaluation", "JobUpload", "WorkflowUpload")
    },
}


def short(turn: int, place: int, texts: list[str] = NASTY) -> str:
    """The text of a turn for a short column; the first turn is one that breaks out of everything."""
    return texts[0] if turn == 0 else texts[(turn * 7 + place) % len(texts)]


# --- looking at a page --------------------------------------------------------------------------------------

FORBIDDEN = {"object", "embed", "base", "applet", "math", "style", "frame", "frameset", MARK}
PREVIEW = {"class", "title", "srcdoc"}
ADDRESSES = {
    "href",
    "src",
    "action",
    "formaction",
    "data",
    "poster",
    "srcset",
    "srcdoc",
    "xlink:href",
    "hx-get",
    "hx-post",
}
RAW = re.compile(
    rf"<(?:{MARK}|img src=x|svg onload|script>alert|iframe srcdoc|base href=|form action=javascript)", re.IGNORECASE
)


class _Looker(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self.script: str | None = None

    def parse_html_declaration(self, i: int) -> int:
        try:
            return super().parse_html_declaration(i)
        except AssertionError:
            return self.parse_bogus_comment(i)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "iframe":
            # The preview of a design is a whole page of ours in a frame: looked at as one.
            self.found += dangers(given.get("srcdoc") or "") if set(given) == PREVIEW else ["element <iframe>"]
        elif tag in FORBIDDEN or (tag == "meta" and "http-equiv" in given):
            self.found.append(f"element <{tag}>")
        for name, value in attrs:
            if name.startswith("on") or MARK in name or name == "style":
                self.found.append(f"attribute {name} of <{tag}>")
            scheme = re.sub(r"[\x00-\x20]", "", value or "").lower()
            if name in ADDRESSES and scheme.startswith(("javascript:", "vbscript:", "data:text", "//evil")):
                self.found.append(f"{name}={value!r} of <{tag}>")
        if tag == "script":
            self.script = ""
            if "src" not in given and given.get("type") not in {"application/json", "importmap"}:
                self.found.append("inline script")
            elif MARK in (given.get("src") or ""):
                self.found.append("foreign script")

    handle_startendtag = handle_starttag

    def handle_data(self, data: str) -> None:
        if self.script is not None:
            self.script += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "script" and self.script is not None:
            if self.script.strip():
                with contextlib.suppress(ValueError):
                    json.loads(self.script)
                    self.script = ""
                self.found += ["not JSON"] if self.script else []
            self.script = None


def dangers(page: str) -> list[str]:
    """What of a page would be more than text. Pages of the product have nothing inline, so any of it is one."""
    looker = _Looker()
    looker.feed(page)
    looker.close()
    outside_scripts = re.sub(r"<script[^>]*type=\"application/json\"[^>]*>.*?</script>", "", page, flags=re.DOTALL)
    return looker.found + [f"raw {match[0]}" for match in RAW.finditer(outside_scripts)]
