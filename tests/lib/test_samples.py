"""Sample drawings are the same every time, and real pictures."""

import io

import pytest
from PIL import Image

from labeling_platform.lib.samples import BROKEN_NAMES, LABELS, render_sample, sample_names


@pytest.mark.parametrize("label", LABELS)
def test_a_drawing_is_a_picture_and_repeatable(label: str) -> None:
    name = sample_names(label, 3)[2]
    data = render_sample(name)
    assert data is not None
    assert data == render_sample(name)
    assert Image.open(io.BytesIO(data)).size == (288, 288)


def test_different_names_are_different_pictures() -> None:
    assert len({render_sample(name) for name in sample_names("boots", 5)}) == 5


@pytest.mark.parametrize("name", ["boots.jpg", "boots-1.jpg", "cats-0001.jpg", "../etc/passwd", ""])
def test_unknown_names_are_none(name: str) -> None:
    assert render_sample(name) is None


@pytest.mark.parametrize("name", BROKEN_NAMES)
def test_broken_ones_cannot_be_read(name: str) -> None:
    with pytest.raises(OSError, match=r"cannot identify|truncated"):
        Image.open(io.BytesIO(render_sample(name) or b"")).load()
