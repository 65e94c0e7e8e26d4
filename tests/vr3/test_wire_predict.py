"""Ring 2 continued: asking a classifier."""

from __future__ import annotations

import io
import math
import zipfile
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models_app.backends.base import ItemError, QuotaExceeded
from models_app.backends.watson import Connection, WatsonBackend, predicting
from models_app.backends.watson.training import Limits
from tests.backends.worlds import picture

from .desk import CLASSES, Desk, pictures, sdk, spec
from .server import WireServer, json_fault

# --- classify -------------------------------------------------------------------------------------------


def entries(server: WireServer, place: int = -1) -> list[str]:
    part = server.of("classify")[place].parts["images_file"]
    return zipfile.ZipFile(io.BytesIO(part.data)).namelist()


def test_case05_zip_is_matched_by_base_name(desk: Desk, server: WireServer) -> None:
    """In whatever order, and with whatever stands before the name."""
    ref = desk.trained()
    asked = [picture("boots", 3), picture("T-shirt", 0), picture("negative_examples", 2), picture("boots", 4)]

    def renamed(images: list[dict[str, Any]]) -> list[dict[str, Any]]:
        assert [image["image"] for image in images] == [f"batch.zip/{number:06}.jpg" for number in (3, 2, 1, 0)]
        for image, before in zip(images, ("test.zip/", "", "a/b/c/", "zip\\folder\\"), strict=True):
            image["image"] = before + image["image"].rpartition("/")[2]
        return images

    server.change = renamed
    results = desk.backend.predict(ref, asked)
    assert server.of("classify")[0].parts["images_file"].filename == "batch.zip"
    best = [max(result.scores, key=result.scores.get) for result in results]
    assert best == ["boots", "T-shirt", "negative_examples", "boots"]
    assert desk.metered == [30, 4]


def test_case07_only_our_classifier_is_asked_and_read(desk: Desk, server: WireServer) -> None:
    ref = desk.trained()
    other = {"classifier_id": "default", "name": "default", "classes": [{"class": "boots", "score": 0.99}]}

    def with_other(images: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [image | {"classifiers": [other, *image["classifiers"], "junk"]} for image in images]

    server.change = with_other
    (result,) = desk.backend.predict(ref, [picture("T-shirt", 0)])
    assert server.of("classify")[0].parts["classifier_ids"].data.decode() == ref
    assert result.scores["T-shirt"] == 0.9
    assert result.scores["boots"] < 0.61


def test_case09_threshold_is_a_text(desk: Desk, server: WireServer) -> None:
    """Trap 1: the SDK drops the number 0.0, and low classes would be missing from the answer."""
    ref = desk.trained()
    desk.backend.predict(ref, [picture("boots", 50)])
    parts = server.of("classify")[0].parts
    assert (parts["threshold"].data, parts["threshold"].content_type) == (b"0.0", "text/plain")
    assert sorted(parts) == ["classifier_ids", "images_file", "threshold"]
    for number in (0.0, 0, 1e-06, 0.1):
        sdk(desk).classify(images_file=io.BytesIO(picture("boots", 1)), images_filename="a.jpg", threshold=number,
                           classifier_ids=[ref])  # fmt: skip
    sent = [request.parts.get("threshold") for request in server.of("classify")[1:]]
    assert [part and part.data for part in sent] == [None, None, b"1e-06", b"0.1"]


def test_case11_classes_as_they_come(desk: Desk, server: WireServer) -> None:
    """`type_hierarchy` and unknown fields do not matter; a class that is not mentioned has 0."""
    ref = desk.trained()
    classes: list[Any] = [{"class": "boots", "score": 0.75, "type_hierarchy": "/shoe/boots", "new": 1}]
    server.change = lambda images: [
        {**image, "classifiers": [{"classifier_id": ref, "classes": classes}]} for image in images
    ]
    (result,) = desk.backend.predict(ref, pictures("boots", count=1))
    assert result.scores == {"T-shirt": 0.0, "boots": 0.75, "negative_examples": 0.25}
    classes.clear()
    (result,) = desk.backend.predict(ref, pictures("boots", count=1))
    assert result.scores == {"T-shirt": 0.0, "boots": 0.0, "negative_examples": 1.0}


@pytest.mark.parametrize(
    ("score", "expected"), [(1.0000001, 1.0), (-0.001, 0.0), (1, 1.0), (0, 0.0), (0.1234567, 0.1234567)]
)
def test_scores_are_clamped(desk: Desk, server: WireServer, score: float, expected: float) -> None:
    ref = desk.trained()
    server.change = said(ref, {"class": "boots", "score": score})
    assert desk.backend.predict(ref, pictures("boots", count=1))[0].scores["boots"] == expected


@pytest.mark.parametrize(
    "score", [math.nan, math.inf, 10**400, "0.5", None, True, [0.5]], ids=lambda score: str(score)[:9]
)
def test_what_is_no_score_is_refused(desk: Desk, server: WireServer, score: Any) -> None:
    ref = desk.trained()
    server.change = said(ref, {"class": "boots", "score": score})
    (result,) = desk.backend.predict(ref, pictures("boots", count=1))
    assert (result.scores, result.error.code, result.error.retryable) == (None, "bad_scores", False)


def said(ref: str, *classes: Any) -> Any:
    return lambda images: [
        {**image, "classifiers": [{"classifier_id": ref, "classes": list(classes)}]} for image in images
    ]


def test_batches_of_twenty(desk: Desk, server: WireServer) -> None:
    ref = desk.trained()
    results = desk.backend.predict(ref, pictures("boots", count=45))
    assert [len(entries(server, place)) for place in range(3)] == [20, 20, 5]
    assert (len(results), desk.metered) == (45, [30, 20, 20, 5])


def test_batches_by_bytes() -> None:
    big = [b"x" * 40_000_000] * 3
    assert list(predicting.batches([0, 1, 2], big)) == [[0, 1], [2]]


def test_too_large_a_picture_is_not_sent(desk: Desk, server: WireServer) -> None:
    ref = desk.trained()
    results = desk.backend.predict(ref, [b"x" * 10_000_001, picture("boots", 1)])
    assert (results[0].error.code, results[1].error) == ("limit_exceeded", None)
    assert entries(server) == ["000001.jpg"]


def test_a_poisoned_picture_costs_one_answer(desk: Desk, server: WireServer) -> None:
    """The server refuses whole requests that have it; halving finds it."""
    ref = desk.trained()
    asked = pictures("boots", count=20)
    server.poison = {asked[13]}
    results = desk.backend.predict(ref, asked)
    assert [place for place, result in enumerate(results) if result.error] == [13]
    assert results[13].error == ItemError("rejected", "The service refuses the request: The zip file is corrupt.")
    assert len(server.of("classify")) == 11
    assert sum(desk.metered) == 30 + 19


def first_time(change: Any) -> Any:
    """A change of the first answer only."""
    state = {"first": True}

    def changed(images: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if not state.pop("first", False):
            return images
        images = sorted(images, key=lambda image: image["image"])
        return [one for image in images[:1] for one in change(image)] + images[1:]

    return changed


def failed(**error: Any) -> Any:
    return lambda image: [{"image": image["image"], "error": error}]


def extra(image: dict[str, Any]) -> list[dict[str, Any]]:
    zeros = [{**entry, "classes": []} for entry in image["classifiers"]]
    return [
        image,
        {**image, "classifiers": zeros},
        {**image, "image": "batch.zip/000099.jpg"},
        {"classifiers": zeros},
        {**image, "image": 7},
    ]


@pytest.mark.parametrize(
    ("change", "code", "requests"),
    [
        (lambda image: [], None, 2),
        (lambda image: [{**image, "classifiers": []}], None, 2),
        (lambda image: [{"image": image["image"]}], None, 2),
        (lambda image: [{**image, "classifiers": [{"classifier_id": "other", "classes": []}]}], None, 2),
        (extra, None, 1),
        (failed(code=400, description="Bad image", error_id="input_error"), "input_error", 1),
        (failed(code=400, description="Too big", error_id="limit_exceeded"), "limit_exceeded", 1),
        (failed(code=500, description="Oops", error_id="server_error"), None, 2),
        (failed(code=500), None, 2),
        (lambda image: [{"image": image["image"], "error": "text"}], None, 2),
    ],
    ids=["missing", "no entry", "no list", "other entry", "twice and unknown", "input_error", "limit_exceeded",
         "passing", "bare error", "error text"],
)  # fmt: skip
def test_one_picture_in_trouble(desk: Desk, server: WireServer, change: Any, code: str | None, requests: int) -> None:
    """Final errors stay; others get one more try, alone."""
    ref = desk.trained()
    server.change = first_time(change)
    results = desk.backend.predict(ref, pictures("boots", count=3))
    assert [result.error and result.error.code for result in results] == [code, None, None]
    assert len(server.of("classify")) == requests
    if requests == 2:
        assert entries(server) == ["000000.jpg"]
    if code is None:
        assert results[0].scores == pytest.approx({"T-shirt": results[0].scores["T-shirt"], "boots": 0.9,
                                                   "negative_examples": 0.1})  # fmt: skip


def test_a_picture_that_is_never_answered(desk: Desk, server: WireServer) -> None:
    ref = desk.trained()
    server.change = lambda images: [image for image in images if not image["image"].endswith("000001.jpg")]
    results = desk.backend.predict(ref, pictures("boots", count=3))
    assert [result.error and (result.error.code, result.error.retryable) for result in results] == [
        None,
        ("no_result", True),
        None,
    ]
    assert len(server.of("classify")) == 2


def test_without_details_classes_keep_their_names(desk: Desk, server: WireServer) -> None:
    ref = desk.trained(("boots", "hats"))
    (result,) = Desk(server).backend.predict(ref, pictures("T-shirt", count=1))
    assert result.scores["boots"] == 0.9
    opened = Desk(server).backend.open({"watson": {"aliases": {"Boots!": "boots"}, "negatives": True}})
    assert opened.predict(ref, pictures("T-shirt", count=1))[0].scores == {
        "Boots!": 0.9,
        "negative_examples": pytest.approx(0.1),
    }


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.sampled_from(["0.jpg", "000000.jpg", "ref", "boots"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "images",
                    "image",
                    "error",
                    "error_id",
                    "description",
                    "classifiers",
                    "classifier_id",
                    "classes",
                    "class",
                    "score",
                    "status",
                    "explanation",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=15,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine
@given(json_values)
def test_any_answer_gives_one_result_for_each_picture(value: Any) -> None:
    names = predicting.Names({"T-shirt": "c001", "boots": "boots"}, negatives=True)
    predictor = predicting.Predictor(None, meter=len, names=names)  # type: ignore[arg-type]
    image = {"image": "000000.jpg"}
    shapes: list[Any] = [
        value,
        image | {"classifiers": value},
        image | {"classifiers": [{"classifier_id": "ref", "classes": value}]},
        image | {"error": value},
    ]
    for shape in shapes:
        results = predictor._read("ref", [0, 1], {"images": [shape]})
        assert list(results) == [0, 1]
        for result in results.values():
            assert (result.scores is None) != (result.error is None)
            if result.scores is not None:
                assert set(result.scores) == set(CLASSES)
                assert all(0.0 <= score <= 1.0 for score in result.scores.values())


def test_quota_stops_at_once(desk: Desk, server: WireServer) -> None:
    ref = desk.trained()
    server.fail("classify", json_fault(403, {"status": "ERROR", "statusInfo": "daily-transaction-limit-exceeded"}))
    with pytest.raises(QuotaExceeded, match=r"quota is used up: daily-transaction-limit-exceeded\."):
        desk.backend.predict(ref, pictures("boots", count=60))
    assert len(server.of("classify")) == 1


def test_what_is_too_much_is_left_out(server: WireServer) -> None:
    """By a fixed draw, and it says so."""
    made = [
        WatsonBackend(Connection(server.url, "none"), limits=Limits(max_images=12)).start_training(
            spec(count=15), f"{number}-x"
        )
        for number in (1, 2)
    ]
    assert made[0].details["left_out"] == dict.fromkeys(CLASSES, 3)
    first, second = server.made.values()
    assert (first.learned, first.negatives) == (second.learned, second.negatives)
    assert [len(learned) for learned in first.learned.values()] == [12, 12]
