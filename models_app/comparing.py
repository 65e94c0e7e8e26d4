"""What changed from one version of a model to another, on the pictures that both held out."""

from __future__ import annotations

from dataclasses import dataclass

from .models import HoldoutPrediction, ModelVersion


@dataclass
class Change:
    """A picture held out of both versions that they called differently. `picture` is the address to show it at."""

    image_url: str
    label: str
    old: str
    new: str
    picture: str = ""

    @property
    def verdict(self) -> str:
        if self.new == self.label:
            return "mended"
        return "broken" if self.old == self.label else "still wrong"


@dataclass(frozen=True)
class Comparison:
    """`both`: pictures held out of both; `recalls`: (class, old, new) recall, None where a class had no picture."""

    both: int
    mended: int
    broken: int
    changes: list[Change]
    recalls: list[tuple[str, float | None, float | None]]


def compare_versions(*, old: ModelVersion, new: ModelVersion) -> Comparison:
    """Compare two trained versions; mistakes that are new come first. Two queries."""
    before = dict(HoldoutPrediction.objects.filter(version=old).values_list("image_id", "predicted"))
    rows = HoldoutPrediction.objects.filter(version=new, image_id__in=before).order_by("pk")
    found = list(rows.values_list("image_id", "image__image_url", "label", "predicted"))
    changes = [
        Change(url, label, before[image], predicted)
        for image, url, label, predicted in found
        if before[image] != predicted
    ]
    order = ["broken", "mended", "still wrong"]
    changes.sort(key=lambda change: order.index(change.verdict))
    verdicts = [change.verdict for change in changes]
    return Comparison(len(found), verdicts.count("mended"), verdicts.count("broken"), changes, _recalls(old, new))


def _recalls(old: ModelVersion, new: ModelVersion) -> list[tuple[str, float | None, float | None]]:
    sides = [{row["label"]: row["recall"] for row in version.metrics["per_class"]} for version in (old, new)]
    names = [*sides[1], *(label for label in sides[0] if label not in sides[1])]
    return [(label, sides[0].get(label), sides[1].get(label)) for label in names]
