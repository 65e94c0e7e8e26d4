"""Near-duplicate pictures: found, so that they never stand on both sides of a split.

A burst of shots of one thing in training and holdout makes the reported accuracy far too good: 0.97 where
fresh pictures gave 0.70 (reference/ml.md 6). Pictures of one label are joined when the cosine of their
centred vectors exceeds a cut. The cut adapts to each label: the lowest of CUTS at which no joined group
swallows more than MAX_SHARE of the label's pictures; in a homogeneous label that is a high one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .head import unit_roots

CUTS = (0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98)
MAX_SHARE = 0.2
MIN_CAP = 5
SAME = 0.9999


def group_near_duplicates(vectors: np.ndarray, labels: Sequence[str], cuts: Sequence[float] = CUTS) -> list[int]:
    """A group number for each row of vectors (n, d). Equal pictures share a group whatever their label.

    `cuts` are the cosines tried, lowest first; those of the default suit the embedder's vectors.
    """
    roots = unit_roots(vectors)
    centred = roots - roots.mean(axis=0)
    units = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    parent = _Forest(len(labels))
    for rows in _equal_rows(vectors):
        for row in rows[1:]:
            parent.join(rows[0], row)
    names = np.asarray(labels)
    for label in sorted(set(labels)):
        members = np.flatnonzero(names == label)
        for first, second in _links(units[members], cuts):
            parent.join(int(members[first]), int(members[second]))
    return parent.numbers()


def _equal_rows(vectors: np.ndarray) -> list[list[int]]:
    seen: dict[bytes, list[int]] = {}
    for row, vector in enumerate(vectors):
        seen.setdefault(vector.tobytes(), []).append(row)
    return [rows for rows in seen.values() if len(rows) > 1]


def _links(units: np.ndarray, cuts: Sequence[float]) -> list[tuple[int, int]]:
    """Pairs to join within one label, at the lowest cut that keeps its groups small."""
    count = len(units)
    cap = max(MIN_CAP, int(count * MAX_SHARE))
    pairs = _pairs_above(units, cuts[0])
    for cut in cuts:
        chosen = [(first, second) for first, second, cosine in pairs if cosine > cut]
        forest = _Forest(count)
        for first, second in chosen:
            forest.join(first, second)
        if forest.largest() <= cap:
            return chosen
    return [(first, second) for first, second, cosine in pairs if cosine > SAME]


def _pairs_above(units: np.ndarray, cut: float, block: int = 1024) -> list[tuple[int, int, float]]:
    found = []
    for start in range(0, len(units), block):
        cosines = units[start : start + block] @ units.T
        rows, columns = np.nonzero(cosines > cut)
        upper = columns > rows + start
        for row, column in zip(rows[upper].tolist(), columns[upper].tolist(), strict=True):
            found.append((row + start, column, float(cosines[row, column])))
    return found


class _Forest:
    """Union-find."""

    def __init__(self, count: int) -> None:
        self.parent = list(range(count))

    def root(self, item: int) -> int:
        while self.parent[item] != item:
            self.parent[item] = self.parent[self.parent[item]]
            item = self.parent[item]
        return item

    def join(self, first: int, second: int) -> None:
        a, b = self.root(first), self.root(second)
        if a != b:
            self.parent[max(a, b)] = min(a, b)

    def numbers(self) -> list[int]:
        return [self.root(item) for item in range(len(self.parent))]

    def largest(self) -> int:
        return int(np.bincount(self.numbers()).max()) if self.parent else 0
