"""The form builder: a design as questions with fields, to CML and back without loss, and its buttons."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs_app.design import check_columns, parse_design, render_design
from jobs_app.design.builder import (
    ANSWERED,
    IS,
    IS_NOT,
    UNANSWERED,
    Answer,
    Form,
    Item,
    NotBuildable,
    ShowIf,
    to_cml,
    to_form,
)
from jobs_app.design.builder_edit import act, new_item, place_problems, read_form
from jobs_app.design.tree import CHOICES, DEFAULT_AGGREGATION, QUESTIONS, derive_name
from jobs_app.templates_cml import routing_template

from .test_design import Suspicious, sources

OUTCOMES = ["boots", "sneakers", "negative_examples"]
TWO = Form(
    "image_url",
    "",
    (
        Item("radios", "Is it?", "is_it", (Answer("Yes", "yes"), Answer("No", "no")), required=True),
        Item("text", "Why?", "why", show_if=ShowIf("is_it", IS, ("no",))),
    ),
)

# --- there and back ----------------------------------------------------------------------------------

plain = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30).map(str.strip)
nasty = st.one_of(plain, st.sampled_from(['"', "'", "<b>", "&quot;", "<cml:radio", "/>", "a|b", "++", "||", "q:[x]"]))
words = st.one_of(nasty, st.just("Which is it?")).filter(
    lambda text: bool(text) and "{{" not in text and "{%" not in text
)
values = st.text("abcXYZ019._-+!&#;:%/\\é中", min_size=1, max_size=8)
names = st.text("abcxyz019_", min_size=1, max_size=8).filter(
    lambda name: not name.startswith("_") and not name.endswith(("_gold", "_gold_reason"))
)
rules = st.sampled_from(
    [("", ""), ("integer", ""), ("email", ""), ("date", ""), ("integerRange", "-2,7"), ("wordCountMin", "3")]
)


@st.composite
def items(draw, name: str, others: dict[str, list[str]]) -> Item:
    kind = draw(st.sampled_from(sorted(QUESTIONS)))
    known = [other for other in others if other != name]
    show = None
    if known and draw(st.booleans()):
        parent = draw(st.sampled_from(known))
        mode = draw(st.sampled_from([IS, IS_NOT, ANSWERED, UNANSWERED] if others[parent] else [ANSWERED, UNANSWERED]))
        chosen = draw(st.lists(st.sampled_from(others[parent]), min_size=1, max_size=3)) if mode in {IS, IS_NOT} else []
        show = ShowIf(parent, mode, tuple(chosen))
    common = {
        "kind": kind,
        "label": draw(words),
        "name": name,
        "required": draw(st.booleans()),
        "help": draw(nasty.filter(lambda text: "{{" not in text and "{%" not in text)),
        "show_if": show,
        "gold": draw(st.booleans()),
        "exact": draw(st.booleans()),
    }
    usual = DEFAULT_AGGREGATION.get(kind, "agg")
    methods = ["", *({"agg", "all", "agg_3", "cagg_0.7"} - {usual})]
    if kind in CHOICES:
        count = draw(st.integers(1, 4)) if not others.get(name) else len(others[name])
        stored = others.get(name) or draw(st.lists(values, min_size=count, max_size=count, unique=True))
        preset = draw(st.integers(-1, count - 1))
        answers = tuple(Answer(draw(words), value, n == preset) for n, value in enumerate(stored))
        numeric = kind == "ratings" and all(value.isascii() and value.isdigit() for value in stored)
        method = draw(st.sampled_from(methods)) if kind != "ratings" or numeric else "agg"
        return Item(**common, answers=answers, aggregation=method)
    method = draw(st.sampled_from(methods))
    if kind == "checkbox":
        ticked = others[name][0] if others.get(name) else draw(values)
        unticked = draw(st.one_of(st.just(""), values.filter(lambda value: value != ticked)))
        return Item(**common, aggregation=method, ticked=ticked, unticked=unticked, preset=draw(st.booleans()))
    rule, limits = draw(rules)
    return Item(
        **common,
        aggregation=method,
        rule=rule,
        limits=limits,
        placeholder=draw(nasty.filter(lambda text: "{{" not in text and "{%" not in text)),
        multiple=draw(st.booleans()),
    )


@st.composite
def forms(draw) -> Form:
    """Forms that make a design without errors; questions wait only for earlier ones."""
    found: list[Item] = []
    others: dict[str, list[str]] = {}
    for name in draw(st.lists(names, min_size=1, max_size=4, unique=True)):
        item = draw(items(name, others))
        found.append(item)
        others[name] = [item.ticked] if item.kind == "checkbox" else [answer.value for answer in item.answers]
    found[0] = replace(found[0], required=True)
    picture = draw(st.sampled_from(["", "image_url", "other column"]))
    alt = draw(nasty.filter(lambda text: "{{" not in text and "{%" not in text)) if picture else ""
    return Form(picture, alt, tuple(found))


@settings(max_examples=250, deadline=None)
@given(forms())
def test_nothing_is_lost_on_the_way_to_cml_and_back(form: Form) -> None:
    design = parse_design(to_cml(form))
    assert design.errors == []
    assert to_form(design) == form


def test_the_routing_template_is_what_the_builder_writes() -> None:
    source = routing_template(OUTCOMES)
    assert to_cml(to_form(parse_design(source))) == source


def test_a_scale_by_points_becomes_its_answers() -> None:
    form = to_form(parse_design('<cml:ratings label="Stars" points="3" validates="required"/>'))
    assert form.items[0].answers == (Answer("1", "1"), Answer("2", "2"), Answer("3", "3"))


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("<h2>Hello</h2>{}", "Line 1: the builder has no field for <h2>."),
        ("{}\nMore text", "Line 3: the builder has no field for text between the questions."),
        ("<!-- note -->{}", "The code has a comment, which the builder would lose."),
        ("<cml:group>{}</cml:group>", "Line 1: the builder has no field for <cml:group>."),
        ('{}<cml:text class="wide" label="t"/>', "Line 3: the builder has no field for a class."),
        (
            '{}<cml:text label="t" only-if="is_it:[yes]++stars:[0]"/>',
            "Line 3: the builder has no field for the condition “is_it:[yes]++stars:[0]”.",
        ),
        (
            '{}<cml:text label="t" only-if="!is_it:[yes]||is_it:[no]"/>',
            "Line 3: the builder has no field for the condition “!is_it:[yes]||is_it:[no]”.",
        ),
        (
            '{}<cml:text label="t" validates="integer wordCountMax:1"/>',
            "Line 3: the builder has one rule for each text, not “integer wordCountMax:1”.",
        ),
        ('{}<cml:radios label="o">Hi<cml:radio label="A"/></cml:radios>', "what stands among the answers"),
        ('{}<cml:text label="t" validates="odd"/>', "Line 3: “odd” is not a validator."),
        ('<img src="{{{{a | default: "x"}}}}">{}', "Line 1: the builder has no field for <img>."),
        ('<div class="row"><img src="{{{{a}}}}"></div>{}', "Line 1: the builder has no field for <div>."),
    ],
)
def test_what_the_builder_cannot_show_is_said(source: str, reason: str) -> None:
    questions = (
        '<cml:radios label="Is it?" validates="required">\n'
        '<cml:radio label="Yes"/><cml:radio label="No"/></cml:radios>\n'
        '<cml:ratings label="Stars" points="3"/>'
    )
    with pytest.raises(NotBuildable, match=None) as refused:
        to_form(parse_design(source.format(questions)))
    assert reason in str(refused.value)


@settings(max_examples=200, deadline=None)
@given(sources)
def test_any_source_is_shown_without_loss_or_refused(source: str) -> None:
    design = parse_design(source)
    try:
        form = to_form(design)
    except NotBuildable:
        return
    assert [item.kind for item in form.items] == [question.kind for question in design.questions]


# --- nasty input -------------------------------------------------------------------------------------

anything = st.one_of(sources, st.text(max_size=40))


@st.composite
def odd_forms(draw) -> Form:
    def text() -> str:
        return draw(anything)

    found = []
    for _ in range(draw(st.integers(0, 3))):
        answers = tuple(Answer(text(), text(), draw(st.booleans())) for _ in range(draw(st.integers(0, 3))))
        show = draw(st.one_of(st.none(), st.builds(ShowIf, anything, st.just(IS), st.tuples(anything))))
        found.append(
            Item(
                draw(st.sampled_from(sorted(QUESTIONS))),
                text(),
                text(),
                answers,
                rule=text(),
                limits=text(),
                help=text(),
                show_if=show,
                aggregation=text(),
                placeholder=text(),
                ticked=text(),
                unticked=text(),
            )
        )
    return Form(text(), text(), tuple(found))


@settings(max_examples=300, deadline=None)
@given(odd_forms(), anything)
def test_no_input_of_the_builder_becomes_markup_or_script(form: Form, value: str) -> None:
    design = parse_design(to_cml(form))
    assert [node.cml for node in design.root.walk() if node.question] == [item.kind for item in form.items]
    html = render_design(design, row={"a": value, "image_url": value}, image_url_for=lambda url: "/ours?x")
    looking = Suspicious()
    looking.feed(html)
    assert looking.found == []


FIELD_NAMES = (
    "questions picture q0-kind q0-answers q0-was q0-label q0-if q0-if-mode q0-rule q0-limits q0-a0-label q0-name"
)
sent = st.dictionaries(
    st.sampled_from(FIELD_NAMES.split()), st.one_of(anything, st.sampled_from(["1", "2", "radios", "integerRange"]))
)


@settings(max_examples=200, deadline=None)
@given(sent, anything)
def test_reading_fields_and_pressing_buttons_never_fails(fields: dict[str, str], what: str) -> None:
    form, _ = act(read_form(fields, lambda name: [fields.get(name, "")]), what)
    place_problems(form, parse_design(to_cml(form)).problems)


# --- fields and buttons ------------------------------------------------------------------------------


def fields_of(form: Form) -> tuple[dict[str, str], dict[str, list[str]]]:
    """What a browser sends for a form, as _builder.html draws it."""
    sent = {"questions": str(len(form.items)), "picture": form.picture, "alt": form.alt}
    many: dict[str, list[str]] = {}
    for index, item in enumerate(form.items):
        at = f"q{index}-"
        sent |= {
            at + "kind": item.kind, at + "label": item.label, at + "name": item.name, at + "rule": item.rule,
            at + "was": item.name or derive_name(item.label), at + "limits": item.limits, at + "help": item.help,
            at + "aggregation": item.aggregation, at + "placeholder": item.placeholder, at + "ticked": item.ticked,
            at + "unticked": item.unticked, at + "answers": str(len(item.answers)),
        }  # fmt: skip
        for flag in ("required", "gold", "exact", "multiple", "preset"):
            if getattr(item, flag):
                sent[at + flag] = "on"
        for n, answer in enumerate(item.answers):
            sent |= {f"{at}a{n}-label": answer.label, f"{at}a{n}-value": answer.value}
            if answer.preset:
                sent[f"{at}a{n}-preset"] = "on"
        if item.show_if:
            sent |= {at + "if": item.show_if.question, at + "if-mode": item.show_if.mode}
            many[at + "if-value"] = list(item.show_if.values)
    return sent, many


def read(form: Form, **changed: str) -> Form:
    sent, many = fields_of(form)
    return read_form(
        sent | {name.replace("__", "-"): text for name, text in changed.items()}, lambda n: many.get(n, [])
    )


@settings(max_examples=100, deadline=None)
@given(forms())
def test_fields_are_read_as_they_were_sent(form: Form) -> None:
    spaced = [item.label for item in form.items] + [answer.label for item in form.items for answer in item.answers]
    if all(" ".join(text.split()) == text for text in [*spaced, form.alt, *(item.placeholder for item in form.items)]):
        assert read(form) == form


def test_a_question_that_is_renamed_is_still_the_one_that_others_wait_for() -> None:
    assert read(TWO, q0__name="really").items[1].show_if == ShowIf("really", IS, ("no",))


def test_a_question_without_a_name_is_called_after_its_label() -> None:
    form = read(TWO, q0__name="", q0__label="Really so?")
    assert form.items[1].show_if == ShowIf("really_so", IS, ("no",))
    assert [question.name for question in parse_design(to_cml(form)).questions] == ["really_so", "why"]


def test_spaces_in_numbers_of_a_rule_do_not_matter() -> None:
    form = read(TWO, q1__rule="integerRange", q1__limits=" 1, 5 ")
    assert parse_design(to_cml(form)).questions[1].validates == ["integerRange:1,5"]


@pytest.mark.parametrize(
    ("what", "labels", "focus"),
    [
        ("add:text", ["Is it?", "Why?", ""], "q2-label"),
        ("add:script", ["Is it?", "Why?"], ""),
        ("remove:0", ["Why?"], "q0-label"),
        ("remove:1", ["Is it?"], "q0-label"),
        ("up:1", ["Why?", "Is it?"], "q0-down"),
        ("up:0", ["Is it?", "Why?"], ""),
        ("down:0", ["Why?", "Is it?"], "q1-up"),
        ("copy:0", ["Is it?", "Is it?", "Why?"], "q1-label"),
        ("remove:2", ["Is it?", "Why?"], ""),
        ("remove:x", ["Is it?", "Why?"], ""),
        ("remove", ["Is it?", "Why?"], ""),
        ("", ["Is it?", "Why?"], ""),
    ],
)
def test_buttons_of_questions(what: str, labels: list[str], focus: str) -> None:
    form, at = act(TWO, what)
    assert ([item.label for item in form.items], at) == (labels, focus)


def test_a_copied_question_gets_a_free_name() -> None:
    assert [item.name for item in act(TWO, "copy:0")[0].items] == ["is_it", "is_it_2", "why"]


@pytest.mark.parametrize(
    ("what", "labels", "focus"),
    [
        ("answer:0", ["Yes", "No", ""], "q0-a2-label"),
        ("answer:1", ["Yes", "No"], ""),
        ("answer_up:0:1", ["No", "Yes"], "q0-a0-down"),
        ("answer_down:0:0", ["No", "Yes"], "q0-a1-up"),
        ("answer_down:0:1", ["Yes", "No"], ""),
        ("answer_remove:0:0", ["No"], "q0-a0-label"),
        ("answer_remove:0:7", ["Yes", "No"], ""),
    ],
)
def test_buttons_of_answers(what: str, labels: list[str], focus: str) -> None:
    form, at = act(TWO, what)
    assert ([answer.label for answer in form.items[0].answers], at) == (labels, focus)


def test_the_last_question_and_the_last_answer_can_be_removed() -> None:
    assert act(replace(TWO, items=TWO.items[:1]), "remove:0") == (replace(TWO, items=()), "add-radios")
    one = replace(TWO.items[0], answers=TWO.items[0].answers[:1])
    assert act(replace(TWO, items=(one,)), "answer_remove:0:0")[1] == "q0-answer"


@pytest.mark.parametrize(
    ("change", "index", "field", "says"),
    [
        ({"label": "", "name": ""}, 0, "label", "Write the question."),
        ({"answers": ()}, 0, "answers", "Add at least one answer."),
        ({"answers": (Answer("A", "a b"),)}, 0, "answers", "The value “a b” may not have spaces, quotes"),
        ({"name": "why"}, 1, "name", "Two questions are called “why”. Give one of them another name."),
        ({"name": "A b"}, 0, "name", "The name of the result column may only have small letters"),
        ({"show_if": ShowIf("why", IS, ())}, 0, "show_if", "Choose at least one answer"),
        ({"show_if": ShowIf("gone", ANSWERED)}, 0, "show_if", "This question is no longer there."),
        ({"aggregation": "avg"}, 0, "aggregation", "An average needs answers whose stored values are numbers."),
        ({"required": False}, None, "", "No question must be answered."),
    ],
)
def test_a_problem_is_put_at_its_field(change: dict[str, object], index: int | None, field: str, says: str) -> None:
    form = replace(TWO, items=(replace(TWO.items[0], **change), TWO.items[1]))  # type: ignore[arg-type]
    problems = place_problems(form, parse_design(to_cml(form)).problems)
    found = [problem.message for problem in problems if (problem.index, problem.field) == (index, field)]
    assert found[0].startswith(says)


def test_a_picture_column_that_no_row_has_is_put_at_the_picture() -> None:
    problems = place_problems(TWO, check_columns(parse_design(to_cml(TWO)), {"picture"}))
    assert [(problem.index, problem.field) for problem in problems] == [(None, "picture")]


@pytest.mark.parametrize("kind", sorted(QUESTIONS))
def test_a_new_question_needs_little(kind: str) -> None:
    item = replace(new_item(kind), label="What?", required=True)
    if item.answers and not item.answers[0].label:
        item = replace(item, answers=(Answer("A"), Answer("B")))
    assert parse_design(to_cml(Form(items=(item,)))).problems == []
