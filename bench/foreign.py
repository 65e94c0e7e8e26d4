"""How many pictures of something else a model would have answered, with and without the switch for unlike rows."""

from __future__ import annotations

from typing import Any

from workflows_app.models import WorkflowRow

from .pictures import PictureSet
from .team import make_team, new_model, predict_all, train, upload_training

THRESHOLD = 0.8


def run(base: str, foreign_base: str, pictures: PictureSet, foreign: PictureSet) -> dict[str, Any]:
    """Train on one set, then ask for its test pictures and for those of the other set."""
    team = make_team("foreign")
    model = new_model(team, "known")
    upload_training(team, model, base, pictures.of("train"))
    train(team, model)
    known = predict_all(team, model, base, pictures.of("test"))
    other = new_model(team, "known again")
    upload_training(team, other, base, pictures.of("train"))
    train(team, other)
    strange = predict_all(team, other, foreign_base, foreign.pictures)
    return {
        "set": pictures.name,
        "foreign": foreign.name,
        "foreign_pictures": len(strange),
        "automated_without": _share(strange, switch=False),
        "automated_with": _share(strange, switch=True),
        "foreign_found": round(sum(row.unlike for row in strange) / len(strange), 4),
        "own_flagged": round(sum(row.unlike for row in known) / len(known), 4),
    }


def _share(rows: list[WorkflowRow], *, switch: bool) -> float:
    kept = [row for row in rows if (row.confidence or 0) >= THRESHOLD and not (switch and row.unlike)]
    return round(len(kept) / len(rows), 4)
