"""How long a training takes the first time, again, and with more pictures."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django_scopes import scope

from models_app.models import PictureFeatures

from .pictures import PictureSet, shuffled
from .team import make_team, new_model, train, upload_training


def run(base: str, pictures: PictureSet) -> dict[str, Any]:
    """Train on most pictures, again on the same ones, and after adding the rest."""
    team = make_team("training")
    found = shuffled(pictures.pictures, 1)
    added = max(1, len(found) // 10)
    model = new_model(team, "training")
    upload_training(team, model, base, found[:-added])
    first = train(team, model)
    embedded = _embedded(team)
    again = train(team, model)
    embedded_again = _embedded(team) - embedded
    upload_training(team, model, base, found[-added:])
    more = train(team, model)
    return {
        "set": pictures.name,
        "embedder": settings.EMBEDDER,
        "pictures": len(found) - added,
        "first_s": round(first.seconds, 1),
        "pictures_per_s": round((len(found) - added) / first.seconds, 1),
        "again_s": round(again.seconds, 1),
        "embedded_again": embedded_again,
        "added": added,
        "more_s": round(more.seconds, 1),
        "embedded_more": _embedded(team) - embedded - embedded_again,
    }


def _embedded(team: Any) -> int:
    with scope(team=team):
        return PictureFeatures.objects.filter(team=team).count()
