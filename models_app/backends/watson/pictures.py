"""Pictures as they are sent: small JPEGs, which also keep every training inside the service's limits."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from PIL import Image

from ..base import BadImage
from ..upright import upright_rgb

if TYPE_CHECKING:
    import numpy as np

LONG_SIDE = 448
"""Twice the side that networks like ours look at. With 320, what they see of a photograph shifts half as much more."""
SMALLER_SIDES = (320, 224)
"""For trainings that are too large to send."""
QUALITY = 90
THUMBNAIL = 16
CUTS = (0.95, 0.98, 0.99)


def small_jpeg(data: bytes, side: int = LONG_SIDE) -> bytes:
    """A JPG or PNG as JPEG: upright, RGB on white, its long side at most `side`. Raises BadImage."""
    try:
        opened = Image.open(io.BytesIO(data), formats=["JPEG", "PNG"])
        opened.draft("RGB", (side * 2, side * 2))
        image = upright_rgb(opened)
        image.thumbnail((side, side), Image.Resampling.BICUBIC, reducing_gap=3)
        out = io.BytesIO()
        image.save(out, "JPEG", quality=QUALITY)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadImage("The picture is damaged and cannot be read.", code="decode_failed") from error
    return out.getvalue()


def group_pictures(jpegs: Sequence[bytes], labels: Sequence[str]) -> list[int]:
    """Near-duplicates by their thumbnails: 16x16 grey, joined when these are almost the same picture."""
    if not jpegs:
        return []
    import numpy as np

    from ..similar import group_near_duplicates  # brings scikit-learn, which a web process does not need

    return group_near_duplicates(np.stack([_thumbnail(data) for data in jpegs]), labels, CUTS)


def _thumbnail(data: bytes) -> np.ndarray:
    import numpy as np

    image = Image.open(io.BytesIO(data), formats=["JPEG"])
    image.draft("L", (THUMBNAIL * 4, THUMBNAIL * 4))
    grey = image.convert("L").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    return np.asarray(grey, np.float32).reshape(-1)
