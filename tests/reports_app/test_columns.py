"""The report's header."""

from hypothesis import given
from hypothesis import strategies as st

from reports_app.columns import make_header

OUTCOMES = ["boots", "negative_examples"]
OURS = [
    "error",
    "completed",
    "machine_label:boots",
    "machine_label:negative_examples",
    "human_label:boots",
    "human_label:negative_examples",
]


def test_header_is_uploaded_then_ours_then_diagnostics():
    header = make_header([["image_url", "sku"], ["sku", "shop", "image_url"]], OUTCOMES)
    assert header.names == ["image_url", "sku", "shop", *OURS, "reason", "model_version", "line", "file"]


def test_diagnostics_can_be_switched_off():
    assert make_header([["image_url"]], OUTCOMES, diagnostics=False).names == ["image_url", *OURS]


def test_without_uploads_there_are_our_columns_only():
    assert make_header([], OUTCOMES, diagnostics=False).names == OURS


def test_uploaded_columns_that_are_called_like_ours_are_renamed():
    columns = ["image_url", "error", "orig_error", "machine_label:boots", "reason"]
    assert make_header([columns], OUTCOMES).shown == (
        "image_url",
        "orig_orig_error",
        "orig_error",
        "orig_machine_label:boots",
        "orig_reason",
    )
    assert make_header([columns], OUTCOMES, diagnostics=False).shown[-1] == "reason"


def test_positions_of_an_upload():
    header = make_header([["image_url", "sku"], ["shop", "image_url"]], OUTCOMES)
    assert header.positions(["shop", "image_url"]) == [2, None, 1]


@given(uploads=st.lists(st.lists(st.sampled_from(["image_url", "error", "orig_error", "line", "a"]), unique=True)))
def test_names_are_unique(uploads):
    names = make_header(uploads, OUTCOMES).names
    assert len(names) == len(set(names))
