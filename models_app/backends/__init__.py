"""The pluggable classifier backends, found by name. Local ones are made once per process and set of options."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from typing import Any

from .base import ArtifactStore, ClassifierBackend

KINDS = {
    "local": "models_app.backends.local.LocalBackend",
    "digest": "models_app.backends.digest.DigestBackend",
    "watson": "models_app.backends.watson.WatsonBackend",
}
REMOTE = frozenset({"watson"})
"""Backends made anew for each task, from options `connection`, `details`, `gate` and `meter`."""
REHEARSAL = frozenset({"digest"})
"""Backends that only pretend to classify."""


def get_backend(kind: str, *, artifacts: ArtifactStore, options: Mapping[str, Any]) -> ClassifierBackend:
    """The backend called `kind`. Loaded when first asked for, so that a web process pays nothing for it.

    Raises KeyError for a kind that does not exist.
    """
    if kind in REMOTE:
        remote: ClassifierBackend = _class(kind)(**options)
        return remote
    return _make(kind, artifacts, tuple(sorted(options.items())))  # type: ignore[arg-type]  # stores hash by identity


@lru_cache(maxsize=8)
def _make(kind: str, artifacts: Any, options: tuple[tuple[str, Any], ...]) -> ClassifierBackend:
    backend: ClassifierBackend = _class(kind)(artifacts=artifacts, **dict(options))
    return backend


def _class(kind: str) -> Any:
    module, _, name = KINDS[kind].rpartition(".")
    return getattr(import_module(module), name)
