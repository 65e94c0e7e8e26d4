"""The language of designs, line by line of reference/domain.md 1: tags, attributes, names, Liquid, checks."""

from __future__ import annotations

import pytest

from jobs_app.design import check_columns, check_golds, parse_design, read_answers, render_design
from jobs_app.design.conditions import ask_in_order

PLAIN = '<cml:radios label="Is it?" validates="required"><cml:radio label="Yes"/><cml:radio label="No"/></cml:radios>'
SCALE = '<cml:ratings label="Stars" points="5" validates="required"/>'


def found(source: str, level: str = "error") -> list[tuple[int, int, str]]:
    return [(p.line, p.column, p.code) for p in parse_design(source).problems if p.level == level]


def draw(source: str, **more: object) -> str:
    return render_design(parse_design(source), row={}, image_url_for=lambda url: url, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ('<cml:text label="É!"/>', "bad_name"),
        (f'<cml:text label="q" name="{"a" * 101}"/>', "bad_name"),
        ('<cml:text label="q" name="_id"/>', "reserved_name"),
        ('<cml:text label="q" name="q_gold"/>', "reserved_name"),
        ('<cml:text label="Q gold reason"/>', "reserved_name"),
        ('<cml:radios label="q"><cml:radio label="É"/></cml:radios>', "no_value"),
        ('<cml:radios label="q"><cml:radio label="A" value="a|b"/></cml:radios>', "bad_value"),
        ('<cml:checkbox label="q" value="a b"/>', "bad_value"),
        ('<cml:checkbox label="q" value="yes" default="a b"/>', "bad_value"),
        ('<cml:checkbox label="q" value="yes" default="yes"/>', "same_value"),
        ('<cml:ratings label="q" points="21"/>', "bad_points"),
        ('<cml:ratings label="q" points="many"/>', "bad_points"),
        ('<cml:text label="q" gold="perhaps"/>', "bad_flag"),
        ('<cml:select label="q" default="C"><cml:option label="A"/></cml:select>', "unknown_default"),
        (
            '<cml:radios label="q"><cml:radio label="A" checked="true"/><cml:radio label="B" checked/></cml:radios>',
            "two_presets",
        ),
        ('<cml:radios label="q" aggregation="avg"><cml:radio label="A"/></cml:radios>', "not_numeric"),
        ('<cml:text label="q" validates="integerRange:1"/>', "bad_validator"),
        ('<cml:text label="q" validates="integerRange:5,1"/>', "bad_validator"),
        ('<cml:text label="q" validates="integerRange:a,b"/>', "bad_validator"),
        ('<cml:text label="q" validates="wordCountMin"/>', "bad_validator"),
        ('<cml:text label="q" validates="wordCountMin:0"/>', "bad_validator"),
        ('<cml:text label="q" validates="required:1"/>', "bad_validator"),
        ('<cml:text label="q" validates="stateAbbr"/>', "unknown_validator"),
        ('<cml:text label="q" only-if="is_it:[]"/>', "bad_only_if"),
        ('<cml:text label="q" only-if="q"/>', "circle"),
        ('<cml:radios label="q"><cml:group></cml:group><cml:radio label="A"/></cml:radios>', "nested"),
        ('<cml:text label="q"/><p>{{ a | upcase }}</p>', "bad_liquid"),
        ('<cml:text label="q"/>{% if a %}', "bad_liquid"),
        ('<cml:text label="q>', "broken_tag"),
        ('<cml:taxonomy label="q"/>', "unknown_tag"),
    ],
)
def test_a_design_is_refused(source: str, code: str) -> None:
    assert code in [problem[2] for problem in found(source + "\n" + PLAIN)]


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ('<cml:text label="q" valdates="required"/>', "unknown_attribute"),
        ('<cml:text label="q" style="color: red"/>', "unknown_attribute"),
        ('<cml:group multiple="true"></cml:group>', "no_repeating"),
        ("<cml:instructions>Hi</cml:instructions>", "stray_instructions"),
        ('<p only-if="is_it">x</p>', "only_if_on_html"),
        ('<p onclick="x">x</p>', "attribute_dropped"),
        ('<img src="https://a.example/b.png">', "foreign_picture"),
        ('<cml:checkbox label="q" default="true" value="yes"/>', "default_is_unticked"),
        ("<blink>x</blink>", "html_dropped"),
    ],
)
def test_what_is_left_out_is_said_but_does_not_stop(source: str, code: str) -> None:
    assert found(PLAIN + source) == []
    assert [problem[2] for problem in found(PLAIN + source, "warning")] == [code]


def test_a_missing_quotation_mark_is_found_where_the_next_tag_begins() -> None:
    source = '<cml:radios label="Which?>\n  <cml:radio label="Boots"/>\n</cml:radios>'
    assert (2, 3, "broken_tag") in found(source)


def test_liquid_is_placed_and_comments_are_not_read() -> None:
    assert found(PLAIN + "\n<!-- {{a|b}} -->\n <p>{{ x | y }}</p>") == [(3, 5, "bad_liquid")]


@pytest.mark.parametrize(
    ("term", "asked_at", "warned"),
    [("stars:[4]", "5", True), ("stars:['4']", "4", False), ('stars:["4"]', "4", False), ("stars:[0]", "1", False)],
)
def test_a_number_in_brackets_is_a_place_and_in_quotes_a_value(term: str, asked_at: str, warned: bool) -> None:
    source = SCALE + f"<cml:text label='Why' only-if='{term}' validates='required'/>".replace(
        "'" + term + "'", '"' + term.replace('"', "&quot;") + '"'
    )
    design = parse_design(source)
    assert [p.code for p in design.problems] == (["read_as_place"] if warned else [])
    shown = [
        n for n in "12345" if read_answers(design, {"stars": [n]})[1]
    ]  # "why" is required: an error says it was asked
    assert shown == [asked_at]


def test_conditions_reach_the_browser_with_places_resolved() -> None:
    html = draw(PLAIN + '<cml:text label="Why" only-if="is_it:[1]||!is_it:unchecked"/>', prefix="u7-")
    assert (
        'data-only-if="[[[&quot;u7-is_it&quot;, &quot;no&quot;, false, false]], '
        '[[&quot;u7-is_it&quot;, null, true, true]]]"' in html
    )


def test_a_question_may_wait_for_one_that_comes_later() -> None:
    source = '<cml:text label="Why" only-if="is_it:[yes]" validates="required"/>' + PLAIN
    assert found(source) == []
    assert read_answers(parse_design(source), {"is_it": ["yes"]})[1] == {"why": "Write an answer."}


def test_questions_that_wait_for_each_other_are_named() -> None:
    source = PLAIN + '<cml:text label="a" only-if="b"/>\n<cml:text label="b" only-if="a"/>'
    assert [problem[2] for problem in found(source)] == ["circle", "circle"]


def test_a_group_that_waits_for_what_is_in_it_is_a_circle() -> None:
    assert [p[2] for p in found(f'<cml:group only-if="is_it">{PLAIN}</cml:group>')] == ["circle"]


def test_a_thousand_questions_that_wait_for_the_one_before() -> None:
    chain = "".join(f'<cml:text label="q{n}" only-if="q{n - 1}"/>' for n in range(1, 1001))
    design = parse_design('<cml:text label="q0" validates="required"/>' + chain)
    assert design.problems == []
    everything = {f"q{n}": ["x"] for n in range(1001)}
    assert len(read_answers(design, everything)[0]) == 1001
    assert read_answers(design, everything | {"q500": [""]})[0] == {f"q{n}": ["x"] for n in range(500)}
    assert ask_in_order(design.questions)[0] == design.in_order


def test_nested_groups_hide_what_is_in_them() -> None:
    source = (
        PLAIN
        + '<cml:group only-if="is_it:[yes]"><cml:checkbox label="More" value="more"/>'
        + '<cml:group only-if="more"><cml:text label="Inner" validates="required"/></cml:group></cml:group>'
    )
    design = parse_design(source)
    assert design.problems == []
    assert read_answers(design, {"is_it": ["yes"], "more": ["more"]})[1] == {"inner": "Write an answer."}
    assert read_answers(design, {"is_it": ["no"], "more": ["more"], "inner": ["x"]}) == ({"is_it": ["no"]}, {})


def test_what_is_chosen_beforehand() -> None:
    source = (
        '<cml:radios label="r" validates="required">'
        '<cml:radio label="A"/><cml:radio label="B" checked="true"/></cml:radios>'
        '<cml:checkboxes label="c"><cml:checkbox label="D" default="true"/><cml:checkbox label="E"/></cml:checkboxes>'
        '<cml:select label="s" default="Second one">'
        '<cml:option label="F"/><cml:option label="Second one"/></cml:select>'
        '<cml:checkbox label="k" checked="true"/>'
        '<cml:text label="t" default="for example"/>'
    )
    assert found(source) == []
    html = draw(source)
    assert [html.count(" checked"), html.count(" selected"), html.count('placeholder="for example"')] == [3, 1, 1]
    assert [draw(source, answers={}).count(part) for part in (" checked", " selected")] == [0, 0]


def test_a_placeholder_is_never_submitted() -> None:
    design = parse_design('<cml:text label="t" default="for example" validates="required"/>')
    assert read_answers(design, {"t": [""]}) == ({}, {"t": "Write an answer."})


def test_a_single_check_box_submits_its_default_when_it_is_not_ticked() -> None:
    source = (
        PLAIN + '<cml:checkbox label="Blurred" value="blurred" default="sharp"/><cml:text label="w" only-if="blurred"/>'
    )
    design = parse_design(source)
    assert design.problems == []
    assert read_answers(design, {"is_it": ["no"]})[0] == {"is_it": ["no"], "blurred": ["sharp"]}
    assert read_answers(design, {"is_it": ["no"], "blurred": ["blurred"], "w": ["x"]})[0] == {
        "is_it": ["no"],
        "blurred": ["blurred"],
        "w": ["x"],
    }
    assert read_answers(design, {"is_it": ["no"], "w": ["x"]})[0] == {"is_it": ["no"], "blurred": ["sharp"]}


@pytest.mark.parametrize(
    ("tag", "written", "read"),
    [("text", "a b\r\n\r\nc\na b", ["a b", "c"]), ("textarea", "a\r\nb\r\n\r\n\r\nc", ["a\nb", "c"])],
)
def test_a_text_may_take_several_answers(tag: str, written: str, read: list[str]) -> None:
    design = parse_design(f'<cml:{tag} label="t" multiple="true" validates="required"/>')
    assert read_answers(design, {"t": [written]}) == ({"t": read}, {})
    assert "You can give several answers" in draw(f'<cml:{tag} label="t" multiple="true" validates="required"/>')


def test_help_stands_in_an_attribute_or_a_child_and_the_attribute_wins() -> None:
    child = "<cml:instructions>Look <b>twice</b><script>x</script></cml:instructions>"
    html = draw(f'<cml:text label="t" validates="required">{child}</cml:text>')
    assert '<div class="form-hint" id="t-hint">Look <b>twice</b></div>' in html
    assert 'aria-describedby="t-hint"' in html
    assert ">Once</div>" in draw(f'<cml:text label="t" instructions="Once" validates="required">{child}</cml:text>')


def test_classes_of_the_author_are_kept_beside_ours() -> None:
    assert '<div class="cml-question mb-3 wide"' in draw('<cml:text class="wide" label="t" validates="required"/>')


@pytest.mark.parametrize(
    ("validator", "good", "bad", "says"),
    [
        ("digits", "007", "-7", "Write digits only."),
        ("integerRange:-1,5", "-1", "6", "Write a whole number from -1 to 5."),
        ("integerRange:1,5", "5", "1.5", "Write a whole number from 1 to 5."),
        ("date", "2024-02-29", "2025-02-29", "Write a date as year-month-day, like 2025-03-31."),
        ("date", "2024-02-01", "1/2/2024", "Write a date as year-month-day, like 2025-03-31."),
        ("phone", "+49 (0)30 123-456", "call me", "Write a phone number with 5 to 15 digits."),
        ("wordCountMin:2", "two words", "one", "Write at least 2 word(s)."),
        ("wordCountMax:2", "two words", "three small words", "Write at most 2 word(s)."),
        ("integer", "1", "١", "Write a whole number."),
        ("positiveInteger", "+12", "-0", "Write a whole number above 0."),
        ("url", "http://a.example/b", "http://a.example/b c", "Write an address that begins with http:// or https://."),
    ],
)
def test_validators_of_texts(validator: str, good: str, bad: str, says: str) -> None:
    design = parse_design(f'<cml:text label="t" validates="{validator} required"/>')
    assert read_answers(design, {"t": [good]}) == ({"t": [good]}, {})
    assert read_answers(design, {"t": [bad]}) == ({"t": [bad]}, {"t": says})


def test_the_first_failure_is_the_only_message() -> None:
    design = parse_design('<cml:text label="t" validates="wordCountMin:2 integer required"/>')
    assert read_answers(design, {"t": ["x"]})[1] == {"t": "Write at least 2 word(s)."}
    assert read_answers(design, {"t": ["x y"]})[1] == {"t": "Write a whole number."}
    assert read_answers(design, {"t": [" "]})[1] == {"t": "Write an answer."}


def test_every_answer_of_several_is_checked() -> None:
    design = parse_design('<cml:text label="t" multiple="true" validates="required integer"/>')
    assert read_answers(design, {"t": ["1\n2\nx"]})[1] == {"t": "Write a whole number."}


def test_liquid_fills_lists_and_numbers() -> None:
    design = parse_design("<p>{{a}} {{b}} {{ 1st col }}</p>" + PLAIN)
    html = render_design(design, row={"a": ["x", "<"], "b": 7, "1st col": None}, image_url_for=str)
    assert html.startswith("<p>x, &lt; 7 </p>")


def test_columns_are_listed_with_their_places() -> None:
    design = parse_design('<p>{{a}}</p>\n <p>{{ b | default: "x" }}{{a | default: "y"}}</p>' + PLAIN)
    assert [(use.name, use.line, use.column, use.has_default) for use in design.uses] == [
        ("a", 1, 4, False),
        ("b", 2, 5, True),
    ]


def test_a_column_that_no_row_has_is_named() -> None:
    design = parse_design('<img src="{{image_url}}">\n<p>{{colour}}{{size | default: "?"}}</p>' + PLAIN)
    assert check_columns(design, []) == []
    problems = check_columns(design, {"image_url", "sku", "is_it_gold", "_golden"})
    assert [(p.line, p.column, p.code, p.level) for p in problems] == [
        (2, 4, "unknown_column", "error"),
        (2, 14, "unknown_column", "warning"),
    ]
    assert problems[0].message == "The rows have no column “colour”. They have: image_url, sku."


def test_a_question_called_like_a_column_is_refused() -> None:
    problems = check_columns(parse_design(PLAIN), {"is_it", "image_url"})
    assert [(p.line, p.column, p.code, p.level) for p in problems] == [(1, 1, "same_as_column", "error")]


@pytest.mark.parametrize(
    ("source", "columns", "codes"),
    [
        (PLAIN, {"is_it_gold", "is_it_gold_reason", "_golden"}, []),
        (PLAIN.replace("<cml:radios", '<cml:radios gold="false"'), set(), ["no_gold"]),
        (PLAIN, {"colour_gold"}, ["unknown_gold"]),
        (PLAIN + '<cml:text label="t" gold="false"/>', {"t_gold_reason"}, ["unknown_gold"]),
    ],
)
def test_what_keeps_questions_out_of_test_questions(source: str, columns: set[str], codes: list[str]) -> None:
    problems = check_golds(parse_design(source), columns)
    assert [problem.code for problem in problems] == codes
    assert {problem.level for problem in problems} <= {"warning"}


def test_ratings_with_labels_of_their_own() -> None:
    source = (
        '<cml:ratings label="r" validates="required">'
        '<cml:rating label="Bad" value="1"/><cml:rating label="Good" value="2"/></cml:ratings>'
    )
    design = parse_design(source)
    assert (design.problems, design.questions[0].values, design.questions[0].aggregation) == ([], ["1", "2"], "avg")
    assert 'class="answers answers-scale"' in draw(source)
