"""Whether "reach 95%" holds on pictures that nobody looked at, and what it costs in automation."""

from __future__ import annotations

from typing import Any

from django_scopes import scope

from models_app.advisor import promise_candidates
from models_app.promise import reach

from .pictures import PictureSet, stratified
from .product import say
from .team import make_team, new_model, predict_all, train, upload_training


def run(base: str, pictures: PictureSet, *, splits: int, targets: tuple[float, ...]) -> list[dict[str, Any]]:
    """One line a target: in how many random splits the unseen automated share was right at least that often.

    In each split the product gets 80% of the pictures, holds a fifth of them out itself, and its advisor chooses
    the threshold from those; the other 20% are then predicted through a workflow.
    """
    team = make_team("promise")
    outcomes: dict[float, list[tuple[bool, float] | None]] = {target: [] for target in targets}
    for seed in range(splits):
        rest, unseen = stratified(pictures.pictures, 0.2, seed)
        model = new_model(team, f"split {seed}")
        upload_training(team, model, base, rest)
        version = train(team, model).version
        rows = predict_all(team, model, base, unseen)
        with scope(team=team):
            found = promise_candidates(version=version, route_unlike=False)
        for target in targets:
            chosen = reach(found, target)
            if chosen is None:
                outcomes[target].append(None)
                continue
            kept = [
                row.predicted == picture.label
                for row, picture in zip(rows, unseen, strict=True)
                if (row.confidence or 0.0) >= chosen.threshold
            ]
            accuracy = sum(kept) / len(kept) if kept else 1.0
            outcomes[target].append((accuracy >= target, len(kept) / len(rows)))
            say(f"split {seed}, {target:.0%}: threshold {chosen.threshold}, unseen accuracy {accuracy:.4f}")
    return [_line(pictures.name, target, outcomes[target]) for target in targets]


def _line(name: str, target: float, found: list[tuple[bool, float] | None]) -> dict[str, Any]:
    made = [one for one in found if one is not None]
    return {
        "set": name,
        "target": target,
        "splits": len(found),
        "promised": len(made),
        "kept": sum(held for held, _ in made),
        "kept_share": round(sum(held for held, _ in made) / len(made), 4) if made else None,
        "automated": round(sum(share for _, share in made) / len(made), 4) if made else None,
    }
