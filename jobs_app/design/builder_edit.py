"""What is done in the form builder: reading its fields, its buttons, and problems at the field. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from .builder import ANSWERED, IS, IS_NOT, MAX_FIELDS, UNANSWERED, Answer, Form, Item, ShowIf, cml_parts
from .tree import CHOICES, QUESTIONS, DesignProblem, derive_name
from .validators import VALIDATORS

MAX_ITEMS, MAX_ANSWERS = 200, 300
MODES = (IS, IS_NOT, ANSWERED, UNANSWERED)
RULES = tuple(name for name in VALIDATORS if name != "required")
FIELD_OF = {
    "no_label": "label",
    "bad_name": "name",
    "reserved_name": "name",
    "same_name": "name",
    "same_as_column": "name",
    "no_options": "answers",
    "no_value": "answers",
    "bad_value": "answers",
    "same_value": "answers",
    "two_presets": "answers",
    "bad_validator": "rule",
    "unknown_validator": "rule",
    "bad_only_if": "show_if",
    "unknown_question": "show_if",
    "unknown_answer": "show_if",
    "circle": "show_if",
    "not_numeric": "aggregation",
    "unknown_aggregation": "aggregation",
}
WORDS = {
    "no_question": "The form asks nothing yet. Add a question below.",
    "nothing_required": "No question must be answered. Tick “Must be answered” for one of them.",
    "no_label": "Write the question.",
    "bad_name": "The name of the result column may only have small letters, digits and underscores. Write one.",
    "no_options": "Add at least one answer.",
    "no_value": "Give each answer a text and, when it has no plain letters, a stored value.",
    "bad_validator": "Write the numbers of the rule: two with a comma between for a range, else one.",
    "bad_only_if": "Choose at least one answer, or show the question always.",
    "unknown_question": "This question is no longer there. Choose another, or show the question always.",
    "unknown_answer": "The answer it waits for is no longer there. Choose again.",
    "not_numeric": "An average needs answers whose stored values are numbers.",
}
"""The parser's messages speak of tags; these are for people who do not see any."""
Fields = Mapping[str, str]
Many = Callable[[str], list[str]]


@dataclass(frozen=True)
class Placed:
    """A problem as the builder shows it: at question `index` (None: the whole form) and, if known, at a field."""

    index: int | None
    field: str
    message: str
    level: str


def name_of(item: Item) -> str:
    """The result column's name: as given, or made of the label."""
    return item.name or derive_name(item.label)


# --- reading the fields ------------------------------------------------------------------------------


def read_form(fields: Fields, many: Many) -> Form:
    """The form from submitted fields. `many(name)` gives all values of a field. Never fails: odd input is dropped.

    Each question carries the name it had when the page was drawn (`was`), so that a question that was renamed
    is still the one that others wait for.
    """
    items: list[Item] = []
    renamed: dict[str, str] = {}
    for index in range(_count(fields.get("questions", ""), MAX_ITEMS)):
        item = _read_item(fields, many, f"q{index}-")
        if item is not None:
            items.append(item)
            if was := fields.get(f"q{index}-was", ""):
                renamed.setdefault(was, name_of(item))
    items = [_follow(item, renamed) for item in items]
    return Form(picture := _line(fields.get("picture", "")), _line(fields.get("alt", "")) if picture else "", (*items,))


def _read_item(fields: Fields, many: Many, prefix: str) -> Item | None:
    def text(name: str) -> str:
        return _line(fields.get(prefix + name, ""))

    kind, rule = text("kind"), text("rule")
    if kind not in QUESTIONS:
        return None
    answers = tuple(
        Answer(
            _line(fields.get(f"{prefix}a{n}-label", "")),
            _line(fields.get(f"{prefix}a{n}-value", "")),
            f"{prefix}a{n}-preset" in fields,
        )
        for n in range(_count(text("answers"), MAX_ANSWERS))
    )
    return Item(
        kind=kind,
        label=text("label"),
        name=text("name"),
        answers=answers,
        required=prefix + "required" in fields,
        rule=rule if rule in RULES else "",
        limits=re.sub(r"\s", "", text("limits")) if rule in RULES and VALIDATORS[rule].arguments else "",
        help=fields.get(prefix + "help", "").replace("\r\n", "\n").strip(),
        show_if=_read_show_if(text("if"), text("if-mode"), many(prefix + "if-value")),
        aggregation=text("aggregation"),
        gold=prefix + "gold" in fields,
        exact=prefix + "exact" in fields,
        placeholder=text("placeholder"),
        multiple=prefix + "multiple" in fields,
        ticked=text("ticked"),
        unticked=text("unticked"),
        preset=prefix + "preset" in fields,
    )


def _read_show_if(question: str, mode: str, values: Iterable[str]) -> ShowIf | None:
    if not question:
        return None
    mode = mode if mode in MODES else IS
    return ShowIf(question, mode, tuple(map(_line, values)) if mode in {IS, IS_NOT} else ())


def _follow(item: Item, renamed: Mapping[str, str]) -> Item:
    if item.show_if is None or not renamed.get(item.show_if.question):
        return item
    return replace(item, show_if=replace(item.show_if, question=renamed[item.show_if.question]))


def _line(text: str) -> str:
    return " ".join(text.replace("\0", "").split())


def _count(text: str, most: int) -> int:
    return min(int(text), most) if re.fullmatch(r"[0-9]{1,4}", text) else 0


# --- the buttons -------------------------------------------------------------------------------------


def act(form: Form, what: str) -> tuple[Form, str]:
    """The form after a button, and the id of the field that should have the focus then.

    `what` is "add:radios", or "remove", "up", "down", "copy", "answer" with a question's index, or "answer_up",
    "answer_down", "answer_remove" with two. Anything else changes nothing, and so does what would make the form
    too large.
    """
    changed, focus = _act(form, what)
    grows = len(changed.items) > len(form.items) or changed.fields > form.fields
    return (form, "") if grows and changed.fields > MAX_FIELDS else (changed, focus)


def _act(form: Form, what: str) -> tuple[Form, str]:
    action, *rest = what.split(":")
    if action == "add" and rest and rest[0] in QUESTIONS:
        return replace(form, items=(*form.items, new_item(rest[0]))), f"q{len(form.items)}-label"
    places = [int(part) for part in rest if re.fullmatch(r"[0-9]{1,4}", part)]
    if len(places) != len(rest) or not places or places[0] >= len(form.items):
        return form, ""
    if len(places) == 1:
        return _act_on_question(form, action, places[0])
    return _act_on_answer(form, action, places[0], places[1])


def new_item(kind: str) -> Item:
    """A question to begin with: choices have two empty answers, a scale its five points."""
    if kind == "ratings":
        return Item(kind, required=True, answers=tuple(Answer(str(n), str(n)) for n in range(1, 6)))
    return Item(kind, required=kind in CHOICES, answers=(Answer(""), Answer("")) if kind in CHOICES else ())


def _act_on_question(form: Form, action: str, index: int) -> tuple[Form, str]:
    items = list(form.items)
    if action == "remove":
        del items[index]
        near = min(index, len(items) - 1)
        return replace(form, items=(*items,)), f"q{near}-label" if items else "add-radios"
    if action == "copy":
        twin = replace(items[index], name=_free_name(name_of(items[index]), items))
        items.insert(index + 1, twin)
        return replace(form, items=(*items,)), f"q{index + 1}-label"
    if action == "answer" and items[index].has_answers:
        items[index] = replace(items[index], answers=(*items[index].answers, Answer("")))
        return replace(form, items=(*items,)), f"q{index}-a{len(items[index].answers) - 1}-label"
    to = _neighbour(action, index, len(items))
    if to is None:
        return form, ""
    items[index], items[to] = items[to], items[index]
    return replace(form, items=(*items,)), f"q{to}-{_usable(action, to, len(items))}"


def _act_on_answer(form: Form, action: str, index: int, place: int) -> tuple[Form, str]:
    items, answers = list(form.items), list(form.items[index].answers)
    if place >= len(answers):
        return form, ""
    action = action.removeprefix("answer_")
    if action == "remove":
        del answers[place]
        focus = f"q{index}-a{min(place, len(answers) - 1)}-label" if answers else f"q{index}-answer"
    else:
        to = _neighbour(action, place, len(answers))
        if to is None:
            return form, ""
        answers[place], answers[to] = answers[to], answers[place]
        focus = f"q{index}-a{to}-{_usable(action, to, len(answers))}"
    items[index] = replace(items[index], answers=(*answers,))
    return replace(form, items=(*items,)), focus


def _neighbour(action: str, place: int, count: int) -> int | None:
    to = place + {"up": -1, "down": 1}.get(action, count)
    return to if 0 <= to < count else None


def _usable(action: str, place: int, count: int) -> str:
    """The same button again, or the other one where that one ends."""
    if action == "up":
        return "up" if place > 0 else "down"
    return "down" if place < count - 1 else "up"


def _free_name(name: str, items: list[Item]) -> str:
    if not name:
        return ""
    taken = {name_of(item) for item in items}
    return next(found for n in range(2, MAX_ITEMS + 3) if (found := f"{name}_{n}") not in taken)


# --- problems at the field ---------------------------------------------------------------------------


def place_problems(form: Form, problems: Iterable[DesignProblem]) -> list[Placed]:
    """The problems of `to_cml(form)` in the builder's words, each at its question and field."""
    owners: list[int | None] = []
    for index, part in cml_parts(form):
        owners += [index] * part.count("\n")
    placed = []
    for problem in problems:
        index = owners[problem.line - 1] if 0 < problem.line <= len(owners) else None
        if problem.code in {"no_question", "nothing_required", "no_gold", "unknown_gold"}:
            index = None
        field = "picture" if index is None and problem.code == "unknown_column" else FIELD_OF.get(problem.code, "")
        placed.append(
            Placed(
                index,
                field,
                WORDS.get(problem.code, problem.message),
                problem.level,
            )
        )
    return list(dict.fromkeys(placed))
