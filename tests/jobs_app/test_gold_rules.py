"""Rules of test questions that the pages use, and the form in which accepted answers are said."""

from __future__ import annotations

import pytest

from jobs_app.design import parse_design, read_gold_form, render_gold_form
from jobs_app.quality import contributors_for, guessable, make_plan, wants_review


@pytest.mark.parametrize(
    ("seen", "missed", "contested", "wanted"),
    [
        (5, 2, 1, True),  # 40% and 20%: at the limits it is wanted
        (6, 2, 2, False),  # a third missed it
        (11, 5, 2, False),  # 45% missed it, 18% objected
        (1, 1, 1, False),  # one miss is no pattern
        (2, 2, 0, False),  # nobody objected
        (0, 0, 0, False),
        (0, 0, 1, False),  # an objection to an answer from before the last review
        (100, 90, 60, True),
    ],
)
def test_a_review_is_wanted_when_many_miss_it_and_object(seen: int, missed: int, contested: int, wanted: bool) -> None:
    assert wants_review(seen=seen, missed=missed, contested=contested) is wanted


@pytest.mark.parametrize(
    ("accepted", "questions", "answer"),
    [
        ({"a": 3, "b": 1}, 4, "a"),
        ({"a": 4, "b": 2}, 6, None),  # two thirds are not more than two thirds
        ({"a": 5, "b": 2}, 7, "a"),
        ({"a": 5, "b": 6}, 6, "b"),  # several accepted answers count each
        ({"a": 3}, 3, None),  # too few to say
        ({}, 10, None),
    ],
)
def test_an_answer_that_can_be_guessed(accepted: dict[str, int], questions: int, answer: str | None) -> None:
    assert guessable(accepted, questions) == answer


@pytest.mark.parametrize(
    ("plan", "judgments", "pages"),
    [
        (make_plan(golds=0, units_per_page=5), 100, 20),
        (make_plan(golds=20, units_per_page=5), 100, 25),  # one of five is a test question
        (make_plan(golds=20, units_per_page=1), 100, 125),  # one page in five is one
        (make_plan(golds=20, units_per_page=10, golds_per_page=2, pages_per_gold=4), 95, 10),
        (make_plan(golds=20, units_per_page=5), 0, 0),
        (make_plan(golds=20, units_per_page=2, golds_per_page=2), 10, 0),  # no page has room for a row
    ],
)
def test_pages_of_a_launch(plan, judgments: int, pages: int) -> None:
    assert plan.pages_for(judgments) == pages


@pytest.mark.parametrize(
    ("golds", "rows", "each", "most", "people"),
    [
        (0, 100, 3, None, 3),  # without test questions three can do it all
        (0, 100, 3, 50, 6),
        (15, 1000, 1, None, 23),  # 10 rows a page: 5 pages of 9 rows each (domain.md 3.2)
        (15, 1000, 1, 30, 34),
        (15, 0, 1, None, 0),
    ],
)
def test_contributors_that_a_launch_takes(golds: int, rows: int, each: int, most: int | None, people: int) -> None:
    plan = make_plan(golds=golds, units_per_page=10)
    assert contributors_for(plan, rows=rows, judgments_per_unit=each, most=most) == people


def test_nobody_can_do_a_launch_when_the_quiz_takes_all() -> None:
    plan = make_plan(golds=8, units_per_page=2, quiz_length=8)
    assert contributors_for(plan, rows=10, judgments_per_unit=1) == 0


CML = """<p>{{sku}}</p><img src="{{image_url}}" alt="x"/>
<cml:radios name="kind" label="Kind of {{sku}}?" validates="required"><cml:radio label="A" value="a"/>
<cml:radio label="B" value="b" checked="true"/></cml:radios>
<cml:group only-if="kind:[a]"><cml:select name="size" label="Size" only-if="kind:[a]" gold="false">
<cml:option label="S" value="s"/></cml:select></cml:group>
<cml:checkboxes name="marks" label="Marks" exact="true" only-if="kind:[a]"><cml:checkbox label="M" value="m"/>
<cml:checkbox label="N" value="n"/></cml:checkboxes>
<cml:text name="note" label="Note"/>"""


def draw(**more) -> str:
    values = {"answers": {}, "reasons": {}, "row": {"sku": "<i>7</i>", "image_url": "u"}, "image_url_for": str}
    return str(render_gold_form(parse_design(CML), **(values | more)))


def test_every_choice_is_a_check_box_and_nothing_is_hidden() -> None:
    drawn = draw()
    assert 'type="radio"' not in drawn
    assert "<select" not in drawn
    assert drawn.count('type="checkbox"') == 4
    assert " checked" not in drawn
    assert " required" not in drawn
    assert "data-only-if" not in drawn
    assert "“Size” takes no part in test questions." in drawn
    assert "Exactly the accepted answers have to be given." in drawn
    assert drawn.count("Asked only after certain answers.") == 1


def test_what_is_known_is_shown_and_escaped() -> None:
    drawn = draw(
        answers={"kind": ["a"], "note": ["x", "<y>"]}, reasons={"kind": "<script>"}, errors={"kind": "Bad <b>"}
    )
    assert 'name="answer-kind" type="checkbox" value="a" data-key="1" checked' in drawn
    assert ">\nx\n&lt;y&gt;</textarea>" in drawn
    assert "&lt;script&gt;" in drawn
    assert 'aria-describedby="answer-kind-error"' in drawn
    assert "Kind of &lt;i&gt;7&lt;/i&gt;?" in drawn
    assert "<script>" not in drawn + draw(row={"sku": "<script>", "image_url": "u"})


def test_nothing_can_be_changed_when_it_is_locked() -> None:
    assert draw(locked=True).count(" disabled") == 6


def test_the_form_is_read() -> None:
    sent = {
        "answer-kind": ["a", "b"], "reason-kind": [" Both. "], "answer-note": ["x\r\n\r\n y \n"],
        "answer-nonsense": ["z"], "reason-note": [""],
    }  # fmt: skip
    assert read_gold_form(parse_design(CML), sent) == ({"kind": ["a", "b"], "note": ["x", "y"]}, {"kind": "Both."})
