"""Reads submitted answers against a design: what is hidden is dropped, what is wrong is named."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from . import validators
from .conditions import visible
from .tree import ONE_ANSWER, Design, Question

MAX_TEXT = 10_000
MAX_ENTRIES = 100
Answers = dict[str, list[str]]
__all__ = ["Answers", "read_answers", "visible"]


def read_answers(
    design: Design, submitted: Mapping[str, Sequence[str]], prefix: str = ""
) -> tuple[Answers, dict[str, str]]:
    """The answers of the visible questions, cleaned, and an error for each question that has one.

    The browser is not trusted: conditions and validators are applied here again, and answers that are no
    option are refused. A question that is hidden counts as unanswered for those that depend on it.
    Where there are errors, the answers hold wrong texts too: good only for showing the form again.
    """
    seen: Answers = {}
    answers: Answers = {}
    errors: dict[str, str] = {}
    for question in design.in_order:
        if not visible(question, seen, design):
            continue
        given = _given(question, submitted.get(prefix + question.name, []))
        seen[question.name] = given
        error = _error(question, given)
        if error:
            errors[question.name] = error
        if given and not (error and question.options):
            answers[question.name] = given
        elif question.unticked and not error:
            answers[question.name] = [question.unticked]
    page_order = [question.name for question in design.questions]
    return {name: answers[name] for name in page_order if name in answers}, errors


def _given(question: Question, submitted: Sequence[str]) -> list[str]:
    """What was answered, without blanks and repetitions; a text for several answers has one on each line."""
    values = [value.replace("\0", "").replace("\r\n", "\n") for value in submitted]
    if question.multiple:
        between = r"\n\s*\n" if question.kind == "textarea" else r"\n"
        values = [part for value in values for part in re.split(between, value)]
    return list(dict.fromkeys(value.strip() for value in values if value.strip()))


def _error(question: Question, given: list[str]) -> str:
    if question.options:
        if unknown := [value for value in given if value not in question.values]:
            return f"“{unknown[0][:50]}” is not one of the answers."
        if question.kind in ONE_ANSWER and len(given) > 1:
            return "Choose one answer only."
    elif len(given) > (MAX_ENTRIES if question.multiple else 1):
        return f"Write at most {MAX_ENTRIES} answers." if question.multiple else "Write one answer only."
    elif any(len(value) > MAX_TEXT for value in given):
        return f"Write at most {MAX_TEXT:,} characters."
    for validator in question.validates:
        if validator == "required":
            if not given:
                return "Choose an answer." if question.options else "Write an answer."
        elif not all(validators.holds(validator, value) for value in given):
            return validators.message(validator)
    return ""
