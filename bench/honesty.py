"""Whether the reported accuracy holds for a new shoot when the training pictures were shot in bursts."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from typing import Any

from django_scopes import scope
from PIL import Image, ImageEnhance

from .pictures import Picture, PictureSet, some_of_each
from .product import say
from .team import make_team, new_model, predict_all, train, upload_training

SCENES, SHOTS, FRESH = 25, 8, 60


def shoot(pictures: PictureSet, draw: int) -> list[Picture]:
    """Make bursts beside the set's pictures: SHOTS slightly different shots of each of SCENES photographs a class.

    A shot is cropped, turned, lit and compressed a little differently, as a hand-held series is.
    """
    dice = random.Random(draw)
    made = []
    for place, picture in enumerate(some_of_each(pictures.of("train"), SCENES, draw)):
        with Image.open(io.BytesIO(pictures.read(picture))) as opened:
            image = opened.convert("RGB")
        for shot in range(SHOTS):
            path = f"burst-{draw}-{place:04d}-{shot}.jpg"
            _shot(image, dice).save(pictures.root / path, "JPEG", quality=dice.randint(70, 92))
            made.append(Picture(path, picture.label, "train"))
    return made


def _shot(image: Image.Image, dice: random.Random) -> Image.Image:
    turned = image.rotate(dice.uniform(-4, 4), Image.Resampling.BICUBIC, fillcolor=(235, 235, 235))
    share = dice.uniform(0.85, 0.98)
    width, height = int(turned.width * share), int(turned.height * share)
    left, top = dice.randint(0, turned.width - width), dice.randint(0, turned.height - height)
    cut = turned.crop((left, top, left + width, top + height))
    return ImageEnhance.Brightness(cut).enhance(dice.uniform(0.85, 1.15))


def run(base: str, pictures: PictureSet, *, draws: int) -> Iterator[dict[str, Any]]:
    """Train on bursts, let the product report, and ask the version for photographs of other scenes."""
    team = make_team("honesty")
    differences = []
    for draw in range(1, draws + 1):
        bursts = shoot(pictures, draw)
        known = {picture.path for picture in some_of_each(pictures.of("train"), SCENES, draw)}
        fresh = some_of_each([picture for picture in pictures.pictures if picture.path not in known], FRESH)
        model = new_model(team, f"bursts {draw}")
        upload_training(team, model, base, bursts)
        version = train(team, model).version
        say(f"groups: {version.details['groups']} of {version.details['pictures']} pictures")
        rows = predict_all(team, model, base, fresh)
        with scope(team=team):
            right = sum(row.predicted == picture.label for row, picture in zip(rows, fresh, strict=True))
        found, truth = version.metrics, right / len(fresh)
        differences.append(found["accuracy"] - truth)
        yield {
            "set": pictures.name,
            "draw": draw,
            "scenes_per_class": SCENES,
            "shots": SHOTS,
            "reported": round(found["accuracy"], 4),
            "interval": [round(found["accuracy_low"], 4), round(found["accuracy_high"], 4)],
            "reported_on": version.rows_holdout,
            "cross_validated": version.details["out_of_fold_accuracy"],
            "torn": version.details.get("torn_accuracy"),
            "fresh": round(truth, 4),
            "fresh_pictures": len(fresh),
            "difference": round(differences[-1], 4),
        }
    yield {"set": pictures.name, "draw": "mean", "difference": round(sum(differences) / draws, 4)}
