"""Designs: read, checked, drawn, answered."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs_app.design import (
    OUTLINE,
    check_routing_design,
    clean_instructions,
    derive_name,
    parse_design,
    read_answers,
    render_design,
    routing_question,
)
from jobs_app.templates_cml import ROUTING_INSTRUCTIONS, is_template_instructions, routing_template

OUTCOMES = ["boots", "sneakers", "negative_examples"]
PLAIN = '<cml:radios label="Is it?" validates="required"><cml:radio label="Yes"/><cml:radio label="No"/></cml:radios>'


def codes(source: str) -> list[tuple[int, int, str]]:
    return [(p.line, p.column, p.code) for p in parse_design(source).problems]


def draw(source: str, **row: str) -> str:
    return render_design(parse_design(source), row=row, image_url_for=lambda url: f"/ours?{url}")


def test_the_routing_template_fits_its_model() -> None:
    design = parse_design(routing_template(OUTCOMES))
    assert design.problems == []
    assert check_routing_design(design, OUTCOMES) == []
    question = routing_question(design, OUTCOMES)
    assert question is not None
    assert (question.name, question.values, question.options[2].label) == (
        "image_category",
        OUTCOMES,
        "Other / none of these",
    )
    assert design.columns == ["image_url"]


@pytest.mark.parametrize(
    ("label", "name"),
    [("First option", "first_option"), ("  What?  is it ", "what_is_it"), ("A-B", "ab"), ("É!", ""), ("x_y", "x_y")],
)
def test_names_derived_from_labels(label: str, name: str) -> None:
    assert derive_name(label) == name


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("", (1, 1, "no_question")),
        ("<p>\n  <cml:radio label='a'/></p>" + PLAIN, (2, 3, "stray_option")),
        ("<cml:radioz/>" + PLAIN, (1, 1, "unknown_tag")),
        ("<cml:radios label='q'>" + PLAIN.replace("<cml:radios", "<cml:text"), (1, 23, "not_closed")),
        (PLAIN + "</cml:group>", (1, len(PLAIN) + 1, "not_open")),
        (PLAIN.replace("required", "requird"), (1, 1, "unknown_validator")),
        (PLAIN.replace(' label="Is it?"', ""), (1, 1, "no_label")),
        (PLAIN + PLAIN, (1, len(PLAIN) + 1, "same_name")),
        (PLAIN.replace('label="Yes"', 'value="a b"'), (1, PLAIN.index("<cml:radio ") + 1, "bad_value")),
        (PLAIN.replace('"No"', '"Yes"'), (1, PLAIN.rindex("<cml:radio ") + 1, "same_value")),
        ('<cml:radios label="q" validates="required"></cml:radios>', (1, 1, "no_options")),
        (PLAIN.replace("<cml:radios", '<cml:radios only-if="x"'), (1, 1, "unknown_question")),
        (PLAIN + '<cml:text label="w" only-if="is_it:[maybe]"/>', (1, len(PLAIN) + 1, "unknown_answer")),
        (PLAIN + '<cml:text label="w" only-if="is it?"/>', (1, len(PLAIN) + 1, "bad_only_if")),
        (PLAIN.replace(' validates="required"', ""), (1, 1, "nothing_required")),
        (PLAIN.replace("<cml:radios", '<cml:radios aggregation="most"'), (1, 1, "unknown_aggregation")),
        (PLAIN + "<script>x</script>", (1, len(PLAIN) + 1, "html_dropped")),
        (PLAIN.replace("<cml:radios", '<cml:radios name="Ab"'), (1, 1, "bad_name")),
        ("x" * 70_000, (1, 1, "too_long")),
    ],
)
def test_a_problem_is_placed(source: str, found: tuple[int, int, str]) -> None:
    assert found in codes(source)


def test_unclosed_html_and_unquoted_attributes_are_fine() -> None:
    assert codes("<p><img src={{image_url}}><br>text<div>" + PLAIN) == []


def test_all_tags_are_drawn() -> None:
    html = draw(
        PLAIN
        + '<cml:checkboxes label="c"><cml:checkbox label="A"/></cml:checkboxes><cml:checkbox label="one"/>'
        + '<cml:select label="s"><cml:option label="O"/></cml:select><cml:ratings label="r" points="3"/>'
        + '<cml:text label="t"/><cml:group only-if="is_it:[yes]"><cml:textarea label="ta"/></cml:group>'
    )
    assert [
        html.count(part) for part in ('type="radio"', 'type="checkbox"', "<select", "<textarea", 'type="text"')
    ] == [
        5,
        2,
        1,
        1,
        1,
    ]
    assert 'data-key="1"' in html


def test_every_answer_has_a_key() -> None:
    options = "".join(f'<cml:radio label="a{number}"/>' for number in range(40))
    html = draw(f'<cml:radios label="q" validates="required">{options}</cml:radios>')
    assert [html.count("data-key="), html.count('data-key="0"'), html.count('data-key="q"')] == [36, 1, 1]


def test_the_picture_is_our_copy() -> None:
    html = draw(
        '<img src="{{image_url}}"><img src="http://evil/x.png"><img src="{{other}}">', image_url="http://a/b.jpg"
    )
    assert html == (
        '<img class="unit-picture" src="/ours?http://a/b.jpg" alt="Picture to label">'
        '<p class="text-secondary">This row has no picture.</p>'
    )


def test_values_are_escaped_and_filled_once() -> None:
    assert draw('<p title="{{a}}">{{a}} {{b | default: "none"}}</p>', a='"><b>{{b}}') == (
        '<p title="&quot;&gt;&lt;b&gt;{{b}}">&quot;&gt;&lt;b&gt;{{b}} none</p>'
    )


def answer(source: str, **given: list[str]) -> tuple[dict[str, list[str]], dict[str, str]]:
    return read_answers(parse_design(source), given)


def test_answers_are_read() -> None:
    assert answer(PLAIN, is_it=["yes"]) == ({"is_it": ["yes"]}, {})


def test_a_required_answer_is_missing() -> None:
    assert answer(PLAIN) == ({}, {"is_it": "Choose an answer."})


def test_an_answer_that_is_no_option_is_refused() -> None:
    assert answer(PLAIN, is_it=["maybe"]) == ({}, {"is_it": "“maybe” is not one of the answers."})


def test_two_answers_to_one_choice_are_refused() -> None:
    assert answer(PLAIN, is_it=["yes", "no"]) == ({}, {"is_it": "Choose one answer only."})


WHY = PLAIN + '<cml:text label="Why" only-if="{}" validates="required"/>'


@pytest.mark.parametrize(
    ("condition", "given", "asked"),
    [
        ("is_it", "yes", True),
        ("is_it:[yes]", "yes", True),
        ("is_it:[yes]", "no", False),
        ("is_it:[0]", "yes", True),
        ("is_it:[1]", "yes", False),
        ("!is_it:[yes]", "no", True),
        ("is_it:unchecked", "no", False),
        ("is_it:[yes]||is_it:[no]", "no", True),
        ("is_it:[yes]++is_it:[no]", "no", False),
    ],
)
def test_only_if_decides_what_is_asked(condition: str, given: str, asked: bool) -> None:
    _, errors = answer(WHY.format(condition), is_it=[given])
    assert errors == ({"why": "Write an answer."} if asked else {})


def test_hidden_answers_are_not_kept() -> None:
    assert answer(WHY.format("is_it:[yes]"), is_it=["no"], why=["because"]) == ({"is_it": ["no"]}, {})


@pytest.mark.parametrize(
    ("validator", "good", "bad"),
    [
        ("integer", "-3", "3.5"),
        ("positiveInteger", "3", "0"),
        ("numeric", "-.5", "x"),
        ("url", "https://a/b", "javascript:1"),
        ("email", "a@b.co", "a@b"),
    ],
)
def test_validators(validator: str, good: str, bad: str) -> None:
    source = f'<cml:text label="t" validates="required {validator}"/>'
    assert answer(source, t=[good])[1] == {}
    assert list(answer(source, t=[bad])[1]) == ["t"]


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        (
            ('<cml:radio label="Other / none of these" value="negative_examples"/>', ""),
            "values_differ",
            "missing: negative_examples",
        ),
        (('value="boots"', 'value="Boots"'), "values_differ", "not an outcome of the model: Boots"),
        (("{{image_url}}", "{{picture}}"), "no_picture", "does not show the picture"),
        (('validates="required" ', ""), "nothing_required", "No question is required"),
    ],
)
def test_a_design_that_cannot_serve_a_model(change: tuple[str, str], code: str, says: str) -> None:
    problems = check_routing_design(parse_design(routing_template(OUTCOMES).replace(*change)), OUTCOMES)
    assert code in [problem.code for problem in problems]
    assert says in " ".join(problem.message for problem in problems)


def test_template_instructions_are_recognised() -> None:
    assert is_template_instructions(ROUTING_INSTRUCTIONS + "\n ")
    assert is_template_instructions("")
    assert is_template_instructions(OUTLINE)
    assert not is_template_instructions("<p>Mine</p>")


def test_instructions_keep_harmless_tags_only() -> None:
    assert clean_instructions('<p onclick="x">Hi <b>you</b><script>x</script></p>') == "<p>Hi <b>you</b></p>"


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("", ""),
        ("One\ntwo\n\nthree", "<p>One<br>two</p><p>three</p>"),
        ("# Do\n## This\n- a\n* b\nEnd", "<h2>Do</h2><h3>This</h3><ul><li>a</li><li>b</li></ul><p>End</p>"),
        ("1. a\n2) b\n- c", "<ol><li>a</li><li>b</li></ol><ul><li>c</li></ul>"),
        ("a < b & 5 > 3\r\n#x", "<p>a &lt; b &amp; 5 &gt; 3<br>#x</p>"),
        ("<p>As # it\n- is</p>", "<p>As # it\n- is</p>"),
    ],
)
def test_plain_instructions_are_laid_out(text: str, html: str) -> None:
    assert clean_instructions(text) == html


class Suspicious(HTMLParser):
    """Collects what must never be in a drawn design."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"script", "style", "iframe", "object", "embed", "form", "link", "meta", "base", "svg"}:
            self.found.append(tag)
        for name, value in attrs:
            text = (value or "").strip().lower()
            if name.startswith("on") or name in {"style", "srcdoc", "formaction"}:
                self.found.append(name)
            if name in {"href", "src"} and not text.startswith(("/ours?", "http://", "https://")):
                self.found.append(f"{name}={text}")


pieces = st.sampled_from(
    ["<script>", "</script>", "<img src=", "{{a}}", "{{image_url}}", "onerror=alert(1)", "<a href='",
     "javascript:x", "'>",
     '"', ">", "<cml:radios label='", "<cml:radio value='", "/>", "</cml:radios>", "<svg onload=x>", "<style>",
     "<!--", "-->",
     "<textarea>", "<title>", "&lt;", "&#60;", "<p style='x'>", " ", "\n", "<![CDATA[", "<?x", "</", "a"]
)  # fmt: skip
sources = st.one_of(st.text(max_size=200), st.lists(pieces, max_size=25).map("".join))


@settings(max_examples=300, deadline=None)
@given(sources, sources)
def test_no_design_and_no_value_can_run_script(source: str, value: str) -> None:
    html = render_design(
        parse_design(source), row={"a": value, "image_url": value}, image_url_for=lambda url: "/ours?x", prefix="u1-"
    )
    looking = Suspicious()
    looking.feed(html)
    assert looking.found == []


@settings(max_examples=200, deadline=None)
@given(sources)
def test_no_instructions_can_run_script(text: str) -> None:
    looking = Suspicious()
    looking.feed(clean_instructions(text))
    links = re.compile(r"href=(?!\W*(?:javascript|data|vbscript)\W*:)")  # links within the site and mailto: are fine
    assert [found for found in looking.found if not links.match(found)] == []


# Every attribute that a tag may have, with anything in it.
ATTRIBUTES = [
    "label", "name", "value", "default", "instructions", "validates", "only-if", "gold", "exact", "aggregation",
    "points", "multiple", "checked", "class", "id", "style", "onclick", "src", "href", "title", "alt", "data-only-if",
]  # fmt: skip
TAGS = [
    ("cml:radios", "radio"), ("cml:checkboxes", "checkbox"), ("cml:select", "option"), ("cml:ratings", "rating"),
    ("cml:checkbox", "instructions"), ("cml:text", "instructions"), ("cml:textarea", "x"), ("cml:group", "text"),
    ("p", "x"), ("img", "x"), ("a", "x"), ("div", "x"),
]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(ATTRIBUTES), sources, st.sampled_from(["<img src=x onerror=y>", "{{a}}", '" onload="x', "'>"]))
def test_no_attribute_of_any_tag_can_run_script(attribute: str, value: str, more: str) -> None:
    quoted = (value + more).replace('"', "&quot;")
    source = "".join(
        f'<{tag} label="q{number}" {attribute}="{quoted}"><cml:{option} label="a" {attribute}="{quoted}"/></{tag}>'
        for number, (tag, option) in enumerate(TAGS)
    )
    html = render_design(
        parse_design(source),
        row={"a": value, "image_url": value},
        image_url_for=lambda url: "/ours?x",
        errors={"q0": value},
    )
    looking = Suspicious()
    looking.feed(html)
    assert looking.found == []


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300))
def test_reading_never_fails(source: str) -> None:
    design = parse_design(source)
    read_answers(design, {question.name: [source] for question in design.questions})
