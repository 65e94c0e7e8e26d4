"""The advisor on held-out pictures, its page, and the comparison of versions."""

from __future__ import annotations

import json
import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from models_app import services
from models_app.advisor import advise, promise_candidates
from models_app.comparing import compare_versions
from models_app.models import HoldoutPrediction
from models_app.presenting import confidence_bins, torn_words


@pytest.fixture
def at(team):
    """The address of a page of the team's models."""

    def url(name: str, **kwargs) -> str:
        return reverse(f"models:{name}", kwargs={"team_slug": team.slug, **kwargs})

    return url


def page_data(response) -> dict:
    found = re.search(r'<script type="application/json">(.*?)</script>', response.content.decode(), re.DOTALL)
    assert found is not None
    return json.loads(found.group(1))


def test_every_held_out_picture_is_a_point(trained):
    found = advise(version=trained)
    rows = HoldoutPrediction.objects.filter(version=trained)
    assert found.pictures == rows.count() == len(found.data["points"])
    assert sum(right for _, right, _ in found.data["points"]) == sum(row.label == row.predicted for row in rows)
    assert found.knows_unlike
    assert [row.threshold for row in found.table] == [0.6, 0.7, 0.8, 0.9, 0.95, 0.99]


def test_a_handful_of_pictures_promises_nothing_and_says_so(trained):
    found = advise(version=trained)
    assert [promise.chosen for promise in found.promises] == [None, None, None]
    assert found.note.startswith(f"Only {found.pictures} held-out pictures")


def test_unlike_pictures_are_automated_only_with_the_switch_off(trained):
    HoldoutPrediction.objects.filter(version=trained).update(distance=2.0, confidence=0.99)
    off, on = (promise_candidates(version=trained, route_unlike=switch) for switch in (False, True))
    assert (off[0].automated, on[0].automated) == (trained.rows_holdout, 0)


def test_without_a_holdout_there_is_no_advice(trained):
    HoldoutPrediction.objects.filter(version=trained).delete()
    assert advise(version=trained) is None


def test_the_threshold_page_carries_its_data_and_a_table(client_for, viewer, at, model, trained):
    response = client_for(viewer).get(at("threshold", pk=model.pk))
    assert len(page_data(response)["points"]) == trained.rows_holdout
    assert b"Thresholds as a table" in response.content


def test_the_threshold_page_of_an_untrained_model_says_what_to_do(client_for, viewer, at, model):
    assert b"Nothing to go by yet" in client_for(viewer).get(at("threshold", pk=model.pk)).content


@pytest.mark.parametrize("number", ["7", "x", "99999999999999999999"])
def test_a_version_that_is_not_there_is_404(client_for, viewer, at, model, trained, number):
    assert client_for(viewer).get(at("threshold", pk=model.pk), {"version": number}).status_code == 404


def test_cells_of_the_confusion_matrix_open_their_pictures(client_for, viewer, at, model, trained):
    page = client_for(viewer).get(at("detail", pk=model.pk)).content.decode()
    assert f"{at('holdout', pk=model.pk, number=1)}?label=circles&amp;predicted=circles" in page
    assert "Confidence, right and wrong" in page
    assert "Calibration error" in page


def test_bins_count_right_and_wrong_up_to_and_with_their_upper_edge():
    bins = confidence_bins([(0.05, True), (0.051, False), (1.0, True), (1.0, True)])
    assert bins[0] == (0.0, 0.05, 1, 0)
    assert bins[1] == (0.05, 0.1, 0, 1)
    assert bins[19] == (0.95, 1.0, 2, 0)


def test_both_accuracies_are_named_when_near_duplicates_flatter():
    assert "70.0%" in torn_words({"out_of_fold_accuracy": 0.7, "torn_accuracy": 0.97})
    assert torn_words({"out_of_fold_accuracy": 0.9, "torn_accuracy": 0.91}) == ""
    assert torn_words({}) == ""


def second(model, pictures, add_data, owner):
    add_data(model, pictures.training_csv(5, first=40))
    version = services.start_training(model=model, actor=owner)
    services.run_training(version=version)
    version.refresh_from_db()
    return version


def test_versions_are_compared_on_what_both_held_out(trained, model, pictures, add_data, owner):
    newer = second(model, pictures, add_data, owner)
    HoldoutPrediction.objects.filter(version=trained, label="circles").update(predicted="squares")
    HoldoutPrediction.objects.filter(version=newer, label="circles").update(predicted="circles")
    HoldoutPrediction.objects.filter(version=newer, label="stripes").update(predicted="circles")
    HoldoutPrediction.objects.filter(version=trained, label="stripes").update(predicted="stripes")
    found = compare_versions(old=trained, new=newer)
    assert found.both == trained.rows_holdout
    count = HoldoutPrediction.objects.filter(version=trained, label="circles").count()
    assert (found.mended, found.broken) == (count, count)
    assert found.changes[0].verdict == "broken"


def test_the_comparison_page_at_one_and_two_versions(client_for, viewer, at, model, trained, pictures, add_data, owner):
    client = client_for(viewer)
    page = client.get(at("compare", pk=model.pk)).content.decode()
    assert "Version 1" in page
    assert "What changed" not in page
    second(model, pictures, add_data, owner)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        page = client.get(at("compare", pk=model.pk)).content.decode()
    assert "pictures that both held out" in page
    assert len(queries) < 15
    for query in ({"old": "x"}, {"old": "1", "new": "1"}, {"old": "9", "new": "99999999999"}):
        assert client.get(at("compare", pk=model.pk), query).status_code == 200


@pytest.mark.parametrize(("said", "holdout"), [("true", True), ("No", False), ("", None)])
def test_a_file_may_say_what_is_held_out(model, add_data, said, holdout):
    add_data(model, f"image_url,label,holdout\nhttps://example.com/a.jpg,a,{said}\n")
    assert model.images.get().holdout is holdout


def test_a_holdout_that_is_neither_true_nor_false_is_refused_by_line(model, add_data):
    upload = add_data(model, "image_url,label,holdout\nhttps://example.com/a.jpg,a,maybe\n")
    assert [(p["line"], p["column"], p["code"]) for p in upload.problems] == [(2, "holdout", "bad_holdout")]
    assert not model.images.exists()
