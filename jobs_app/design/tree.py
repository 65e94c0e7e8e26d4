"""The parts of a job design: what was written, as a tree, and the questions found in it. Pure data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

VALIDATORS = ("required", "integer", "positiveInteger", "numeric", "url", "email")
AGGREGATIONS = re.compile(r"agg|all|avg|agg_[1-9][0-9]?|cagg_(?:0?\.[0-9]+|1|0)")
LIQUID = re.compile(r"\{\{\s*([A-Za-z_][\w .:-]*?)\s*(?:\|\s*default:\s*(?:\"([^\"]*)\"|'([^']*)')\s*)?\}\}")

CHOICES = {"radios": "radio", "checkboxes": "checkbox", "select": "option", "ratings": "rating"}
"""Question tags that have options, and the tag of their options."""
QUESTIONS = {*CHOICES, "checkbox", "text", "textarea"}
OPTIONS = set(CHOICES.values())
OTHERS = {"group", "instructions"}
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
    value: str
    label: str


@dataclass(frozen=True)
class Condition:
    """One term of an only-if: question, the wanted value or index (None: any answer), and whether negated.

    `unchecked` asks that a question has no answer.
    """

    question: str
    value: str | None = None
    negated: bool = False
    unchecked: bool = False


OnlyIf = tuple[tuple[Condition, ...], ...]
"""Any of these (||) groups whose terms all hold (++)."""


@dataclass
class Question:
    """A question as asked: `kind` is the tag's name; `values` in the order of its options."""

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


@dataclass
class Design:
    """A parsed design. It can be used when `errors` is empty."""

    source: str
    root: Node
    questions: list[Question]
    columns: list[str]
    problems: list[DesignProblem]

    @property
    def errors(self) -> list[DesignProblem]:
        return [problem for problem in self.problems if problem.level == "error"]

    def question(self, name: str) -> Question | None:
        return next((question for question in self.questions if question.name == name), None)


def derive_name(label: str) -> str:
    """A name made of a label: lower case, only letters, digits and single underscores (domain.md 1.4)."""
    kept = re.sub(r"[^a-z0-9_ ]", "", label.lower()).strip()
    return re.sub(r" +", "_", kept)


def liquid_columns(text: str) -> list[str]:
    """The columns that a text refers to as {{column}}."""
    return [match.group(1) for match in LIQUID.finditer(text)]
