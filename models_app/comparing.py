"""What changed from one version of a model to another, on the pictures that both held out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .metrics import ThresholdFigures, at_threshold
from .models import HoldoutPrediction, ModelVersion

COMMON_THRESHOLD = 0.8
"""Where all versions of a model are held against each other: what a new workflow begins with."""


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
class RecallChange:
    """Recall of a class in two versions; None where a version held out no picture of it or does not know it."""

    label: str
    old: float | None
    new: float | None

    @property
    def difference(self) -> float | None:
        return None if self.old is None or self.new is None else self.new - self.old


@dataclass(frozen=True)
class Comparison:
    """`both`: pictures held out of both; `mended` and `broken`: those of them only the new (old) one got right."""

    both: int
    mended: int
    broken: int
    changes: list[Change]
    recalls: list[RecallChange]

    @property
    def widest(self) -> float:
        """The largest difference in recall, for drawing all of them to one scale."""
        return max((abs(one.difference) for one in self.recalls if one.difference is not None), default=0.0)


@dataclass(frozen=True)
class Line:
    """A version in the table, with what it would do at COMMON_THRESHOLD."""

    version: ModelVersion
    at_common: ThresholdFigures


def lines_of(versions: Sequence[ModelVersion]) -> list[Line]:
    """The versions with their figures at COMMON_THRESHOLD; pictures unlike the training data count as sent to people.

    One query.
    """
    rows = HoldoutPrediction.objects.filter(version__in=list(versions))
    points: dict[int, list[tuple[bool, float]]] = defaultdict(list)
    cuts: dict[int, Any] = {version.pk: version.details.get("cut") for version in versions}
    found = rows.values_list("version_id", "label", "predicted", "confidence", "distance")
    for version, label, predicted, confidence, distance in found.iterator():
        unlike = cuts[version] is not None and distance is not None and distance > cuts[version]
        points[version].append((label == predicted, 0.0 if unlike else confidence))
    return [
        Line(
            version,
            at_threshold(
                [right for right, _ in points[version.pk]],
                [sure for _, sure in points[version.pk]],
                COMMON_THRESHOLD,
            ),
        )
        for version in versions
    ]


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


def _recalls(old: ModelVersion, new: ModelVersion) -> list[RecallChange]:
    sides = [{row["label"]: row["recall"] for row in version.metrics["per_class"]} for version in (old, new)]
    names = [*sides[1], *(label for label in sides[0] if label not in sides[1])]
    return [RecallChange(label, sides[0].get(label), sides[1].get(label)) for label in names]
