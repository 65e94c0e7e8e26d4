"""The form in which the accepted answers of a test question are said (reference/domain.md 3.1).

It is the job's own design, so that a requester sees what contributors see, but every choice is a check box, because
several answers may be right, and each question has a box for the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from .render import ImageUrl, _Drawing
from .tree import Design, Node, OnlyIf, Question

ANSWER, REASON = "answer-", "reason-"


def render_gold_form(
    design: Design,
    *,
    row: Mapping[str, Any],
    image_url_for: ImageUrl,
    answers: Mapping[str, Sequence[str]],
    reasons: Mapping[str, str],
    errors: Mapping[str, str] | None = None,
    locked: bool = False,
) -> SafeString:
    """The fields of one row, without the <form>: accepted answers (`answer-<name>`), reasons (`reason-<name>`).

    Every question is shown, also those with an only-if: whether one is asked depends on answers that are not given
    here. With `locked` nothing can be changed.
    """
    drawing = _GoldDrawing(design, row, image_url_for, ANSWER, answers, errors or {})
    drawing.reasons, drawing.locked = reasons, locked
    return mark_safe(drawing.children(design.root))  # noqa: S308 - built from escaped parts only


def read_gold_form(
    design: Design, submitted: Mapping[str, Sequence[str]]
) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Accepted answers and reasons by question, as they were sent; a written question has one answer on each line."""
    answers, reasons = {}, {}
    for question in design.questions:
        given = [value.replace("\0", "") for value in submitted.get(ANSWER + question.name, [])]
        lines = given if question.options else [line for value in given for line in value.splitlines()]
        answers[question.name] = [line.strip() for line in lines if line.strip()]
        reasons[question.name] = "".join(submitted.get(REASON + question.name, [])[:1]).replace("\0", "").strip()
    return (
        {name: values for name, values in answers.items() if values},
        {name: text for name, text in reasons.items() if text},
    )


class _GoldDrawing(_Drawing):
    reasons: Mapping[str, str]
    locked: bool

    def condition(self, only_if: OnlyIf | None) -> str:
        return ""

    def question(self, node: Node, question: Question) -> str:
        label = escape(self.fill(question.label))
        if not question.gold:
            return f'<p class="soft">“{label}” takes no part in test questions.</p>'
        name = escape(self.prefix + question.name)
        error = self.errors.get(question.name, "")
        hint = _hint(question)
        told = " ".join(f"{name}-{part}" for part, text in (("hint", hint), ("error", error)) if text)
        described = f' aria-describedby="{told}"' if told else ""
        help_ = f'<div class="form-hint mb-2" id="{name}-hint">{hint}</div>' if hint else ""
        problem = f'<div class="invalid-feedback d-block" id="{name}-error">{escape(error)}</div>' if error else ""
        if question.options:
            # Radios and drop-downs become check boxes; none must be ticked.
            body = self.choices(replace(question, kind="checkboxes", validates=[]), name)
            shown = f'<legend class="form-label">{label}</legend>{help_}{body}{problem}'
            fields = f"<fieldset{described}{self.off}>{shown}</fieldset>"
        else:
            value = escape("\n".join(self.chosen(question)))
            fields = (
                f'<label class="form-label" for="{name}">{label}</label>{help_}'
                f'<textarea class="form-control" id="{name}" name="{name}" rows="2"{described}{self.off}>\n{value}'
                f"</textarea>{problem}"
            )
        return f'<div class="gold-question" data-gold-question>{fields}{self.reason(question)}</div>'

    @property
    def off(self) -> str:
        return " disabled" if self.locked else ""

    def reason(self, question: Question) -> str:
        name, text = escape(REASON + question.name), escape(self.reasons.get(question.name, ""))
        return (
            f'<div class="gold-reason"><label class="form-label" for="{name}">Reason'
            ' <span class="form-optional">shown to people who miss it</span></label>'
            f'<textarea class="form-control" id="{name}" name="{name}" rows="2" maxlength="2000"{self.off}>\n{text}'
            "</textarea></div>"
        )


def _hint(question: Question) -> str:
    parts = []
    if question.only_if:
        parts.append("Asked only after certain answers. Leave it empty when it is not asked for this row.")
    if question.exact:
        parts.append("Exactly the accepted answers have to be given.")
    if not question.options:
        parts.append("One accepted answer on each line.")
    return " ".join(parts)
