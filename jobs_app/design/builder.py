"""The form builder's view of a design: a picture and a list of questions, to CML and back. Pure.

Not every design can be shown: what the builder has no field for (text between questions, groups, comments,
conditions over several questions) makes `to_form` refuse with the reason, so that nothing is lost unseen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape

from .conditions import wanted_value
from .liquid import LIQUID
from .parser import parse_design
from .tree import CHOICES, DEFAULT_AGGREGATION, Design, Node, OnlyIf, Question

WRAPPER = "html-element-wrapper"
IS, IS_NOT, ANSWERED, UNANSWERED = "is", "is_not", "answered", "unanswered"
MENDABLE = {
    "bad_liquid", "bad_name", "bad_value", "circle", "no_label", "no_options", "no_question", "no_value",
    "not_numeric", "nothing_required", "reserved_name", "same_name", "same_value", "two_presets",
}  # fmt: skip
"""Problems that can be mended in the builder; any other has to be mended in the code first."""


MAX_FIELDS = 800
"""How many form fields the builder may take: a post with more than 1,000 is refused by Django."""


class NotBuildable(Exception):
    """The builder cannot show a design; the message says why, for the requester."""


@dataclass(frozen=True)
class Answer:
    """An answer to choose. Without a value it is made of the label."""

    label: str
    value: str = ""
    preset: bool = False


@dataclass(frozen=True)
class ShowIf:
    """When a question is shown: `mode` is one of the four above; `values` are answers of `question`."""

    question: str
    mode: str = IS
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Item:
    """One question. Without a name it is made of the label.

    `rule` is a validator for texts with its `limits` ("1,10"); `ticked` and `unticked` are what a single check
    box stores, `preset` whether it is ticked beforehand; aggregation "" is the usual one of the kind.
    """

    kind: str
    label: str = ""
    name: str = ""
    answers: tuple[Answer, ...] = ()
    required: bool = False
    rule: str = ""
    limits: str = ""
    help: str = ""
    show_if: ShowIf | None = None
    aggregation: str = ""
    gold: bool = True
    exact: bool = False
    placeholder: str = ""
    multiple: bool = False
    ticked: str = ""
    unticked: str = ""
    preset: bool = False

    @property
    def has_answers(self) -> bool:
        return self.kind in CHOICES

    @property
    def is_text(self) -> bool:
        return self.kind in {"text", "textarea"}


@dataclass(frozen=True)
class Form:
    """A design as the builder shows it: `picture` is the column of the picture ("": none), `alt` its description."""

    picture: str = ""
    alt: str = ""
    items: tuple[Item, ...] = ()

    @property
    def fields(self) -> int:
        """About how many form fields it takes."""
        return sum(16 + 3 * len(item.answers) + len(item.show_if.values if item.show_if else ()) for item in self.items)


# --- to CML ------------------------------------------------------------------------------------------


def to_cml(form: Form) -> str:
    """The design as CML. Every value is escaped, so that no input of the builder can become markup."""
    return "".join(part for _, part in cml_parts(form))


def cml_parts(form: Form) -> Iterator[tuple[int | None, str]]:
    """The pieces of the CML in order, each with the index of its question (None: the picture)."""
    if form.picture:
        picture = _tag("img", [("src", f"{{{{{form.picture}}}}}"), ("alt", form.alt)])
        yield None, f'<div class="{WRAPPER}">\n  {picture}\n</div>\n'
    for index, item in enumerate(form.items):
        yield index, _question(item)


def _question(item: Item) -> str:
    attributes = _tag(f"cml:{item.kind}", _attributes(item))
    if not item.has_answers:
        return attributes + "\n"
    beforehand = "default" if item.kind == "checkboxes" else "checked"
    answers = [
        _tag(
            f"cml:{CHOICES[item.kind]}",
            [("label", answer.label), ("value", answer.value), (beforehand, "true" if answer.preset else "")],
        )
        for answer in item.answers
    ]
    inside = "".join(f"  {answer}\n" for answer in answers)
    return f"{attributes.removesuffix('/>')}>\n{inside}</cml:{item.kind}>\n"


def _attributes(item: Item) -> list[tuple[str, str]]:
    rule = f"{item.rule}:{item.limits}" if item.rule and item.limits else item.rule
    validates = " ".join(word for word in ("required" if item.required else "", rule if item.is_text else "") if word)
    single = item.kind == "checkbox"
    return [
        ("label", item.label),
        ("name", item.name),
        ("value", item.ticked if single else ""),
        ("default", item.unticked if single else item.placeholder if item.is_text else ""),
        ("checked", "true" if single and item.preset else ""),
        ("multiple", "true" if item.is_text and item.multiple else ""),
        ("instructions", item.help),
        ("validates", validates),
        ("only-if", _only_if(item.show_if) if item.show_if else ""),
        ("exact", "true" if item.exact else ""),
        ("aggregation", item.aggregation or DEFAULT_AGGREGATION.get(item.kind, "agg")),
        ("gold", "true" if item.gold else "false"),
    ]


def _only_if(show: ShowIf) -> str:
    if show.mode == ANSWERED:
        return show.question
    if show.mode == UNANSWERED:
        return f"{show.question}:unchecked"
    # A bare number would be read as the place of an answer.
    values = [f"'{value}'" if value.isdigit() else value for value in show.values] or [""]
    if show.mode == IS_NOT:
        return "++".join(f"!{show.question}:[{value}]" for value in values)
    return "||".join(f"{show.question}:[{value}]" for value in values)


def _tag(name: str, attributes: Iterable[tuple[str, str]]) -> str:
    written = "".join(f' {attribute}="{escape(value)}"' for attribute, value in attributes if value)
    return f"<{name}{written}/>"


# --- from CML ----------------------------------------------------------------------------------------


def to_form(design: Design) -> Form:
    """The builder's form of a design. Raises NotBuildable with the reason when something would be lost."""
    for problem in design.errors:
        if problem.code not in MENDABLE:
            raise NotBuildable(f"Line {problem.line}: {problem.message}")
    if "<!--" in design.source:
        raise NotBuildable("The code has a comment, which the builder would lose.")
    nodes = [node for node in design.root.children if node.tag or node.text.strip()]
    picture = _picture(nodes[0]) if nodes else None
    items = tuple(_item(node, design) for node in (nodes[1:] if picture else nodes))
    form = Form(*(picture or ("", "")), items)
    if form.fields > MAX_FIELDS:
        raise NotBuildable("The design has more questions and answers than the builder can hold.")
    if _essence(parse_design(to_cml(form))) != _essence(design):
        raise NotBuildable("The code says more than the builder has fields for.")
    return form


def _picture(node: Node) -> tuple[str, str] | None:
    """Column and description of a picture; None when the node is none that the builder would write."""
    if node.tag == "div" and node.attributes.get("class", WRAPPER) == WRAPPER and not set(node.attributes) - {"class"}:
        inside = [child for child in node.children if child.tag or child.text.strip()]
        if len(inside) != 1:
            return None
        node = inside[0]
    if node.tag != "img" or set(node.attributes) - {"src", "alt", "class"}:
        return None
    match = LIQUID.fullmatch(node.attributes.get("src", "").strip())
    if match is None or match[2] is not None or match[3] is not None:
        return None
    return match[1], node.attributes.get("alt", "")


def _item(node: Node, design: Design) -> Item:
    question = node.question
    if question is None:
        what = "text between the questions" if not node.tag else f"<{node.tag}>"
        raise NotBuildable(f"Line {node.line}: the builder has no field for {what}.")
    if "class" in node.attributes:
        raise NotBuildable(f"Line {node.line}: the builder has no field for a class.")
    single, text = question.kind == "checkbox", question.kind in {"text", "textarea"}
    rule, limits = _rule(node, question)
    usual = DEFAULT_AGGREGATION.get(question.kind, "agg")
    return Item(
        kind=question.kind,
        label=node.attributes.get("label", "").strip(),
        name=question.name,
        answers=() if single or text else tuple(_answers(node, question)),
        required=question.required,
        rule=rule,
        limits=limits,
        help=question.instructions,
        show_if=_show_if(node, design),
        aggregation="" if question.aggregation == usual else question.aggregation,
        gold=question.gold,
        exact=question.exact,
        placeholder=question.placeholder,
        multiple=question.multiple,
        ticked=question.values[0] if single else "",
        unticked=question.unticked,
        preset=single and question.options[0].preset,
    )


def _answers(node: Node, question: Question) -> Iterator[Answer]:
    kind = CHOICES[question.kind]
    written = [child for child in node.children if child.tag or child.text.strip()]
    for child in written:
        plain_help = child.cml == "instructions" and not any(part.tag for part in child.children)
        if not plain_help and child.cml != kind:
            raise NotBuildable(f"Line {child.line}: the builder has no field for what stands among the answers.")
        if "class" in child.attributes:
            raise NotBuildable(f"Line {child.line}: the builder has no field for a class.")
    labels = [child.attributes.get("label", "").strip() for child in written if child.cml == kind]
    for option, label in zip(question.options, labels or [option.label for option in question.options], strict=True):
        yield Answer(label, option.value, option.preset)


def _rule(node: Node, question: Question) -> tuple[str, str]:
    rules = [word for word in question.validates if word != "required"]
    if len(rules) > 1 or (rules and question.options):
        raise NotBuildable(f"Line {node.line}: the builder has one rule for each text, not “{' '.join(rules)}”.")
    name, _, limits = (rules or [""])[0].partition(":")
    return name, limits


def _show_if(node: Node, design: Design) -> ShowIf | None:
    if node.only_if is None:
        return None
    terms = [term for group in node.only_if for term in group]
    name = terms[0].question
    parent = design.question(name)
    if len({term.question for term in terms}) == 1:
        if len(terms) == 1 and terms[0].value is None:
            answered = terms[0].unchecked == terms[0].negated
            return ShowIf(name, ANSWERED if answered else UNANSWERED)
        values = tuple(wanted_value(term, parent) or "" for term in terms)
        if parent is not None and parent.options and all(value in parent.values for value in values):
            return _any_or_none_of(name, node.only_if, values) or _refuse_condition(node)
    return _refuse_condition(node)


def _any_or_none_of(name: str, condition: OnlyIf, values: tuple[str, ...]) -> ShowIf | None:
    terms = [term for group in condition for term in group]
    if all(len(group) == 1 for group in condition) and not any(term.negated for term in terms):
        return ShowIf(name, IS, values)
    if len(condition) == 1 and all(term.negated for term in terms):
        return ShowIf(name, IS_NOT, values)
    return None


def _refuse_condition(node: Node) -> ShowIf:
    written = node.attributes.get("only-if", "")
    raise NotBuildable(f"Line {node.line}: the builder has no field for the condition “{written}”.")


def _essence(design: Design) -> list[tuple[object, ...]]:
    """What must be the same before and after the builder."""
    return [
        (
            question.kind,
            question.name,
            question.label,
            question.options,
            sorted(question.validates),
            question.gold,
            question.exact,
            question.aggregation,
            question.instructions,
            question.placeholder,
            question.unticked,
            question.multiple,
            len(question.only_if),
        )
        for question in design.questions
    ]
