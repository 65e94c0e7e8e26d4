"""The design editor's state and what its templates show. Views load and answer; this module arranges."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.http import QueryDict
from django.template.loader import render_to_string
from django.templatetags.static import static

from labeling_platform.accounts.pictures import picture_url
from labeling_platform.accounts.tenancy import TeamRequest

from .design import OUTLINE, Design, DesignProblem, clean_instructions, parse_design, read_answers, render_design
from .design.builder import IS, IS_NOT, Answer, Form, Item, NotBuildable, ShowIf, to_cml, to_form
from .design.builder_edit import RULES, Placed, act, name_of, place_problems, read_form
from .design.checks import is_gold_column
from .design.tree import DEFAULT_AGGREGATION, derive_name
from .design.validators import VALIDATORS
from .models import Job, Unit
from .services import check_design, columns_of
from .states import UnitState

BUILDER, CODE = "builder", "code"
FULL = "The form builder holds no more than this. Use the code for longer designs."
BUILDER_FIELD = re.compile(r"questions|picture|alt|q[0-9]+-.*")
TRY = "try-"
"""What the names of the preview's inputs begin with."""
KINDS = [
    ("radios", "One answer", "circle-check"),
    ("checkboxes", "Several answers", "list-check"),
    ("select", "One answer from a list", "list"),
    ("ratings", "Scale", "star"),
    ("checkbox", "Single check box", "checklist"),
    ("text", "Short text", "forms"),
    ("textarea", "Long text", "file-text"),
]
RULE_WORDS = {
    "": "Anything",
    "integer": "A whole number",
    "positiveInteger": "A whole number above 0",
    "numeric": "A number",
    "digits": "Digits only",
    "integerRange": "A whole number from … to …",
    "url": "A web address",
    "email": "An e-mail address",
    "date": "A date",
    "phone": "A phone number",
    "wordCountMin": "At least … words",
    "wordCountMax": "At most … words",
}
METHOD_WORDS = {
    "agg": "The best answer",
    "all": "All answers",
    "avg": "The average",
    "agg_2": "The best 2 answers",
    "agg_3": "The best 3 answers",
    "cagg_0.5": "Every answer above 50% confidence",
    "cagg_0.7": "Every answer above 70% confidence",
}
MODE_WORDS = [
    (IS, "is one of"),
    (IS_NOT, "is none of"),
    ("answered", "is answered"),
    ("unanswered", "is not answered"),
]
SAID = {
    "add": "Question added.",
    "remove": "Question removed.",
    "copy": "Question copied.",
    "up": "Moved up.",
    "down": "Moved down.",
    "answer": "Answer added.",
    "answer_remove": "Answer removed.",
    "answer_up": "Answer moved up.",
    "answer_down": "Answer moved down.",
    "outline": "Outline added to the instructions.",
    "undo": "Brought back.",
}
MORE_FIELDS = {"name", "rule", "show_if", "aggregation"}
"""Fields of a question that stand under “More”."""


@dataclass(frozen=True)
class Draft:
    """What stands in the editor, saved or not.

    `form` is the design in the builder's fields when the mode is the builder. `reason` says why the builder
    cannot show the design; `undo` are the builder's fields before something was removed.
    """

    title: str
    instructions: str
    cml: str
    mode: str
    form: Form | None = None
    reason: str = ""
    undo: str = ""
    focus: str = ""
    said: str = ""


def stored_draft(job: Job, mode: str = "") -> Draft:
    """The job as it is saved: in the builder where that can show it, unless the code is asked for."""
    draft = Draft(job.title, job.instructions, job.cml, CODE)
    shown = _in_builder(draft)
    return draft if mode == CODE and not shown.reason else shown


def posted_draft(data: QueryDict) -> Draft:
    """What was sent, in the mode it was sent from; nothing of it is trusted."""
    sent = _last(data)
    title, instructions, cml = (sent.get(name, "") for name in ("title", "instructions", "cml"))
    if sent.get("mode") != BUILDER:
        return Draft(title, instructions, cml, CODE)
    form = _read(data)
    return Draft(title, instructions, to_cml(form), BUILDER, form)


def _last(data: QueryDict) -> dict[str, str]:
    return {name: str(values[-1]) for name, values in data.lists() if values}


def _read(data: QueryDict) -> Form:
    return read_form(_last(data), lambda name: [str(value) for value in data.getlist(name)])


def _in_builder(draft: Draft) -> Draft:
    try:
        form = to_form(parse_design(draft.cml.replace("\r\n", "\n")))
    except NotBuildable as refusal:
        return replace(draft, mode=CODE, form=None, reason=str(refusal))
    return replace(draft, mode=BUILDER, form=form)


def change(draft: Draft, what: str, data: QueryDict) -> Draft:
    """The draft after a button (`what`) of the editor; `data` are the fields as sent. Nothing is saved."""
    action = what.partition(":")[0]
    draft = replace(draft, said=SAID.get(action, ""))
    if what == "mode:code":
        return replace(draft, mode=CODE, form=None, focus="id_cml")
    if what == "mode:builder":
        return replace(_in_builder(draft), focus="mode-builder")
    if action == "refresh":
        return replace(draft, focus=what.partition(":")[2])
    if action == "outline":
        text = f"{draft.instructions.rstrip()}\n\n{OUTLINE}" if draft.instructions.strip() else OUTLINE
        return replace(draft, instructions=text, focus="id_instructions")
    if draft.form is None:
        return draft
    if action == "undo":
        form, focus = _read(QueryDict(str(data.get("undo", "")))), "add-radios"
    else:
        form, focus = act(draft.form, what)
    if form == draft.form and action in {"add", "copy", "answer"}:
        return replace(draft, said=FULL, reason=FULL)
    lost = _fields(data) if action in {"remove", "answer_remove"} and form != draft.form else ""
    return replace(draft, form=form, cml=to_cml(form), focus=focus, undo=lost)


def _fields(data: QueryDict) -> str:
    """The builder's fields as they were sent, to bring back what was removed."""
    kept = QueryDict(mutable=True)
    for name, values in data.lists():
        if BUILDER_FIELD.fullmatch(name):
            kept.setlist(name, values)
    return kept.urlencode()


# --- what the templates show -------------------------------------------------------------------------


def editor_context(job: Job, draft: Draft, *, refused: bool = False) -> dict[str, Any]:
    """Everything below the head of the page, but the preview.

    Problems are listed below the questions; they are put at the builder's fields, too, when a save was refused.
    """
    columns = columns_of(job)
    problems = check_design(job=job, cml=draft.cml)
    placed = place_problems(draft.form, problems) if draft.form is not None else []
    marked = placed if refused else []
    return {
        "draft": draft,
        "problems": problem_lines(draft, problems, placed),
        "kinds": KINDS,
        "rules": [VALIDATORS[rule].example or rule for rule in RULES],
        "instructions_preview": clean_instructions(draft.instructions),
        "unsaved": (draft.title, draft.instructions, draft.cml) != (job.title, job.instructions, job.cml),
        "pictures": _picture_choices(draft.form, columns) if draft.form is not None else [],
        "picture_errors": [place.message for place in marked if place.field == "picture"],
        "questions": [_question(draft.form, index, marked, draft.focus) for index in range(len(draft.form.items))]
        if draft.form is not None
        else [],
    }


def problem_lines(draft: Draft, problems: Iterable[DesignProblem], placed: Iterable[Placed]) -> list[dict[str, Any]]:
    """The list of problems: where (a line of the code or a question), a link to it, and what to do."""
    if draft.form is None:
        return [
            {
                "where": f"Line {problem.line}, column {problem.column}" if problem.line else "",
                "href": "#id_cml",
                "line": problem.line,
                "column": problem.column,
                "message": problem.message,
                "level": problem.level,
            }
            for problem in problems
        ]
    return [
        {
            "where": f"Question {place.index + 1}" if place.index is not None else "",
            "href": f"#{_anchor(place)}",
            "field": f"q{place.index}-{place.field or 'general'}" if place.index is not None else place.field,
            "message": place.message,
            "level": place.level,
        }
        for place in placed
    ]


def _anchor(place: Placed) -> str:
    """The id of the field where a problem can be mended."""
    if place.index is None:
        return place.field or "builder"
    return f"q{place.index}-" + {"answers": "a0-label", "show_if": "if", "": "label"}.get(place.field, place.field)


def _picture_choices(form: Form, columns: list[str]) -> list[str]:
    """Columns that may hold the picture; none when the job has no rows yet, then any name can be written."""
    if not columns:
        return []
    return list(
        dict.fromkeys([*(c for c in columns if not is_gold_column(c)), *([form.picture] if form.picture else [])])
    )


def _question(form: Form, index: int, placed: Iterable[Placed], focus: str) -> dict[str, Any]:
    item = form.items[index]
    own = [place for place in placed if place.index == index]
    errors: dict[str, list[str]] = {}
    for place in own:
        errors.setdefault(place.field or "general", []).append(place.message)
    others = [
        (name_of(other), other.label or name_of(other))
        for place, other in enumerate(form.items)
        if place != index and name_of(other)
    ]
    show = item.show_if or ShowIf("")
    parent = next((other for other in form.items if name_of(other) == show.question), None) if show.question else None
    usual = DEFAULT_AGGREGATION.get(item.kind, "agg")
    return {
        "at": f"q{index}",
        "number": index + 1,
        "item": item,
        "name": name_of(item),
        "derived": derive_name(item.label),
        "answers": [_answer(index, place, answer, len(item.answers)) for place, answer in enumerate(item.answers)],
        "tools": _tools(str(index), f"question {index + 1}", index, len(form.items)),
        "add_answer": f"answer:{index}",
        "errors": errors,
        "open": bool(MORE_FIELDS & set(errors)) or focus.startswith(f"q{index}-if"),
        "rules": [(rule, RULE_WORDS[rule]) for rule in ("", *RULES)],
        "methods": [("", f"Usual: {METHOD_WORDS[usual].lower()}"), *_methods(item, usual)],
        "others": others if not show.question or parent else [(show.question, show.question), *others],
        "show": show,
        "modes": _modes(parent),
        "parent_values": [(value, label, value in show.values) for value, label in _values_of(parent)],
        "asks_values": show.mode in {IS, IS_NOT} and bool(_values_of(parent)),
        "extras": _extras(item),
    }


def _answer(index: int, place: int, answer: Answer, count: int) -> dict[str, Any]:
    what = f"answer {place + 1} of question {index + 1}"
    return {
        "id": f"q{index}-a{place}",
        "what": what.capitalize(),
        "label": answer.label,
        "value": answer.value,
        "derived": derive_name(answer.label),
        "preset": answer.preset,
        "tools": _tools(f"{index}:{place}", what, place, count, "answer_"),
    }


def _tools(target: str, what: str, place: int, count: int, kind: str = "") -> list[dict[str, Any]]:
    """The small buttons of a question or an answer."""
    buttons = [
        ("up", f"Move {what} up", "arrow-up", place == 0),
        ("down", f"Move {what} down", "arrow-down", place == count - 1),
    ]
    if not kind:
        buttons.append(("copy", f"Copy {what}", "copy", False))
    buttons.append(("remove", f"Remove {what}", "trash", False))
    return [
        {"do": f"{kind}{action}:{target}", "id": action, "label": label, "icon": icon, "off": off}
        for action, label, icon, off in buttons
    ]


def _methods(item: Item, usual: str) -> list[tuple[str, str]]:
    choices = METHOD_WORDS | ({item.aggregation: item.aggregation} if item.aggregation not in METHOD_WORDS else {})
    return [(method, words) for method, words in choices.items() if method and method != usual]


def _values_of(parent: Item | None) -> list[tuple[str, str]]:
    if parent is None:
        return []
    if parent.kind == "checkbox":
        return [(parent.ticked or derive_name(parent.label) or "true", "Ticked")]
    return [
        (value, answer.label or value)
        for answer in parent.answers
        if parent.has_answers and (value := answer.value or derive_name(answer.label))
    ]


def _modes(parent: Item | None) -> list[tuple[str, str]]:
    """What can be asked of the question that decides; one without answers to choose is only answered or not."""
    return [mode for mode in MODE_WORDS if mode[0] not in {IS, IS_NOT} or _values_of(parent)]


def _extras(item: Item) -> list[str]:
    """Short words for what is set under “More”, shown while it is closed."""
    found = []
    if item.show_if:
        found.append("shown only if")
    if item.rule:
        found.append(RULE_WORDS[item.rule].lower())
    if item.help:
        found.append("help text")
    if not item.gold:
        found.append("not in test questions")
    return found


# --- the preview -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shown:
    """The row in the preview and its neighbours; without rows all are None."""

    unit: Unit | None
    before: int | None
    after: int | None


def find_row(job: Job, wanted: str = "") -> Shown:
    """The wanted row of the job, or its first."""
    rows = Unit.objects.filter(job=job, state__in=UnitState.row_states())
    number = int(wanted) if wanted.isdigit() and len(wanted) < 18 else 0
    unit = rows.filter(pk=number).first() or rows.order_by("pk").first()
    if unit is None:
        return Shown(None, None, None)
    keys = rows.values_list("pk", flat=True)
    return Shown(
        unit,
        keys.filter(pk__lt=unit.pk).order_by("-pk").first(),
        keys.filter(pk__gt=unit.pk).order_by("pk").first(),
    )


def preview_context(
    request: TeamRequest,
    job: Job,
    draft: Draft,
    *,
    wanted_row: str = "",
    tried: QueryDict | None = None,
    editable: bool = True,
) -> dict[str, Any]:
    """The page as a contributor gets it, on a real row. `tried` are answers given in the preview."""
    design = parse_design(draft.cml)
    shown = find_row(job, wanted_row)
    answers, errors, outcome = _try(design, tried)
    drawn = render_design(
        design,
        row={**shown.unit.data, "image_url": shown.unit.image_url} if shown.unit else _sample(design),
        image_url_for=(lambda url: picture_url(request.team, url, "large"))
        if shown.unit
        else (lambda url: static("img/sample-picture.svg")),
        prefix=TRY,
        answers=answers,
        errors=errors,
    )
    frame = {"drawn": drawn, "title": draft.title, "outcome": outcome, "editable": editable}
    return {"shown": shown, "frame": render_to_string("jobs/_design_frame.html", frame, request=request)}


def _sample(design: Design) -> Mapping[str, str]:
    """A row for a job without rows: each column shows its own name."""
    return {name: f"[{name}]" for name in design.columns}


def _try(
    design: Design, tried: QueryDict | None
) -> tuple[dict[str, list[str]] | None, dict[str, str], list[tuple[str, str]] | None]:
    """Answers to show again, what is wrong with them, and what would be stored (None: not asked)."""
    if tried is None or "touched" not in tried:
        return None, {}, None
    sent = {name: [str(value) for value in values] for name, values in tried.lists()}
    answers, errors = read_answers(design, sent, TRY)
    if "check" not in tried:
        return answers, {}, None
    stored = [(name, " | ".join(values)) for name, values in answers.items()]
    return answers, errors, None if errors else stored
