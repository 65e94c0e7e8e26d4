"""The local backend: an ImageNet embedder that runs on ONNX and a head of scikit-learn."""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock

import numpy as np

from .base import (
    ArtifactStore,
    Capabilities,
    Health,
    ItemResult,
    ModelNotFound,
    Problem,
    TrainingSpec,
    TrainingState,
    check_counts,
)
from .embedder import Embedder, Prepared, load_embedder
from .head import Head, fit_head
from .similar import group_near_duplicates

HEADS_KEPT = 8  # about 20 MB each


class LocalBackend:
    """Options: embedder (fast, balanced, accurate or an ONNX file), cache_dir, threads."""

    kind = "local"

    def __init__(self, *, artifacts: ArtifactStore, embedder: str, cache_dir: str, threads: int = 1) -> None:
        self.artifacts = artifacts
        self._options = (embedder, Path(cache_dir), threads)
        self._embedder: Embedder | None = None
        self._lock = Lock()
        self._heads: OrderedDict[str, Head] = OrderedDict()

    @property
    def embedder(self) -> Embedder:
        with self._lock:
            if self._embedder is None:
                name, cache_dir, threads = self._options
                self._embedder = load_embedder(name, cache_dir=cache_dir, threads=threads)
            return self._embedder

    @property
    def feature_version(self) -> str:
        return self.embedder.version

    def capabilities(self) -> Capabilities:
        return Capabilities()

    def validate(self, counts: Mapping[str, int]) -> list[Problem]:
        return check_counts(counts, self.capabilities())

    def prepare(self, data: bytes) -> Prepared:
        return self.embedder.prepare(data)

    def features(self, prepared: Sequence[Prepared]) -> list[bytes]:
        """Vectors as little-endian half floats: what they lose is far below the embedder's own 8-bit noise."""
        return [row.tobytes() for row in self.embedder.embed(prepared).astype("<f2")]

    def vectors(self, features: Sequence[bytes]) -> np.ndarray:
        """Unpack features: float32 (n, dimension)."""
        return np.frombuffer(b"".join(features), "<f2").reshape(len(features), -1).astype(np.float32)

    def group(self, features: Sequence[bytes], labels: Sequence[str]) -> list[int]:
        return group_near_duplicates(self.vectors(features), labels)

    def start_training(self, spec: TrainingSpec, token: str) -> TrainingState:
        """Fit at once and return `ready`; the caller's worker is the place for it."""
        head, out_of_fold = fit_head(
            self.vectors([example.features for example in spec.examples]),
            [example.label for example in spec.examples],
            [example.group for example in spec.examples],
            spec.classes,
            seed=spec.seed,
            step=lambda done, total: spec.on_progress("fitting", done, total),
        )
        ref = self.artifacts.save(f"head-{token or uuid.uuid4().hex}", head.to_bytes(self.feature_version))
        details = head.details | {"feature_version": self.feature_version}
        return TrainingState(ref, "ready", details=details, out_of_fold=out_of_fold.tolist())

    def find_training(self, token: str) -> TrainingState | None:
        return None  # a local training lives in its worker; when that is gone, so is the training

    def poll(self, ref: str) -> TrainingState:
        self._head(ref)
        return TrainingState(ref, "ready")

    def predict(self, ref: str, features: Sequence[bytes]) -> list[ItemResult]:
        if not features:
            return []
        head, vectors = self._head(ref), self.vectors(features)
        scores, distances = head.scores(vectors), head.distances(vectors)
        return [
            ItemResult(
                dict(zip(head.classes, row.tolist(), strict=True)), distance=float(far), unlike=bool(far > head.cut)
            )
            for row, far in zip(scores, distances, strict=True)
        ]

    def delete(self, ref: str) -> None:
        self._heads.pop(ref, None)
        self.artifacts.delete(ref)

    def check(self) -> Health:
        return Health(ok=bool(self.feature_version))

    def _head(self, ref: str) -> Head:
        with self._lock:
            if ref in self._heads:
                self._heads.move_to_end(ref)
                return self._heads[ref]
        try:
            data = self.artifacts.load(ref)
        except FileNotFoundError as error:
            raise ModelNotFound("The model file is gone. Train the model again.", code="artifact_gone") from error
        head = Head.from_bytes(data, self.feature_version)
        with self._lock:
            self._heads[ref] = head
            while len(self._heads) > HEADS_KEPT:
                self._heads.popitem(last=False)
        return head
