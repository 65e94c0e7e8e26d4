"""`only-if`: how it is written, when it holds, and in which order questions are to be asked (domain.md 1.5)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from .tree import Condition, Design, OnlyIf, Question

TERM = re.compile(
    r"""(!?)\s*([A-Za-z0-9_]+)            # the question, perhaps negated
        (?: : (?: (unchecked)
                | \[\s* (?: '([^'\]]+)' | "([^"\]]+)" | ([^\]'"]+?) ) \s*\] ) )?""",
    re.VERBOSE,
)

OUTSIDE_BRACKETS = r"(?![^\[\]]*\])"
OR = re.compile(r"\|\|" + OUTSIDE_BRACKETS)
AND = re.compile(r"\+\+" + OUTSIDE_BRACKETS)


def read_only_if(text: str) -> OnlyIf | None:
    """The condition written in an only-if attribute; None when it cannot be read."""
    groups = []
    for part in OR.split(text):
        terms = []
        for written in AND.split(part):
            match = TERM.fullmatch(written.strip())
            if match is None:
                return None
            negated, name, unchecked, *quoted, plain = match.groups()
            exact = next((value for value in quoted if value is not None), None)
            value = plain if exact is None else exact
            terms.append(Condition(name, value, bool(negated), bool(unchecked), exact is not None))
        groups.append(tuple(terms))
    return tuple(groups)


def wanted_value(term: Condition, question: Question | None) -> str | None:
    """The stored value that a term asks for.

    A number in brackets is the place of an option counted from 0, not its value (Appen's rule; domain.md 1.4),
    unless there is no such place; in quotes, q:['2'], it is the value.
    """
    if term.value is None or question is None or term.quoted or not _is_place(term.value, question):
        return term.value
    return question.options[int(term.value)].value


def _is_place(value: str, question: Question) -> bool:
    return re.fullmatch(r"[0-9]{1,4}", value) is not None and int(value) < len(question.options)


def reads_as_place(term: Condition, question: Question) -> bool:
    """Whether a number meant as a value is read as the place of another option."""
    return term.value in question.values and wanted_value(term, question) != term.value


def holds(condition: OnlyIf, answers: Mapping[str, Sequence[str]], design: Design) -> bool:
    """Whether a condition is met by the answers of the questions that are shown."""
    return any(all(_term_holds(term, answers, design) for term in group) for group in condition)


def _term_holds(term: Condition, answers: Mapping[str, Sequence[str]], design: Design) -> bool:
    question = design.question(term.question)
    given = [answer for answer in answers.get(term.question, []) if answer.strip()]
    if question is not None and question.kind == "checkbox":
        given = [answer for answer in given if answer in question.values]  # what it submits unticked is no tick
    if term.unchecked:
        result = not given
    elif term.value is None:
        result = bool(given)
    else:
        result = wanted_value(term, question) in given
    return result != term.negated


def visible(question: Question, answers: Mapping[str, Sequence[str]], design: Design) -> bool:
    """Whether a question is shown; `answers` are those of the questions that are themselves shown."""
    return all(holds(condition, answers, design) for condition in question.only_if)


def terms_of(conditions: Iterable[OnlyIf]) -> Iterator[Condition]:
    return (term for condition in conditions for group in condition for term in group)


def ask_in_order(questions: Sequence[Question]) -> tuple[list[Question], list[Question]]:
    """The questions, each after those its only-if names, and those that wait for each other in a circle."""
    named = {question.name: question for question in reversed(questions)}
    waits = {
        question.name: {term.question for term in terms_of(question.only_if) if term.question in named}
        for question in named.values()
    }
    ordered: list[Question] = []
    done: set[str] = set()
    left = [question for question in questions if named[question.name] is question]
    dependents: dict[str, list[str]] = {}
    for name, others in waits.items():
        for other in others:
            dependents.setdefault(other, []).append(name)
    ready = [question.name for question in left if not waits[question.name]]
    while ready:
        name = ready.pop(0)
        ordered.append(named[name])
        done.add(name)
        for dependent in dependents.get(name, []):
            waits[dependent].discard(name)
            if not waits[dependent]:
                ready.append(dependent)
    circle = [question for question in left if question.name not in done]
    return [*ordered, *circle], circle
