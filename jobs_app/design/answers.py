"""Reads submitted answers against a design: what is hidden is dropped, what is wrong is named."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from .tree import Condition, Design, OnlyIf, Question

MAX_TEXT = 10_000
Answers = dict[str, list[str]]


def holds(condition: OnlyIf, answers: Mapping[str, Sequence[str]], design: Design) -> bool:
    """Whether an only-if condition is met by the answers so far (domain.md 1.5)."""
    return any(all(_term_holds(term, answers, design) for term in group) for group in condition)


def _term_holds(term: Condition, answers: Mapping[str, Sequence[str]], design: Design) -> bool:
    given = [answer for answer in answers.get(term.question, []) if answer.strip()]
    if term.unchecked:
        result = not given
    elif term.value is None:
        result = bool(given)
    else:
        wanted = term.value
        question = design.question(term.question)
        # A number in brackets is the place of an option, not its value (Appen's own rule).
        if question and wanted.isdigit() and question.options and int(wanted) < len(question.options):
            wanted = question.options[int(wanted)].value
        result = wanted in given
    return result != term.negated


def visible(question: Question, answers: Mapping[str, Sequence[str]], design: Design) -> bool:
    return all(holds(condition, answers, design) for condition in question.only_if)


def read_answers(
    design: Design, submitted: Mapping[str, Sequence[str]], prefix: str = ""
) -> tuple[Answers, dict[str, str]]:
    """The answers of the visible questions, cleaned, and an error for each question that has one.

    The browser is not trusted: conditions and validators are applied here again, and answers that are no
    option are refused.
    """
    answers: Answers = {}
    errors: dict[str, str] = {}
    for question in design.questions:
        if not visible(question, answers, design):
            continue
        given = [value.strip() for value in submitted.get(prefix + question.name, []) if value.strip()]
        given = [value.replace("\0", "") for value in given]
        error = _error(question, given)
        if error:
            errors[question.name] = error
        elif given:
            answers[question.name] = list(dict.fromkeys(given))
    return answers, errors


def _error(question: Question, given: list[str]) -> str:
    if question.options:
        if unknown := [value for value in given if value not in question.values]:
            return f"“{unknown[0][:50]}” is not one of the answers."
        if question.kind != "checkboxes" and len(given) > 1:
            return "Choose one answer only."
    elif any(len(value) > MAX_TEXT for value in given):
        return f"Write at most {MAX_TEXT:,} characters."
    for validator in question.validates:
        if validator == "required":
            if not given:
                return "Choose an answer." if question.options else "Write an answer."
        elif given and not all(_valid(validator, value) for value in given):
            return MESSAGES[validator]
    return ""


MESSAGES = {
    "integer": "Write a whole number.",
    "positiveInteger": "Write a whole number above 0.",
    "numeric": "Write a number.",
    "url": "Write an address that begins with http:// or https://.",
    "email": "Write an e-mail address.",
}


def _valid(validator: str, value: str) -> bool:
    match validator:
        case "integer":
            return re.fullmatch(r"[+-]?\d{1,30}", value) is not None
        case "positiveInteger":
            return re.fullmatch(r"\+?0*[1-9]\d{0,30}", value) is not None
        case "numeric":
            return re.fullmatch(r"[+-]?(\d{1,30}(\.\d*)?|\.\d{1,30})", value) is not None
        case "email":
            return re.fullmatch(r"[^@\s]{1,64}@[^@\s]{1,190}\.[^@\s.]{2,}", value) is not None
        case "url":
            try:
                parts = urlsplit(value)
            except ValueError:
                return False
            return parts.scheme in {"http", "https"} and bool(parts.hostname)
    return True
