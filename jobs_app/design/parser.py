"""Reads CML: questions as `cml:` tags among HTML. Never fails: what is wrong comes back as problems."""

from __future__ import annotations

import re
from functools import lru_cache
from html.parser import HTMLParser

from .liquid import LIQUID, liquid_problems, uses_of, without_comments
from .reader import read_questions
from .tree import OPTIONS, OTHERS, QUESTIONS, Design, DesignProblem, Node, meant

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
HTML_ATTRIBUTES = {
    "class",
    "title",
    "alt",
    "colspan",
    "rowspan",
    "lang",
    "dir",
    "href",
    "src",
    "width",
    "height",
    "target",
}
CML_TAG = re.compile(r"<cml:", re.IGNORECASE)


class _Builder(HTMLParser):
    """Builds the tree; HTMLParser forgives everything, so strictness about cml: tags is added here."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Node("root", line=1, column=1)
        self.stack = [self.root]
        self.problems: list[DesignProblem] = []
        self.count = 0
        self.seen: set[tuple[int, int]] = set()

    def place(self) -> tuple[int, int]:
        line, offset = self.getpos()
        return line, offset + 1

    def problem(self, code: str, message: str, *, level: str = "error") -> None:
        self.problems.append(DesignProblem(*self.place(), code, message, level))

    def parse_html_declaration(self, i: int) -> int:
        try:
            return super().parse_html_declaration(i)
        except AssertionError:  # <![x[, which browsers take for a comment, too
            return self.parse_bogus_comment(i)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open(tag, attrs, closed=tag in VOID)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open(tag, attrs, closed=tag in VOID or tag.startswith("cml:"))

    def _open(self, tag: str, attrs: list[tuple[str, str | None]], *, closed: bool) -> None:
        self.count += 1
        line, column = self.place()
        self.seen.add((line, column))
        if self.count > MAX_NODES or len(self.stack) > MAX_DEPTH:
            if self.count == MAX_NODES + 1 or len(self.stack) == MAX_DEPTH + 1:
                self.problem(
                    "too_big", f"The design is too deep or too long (at most {MAX_NODES} tags, {MAX_DEPTH} deep)."
                )
            return
        node = Node(tag, {name: value or "" for name, value in attrs}, line=line, column=column)
        if tag.startswith("cml:") and tag[4:] not in QUESTIONS | OPTIONS | OTHERS:
            self.problem(
                "unknown_tag", f"<{tag}> is not a CML tag.{meant(tag, _tags())} Known are: {', '.join(_tags())}."
            )
        elif not tag.startswith("cml:") and tag not in ALLOWED_HTML:
            self.problem("html_dropped", f"<{tag}> is not allowed in a design and will be left out.", level="warning")
        elif not tag.startswith("cml:"):
            self.check_html(node)
        self.stack[-1].children.append(node)
        if not closed:
            self.stack.append(node)

    def check_html(self, node: Node) -> None:
        """Say what of an HTML tag is left out when it is drawn."""
        given = node.attributes
        if "only-if" in given:
            self.problem(
                "only_if_on_html",
                f"only-if works on cml: tags. Put <{node.tag}> into a <cml:group only-if=…>.",
                level="warning",
            )
        if dropped := [name for name in given if name not in HTML_ATTRIBUTES and name != "only-if"]:
            self.problem(
                "attribute_dropped", f"{', '.join(dropped)} of <{node.tag}> will be left out.", level="warning"
            )
        if node.tag == "img" and not LIQUID.fullmatch(given.get("src", "").strip()):
            message = 'Only pictures of the row are shown. Write src="{{image_url}}" or another column.'
            self.problem("foreign_picture", message, level="warning")

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

    def check_unread(self, source: str) -> None:
        """A `<cml:` that was not read as a tag: a quotation mark or a bracket before it is missing."""
        text = without_comments(source)
        for match in CML_TAG.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            column = match.start() - text.rfind("\n", 0, match.start())
            if (line, column) not in self.seen:
                message = "This tag is not read: a quotation mark or a > is missing, here or in the tag before it."
                self.problems.append(DesignProblem(line, column, "broken_tag", message))
                return


def _tags() -> list[str]:
    return [f"cml:{name}" for name in sorted(QUESTIONS | OPTIONS | OTHERS)]


@lru_cache(maxsize=64)
def parse_design(source: str) -> Design:
    """Parse a design. Always returns one; look at its `errors` before using it."""
    if len(source) > MAX_CHARACTERS:
        too_long = DesignProblem(1, 1, "too_long", f"The design has more than {MAX_CHARACTERS:,} characters.")
        return Design(source, Node("root"), [], [], [too_long])
    builder = _Builder()
    builder.feed(source)
    builder.finish()
    builder.check_unread(source)
    questions, in_order, problems = read_questions(builder.root)
    problems = [*builder.problems, *problems, *liquid_problems(source)]
    if not questions:
        problems.append(
            DesignProblem(1, 1, "no_question", "The design asks nothing. Add a question, for example <cml:radios>.")
        )
    elif not any(question.required for question in questions):
        problems.append(
            DesignProblem(1, 1, "nothing_required", 'No question is required. Add validates="required" to one.')
        )
    problems.sort(key=lambda problem: (problem.line, problem.column))
    return Design(source, builder.root, questions, uses_of(builder.root, source), problems, in_order)
