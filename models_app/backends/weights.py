"""Reads PyTorch checkpoints of the old format without PyTorch and without running code from them.

The format: five pickles (magic number, protocol, system information, the tensors, the storage keys), then
the raw storages. Only the handful of names that tensors need are admitted while unpickling.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
DTYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class CheckpointError(ValueError):
    """The file is not a checkpoint of the expected format."""


@dataclass(frozen=True)
class _View:
    key: str
    dtype: np.dtype[Any]
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _rebuild(storage: tuple[str, np.dtype[Any]], offset: int, shape: Any, strides: Any, *_: Any) -> _View:
    return _View(storage[0], storage[1], int(offset), tuple(shape), tuple(strides))


class _Reader(pickle.Unpickler):
    admitted = {("collections", "OrderedDict"): OrderedDict, ("torch._utils", "_rebuild_tensor_v2"): _rebuild}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self.admitted:
            return self.admitted[module, name]
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        raise CheckpointError(f"The checkpoint names {module}.{name}, which tensors do not need.")

    def persistent_load(self, identifier: Any) -> tuple[str, np.dtype[Any]]:
        kind, dtype, key, *_ = identifier
        if kind != "storage":
            raise CheckpointError("The checkpoint holds something other than tensors.")
        return str(key), dtype


def read_checkpoint(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a checkpoint by name, as contiguous arrays. Raises CheckpointError."""
    with open(path, "rb") as file:
        if _Reader(file).load() != MAGIC:
            raise CheckpointError(f"{path.name} is not a checkpoint of the old PyTorch format.")
        _Reader(file).load()
        _Reader(file).load()
        views: dict[str, _View] = _Reader(file).load()
        keys: list[str] = _Reader(file).load()
        dtypes = {view.key: view.dtype for view in views.values()}
        storages = {key: _read_storage(file, dtypes[key]) for key in keys}
    return {name: _materialise(view, storages[view.key]) for name, view in views.items()}


def _read_storage(file: BinaryIO, dtype: np.dtype[Any]) -> np.ndarray:
    (count,) = np.frombuffer(file.read(8), "<i8")
    data = file.read(int(count) * dtype.itemsize)
    if len(data) != int(count) * dtype.itemsize:
        raise CheckpointError("The checkpoint is cut short.")
    return np.frombuffer(data, dtype)


def _materialise(view: _View, storage: np.ndarray) -> np.ndarray:
    last = view.offset + sum((size - 1) * stride for size, stride in zip(view.shape, view.strides, strict=True))
    if view.offset < 0 or last >= storage.size:
        raise CheckpointError("A tensor reaches beyond its storage.")
    steps = tuple(stride * storage.itemsize for stride in view.strides)
    return np.ascontiguousarray(
        np.lib.stride_tricks.as_strided(storage[view.offset :], shape=view.shape, strides=steps, writeable=False)
    )
