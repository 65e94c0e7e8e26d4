"""The parts of a job design: what was written, as a tree, and the questions found in it. Pure data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property

AGGREGATIONS = re.compile(r"agg|all|avg|agg_[1-9][0-9]?|cagg_(?:0?\.[0-9]+|1|0)")
CHOICES = {"radios": "radio", "checkboxes": "checkbox", "select": "option", "ratings": "rating"}
"""Question tags that have options, and the tag of their options."""
QUESTIONS = {*CHOICES, "checkbox", "text", "textarea"}
OPTIONS = set(CHOICES.values())
OTHERS = {"group", "instructions"}
ONE_ANSWER = {"radios", "select", "ratings"}
DEFAULT_AGGREGATION = {"text": "all", "textarea": "all", "ratings": "avg"}


@dataclass(frozen=True)
class DesignProblem:
    """What is wrong with a design, where (line and column from 1; 0: nowhere in particular), and what to do."""

    line: int
    column: int
    code: str
    message: str
    level: str = "error"


@dataclass(frozen=True)
class Option:
    """One answer to choose: what is stored, what is shown, and whether it is chosen beforehand."""

    value: str
    label: str
    preset: bool = False


@dataclass(frozen=True)
class Condition:
    """One term of an only-if: question, the wanted value or index (None: any answer), and whether negated.

    `unchecked` asks that a question has no answer. `quoted`: the value stood in quotes, so that a number is a
    value and not the place of an answer.
    """

    question: str
    value: str | None = None
    negated: bool = False
    unchecked: bool = False
    quoted: bool = False


OnlyIf = tuple[tuple[Condition, ...], ...]
"""Any of these (||) groups whose terms all hold (++)."""


@dataclass
class Question:
    """A question as asked: `kind` is the tag's name; `values` in the order of its options.

    `placeholder` is shown in an empty text field and never submitted. `unticked` is what a single check box
    submits when nobody ticks it. `multiple`: a text question that takes several answers.
    """

    name: str
    kind: str
    label: str
    options: list[Option]
    validates: list[str]
    only_if: list[OnlyIf]
    gold: bool
    exact: bool
    aggregation: str
    instructions: str
    line: int
    column: int
    placeholder: str = ""
    unticked: str = ""
    multiple: bool = False

    @property
    def values(self) -> list[str]:
        return [option.value for option in self.options]

    @property
    def required(self) -> bool:
        return "required" in self.validates


@dataclass
class Node:
    """An element or (tag "") a text. `question` is set on the elements that ask one."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Node] = field(default_factory=list)
    text: str = ""
    line: int = 0
    column: int = 0
    question: Question | None = None
    only_if: OnlyIf | None = None

    @property
    def cml(self) -> str:
        """The name after `cml:`, or "" for HTML and text."""
        return self.tag[4:] if self.tag.startswith("cml:") else ""

    def walk(self) -> Iterator[Node]:
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True)
class ColumnUse:
    """A {{column}} of a design: where it stands first, and whether every use gives a default."""

    name: str
    line: int
    column: int
    has_default: bool = False


@dataclass
class Design:
    """A parsed design. It can be used when `errors` is empty. Never changed after parsing.

    `questions` are in the order of the page, `in_order` each after the questions that its only-if names.
    """

    source: str
    root: Node
    questions: list[Question]
    uses: list[ColumnUse]
    problems: list[DesignProblem]
    in_order: list[Question] = field(default_factory=list)

    @property
    def columns(self) -> list[str]:
        return [use.name for use in self.uses]

    @property
    def errors(self) -> list[DesignProblem]:
        return [problem for problem in self.problems if problem.level == "error"]

    @cached_property
    def _by_name(self) -> dict[str, Question]:
        return {question.name: question for question in reversed(self.questions)}

    def question(self, name: str) -> Question | None:
        return self._by_name.get(name)


def meant(word: str, known: Iterable[str]) -> str:
    """A hint for a word that is perhaps mistyped: “ Did you mean x?”, or nothing."""
    near = get_close_matches(word, list(known), n=1)
    return f" Did you mean {near[0]}?" if near else ""


def derive_name(label: str) -> str:
    """A name made of a label: lower case, only letters, digits and single underscores (domain.md 1.4)."""
    kept = re.sub(r"[^a-z0-9_ ]", "", label.lower()).strip()
    return re.sub(r" +", "_", kept)
