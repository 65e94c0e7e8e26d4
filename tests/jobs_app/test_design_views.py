"""The design editor: saved, refused with nothing lost, its buttons without script, the preview on real rows."""

from __future__ import annotations

import html
import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from hypothesis import HealthCheck, Phase, given, settings

from jobs_app.design import parse_design
from jobs_app.models import Unit
from jobs_app.services import columns_of, freeze_design, save_design
from labeling_platform.lib.errors import Refused

from .conftest import fill
from .test_design import Suspicious, sources
from .test_design_builder import fields_of

NO_SHRINKING = [Phase.explicit, Phase.reuse, Phase.generate]
EXTRA = '<cml:text label="Why" name="why" only-if="image_category:[boots]" validates="required"/>'
GROUP = "<cml:group>" + EXTRA.replace(' only-if="image_category:[boots]"', "") + "</cml:group>"


@pytest.fixture
def at(team):
    return lambda name, *args: reverse(f"jobs:{name}", args=[team.slug, *args])


@pytest.fixture
def browser(client_for, mate):
    return client_for(mate)


@pytest.fixture
def design(browser, at, job):
    """Post the design page; gives the answer."""
    return lambda data, **more: browser.post(at("design", job.pk), data, **more)


def typed(job, **changed) -> dict[str, str]:
    return {"title": job.title, "instructions": job.instructions, "cml": job.cml, "mode": "code"} | changed


def built(job, **changed) -> dict[str, object]:
    """The fields of the builder for a job's design, as a browser sends them."""
    from jobs_app.design.builder import to_form

    sent, many = fields_of(to_form(parse_design(job.cml)))
    return {"title": job.title, "instructions": job.instructions, "mode": "builder"} | sent | many | changed


def frame_of(page: str) -> str:
    """The document of the preview, from the page or from what htmx swaps in."""
    return html.unescape(re.search(r'(?:srcdoc|data-document)="([^"]*)"', page)[1])  # type: ignore[index]


# --- the page and saving -----------------------------------------------------------------------------


def test_the_builder_shows_the_routing_template(browser, at, job) -> None:
    page = browser.get(at("design", job.pk)).content.decode()
    assert 'name="q0-label" value="Which category best describes this image?"' in page
    assert 'name="q0-a2-value" value="negative_examples"' in page
    assert 'id="id_cml"' not in page
    assert "No problems found." in page


def test_the_code_is_shown_when_asked_for(browser, at, job) -> None:
    page = browser.get(at("design", job.pk), {"mode": "code"}).content.decode()
    assert 'id="id_cml"' in page
    assert "q0-label" not in page


def test_what_the_builder_cannot_show_is_said_and_the_code_offered(browser, at, job) -> None:
    save_design(job=job, actor=None, title="T", instructions="x", cml=job.cml + GROUP)
    page = browser.get(at("design", job.pk)).content.decode()
    assert "The form builder cannot show this design" in page
    assert "the builder has no field for &lt;cml:group&gt;." in page
    assert 'id="id_cml"' in page


def test_the_code_is_saved(design, at, job) -> None:
    answer = design(typed(job, title="New", instructions="<p>Do</p>", cml=f"{job.cml}\r\n{EXTRA}"))
    assert (answer.status_code, answer["Location"]) == (302, at("design", job.pk) + "?mode=code")
    before = job.cml
    job.refresh_from_db()
    assert (job.title, job.instructions, job.cml) == ("New", "<p>Do</p>", f"{before}\n{EXTRA}")


def test_the_builder_is_saved(design, at, job) -> None:
    answer = design(built(job, **{"q0-label": "Which one?", "q0-a0-label": 'Boots "high"'}))
    assert (answer.status_code, answer["Location"]) == (302, at("design", job.pk))
    job.refresh_from_db()
    question = parse_design(job.cml).questions[0]
    assert (question.label, question.options[0].label, question.name) == (
        "Which one?",
        'Boots "high"',
        "image_category",
    )


def test_a_design_with_problems_is_refused_at_the_code_and_nothing_is_lost(design, job) -> None:
    answer = design({"title": "New", "instructions": "mine", "cml": "\n<cml:radios label='mine'>"})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "it was not saved" in page
    assert '<a href="#id_cml" data-line="2" data-column="1">Line 2, column 1</a>' in page
    assert "&lt;cml:radios label=&#x27;mine&#x27;&gt;" in page
    assert 'value="New"' in page
    assert ">\nmine</textarea>" in page
    job.refresh_from_db()
    assert job.title == "Which is it?"


def test_problems_of_the_builder_are_put_at_their_fields_and_nothing_is_lost(design, job) -> None:
    answer = design(built(job, **{"q0-label": "", "q0-name": "", "q0-a1-value": "a b", "q0-help": "Look twice"}))
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "It was not saved." in page
    assert '<ul class="form-errors" id="q0-label-error" data-field="q0-label"><li>Write the question.</li>' in page
    assert "The value “a b” may not have spaces" in page
    assert 'name="q0-a1-value" value="a b"' in page
    assert "Look twice</textarea>" in page
    job.refresh_from_db()
    assert "sneakers" in job.cml


def test_a_title_is_needed(design, job) -> None:
    answer = design(typed(job, title=" "))
    assert answer.status_code == 422
    assert "Give the job a title." in answer.content.decode()


def test_a_column_that_no_row_has_is_refused(design, job) -> None:
    fill(job, 1)
    answer = design(typed(job, cml=job.cml.replace("image_url", "picture")))
    assert answer.status_code == 422
    assert "The rows have no column “picture”. They have: image_url, sku." in answer.content.decode()


def test_a_question_called_like_a_column_is_refused(job) -> None:
    fill(job, 1)
    with pytest.raises(Refused, match="called like a column"):
        save_design(job=job, actor=None, title="T", instructions="x", cml=job.cml.replace("image_category", "sku"))


def test_a_frozen_design_is_shown_read_only(browser, design, at, job) -> None:
    freeze_design(job=job)
    for mode in ("builder", "code"):
        page = browser.get(at("design", job.pk), {"mode": mode}).content.decode()
        assert "The design is frozen" in page
        assert ">Save<" not in page
        assert re.search(r'<fieldset id="builder"[^>]* disabled>|<textarea name="cml"[^>]* readonly', page)
    answer = design(typed(job, title="New"))
    assert answer.status_code == 422
    assert "can no longer change" in answer.content.decode()
    job.refresh_from_db()
    assert job.title == "Which is it?"


def test_a_viewer_reads_and_cannot_change(client_for, viewer, at, job) -> None:
    browser = client_for(viewer)
    page = browser.get(at("design", job.pk)).content.decode()
    assert ">Save<" not in page
    assert "hx-post" not in page.split('id="editor"')[1]
    assert browser.post(at("design", job.pk), typed(job, do="mode:code")).status_code == 403


def test_the_page_costs_the_same_with_one_and_many_rows(browser, at, job) -> None:
    counts = []
    for rows in (1, 30):
        fill(job, rows, start=rows)
        browser.get(at("design", job.pk))
        with CaptureQueriesContext(connection) as queries:
            browser.get(at("design", job.pk))
        counts.append(len(queries))
    assert counts[0] == counts[1]


# --- buttons that save nothing -----------------------------------------------------------------------


def test_a_button_answers_with_the_page_without_script(design, job) -> None:
    page = design(built(job, do="add:text")).content.decode()
    assert page.count('class="builder-question"') == 2
    assert re.search(r'id="q1-label"[^>]* autofocus', page)
    assert "data-unsaved" in page
    job.refresh_from_db()
    assert "cml:text" not in job.cml


def test_a_button_answers_htmx_with_the_editor_and_the_preview(design, job) -> None:
    page = design(built(job, do="answer:0"), headers={"HX-Request": "true"}).content.decode()
    assert page.lstrip().startswith('<div id="editor"')
    assert 'id="q0-a3-label"' in page
    assert 'hx-swap-oob="true" data-document=' in page


def test_a_new_question_is_not_marked_before_anybody_could_fill_it(design, job) -> None:
    page = design(built(job, do="add:radios")).content.decode()
    assert "form-errors" not in page
    assert "Write the question." in page


def test_from_the_builder_to_the_code_and_back(design, job) -> None:
    page = design(built(job, do="mode:code", **{"q0-label": "Which one?"})).content.decode()
    code = html.unescape(re.search(r'name="cml"[^>]*>\n(.*?)</textarea>', page, re.DOTALL)[1])  # type: ignore[index]
    assert parse_design(code).questions[0].label == "Which one?"
    page = design(typed(job, cml=code + EXTRA, do="mode:builder")).content.decode()
    assert 'name="q1-label" value="Why"' in page
    assert re.search(r'name="q1-if-value" value="boots" checked', page)


def test_code_that_the_builder_cannot_show_stays_code(design, job) -> None:
    page = design(typed(job, cml=job.cml + GROUP, do="mode:builder")).content.decode()
    assert "The form builder cannot show this design" in page
    assert "&lt;cml:group&gt;" in page


def test_what_was_removed_comes_back(design, job) -> None:
    sent = built(job, do="answer_remove:0:1", **{"q0-a2-label": "Anything else"})
    page = design(sent).content.decode()
    assert "sneakers" not in page.split('id="builder"')[1].split('name="undo"')[0]
    undo = html.unescape(re.search(r'name="undo" value="([^"]*)"', page)[1])  # type: ignore[index]
    page = design(built(job, do="undo", undo=undo)).content.decode()
    assert 'name="q0-a1-value" value="sneakers"' in page
    assert 'name="q0-a2-label" value="Anything else"' in page


def test_the_builder_says_when_it_is_full(design, job) -> None:
    sent = built(job, do="answer:0", **{"q0-answers": "299"})
    assert "The form builder holds no more than this." in design(sent).content.decode()


def test_the_condition_offers_the_answers_of_its_question(design, job) -> None:
    save_design(job=job, actor=None, title="T", instructions="x", cml=job.cml + EXTRA)
    job.refresh_from_db()
    page = design(built(job, do="refresh:q1-if-mode", **{"q1-if-mode": "is_not"})).content.decode()
    assert re.findall(r'name="q1-if-value" value="(\w+)"( checked)?', page) == [
        ("boots", " checked"),
        ("sneakers", ""),
        ("negative_examples", ""),
    ]
    assert re.search(r'id="q1-if-mode"[^>]* autofocus', page)


@pytest.mark.parametrize(("before", "begins"), [("", "# Overview"), ("Mine", "Mine\n\n# Overview")])
def test_an_outline_of_instructions_is_added(design, job, before, begins) -> None:
    page = design(typed(job, instructions=before, do="outline")).content.decode()
    assert f"\n{begins}" in page.split('name="instructions"')[1]
    assert "<h2>Overview</h2>" in page.split('id="instructions-preview"')[1]


@pytest.mark.parametrize(
    "what", ["add:script", "remove:99", "up:-1", "undo", "row:x", "mode:none", "💥", "answer:0:0:0"]
)
def test_odd_buttons_change_nothing(design, job, what) -> None:
    answer = design(built(job, do=what))
    assert answer.status_code == 200


# --- the preview -------------------------------------------------------------------------------------


def test_the_preview_is_a_real_row_with_a_row_chooser(browser, at, job) -> None:
    fill(job, 3)
    first, second, third = Unit.objects.filter(job=job).order_by("pk")
    cml = job.cml + "<p>Number {{sku}}</p>"
    shown = browser.post(at("preview", job.pk), typed(job, cml=cml)).content.decode()
    assert "Number 0" in frame_of(shown)
    assert f"Row {first.pk}" in shown
    assert f'value="row:{second.pk}"' in shown
    shown = browser.post(at("preview", job.pk), typed(job, cml=cml, do=f"row:{third.pk}")).content.decode()
    assert "Number 2" in frame_of(shown)
    assert f'value="row:{second.pk}"' in shown
    shown = browser.post(at("preview", job.pk), typed(job, cml=cml, row=str(second.pk))).content.decode()
    assert "Number 1" in frame_of(shown)


def test_a_row_of_another_job_is_not_shown(browser, at, job, model) -> None:
    from jobs_app.services import create_routing_job

    other = create_routing_job(model=model, actor=None, title="Other")
    fill(other, 1)
    shown = browser.post(at("preview", job.pk), typed(job, row=str(Unit.objects.get().pk))).content.decode()
    assert "There are no rows yet: a sample is shown." in shown


def test_without_rows_a_sample_is_shown(browser, at, job) -> None:
    frame = frame_of(browser.post(at("preview", job.pk), typed(job, cml=job.cml + "<p>{{sku}}</p>")).content.decode())
    assert "sample-picture" in frame
    assert "<p>[sku]</p>" in frame


def test_the_preview_follows_what_is_typed(browser, at, job) -> None:
    page = browser.post(at("preview", job.pk), {"cml": "<p>Hello</p><script>x</script>"}).content.decode()
    assert "<p>Hello</p>" in frame_of(page)
    assert "<script>" not in page
    assert "The design asks nothing" in page


def test_the_preview_follows_the_builder(browser, at, job) -> None:
    sent = built(job, **{"q0-label": "Which one?", "q0-a0-value": "a b"})
    page = browser.post(at("preview", job.pk), sent).content.decode()
    assert "Which one?" in frame_of(page)
    assert '<li class="tone-red" data-field="q0-answers">' in page
    assert '<a href="#q0-a0-label">Question 1</a>: The value “a b” may not have spaces' in page


def test_instructions_are_shown_cleaned(browser, at, job) -> None:
    sent = typed(job, instructions="# Do\n- this <script>alert(1)</script>")
    page = browser.post(at("preview", job.pk), sent).content.decode()
    assert '<div id="instructions-preview" class="prose" hx-swap-oob="true"># Do\n- this </div>' in page
    page = browser.post(at("preview", job.pk), sent | {"instructions": "# Do\n- this & that"}).content.decode()
    assert "<h2>Do</h2><ul><li>this &amp; that</li></ul>" in page


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ({}, "Choose an answer."),
        ({"try-image_category": "boots"}, "Write an answer."),
        ({"try-image_category": "sneakers", "try-why": "hidden"}, "<dt>image_category</dt><dd>sneakers</dd>"),
        ({"try-image_category": "boots", "try-why": "<b>"}, "<dt>why</dt><dd>&lt;b&gt;</dd>"),
    ],
)
def test_answers_can_be_tried_in_the_preview(browser, at, job, answers, says) -> None:
    sent = typed(job, cml=job.cml + EXTRA, touched="yes", check="yes") | answers
    frame = frame_of(browser.post(at("preview", job.pk), sent).content.decode())
    assert says in frame
    assert "hidden</dd>" not in frame


def test_answers_are_kept_while_the_design_is_edited(browser, at, job) -> None:
    sent = typed(job, touched="yes") | {"try-image_category": "boots"}
    frame = frame_of(browser.post(at("preview", job.pk), sent).content.decode())
    assert 'value="boots" data-key="1" checked' in frame
    assert "would be stored" not in frame


def test_columns_are_those_of_the_first_and_last_rows(job) -> None:
    assert columns_of(job) == []
    fill(job, 2)
    assert sorted(columns_of(job)) == ["image_url", "sku"]


class Foreign(Suspicious):
    """What must not be in our own pages: the icons and links to places of the page are ours."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"svg", "use"}:
            return
        ours = ("#", "/static/", "/t/")
        super().handle_starttag(tag, [(name, value) for name, value in attrs if not (value or "").startswith(ours)])


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], phases=NO_SHRINKING
)
@given(sources, sources)
def test_no_input_of_the_editor_becomes_script(browser, at, job, text, other) -> None:
    for sent in (
        typed(job, title=text, instructions=other, cml=text),
        built(job, title=text, instructions=other, **{"q0-label": text, "q0-a0-value": other, "q0-help": text}),
    ):
        page = browser.post(at("preview", job.pk), sent).content.decode()
        for drawn in (page, frame_of(page).split("<body")[1]):
            looking = Foreign()
            looking.feed(drawn)
            assert [found for found in looking.found if found != "form"] == []
