"""VGG16, ResNet50 and MobileNetV2 for PyTorch, their parts named as in Keras so that its weights fit."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional


class Network(nn.Module):
    """Parts that run one after another, but for those that `__call__` of a subclass says otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleDict()
        self.channels = 3

    def convolution(
        self, name: str, filters: int, kernel: int, *, stride: int = 1, padding: int = 0, groups: int = 1, bias: bool
    ) -> None:
        self.parts[name] = nn.Conv2d(self.channels, filters, kernel, stride, padding, groups=groups, bias=bias)
        self.channels = filters

    def normalization(self, name: str, epsilon: float) -> None:
        self.parts[name] = nn.BatchNorm2d(self.channels, eps=epsilon)


class VGG16(Network):
    def __init__(self) -> None:
        super().__init__()
        for block, (count, filters) in enumerate(((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)), 1):
            for number in range(1, count + 1):
                self.convolution(f"block{block}_conv{number}", filters, 3, padding=1, bias=True)
                self.parts[f"block{block}_relu{number}"] = nn.ReLU()
            self.parts[f"block{block}_pool"] = nn.MaxPool2d(2)
        self.parts["fc1"] = nn.Linear(7 * 7 * 512, 4096)
        self.parts["fc2"] = nn.Linear(4096, 4096)
        self.parts["predictions"] = nn.Linear(4096, 1000)

    def forward(self, values: Any) -> Any:
        for part in list(self.parts.values())[:-3]:
            values = part(values)
        # Keras flattens (h, w, c).
        values = values.permute(0, 2, 3, 1).flatten(1)
        values = functional.relu(self.parts["fc1"](values))
        values = functional.relu(self.parts["fc2"](values))
        return self.parts["predictions"](values)


class ResNet50(Network):
    def __init__(self) -> None:
        super().__init__()
        self.convolution("conv1_conv", 64, 7, stride=2, padding=3, bias=True)
        self.normalization("conv1_bn", 1.001e-5)
        self.blocks: list[str] = []
        for stage, (count, filters) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512)), 2):
            for number in range(1, count + 1):
                self._block(
                    f"conv{stage}_block{number}", filters, 2 if stage > 2 and number == 1 else 1, shortcut=number == 1
                )
        self.parts["predictions"] = nn.Linear(2048, 1000)

    def _block(self, name: str, filters: int, stride: int, *, shortcut: bool) -> None:
        entering = self.channels
        if shortcut:
            self.convolution(f"{name}_0_conv", 4 * filters, 1, stride=stride, bias=True)
            self.normalization(f"{name}_0_bn", 1.001e-5)
            self.channels = entering
        self.convolution(f"{name}_1_conv", filters, 1, stride=stride, bias=True)
        self.normalization(f"{name}_1_bn", 1.001e-5)
        self.convolution(f"{name}_2_conv", filters, 3, padding=1, bias=True)
        self.normalization(f"{name}_2_bn", 1.001e-5)
        self.convolution(f"{name}_3_conv", 4 * filters, 1, bias=True)
        self.normalization(f"{name}_3_bn", 1.001e-5)
        self.parts[f"{name}_out"] = nn.ReLU()
        self.blocks.append(name)

    def forward(self, values: Any) -> Any:
        values = functional.relu(self._normalized("conv1", values))
        values = functional.max_pool2d(values, 3, 2, 1)
        for name in self.blocks:
            shortcut = self._normalized(f"{name}_0", values) if f"{name}_0_conv" in self.parts else values
            inner = functional.relu(self._normalized(f"{name}_1", values))
            inner = functional.relu(self._normalized(f"{name}_2", inner))
            values = self.parts[f"{name}_out"](shortcut + self._normalized(f"{name}_3", inner))
        return self.parts["predictions"](values.mean((2, 3)))

    def _normalized(self, name: str, values: Any) -> Any:
        return self.parts[f"{name}_bn"](self.parts[f"{name}_conv"](values))


class MobileNetV2(Network):
    """Pads as PyTorch's own does, evenly; Keras pads at the right and the bottom alone, so that maps differ."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution("Conv1", 32, 3, stride=2, padding=1, bias=False)
        self.normalization("bn_Conv1", 1e-3)
        self.blocks: list[tuple[str, bool]] = []
        settings = (
            (1, 16, 1, 1),
            (6, 24, 2, 2),
            (6, 32, 3, 2),
            (6, 64, 4, 2),
            (6, 96, 3, 1),
            (6, 160, 3, 2),
            (6, 320, 1, 1),
        )
        for expansion, filters, count, stride in settings:
            for number in range(count):
                self._block(expansion, filters, stride if number == 0 else 1)
        self.convolution("Conv_1", 1280, 1, bias=False)
        self.normalization("Conv_1_bn", 1e-3)
        self.parts["out_relu"] = nn.ReLU6()
        self.parts["predictions"] = nn.Linear(1280, 1000)

    def _block(self, expansion: int, filters: int, stride: int) -> None:
        entering = self.channels
        name = f"block_{len(self.blocks)}" if self.blocks else "expanded_conv"
        if expansion > 1:
            self.convolution(f"{name}_expand", expansion * entering, 1, bias=False)
            self.normalization(f"{name}_expand_BN", 1e-3)
        inner = self.channels
        self.convolution(f"{name}_depthwise", inner, 3, stride=stride, padding=1, groups=inner, bias=False)
        self.normalization(f"{name}_depthwise_BN", 1e-3)
        self.convolution(f"{name}_project", filters, 1, bias=False)
        self.normalization(f"{name}_project_BN", 1e-3)
        self.blocks.append((name, stride == 1 and entering == filters))

    def forward(self, values: Any) -> Any:
        parts = self.parts
        values = functional.relu6(parts["bn_Conv1"](parts["Conv1"](values)))
        for name, adds in self.blocks:
            inner = values
            if f"{name}_expand" in parts:
                inner = functional.relu6(parts[f"{name}_expand_BN"](parts[f"{name}_expand"](inner)))
            inner = functional.relu6(parts[f"{name}_depthwise_BN"](parts[f"{name}_depthwise"](inner)))
            inner = parts[f"{name}_project_BN"](parts[f"{name}_project"](inner))
            values = values + inner if adds else inner
        values = parts["out_relu"](parts["Conv_1_bn"](parts["Conv_1"](values)))
        return parts["predictions"](values.mean((2, 3)))


NETWORKS: OrderedDict[str, Callable[[], Network]] = OrderedDict(VGG16=VGG16, ResNet50=ResNet50, MobileNetV2=MobileNetV2)
_OWN_NAMES = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def load_weights(network: Network, weights: str) -> None:
    """Keras's weights by `layer/name`, their axes turned."""
    with np.load(weights) as stored:
        state = {_own_name(key): _turned(key, torch.from_numpy(stored[key])) for key in stored.files}
    missing, unexpected = network.load_state_dict(state, strict=False)
    wrong = [key for key in missing if not key.endswith("num_batches_tracked")] + unexpected
    assert not wrong, f"weights do not fit: {wrong}"


def _own_name(key: str) -> str:
    layer, name = key.split("/")
    return f"parts.{layer}.{_OWN_NAMES.get(name, name)}"


def _turned(key: str, values: Any) -> Any:
    if values.ndim == 4:
        return values.permute(2, 3, 0, 1) if "depthwise" in key else values.permute(3, 2, 0, 1)
    return values.T if values.ndim == 2 else values
