"""Parts of the Watson backend that need no server: names, pictures, what is sent, and the SDK itself."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from models_app.backends.base import BadImage, Example, InvalidTrainingData, TrainingSpec
from models_app.backends.watson import Connection, WatsonBackend
from models_app.backends.watson.names import NEGATIVE, carries, make_aliases, metadata_of, training_name
from models_app.backends.watson.pictures import group_pictures, small_jpeg
from models_app.backends.watson.training import ENTRY_OVERHEAD, FORM_OVERHEAD, Limits, choose

from .worlds import picture

PROJECT = Path(__file__).resolve().parents[2]

# --- names ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        (["boots", "shoe 2", "under_score"], ["boots", "shoe 2", "under_score"]),
        (["T-shirt", "a.b", "Größe", "it's"], ["c001", "c002", "c003", "c004"]),
        (["Boots", "boots", "hats"], ["c001", "c002", "hats"]),
        (["c001", "T-shirt", "C002", "a-b"], ["c001", "c003", "C002", "c004"]),
        (["default", "name", "positive_examples", "x_positive_examples"], ["c001", "c002", "c003", "c004"]),
        ([" space", "x" * 61], ["c001", "c002"]),
    ],
)
def test_aliases(classes: list[str], names: list[str]) -> None:
    assert make_aliases([*classes, NEGATIVE]) == dict(zip(classes, names, strict=True))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine
@given(st.lists(st.text(max_size=80), unique=True, max_size=30))
def test_aliases_are_legal_unique_and_repeatable(classes: list[str]) -> None:
    aliases = make_aliases(classes)
    assert list(aliases) == [label for label in classes if label != NEGATIVE]
    assert len({name.casefold() for name in aliases.values()}) == len(aliases)
    assert all(re.fullmatch(r"[A-Za-z0-9_ ]{1,60}", name) for name in aliases.values())
    assert make_aliases(classes) == aliases


def test_training_names() -> None:
    assert training_name("Größe & Co. 3", "7-abc") == "gr-e-co-3 7-abc"
    assert training_name("", "7-abc") == "model 7-abc"
    assert len(training_name("x" * 300, "7-abc")) == 46
    assert carries("shoes 7-abc", "7-abc")
    assert not carries("shoes 17-abc", "7-abc")
    assert not carries(None, "7-abc")
    assert metadata_of("a=b;c d") == "customer_id=a_b_c_d"


# --- pictures -------------------------------------------------------------------------------------------


def saved(image: Image.Image, kind: str, **how: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **how)
    return out.getvalue()


def test_small_jpeg_is_small_upright_and_plain() -> None:
    image = Image.new("RGB", (1000, 500), "red")
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    turned = Image.open(io.BytesIO(small_jpeg(saved(image, "JPEG", exif=exif))))
    assert (turned.format, turned.mode, turned.size, dict(turned.getexif())) == ("JPEG", "RGB", (224, 448), {})
    clear = Image.open(io.BytesIO(small_jpeg(saved(Image.new("RGBA", (40, 20)), "PNG"))))
    assert (clear.size, clear.getpixel((3, 3))) == ((40, 20), (255, 255, 255))
    for mode in ("L", "P", "CMYK", "1", "I;16"):
        data = saved(Image.new(mode, (64, 64)), "JPEG" if mode == "CMYK" else "PNG")
        assert Image.open(io.BytesIO(small_jpeg(data))).mode == "RGB"
    assert Image.open(io.BytesIO(small_jpeg(saved(Image.new("RGB", (20000, 3)), "PNG")))).size == (448, 1)
    assert small_jpeg(saved(image, "JPEG")) == small_jpeg(saved(image, "JPEG"))


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "BMP", "WEBP"])
def test_other_formats_are_refused(kind: str) -> None:
    with pytest.raises(BadImage):
        small_jpeg(saved(Image.new("RGB", (64, 64)), kind))


def test_near_duplicates_share_a_group() -> None:
    images = [Image.open(io.BytesIO(picture("boots", number))) for number in range(20)]
    jpegs = [saved(image, "JPEG", quality=90) for image in images]
    again = saved(images[4], "JPEG", quality=60)  # another file, the same picture
    marked = images[5].copy()
    ImageDraw.Draw(marked).point((3, 3), fill="white")
    groups = group_pictures([*jpegs, again, saved(marked, "JPEG"), jpegs[6]], ["boots"] * 22 + ["hats"])
    assert groups[20] == groups[4]
    assert groups[21] == groups[5]
    assert groups[22] == groups[6]  # the same bytes under another label
    assert len(set(groups[:20])) >= 18
    assert group_pictures([], []) == []


# --- what is sent ---------------------------------------------------------------------------------------


def spec_of(counts: dict[str, int], size: int = 0) -> TrainingSpec:
    examples = [
        Example(label, picture("boots", number) + bytes(size), number)
        for label, count in counts.items()
        for number in range(count)
    ]
    return TrainingSpec(tuple(counts), examples, seed=1, name="x")


def test_bytes_over_the_limit_are_shrunk_first() -> None:
    """Zeros after the picture are gone once it is written anew, so shrinking is enough here."""
    sets = choose(spec_of({"a": 12, "b": 12}, size=5000), Limits(max_zip=40_000))
    assert (sets.side, sets.left_out, sets.count()) == (320, {}, 24)


def test_what_is_over_the_limit_even_so_is_shrunk_again() -> None:
    noise = Image.effect_noise((448, 448), 60).convert("RGB")
    photo = small_jpeg(saved(noise, "PNG"))
    assert Image.open(io.BytesIO(photo)).size == (448, 448)
    spec = TrainingSpec(("a", "b"), [Example(label, photo, n) for label in "ab" for n in range(12)], seed=1, name="x")
    for side in (320, 224):
        size = 12 * (len(small_jpeg(photo, side)) + ENTRY_OVERHEAD)
        sets = choose(spec, Limits(max_zip=int(size * 1.05)))
        assert (sets.side, sets.left_out, sets.count()) == (side, {}, 24)


def test_what_is_still_too_much_is_left_out() -> None:
    spec = spec_of({"a": 40, "b": 12})
    size = sum(len(example.features) + ENTRY_OVERHEAD for example in spec.examples if example.label == "a")
    sets = choose(spec, Limits(max_zip=size // 2))
    assert sets.left_out.keys() == {"a"}
    assert 15 <= len(sets.by_label["a"]) <= 20
    assert len(sets.by_label["b"]) == 12
    assert choose(spec, Limits(max_zip=size // 2)).by_label == sets.by_label
    both = choose(spec, Limits(max_call=FORM_OVERHEAD + int(size * 1.15)))
    assert both.left_out.keys() == {"a", "b"}


def test_nothing_is_left_out_below_ten() -> None:
    with pytest.raises(InvalidTrainingData, match="at least 10 pictures of each class: a has") as caught:
        choose(spec_of({"a": 12, "b": 12}), Limits(max_zip=12_000))
    assert caught.value.code == "too_few"


def test_limits_are_data() -> None:
    backend = WatsonBackend(Connection("http://127.0.0.1:9", "none"))
    limits = backend.capabilities()
    assert (limits.remote, limits.charges, limits.aliases) == (True, True, True)
    assert (limits.min_per_class, limits.max_per_class) == (13, 10_000)
    assert (limits.max_class_bytes, limits.max_total_bytes) == (100_000_000, 256_000_000)
    warnings = [problem.message for problem in backend.validate({"a": 10_001, "b": 200}) if problem.level == "warning"]
    assert warnings == ["a: 10,001 pictures; the service takes 10,000 of a class, the rest is left out."]


# --- the SDK --------------------------------------------------------------------------------------------


def test_the_sdk_is_the_last_line_with_visual_recognition() -> None:
    """ibm-watson 6 dropped it: a lock file that moves there makes this backend impossible."""
    from ibm_watson import VisualRecognitionV3

    assert version("ibm-watson").startswith("5.")
    assert VisualRecognitionV3.DEFAULT_SERVICE_NAME == "visual_recognition"
    pinned = re.findall(r"^ibm-watson==(\S+)", (PROJECT / "requirements.txt").read_text(), re.MULTILINE)
    assert [pin.partition(".")[0] for pin in pinned] == ["5"]


def test_the_sdk_and_django_are_not_needed_to_import() -> None:
    """`local` runs where IBM's SDK is missing."""
    code = (
        "import sys, models_app.backends.watson, models_app.backends as b; b._class('watson');"
        "print([name for name in sys.modules if name.split('.')[0] in {'ibm_watson', 'ibm_cloud_sdk_core', 'django'}])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_the_sdk_it_says_so() -> None:
    code = (
        "import sys; sys.modules['ibm_watson'] = None; sys.modules['ibm_cloud_sdk_core'] = None\n"
        "from models_app.backends.watson import *\n"
        "print(WatsonBackend(Connection('http://127.0.0.1:9', 'none')).check().message)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "IBM's SDK (ibm-watson 5.3) is not installed here.", done.stderr
