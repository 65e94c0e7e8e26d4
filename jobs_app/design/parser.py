"""Reads CML: questions as `cml:` tags among HTML. Never fails: what is wrong comes back as problems."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from .tree import (
    AGGREGATIONS,
    CHOICES,
    DEFAULT_AGGREGATION,
    OPTIONS,
    OTHERS,
    QUESTIONS,
    VALIDATORS,
    Condition,
    Design,
    DesignProblem,
    Node,
    OnlyIf,
    Option,
    Question,
    derive_name,
    liquid_columns,
)

MAX_CHARACTERS = 65_536
MAX_DEPTH = 20
MAX_NODES = 2000
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
HIDDEN_TEXT = {"script", "style", "iframe", "noscript", "noembed", "noframes", "xmp", "plaintext", "textarea", "title"}
ALLOWED_HTML = {
    "a", "b", "blockquote", "br", "code", "dd", "div", "dl", "dt", "em", "figcaption", "figure", "h1", "h2", "h3",
    "h4", "h5", "h6", "hr", "i", "img", "kbd", "li", "mark", "ol", "p", "pre", "s", "small", "span", "strong", "sub",
    "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "u", "ul", "section", "header", "footer", "article",
}  # fmt: skip
NAME = re.compile(r"[a-z0-9_]+")
VALUE = re.compile(r"[^\s\"'<>]+")
TERM = re.compile(r"(!?)([A-Za-z0-9_]+)(?::(?:(unchecked)|\[([^\]]*)\]))?")


class _Builder(HTMLParser):
    """Builds the tree; HTMLParser forgives everything, so strictness about cml: tags is added here."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Node("root", line=1, column=1)
        self.stack = [self.root]
        self.problems: list[DesignProblem] = []
        self.count = 0

    def place(self) -> tuple[int, int]:
        line, offset = self.getpos()
        return line, offset + 1

    def problem(self, code: str, message: str, *, level: str = "error") -> None:
        self.problems.append(DesignProblem(*self.place(), code, message, level))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open(tag, attrs, closed=tag in VOID)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open(tag, attrs, closed=tag in VOID or tag.startswith("cml:"))

    def _open(self, tag: str, attrs: list[tuple[str, str | None]], *, closed: bool) -> None:
        self.count += 1
        if self.count > MAX_NODES or len(self.stack) > MAX_DEPTH:
            if self.count == MAX_NODES + 1 or len(self.stack) == MAX_DEPTH + 1:
                self.problem(
                    "too_big", f"The design is too deep or too long (at most {MAX_NODES} tags, {MAX_DEPTH} deep)."
                )
            return
        line, column = self.place()
        node = Node(tag, {name: value or "" for name, value in attrs}, line=line, column=column)
        if tag.startswith("cml:") and tag[4:] not in QUESTIONS | OPTIONS | OTHERS:
            self.problem("unknown_tag", f"<{tag}> is not a CML tag. Known are: {', '.join(_tags())}.")
        elif not tag.startswith("cml:") and tag not in ALLOWED_HTML:
            self.problem("html_dropped", f"<{tag}> is not allowed in a design and will be left out.", level="warning")
        self.stack[-1].children.append(node)
        if not closed:
            self.stack.append(node)

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        open_tags = [node.tag for node in self.stack]
        if tag not in open_tags:
            if tag.startswith("cml:"):
                self.problem("not_open", f"</{tag}> closes a tag that is not open. Remove it or open <{tag}> before.")
            return
        while self.stack[-1].tag != tag:
            left = self.stack.pop()
            if left.cml:
                self.problems.append(
                    DesignProblem(
                        left.line,
                        left.column,
                        "not_closed",
                        f"<{left.tag}> is not closed. Add </{left.tag}> before </{tag}>.",
                    )
                )
        self.stack.pop()

    def handle_data(self, data: str) -> None:
        line, column = self.place()
        self.stack[-1].children.append(Node("", text=data, line=line, column=column))

    def finish(self) -> None:
        self.close()
        for left in self.stack[1:]:
            if left.cml:
                self.problems.append(
                    DesignProblem(
                        left.line, left.column, "not_closed", f"<{left.tag}> is never closed. Add </{left.tag}>."
                    )
                )


def _tags() -> list[str]:
    return [f"cml:{name}" for name in sorted(QUESTIONS | OPTIONS | OTHERS)]


def parse_design(source: str) -> Design:
    """Parse a design. Always returns one; look at its `errors` before using it."""
    if len(source) > MAX_CHARACTERS:
        too_long = DesignProblem(1, 1, "too_long", f"The design has more than {MAX_CHARACTERS:,} characters.")
        return Design(source, Node("root"), [], [], [too_long])
    builder = _Builder()
    builder.feed(source)
    builder.finish()
    reader = _Reader(builder.problems)
    reader.visit(builder.root, inside="", conditions=[])
    reader.check_conditions()
    if not reader.questions:
        reader.problems.append(
            DesignProblem(1, 1, "no_question", "The design asks nothing. Add a question, for example <cml:radios>.")
        )
    elif not any(question.required for question in reader.questions):
        reader.problems.append(
            DesignProblem(1, 1, "nothing_required", 'No question is required. Add validates="required" to one.')
        )
    problems = sorted(reader.problems, key=lambda problem: (problem.line, problem.column))
    return Design(source, builder.root, reader.questions, list(dict.fromkeys(reader.columns)), problems)


class _Reader:
    """Finds the questions of a tree and what is wrong with them."""

    def __init__(self, problems: list[DesignProblem]) -> None:
        self.problems = list(problems)
        self.questions: list[Question] = []
        self.columns: list[str] = []
        self.conditions: list[tuple[Node, OnlyIf]] = []

    def problem(self, node: Node, code: str, message: str) -> None:
        self.problems.append(DesignProblem(node.line, node.column, code, message))

    def visit(self, node: Node, *, inside: str, conditions: list[OnlyIf]) -> None:
        """`inside` is the kind of question that we are in, "" outside of any."""
        for text in (node.text, *node.attributes.values()):
            self.columns += liquid_columns(text)
        if "only-if" in node.attributes and node.cml:
            node.only_if = self.read_condition(node, node.attributes["only-if"])
            if node.only_if is not None:
                conditions = [*conditions, node.only_if]
        kind = node.cml
        if kind in OPTIONS and CHOICES.get(inside) == kind:
            return
        if kind in QUESTIONS:
            if inside:
                self.problem(
                    node, "nested", f"<{node.tag}> stands inside <cml:{inside}>. Close <cml:{inside}> before it."
                )
            else:
                self.read_question(node, kind, conditions)
                inside = kind
        elif kind in OPTIONS:
            parent = next(name for name, option in CHOICES.items() if option == kind)
            self.problem(node, "stray_option", f"<{node.tag}> must stand inside <cml:{parent}>.")
        for child in node.children:
            self.visit(child, inside=inside, conditions=conditions)

    def read_question(self, node: Node, kind: str, conditions: list[OnlyIf]) -> None:
        given = node.attributes
        label = given.get("label", "").strip()
        name = given.get("name", "").strip() or derive_name(label)
        if not label and not given.get("name"):
            self.problem(node, "no_label", f'<{node.tag}> needs a label: <{node.tag} label="Your question">.')
        elif not NAME.fullmatch(name):
            self.problem(node, "bad_name", f"The name “{name}” may only have small letters, digits and underscores.")
        elif any(question.name == name for question in self.questions):
            self.problem(node, "same_name", f"Two questions are called “{name}”. Give one of them another name.")
        validates = given.get("validates", "").split()
        for validator in validates:
            if validator not in VALIDATORS:
                known = ", ".join(VALIDATORS)
                self.problem(node, "unknown_validator", f"“{validator}” is not a validator. Known are: {known}.")
        aggregation = given.get("aggregation", "") or DEFAULT_AGGREGATION.get(kind, "agg")
        if not AGGREGATIONS.fullmatch(aggregation):
            self.problem(
                node, "unknown_aggregation", f"“{aggregation}” is not an aggregation: agg, all, avg, agg_3 or cagg_0.7."
            )
        node.question = Question(
            name=name,
            kind=kind,
            label=label or name,
            options=self.read_options(node, kind),
            validates=validates,
            only_if=conditions,
            gold=given.get("gold", "true") != "false",
            exact=given.get("exact", "false") == "true",
            aggregation=aggregation,
            instructions=given.get("instructions", "") or _instructions(node),
            line=node.line,
            column=node.column,
        )
        self.questions.append(node.question)

    def read_options(self, node: Node, kind: str) -> list[Option]:
        if kind == "checkbox":
            label = node.attributes.get("label", "")
            return [Option(node.attributes.get("value", "") or derive_name(label) or "true", label)]
        if kind not in CHOICES:
            return []
        options: list[Option] = []
        for child in node.walk():
            if child.cml != CHOICES[kind]:
                continue
            label = child.attributes.get("label", "").strip() or child.attributes.get("value", "").strip()
            value = child.attributes.get("value", "").strip() or derive_name(label)
            if not value:
                self.problem(
                    child,
                    "no_value",
                    f'<{child.tag}> needs a label and a value: <{child.tag} label="Boots" value="boots"/>.',
                )
            elif not VALUE.fullmatch(value):
                fixed = re.sub(r"[\s\"'<>]+", "_", value)
                self.problem(child, "bad_value", f"The value “{value}” may not have spaces or quotes. Use “{fixed}”.")
            elif value in [option.value for option in options]:
                self.problem(child, "same_value", f"The value “{value}” is there twice. Change or remove one.")
            options.append(Option(value, label or value))
        points = node.attributes.get("points", "")
        if kind == "ratings" and not options and points.isdigit() and 2 <= int(points) <= 20:
            options = [Option(str(number), str(number)) for number in range(1, int(points) + 1)]
        if not options:
            self.problem(node, "no_options", f"<{node.tag}> has no answers. Add <cml:{CHOICES[kind]}> tags inside it.")
        return options

    def read_condition(self, node: Node, text: str) -> OnlyIf | None:
        groups = []
        for part in text.split("||"):
            terms = []
            for term in part.split("++"):
                match = TERM.fullmatch(term.strip())
                if match is None:
                    self.problem(
                        node,
                        "bad_only_if",
                        f"only-if=“{text}” cannot be read. Write question:[value], or question:unchecked.",
                    )
                    return None
                negated, name, unchecked, value = match.groups()
                terms.append(Condition(name, value, bool(negated), bool(unchecked)))
            groups.append(tuple(terms))
        condition = tuple(groups)
        self.conditions.append((node, condition))
        return condition

    def check_conditions(self) -> None:
        names = {question.name: question for question in self.questions}
        for node, condition in self.conditions:
            own = node.question.name if node.question else None
            for term in (term for group in condition for term in group):
                question = names.get(term.question)
                if question is None or term.question == own:
                    self.problem(
                        node, "unknown_question", f"only-if names “{term.question}”, which is no other question."
                    )
                elif term.value and question.options and not _known_option(question, term.value):
                    self.problem(
                        node, "unknown_answer", f"“{term.question}” has no answer “{term.value}” (in only-if)."
                    )


def _known_option(question: Question, value: str) -> bool:
    return value in question.values or (value.isdigit() and int(value) < len(question.options))


def _instructions(node: Node) -> str:
    for child in node.children:
        if child.cml == "instructions":
            return "".join(part.text for part in child.walk()).strip()
    return ""
