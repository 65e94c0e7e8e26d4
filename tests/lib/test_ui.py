"""Template tags of the look, the form templates, and the asset list."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django import forms
from django.conf import settings
from django.core.paginator import Paginator
from django.template import Context, Template
from django.template.loader import get_template
from django.test import RequestFactory

from labeling_platform.lib.states import States, nonmember
from labeling_platform.lib.templatetags import ui

TEMPLATES = Path(settings.BASE_DIR) / "templates"


class Light(States):
    GO = "go", "Go <on>"
    STOP = "stop", "Stop"
    moves = nonmember({"go": {"stop"}})
    colors = nonmember({"go": "green", "stop": "red"})


class Order(forms.Form):
    name = forms.CharField(max_length=3, help_text="Short.")
    kind = forms.ChoiceField(choices=[("a", "A"), ("b", "B")], widget=forms.RadioSelect)
    mail = forms.BooleanField(required=False)
    file = forms.FileField(required=False)
    token = forms.CharField(widget=forms.HiddenInput)

    def clean(self) -> None:
        raise forms.ValidationError("Not today.")


def render(source: str, **context: object) -> str:
    return Template("{% load ui %}" + source).render(Context(context))


def squeeze(html: str) -> str:
    return re.sub(r"\s+", " ", html)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.873, "87.3%"),
        (0, "0.0%"),
        (1, "100.0%"),
        (0.99999, "99.9%"),
        (0.00001, "0.1%"),
        (None, "–"),
        ("", "–"),
        ("0.5", "50.0%"),
    ],
)
def test_percent(value: object, shown: str) -> None:
    assert ui.percent(value) == shown


def test_percent_without_places() -> None:
    assert [ui.percent(share, 0) for share in (0.8, 0.996, 0.001, 1)] == ["80%", "99%", "1%", "100%"]


@pytest.mark.parametrize(("value", "shown"), [(1234567, "1,234,567"), (0, "0"), (None, "–"), ("12000", "12,000")])
def test_grouped(value: object, shown: str) -> None:
    assert ui.grouped(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1500, "1.5 kB"),
        (999_999, "1000 kB"),
        (20_000_000, "20 MB"),
        (7_300_000_000_000, "7300 GB"),
        (None, "–"),
    ],
)
def test_bytes(value: object, shown: str) -> None:
    assert ui.bytes_filter(value) == shown


def test_badge_of_a_state_is_escaped_and_coloured() -> None:
    assert ui.badge(Light.GO) == '<span class="badge tone tone-green">Go &lt;on&gt;</span>'


def test_badge_of_a_text() -> None:
    assert ui.badge("Taken", colour="warning") == '<span class="badge tone tone-yellow">Taken</span>'


def test_unknown_colour_is_gray() -> None:
    assert ui.tone('red" onload="') == "tone-gray"


def test_icon_is_decoration_unless_it_has_a_label() -> None:
    assert 'aria-hidden="true"' in ui.icon("plus")
    assert 'role="img" aria-label="Add"' in ui.icon("plus", label="Add")


def test_every_icon_in_the_templates_is_in_the_sprite() -> None:
    script = (Path(settings.BASE_DIR) / "script" / "assets.mjs").read_text()
    listed = set(re.findall(r'"([a-z0-9-]+)"', script[script.index("const ICONS") : script.index("];")]))
    used = set()
    for path in TEMPLATES.rglob("*.html"):
        text = re.sub(r"{#.*?#}", "", path.read_text())
        used |= set(re.findall(r'{% icon "([a-z0-9-]+)"', text)) | set(
            re.findall(r'icon(?:_name)?="([a-z0-9-]+)"', text)
        )
    assert used - listed == set()


def test_no_template_has_inline_style_or_handlers() -> None:
    pattern = re.compile(r"""\sstyle=|<style|\son[a-z]+=["']|\shx-on|javascript:|(src|href)=["']https?:""")
    found = [path.name for path in TEMPLATES.rglob("*.html") if pattern.search(path.read_text())]
    assert found == []


def test_card_and_dialog_hold_their_body() -> None:
    html = squeeze(render('{% card x icon="school" %}<p>{{ x }}</p>{% endcard %}', x="<b>"))
    assert '<h2 class="card-title">&lt;b&gt;</h2>' in html
    assert "<p>&lt;b&gt;</p>" in html
    html = squeeze(render('{% dialog id="d" title="T" %}body{% enddialog %}'))
    assert '<dialog id="d" class="dialog" aria-labelledby="d-title">' in html


def test_confidence_below_the_threshold_is_marked() -> None:
    assert "confidence-low" in render("{% confidence 0.79 0.8 %}")
    assert "confidence-low" not in render("{% confidence 0.8 0.8 %}")
    assert "–" in render("{% confidence None %}")


def test_bars_are_relative_to_the_largest() -> None:
    rows = ui.bars([("a", 50), ("b", 25, "few", "warning"), ("c", 0)])["rows"]
    assert [row["width"] for row in rows] == ["100.00", "50.00", "0.00"]
    assert [row["tone"] for row in rows] == ["", "yellow", ""]


def test_drawings_of_nothing() -> None:
    assert ui.bars([])["rows"] == []
    assert ui.bars([("a", 0)])["rows"][0]["width"] == "0.00"
    assert ui.histogram([])["total"] == 0
    assert ui.reliability([])["points"] == []


def test_histogram_marks_the_bins_below_the_threshold() -> None:
    drawn = ui.histogram([(0.0, 0.5, 1), (0.5, 0.8, 2), (0.8, 1.0, 4)], marker=0.8)
    assert [column["below"] for column in drawn["columns"]] == [True, True, False]
    assert [column["height"] for column in drawn["columns"]] == ["40.0", "80.0", "160.0"]
    assert drawn["marker_x"] == "480.0"


def test_confusion_shades_by_share_of_the_actual_class() -> None:
    drawn = ui.confusion(["a", "b"], [[9, 1], [0, 0]])
    assert [[cell["heat"] for cell in row["cells"]] for row in drawn["rows"]] == [[9, 1], [0, 0]]
    assert [row["recall"] for row in drawn["rows"]] == [0.9, None]


def test_confusion_refuses_a_matrix_of_another_size() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ui.confusion(["a", "b"], [[1, 2]])


def test_pager_keeps_the_other_parameters() -> None:
    request = RequestFactory().get("/rows", {"label": "boots", "page": "2"})
    page = Paginator(range(100), 10).get_page(2)
    html = get_template("components/_pager.html").render({"page": page, "noun": "rows"}, request)
    assert "11–20 of 100 rows" in squeeze(html)
    assert 'href="?label=boots&amp;page=3"' in html


def test_problems_are_listed_by_line() -> None:
    problems = [{"line": 3, "column": "label", "message": "Empty <label>."}]
    html = squeeze(get_template("components/_problems.html").render({"problems": problems, "total": 1280}))
    assert "1,280 problems in this file" in html
    assert "Empty &lt;label&gt;." in html
    assert "The first 1 of 1,280 are listed." in html


def test_one_problem_is_singular() -> None:
    problems = [{"line": 1, "column": "", "message": "Empty."}]
    assert "1 problem in this file" in squeeze(get_template("components/_problems.html").render({"problems": problems}))


def test_form_ties_help_and_errors_to_the_field() -> None:
    html = squeeze(Order({"name": "long", "token": "x"}).as_div())
    assert '<input type="text" name="name" class="form-control" value="long" maxlength="3"' in html
    assert 'aria-describedby="id_name_helptext id_name_error"' in html
    assert '<div class="form-hint" id="id_name_helptext">Short.</div>' in html
    assert re.search(r'<ul class="form-errors errorlist" id="id_name_error"><li>.*3 characters', html)
    assert 'role="alert"' in html
    assert "Not today." in html
    assert '<fieldset class="field-set"' in html
    assert '<input type="hidden" name="token" value="x"' in html


def test_file_field_is_a_drop_zone() -> None:
    html = squeeze(Order()["file"].as_field_group())
    assert '<div class="dropzone" data-dropzone> <input type="file" name="file" class="dropzone-input"' in html


@pytest.mark.parametrize("name", ["400.html", "500.html"])
def test_error_pages_that_get_no_context(name: str) -> None:
    assert "Labeling Platform" in get_template(name).render()


def test_columns() -> None:
    html = squeeze(
        render("{% columns items title='By day' unit='rows' %}", items=[("Mo", 3, "Mo"), ("Tu", 0), ("We", 6)])
    )
    assert 'aria-label="By day: 9 rows. Mo: 3. We: 6. "' in html
    assert html.count("<rect") == 2
    assert "<title>We: 6 rows</title>" in html
    assert "<span>6</span><span>3</span><span>0</span>" in html
    assert "<span>Mo</span><span></span><span></span>" in html
    assert "<rect" not in render("{% columns items %}", items=[])


@pytest.mark.parametrize(("most", "top"), [(0, 2), (1, 2), (3, 4), (9, 10), (10, 10), (11, 20), (61, 80), (401, 600)])
def test_the_end_of_an_axis_is_round_and_its_half_whole(most: int, top: int) -> None:
    assert ui._round_top(most) == top


def test_other_words_for_right_and_wrong_and_for_the_matrix() -> None:
    html = squeeze(render("{% right_wrong bins right='agreed' wrong='differed' %}", bins=[(0.5, 0.6, 3, 1)]))
    assert "50% to 60%: 3 agreed, 1 differed." in html
    html = render(
        "{% confusion labels matrix corner='people' joined=' by people, by the model ' total='agreed' %}",
        labels=["a", "b"], matrix=[[1, 2], [0, 0]],
    )  # fmt: skip
    assert "a by people, by the model b: 2" in html
    assert ">people</th>" in html
    assert ">agreed</th>" in html
