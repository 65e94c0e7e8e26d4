"""Finds the questions in a tree of tags, and what is wrong with them (domain.md 1.2-1.6)."""

from __future__ import annotations

import re

from .conditions import ask_in_order, read_only_if, reads_as_place, wanted_value
from .tree import (
    AGGREGATIONS,
    CHOICES,
    DEFAULT_AGGREGATION,
    ONE_ANSWER,
    OPTIONS,
    QUESTIONS,
    DesignProblem,
    Node,
    OnlyIf,
    Option,
    Question,
    derive_name,
    meant,
)
from .validators import validator_problem

NAME = re.compile(r"[a-z0-9_]+")
MAX_NAME = 100
VALUE = re.compile(r"[^\s\"'<>|\[\]]+")
GOLD_COLUMN = re.compile(r".*_gold(_reason)?")
"""Columns of test questions: a question of that name could not be told from them."""
COMMON = {"class"}
QUESTION_ATTRIBUTES = COMMON | {
    "label", "name", "instructions", "validates", "only-if", "gold", "exact", "aggregation",
}  # fmt: skip
KIND_ATTRIBUTES = {
    "select": {"default"},
    "checkbox": {"value", "default", "checked"},
    "ratings": {"points"},
    "text": {"default", "multiple"},
    "textarea": {"default", "multiple"},
}
OPTION_ATTRIBUTES = COMMON | {"label", "name", "value", "default", "checked"}
OTHER_ATTRIBUTES = {"group": COMMON | {"only-if", "multiple"}, "instructions": COMMON}
MIN_POINTS, MAX_POINTS = 2, 20


def read_questions(root: Node) -> tuple[list[Question], list[Question], list[DesignProblem]]:
    """The questions in the order of the page, in the order to ask them, and the problems found."""
    reader = _Reader()
    reader.visit(root, inside="", conditions=[])
    in_order = reader.check_conditions()
    return reader.questions, in_order, reader.problems


class _Reader:
    def __init__(self) -> None:
        self.problems: list[DesignProblem] = []
        self.questions: list[Question] = []
        self.names: set[str] = set()
        self.conditions: list[tuple[Node, OnlyIf]] = []

    def problem(self, node: Node, code: str, message: str, *, level: str = "error") -> None:
        self.problems.append(DesignProblem(node.line, node.column, code, message, level))

    def visit(self, node: Node, *, inside: str, conditions: list[OnlyIf]) -> None:
        """`inside` is the kind of question that we are in, "" outside of any."""
        kind = node.cml
        self.check_attributes(node)
        if "only-if" in node.attributes and (kind in QUESTIONS or kind == "group"):
            node.only_if = self.read_condition(node, node.attributes["only-if"])
            if node.only_if is not None:
                conditions = [*conditions, node.only_if]
        if kind in OPTIONS and CHOICES.get(inside) == kind:
            return
        if kind in QUESTIONS or kind == "group":
            if inside:
                self.problem(
                    node, "nested", f"<{node.tag}> stands inside <cml:{inside}>. Close <cml:{inside}> before it."
                )
            elif kind != "group":
                self.read_question(node, kind, conditions)
                inside = kind
        elif kind in OPTIONS:
            parent = next(name for name, option in CHOICES.items() if option == kind)
            self.problem(node, "stray_option", f"<{node.tag}> must stand inside <cml:{parent}>.")
        elif kind == "instructions" and not inside:
            self.problem(
                node, "stray_instructions", "<cml:instructions> must stand inside a question.", level="warning"
            )
        for child in node.children:
            self.visit(child, inside=inside, conditions=conditions)

    def check_attributes(self, node: Node) -> None:
        kind = node.cml
        if kind in QUESTIONS:
            known = QUESTION_ATTRIBUTES | KIND_ATTRIBUTES.get(kind, set())
            if kind == "checkbox":
                known = known | OPTION_ATTRIBUTES
        elif kind in OPTIONS:
            known = OPTION_ATTRIBUTES
        elif kind in OTHER_ATTRIBUTES:
            known = OTHER_ATTRIBUTES[kind]
        else:
            return
        for name in node.attributes:
            if name not in known:
                message = f"{name} means nothing on <{node.tag}> and will be left out.{meant(name, known)}"
                self.problem(node, "unknown_attribute", message, level="warning")
        if kind == "group" and self.flag(node, "multiple"):
            message = "Groups are not repeated: multiple will be left out."
            self.problem(node, "no_repeating", message, level="warning")

    def flag(self, node: Node, name: str, default: bool = False) -> bool:
        """A true/false attribute; written without a value it is true, as in HTML."""
        written = node.attributes.get(name)
        if written is None:
            return default
        if written.strip().lower() not in {"", "true", "false"}:
            self.problem(node, "bad_flag", f'{name}="{written}" on <{node.tag}>: write true or false.')
            return default
        return written.strip().lower() != "false"

    def read_question(self, node: Node, kind: str, conditions: list[OnlyIf]) -> None:
        given = node.attributes
        label = given.get("label", "").strip()
        name = given.get("name", "").strip() or derive_name(label)
        self.check_name(node, label, name)
        self.names.add(name)
        text = kind in {"text", "textarea"}
        node.question = Question(
            name=name,
            kind=kind,
            label=label or name,
            options=self.read_options(node, kind),
            validates=self.read_validators(node),
            only_if=conditions,
            gold=self.flag(node, "gold", default=True),
            exact=self.flag(node, "exact"),
            aggregation=self.read_aggregation(node, kind),
            instructions=given.get("instructions", "").strip() or _instructions(node),
            line=node.line,
            column=node.column,
            placeholder=given.get("default", "") if text else "",
            unticked=given.get("default", "").strip() if kind == "checkbox" else "",
            multiple=text and self.flag(node, "multiple"),
        )
        self.check_presets(node, node.question)
        self.questions.append(node.question)

    def check_name(self, node: Node, label: str, name: str) -> None:
        if not label and not node.attributes.get("name"):
            self.problem(node, "no_label", f'<{node.tag}> needs a label: <{node.tag} label="Your question">.')
        elif not name:
            self.problem(node, "bad_name", f'No name can be made of the label “{label}”. Add one: name="my_question".')
        elif not NAME.fullmatch(name) or len(name) > MAX_NAME:
            self.problem(
                node,
                "bad_name",
                f"The name “{name}” may only have small letters, digits and underscores, at most {MAX_NAME}.",
            )
        elif name.startswith("_") or GOLD_COLUMN.fullmatch(name):
            self.problem(
                node,
                "reserved_name",
                f"The name “{name}” is kept for columns of reports and test questions. Choose one that does not"
                " begin with _ or end in _gold or _gold_reason.",
            )
        elif name in self.names:
            self.problem(node, "same_name", f"Two questions are called “{name}”. Give one of them another name.")

    def read_validators(self, node: Node) -> list[str]:
        written = node.attributes.get("validates", "").split()
        usable = []
        for word in written:
            if problem := validator_problem(word):
                self.problem(node, *problem)
            else:
                usable.append(word)
        return usable

    def read_aggregation(self, node: Node, kind: str) -> str:
        aggregation = node.attributes.get("aggregation", "") or DEFAULT_AGGREGATION.get(kind, "agg")
        if not AGGREGATIONS.fullmatch(aggregation):
            self.problem(
                node, "unknown_aggregation", f"“{aggregation}” is not an aggregation: agg, all, avg, agg_3 or cagg_0.7."
            )
        return aggregation

    def read_options(self, node: Node, kind: str) -> list[Option]:
        if kind == "checkbox":
            return [self.single_option(node)]
        if kind not in CHOICES:
            return []
        options: list[Option] = []
        for child in node.walk():
            if child.cml == CHOICES[kind]:
                option = self.read_option(child)
                if option.value and option.value in [other.value for other in options]:
                    self.problem(
                        child, "same_value", f"The value “{option.value}” is there twice. Change or remove one."
                    )
                options.append(option)
        if kind == "ratings" and not options and "points" in node.attributes:
            options = self.read_points(node)
        elif not options:
            self.problem(node, "no_options", f"<{node.tag}> has no answers. Add <cml:{CHOICES[kind]}> tags inside it.")
        if kind == "select" and (default := node.attributes.get("default", "").strip()):
            if not any(default in {option.label, option.value} for option in options):
                self.problem(node, "unknown_default", f"default names “{default}”, which is no answer.")
            options = [
                Option(option.value, option.label, option.preset or default in {option.label, option.value})
                for option in options
            ]
        return options

    def single_option(self, node: Node) -> Option:
        label = node.attributes.get("label", "").strip()
        value = node.attributes.get("value", "").strip() or derive_name(label) or "true"
        self.check_value(node, value)
        return Option(value, label, self.flag(node, "checked"))

    def read_option(self, child: Node) -> Option:
        given = child.attributes
        label = given.get("label", "").strip() or given.get("value", "").strip()
        value = given.get("value", "").strip() or derive_name(label)
        if not value:
            self.problem(
                child,
                "no_value",
                f'<{child.tag}> needs a label and a value: <{child.tag} label="Boots" value="boots"/>.',
            )
        else:
            self.check_value(child, value)
        preset = self.flag(child, "checked") or self.flag(child, "default")
        return Option(value, label or value, preset)

    def check_value(self, node: Node, value: str) -> None:
        if not VALUE.fullmatch(value):
            fixed = re.sub(r"[\s\"'<>|\[\]]+", "_", value)
            self.problem(
                node, "bad_value", f"The value “{value}” may not have spaces, quotes, | or brackets. Use “{fixed}”."
            )

    def read_points(self, node: Node) -> list[Option]:
        points = node.attributes["points"].strip()
        if not re.fullmatch(r"[0-9]{1,2}", points) or not MIN_POINTS <= int(points) <= MAX_POINTS:
            message = f"points=“{points}”: write a number from {MIN_POINTS} to {MAX_POINTS}."
            self.problem(node, "bad_points", message)
            return []
        return [Option(str(number), str(number)) for number in range(1, int(points) + 1)]

    def check_presets(self, node: Node, question: Question) -> None:
        if question.kind in ONE_ANSWER and sum(option.preset for option in question.options) > 1:
            self.problem(node, "two_presets", f"Only one answer of “{question.label}” can be chosen beforehand.")
        if question.unticked:
            self.check_value(node, question.unticked)
            if question.unticked == question.options[0].value:
                message = f"“{question.label}” submits the same value ticked and not ticked. Change value or default."
                self.problem(node, "same_value", message)
            elif question.unticked == "true":
                message = (
                    'default is what is stored when the box is not ticked. To tick it beforehand write checked="true".'
                )
                self.problem(node, "default_is_unticked", message, level="warning")
        if question.aggregation == "avg" and not all(_number(value) for value in question.values):
            message = f"avg needs numbers, but “{question.label}” has other answer values."
            self.problem(node, "not_numeric", message)

    def read_condition(self, node: Node, text: str) -> OnlyIf | None:
        condition = read_only_if(text)
        if condition is None:
            self.problem(
                node, "bad_only_if", f"only-if=“{text}” cannot be read. Write question:[value], or question:unchecked."
            )
            return None
        self.conditions.append((node, condition))
        return condition

    def check_conditions(self) -> list[Question]:
        """Problems of all conditions; returns the questions in the order in which to ask them."""
        names = {question.name: question for question in self.questions}
        for node, condition in self.conditions:
            for term in (term for group in condition for term in group):
                question = names.get(term.question)
                if question is None:
                    self.problem(
                        node, "unknown_question", f"only-if names “{term.question}”, which is no question here."
                    )
                elif term.value is not None and question.options:
                    self.check_term(node, question, term.value, wanted_value(term, question))
                    if reads_as_place(term, question):
                        message = (
                            f"“{term.question}:[{term.value}]” is read as place {term.value} counted from 0, the answer"
                            f" “{wanted_value(term, question)}”. For the value write {term.question}:['{term.value}']."
                        )
                        self.problem(node, "read_as_place", message, level="warning")
        in_order, circle = ask_in_order(self.questions)
        for question in circle:
            self.problems.append(
                DesignProblem(
                    question.line,
                    question.column,
                    "circle",
                    f"“{question.label}” is shown only if a question is answered that waits for it. Change an only-if.",
                )
            )
        return in_order

    def check_term(self, node: Node, question: Question, written: str, wanted: str | None) -> None:
        if wanted not in question.values:
            self.problem(node, "unknown_answer", f"“{question.name}” has no answer “{written}” (in only-if).")


def _instructions(node: Node) -> str:
    for child in node.children:
        if child.cml == "instructions":
            return " ".join("".join(part.text for part in child.walk()).split())
    return ""


def _number(value: str) -> bool:
    return re.fullmatch(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)", value) is not None
