"""EfficientNet-Lite written down once more, in numpy and without any trick: what the ONNX graph is checked against.

Batch normalisation stands beside its convolution instead of being folded in, and padding is made by hand
(TensorFlow's SAME, as in Google's models). Slow, and shares nothing with the graph builder but the weights.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

BLOCKS = [  # (repeats, stride of the first, kernel): table 1 of the EfficientNet article, B0
    (1, 1, 3), (2, 2, 3), (2, 2, 5), (3, 2, 3), (3, 1, 5), (4, 2, 5), (1, 1, 3),
]  # fmt: skip
Weights = Mapping[str, np.ndarray]


def _windows(maps: np.ndarray, kernel: int, stride: int) -> np.ndarray:
    """(channels, rows, columns, kernel, kernel) views of maps (channels, rows, columns), SAME padding."""
    size = maps.shape[1]
    total = max((int(np.ceil(size / stride)) - 1) * stride + kernel - size, 0)
    before = total // 2
    padded = np.pad(maps, ((0, 0), (before, total - before), (before, total - before)))
    return sliding_window_view(padded, (kernel, kernel), axis=(1, 2))[:, ::stride, ::stride]


def _normalised(maps: np.ndarray, weights: Weights, name: str) -> np.ndarray:
    mean, variance = weights[f"{name}.running_mean"], weights[f"{name}.running_var"]
    gain, shift = weights[f"{name}.weight"], weights[f"{name}.bias"]
    return ((maps.T - mean) / np.sqrt(variance + 0.001) * gain + shift).T


def _pointwise(maps: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return np.tensordot(weight[:, :, 0, 0], maps, axes=(1, 0))


def embed(weights: Weights, picture: np.ndarray) -> np.ndarray:
    """The 1,280 features of a uint8 picture (size, size, 3)."""
    maps = ((picture.astype(np.float32) - 127) / 128).transpose(2, 0, 1)
    stem = np.einsum("crsij,ocij->ors", _windows(maps, 3, 2), weights["_conv_stem.weight"], optimize=True)
    maps = np.clip(_normalised(stem, weights, "_bn0"), 0, 6)
    number = 0
    for repeats, first_stride, kernel in BLOCKS:
        for repeat in range(repeats):
            block, entry = f"_blocks.{number}", maps
            if f"{block}._expand_conv.weight" in weights:
                maps = _pointwise(maps, weights[f"{block}._expand_conv.weight"])
                maps = np.clip(_normalised(maps, weights, f"{block}._bn0"), 0, 6)
            windows = _windows(maps, kernel, first_stride if repeat == 0 else 1)
            maps = np.einsum("crsij,cij->crs", windows, weights[f"{block}._depthwise_conv.weight"][:, 0])
            maps = np.clip(_normalised(maps, weights, f"{block}._bn1"), 0, 6)
            maps = _normalised(_pointwise(maps, weights[f"{block}._project_conv.weight"]), weights, f"{block}._bn2")
            if repeat > 0:
                maps = maps + entry
            number += 1
    maps = np.clip(_normalised(_pointwise(maps, weights["_conv_head.weight"]), weights, "_bn1"), 0, 6)
    return maps.mean(axis=(1, 2))
