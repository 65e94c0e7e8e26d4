"""Builds EfficientNet-Lite as an ONNX graph from its weights, and its 8-bit form. No PyTorch.

Architecture: Tan and Le, EfficientNet (arXiv 1905.11946), Lite variant of Google's TPU models: no
squeeze-excite, ReLU6, fixed stem and head. Batch normalisation is folded into the convolutions.
Input: float32 (n, 3, size, size), pixels as (x - 127) / 128. Output: float32 (n, 1280), pooled.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

STAGE_STRIDES = (1, 2, 2, 2, 1, 2, 1)
BATCH_NORM_EPSILON = 1e-3
OPSET = 17
CALIBRATION_PICTURES = 96
Weights = Mapping[str, np.ndarray]


class _Graph:
    """Collects nodes; `size` is the present side of the feature map."""

    def __init__(self, weights: Weights, size: int) -> None:
        self.weights, self.size = weights, size
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.last = "pixels"

    def constant(self, name: str, value: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def add(self, operation: str, inputs: list[str], **attributes: Any) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operation, inputs, [name], name=f"n{len(self.nodes)}", **attributes))
        return name

    def convolution(
        self, kernel: str, norm: str, *, stride: int = 1, depthwise: bool = False, act: bool = True
    ) -> None:
        """Convolution with its batch normalisation folded in, TensorFlow's SAME padding, then ReLU6."""
        weight = self.weights[f"{kernel}.weight"].astype(np.float64)
        scale = self.weights[f"{norm}.weight"] / np.sqrt(self.weights[f"{norm}.running_var"] + BATCH_NORM_EPSILON)
        bias = self.weights[f"{norm}.bias"] - self.weights[f"{norm}.running_mean"] * scale
        folded = (weight * scale[:, None, None, None]).astype(np.float32)
        side = folded.shape[2]
        reach = -(-self.size // stride)
        padding = max((reach - 1) * stride + side - self.size, 0)
        before, after = padding // 2, padding - padding // 2
        self.size = reach
        self.last = self.add(
            "Conv",
            [self.last, self.constant(f"{kernel}.w", folded), self.constant(f"{kernel}.b", bias.astype(np.float32))],
            kernel_shape=[side, side],
            strides=[stride, stride],
            pads=[before, before, after, after],
            group=folded.shape[0] if depthwise else 1,
        )
        if act:
            self.last = self.add("Clip", [self.last, "zero", "six"])


def build_efficientnet_lite(weights: Weights, size: int) -> onnx.ModelProto:
    """The embedding graph for pictures of size x size pixels."""
    graph = _Graph(weights, size)
    graph.constant("zero", np.array(0, np.float32))
    graph.constant("six", np.array(6, np.float32))
    graph.convolution("_conv_stem", "_bn0", stride=2)
    channels, stage = 32, -1
    count = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("_blocks."))
    for number in range(count):
        block = f"_blocks.{number}"
        out = weights[f"{block}._project_conv.weight"].shape[0]
        first = number == 0 or out != channels
        stage += first
        stride = STAGE_STRIDES[stage] if first else 1
        entry = graph.last
        if f"{block}._expand_conv.weight" in weights:
            graph.convolution(f"{block}._expand_conv", f"{block}._bn0")
        graph.convolution(f"{block}._depthwise_conv", f"{block}._bn1", stride=stride, depthwise=True)
        graph.convolution(f"{block}._project_conv", f"{block}._bn2", act=False)
        if not first:
            graph.last = graph.add("Add", [graph.last, entry])
        channels = out
    graph.convolution("_conv_head", "_bn1")
    pooled = graph.add("GlobalAveragePool", [graph.last])
    graph.nodes.append(helper.make_node("Flatten", [pooled], ["vectors"], name="flatten", axis=1))
    dimension = weights["_conv_head.weight"].shape[0]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "efficientnet_lite",
            [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 3, size, size])],
            [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", dimension])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=8,
    )
    onnx.checker.check_model(model)
    return model


def calibration_pictures(size: int, count: int = CALIBRATION_PICTURES, seed: int = 7) -> Iterator[np.ndarray]:
    """Made-up pictures with the statistics of photographs: 1/f noise, gradients and flat shapes in colour.

    8-bit ranges must not depend on anybody's data, and no real pictures ship with the product. Yields uint8
    arrays (size, size, 3), the same ones every time.
    """
    random = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :])
    frequency[0, 0] = 1.0
    across, down = np.meshgrid(np.linspace(-1, 1, size), np.linspace(-1, 1, size))
    for _ in range(count):
        slope = random.uniform(0.8, 1.6)
        noise = random.normal(size=(3, size, size // 2 + 1)) + 1j * random.normal(size=(3, size, size // 2 + 1))
        texture = np.fft.irfft2(noise / frequency**slope, s=(size, size)).transpose(1, 2, 0)
        texture /= texture.std() + 1e-9
        grey = texture.mean(axis=2, keepdims=True)
        picture = random.uniform(60, 200) + random.uniform(15, 60) * (grey + random.uniform(0, 1) * texture)
        picture += (across * random.normal() + down * random.normal())[..., None] * random.uniform(0, 60)
        for _ in range(random.integers(0, 9)):
            x, y, w, h, turn = (
                random.uniform(-1, 1, 2).tolist() + random.uniform(0.05, 0.7, 2).tolist() + [random.uniform(0, np.pi)]
            )
            u = (across - x) * np.cos(turn) + (down - y) * np.sin(turn)
            v = (down - y) * np.cos(turn) - (across - x) * np.sin(turn)
            inside = (np.abs(u) < w) & (np.abs(v) < h) if random.random() < 0.5 else (u / w) ** 2 + (v / h) ** 2 < 1
            share = random.uniform(0.4, 1.0)
            picture[inside] = picture[inside] * (1 - share) + random.uniform(0, 255, 3) * share
        if random.random() < 0.35:
            frame = np.maximum(np.abs(across), np.abs(down)) > random.uniform(0.5, 0.95)
            picture[frame] = random.uniform(200, 255)
        yield np.clip(picture, 0, 255).astype(np.uint8)


class _Calibration(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, size: int, mean: float, scale: float) -> None:
        self.batches = (
            {"pixels": ((picture.astype(np.float32) - mean) / scale).transpose(2, 0, 1)[None]}
            for picture in calibration_pictures(size)
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.batches, None)


def quantise(model: onnx.ModelProto, size: int, *, mean: float, scale: float) -> bytes:
    """The graph with 8-bit weights and activations (static, per channel): about twice as fast (ml.md 2)."""
    logging.getLogger("root").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, source)
        quantize_static(
            source,
            target,
            _Calibration(size, mean, scale),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            # Unsigned, around 128: with signed weights processors without VNNI add pairs of products in 16 bits, which
            # overflow, and the same picture would come to something else on them.
            weight_type=QuantType.QUInt8,
            extra_options={"WeightSymmetric": True},
            calibrate_method=CalibrationMethod.MinMax,
        )
        return target.read_bytes()
