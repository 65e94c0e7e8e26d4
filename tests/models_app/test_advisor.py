"""The advisor on held-out pictures, its page, and the comparison of versions."""

from __future__ import annotations

import json
import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from labeling_platform.lib.templatetags.ui import percent
from models_app import services
from models_app.advisor import Promise, advise, fewest, promise_candidates
from models_app.comparing import RecallChange, compare_versions, lines_of
from models_app.metrics import wilson, wilson_of_groups
from models_app.models import HoldoutPrediction, ModelVersion, TrainingImage
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


def hold_out(version: ModelVersion, points: list[tuple[float, bool]], *, distance: float = 0.0, group=None) -> None:
    """Replace the version's held-out pictures by one for each (confidence, right)."""
    HoldoutPrediction.objects.filter(version=version).delete()
    known = TrainingImage.objects.filter(model=version.model).first()
    images = TrainingImage.objects.bulk_create(
        TrainingImage(
            team=version.team,
            model=version.model,
            upload=known.upload,
            line=1000 + number,
            image_url=f"https://pictures.example/{number}.jpg",
            label="circles",
            holdout=True,
            group=group,
        )
        for number in range(len(points))
    )
    HoldoutPrediction.objects.bulk_create(
        HoldoutPrediction(
            team=version.team,
            version=version,
            image=image,
            label="circles",
            predicted="circles" if right else "squares",
            scores=[confidence, 1 - confidence, 0.0],
            confidence=confidence,
            distance=distance,
        )
        for image, (confidence, right) in zip(images, points, strict=True)
    )


MANY = [(0.99, True)] * 590 + [(0.99, False)] * 10 + [(0.7, True)] * 300 + [(0.7, False)] * 100


def test_each_threshold_has_its_share_accuracy_and_promise(trained):
    hold_out(trained, MANY)
    found = advise(version=trained)
    assert [(row.threshold, row.automated, row.accuracy.value, row.to_people) for row in found.table[:4]] == [
        (0.6, wilson(1000, 1000), 0.89, 0),
        (0.7, wilson(1000, 1000), 0.89, 0),
        (0.8, wilson(600, 1000), 590 / 600, 400),
        (0.9, wilson(600, 1000), 590 / 600, 400),
    ]
    assert (found.pictures, found.note) == (1000, "")
    chosen = [(p.target, p.chosen and p.chosen.threshold, p.share) for p in found.promises]
    assert chosen == [(0.9, 0.705, 0.6), (0.95, 0.705, 0.6), (0.98, None, None), (0.99, None, None)]


def test_a_promise_that_enough_pictures_do_not_keep_says_what_to_do(trained):
    hold_out(trained, MANY)
    words = "Choose a lower target, or train with more pictures."
    assert advise(version=trained).promises[3] == Promise(0.99, None, None, words)


def test_the_fewest_pictures_of_a_promise_are_those_without_a_mistake():
    assert [fewest(target) for target in (0.9, 0.95, 0.98, 0.99)] == [31, 63, 160, 321]


def test_near_duplicates_are_one_witness(trained):
    hold_out(trained, [(0.9, True)] * 300 + [(0.9, False)] * 100, group=7)
    found = advise(version=trained)
    row = found.table[2]
    assert (row.accuracy.low, row.accuracy.high) == wilson_of_groups(300, 400, 1)
    assert [promise.chosen for promise in found.promises] == [None] * 4


def test_the_advice_takes_one_query(trained, django_assert_num_queries):
    with django_assert_num_queries(1):
        advise(version=trained)


def test_a_version_without_distances_has_the_same_advice_either_way(trained):
    ModelVersion.objects.filter(pk=trained.pk).update(details={})
    trained.refresh_from_db()
    hold_out(trained, MANY, distance=9.0)
    on, off = (advise(version=trained, route_unlike=switch) for switch in (True, False))
    assert (on.knows_unlike, on.unlike, on.table) == (False, 0, off.table)


def test_confidences_and_bounds_reach_the_page_as_they_are(trained):
    hold_out(trained, [(0.7999999, True)] * 2)
    found = advise(version=trained)
    assert found.data["points"] == [[0.7999999, 1, 0]] * 2
    bounds = [[one.threshold, one.bound] for one in promise_candidates(version=trained, route_unlike=True)]
    assert found.data["bounds"]["on"] == bounds


def test_every_held_out_picture_is_a_point(trained):
    found = advise(version=trained)
    rows = HoldoutPrediction.objects.filter(version=trained)
    assert found.pictures == rows.count() == len(found.data["points"])
    assert sum(right for _, right, _ in found.data["points"]) == sum(row.label == row.predicted for row in rows)
    assert found.knows_unlike
    assert [row.threshold for row in found.table] == [0.6, 0.7, 0.8, 0.9, 0.95, 0.99]


def test_a_handful_of_pictures_promises_nothing_and_says_so(trained):
    found = advise(version=trained)
    assert [promise.chosen for promise in found.promises] == [None, None, None, None]
    assert found.promises[1].advice == ("It takes 63 at least. Choose a lower target, or train with more pictures.")
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


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ([], "Nothing to go by yet"),
        ([(0.9, True)], "Only 1 held-out picture stands behind"),
        (MANY, "95% is kept from 0.705 on, with 60.0% of the rows left to the model."),
    ],
)
def test_the_pages_of_a_version_with_no_one_and_many_held_out_pictures(
    client_for, viewer, at, model, trained, points, said
):
    hold_out(trained, points)
    client = client_for(viewer)
    assert said in client.get(at("threshold", pk=model.pk)).content.decode()
    for page in (at("detail", pk=model.pk), at("version", pk=model.pk, number=1), at("compare", pk=model.pk)):
        assert client.get(page).status_code == 200


def test_the_interval_of_the_accuracy_is_drawn(client_for, viewer, at, model, trained):
    page = client_for(viewer).get(at("detail", pk=model.pk)).content.decode()
    low, high = trained.metrics["accuracy_low"], trained.metrics["accuracy_high"]
    assert (
        f'aria-label="Accuracy {percent(trained.metrics["accuracy"])}, between {percent(low)} and {percent(high)}"'
        in page
    )


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
    circles, stripes = (
        HoldoutPrediction.objects.filter(version=trained, label=label).count() for label in ("circles", "stripes")
    )
    assert (found.mended, found.broken) == (circles, stripes)
    assert found.changes[0].verdict == "broken"


def test_a_line_of_the_comparison_sends_unlike_pictures_to_people(trained, django_assert_num_queries):
    hold_out(trained, [(0.8, True), (0.9, False), (0.79, True), (0.99, True)])
    with django_assert_num_queries(1):
        (line,) = lines_of([trained])
    assert (line.at_common.automated, line.at_common.accuracy) == (wilson(3, 4), wilson(2, 3))
    HoldoutPrediction.objects.filter(version=trained, confidence=0.99).update(distance=2.0)
    (line,) = lines_of([trained])
    assert (line.at_common.automated, line.at_common.accuracy) == (wilson(2, 4), wilson(1, 2))


def test_a_class_that_only_one_version_knows_has_no_difference():
    assert RecallChange("boots", 0.5, 0.75).difference == 0.25
    assert RecallChange("boots", None, 0.75).difference is None


def test_versions_are_linked_to_their_comparison_when_two_are_ready(
    client_for, viewer, at, model, trained, pictures, add_data, owner
):
    client = client_for(viewer)
    ModelVersion.objects.create(team=model.team, model=model, number=2, state="failed", error="no")
    assert "Compare versions" not in client.get(at("detail", pk=model.pk)).content.decode()
    second(model, pictures, add_data, owner)
    assert "Compare versions" in client.get(at("detail", pk=model.pk)).content.decode()


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
