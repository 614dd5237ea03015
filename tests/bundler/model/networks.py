"""Networks as competitors write them, in modules and ONNX files of their own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn

from tests.bundler.model.checkpoints import SIZE, net
from train.timm_import import timm

# The first baseline: a body of timm's, a `dense` head, and a table's numbers beside its features.
BASELINE = """
import timm
import torch
from torch import nn


class Baseline(nn.Module):
    def __init__(self, numbers=0, outputs=1):
        super().__init__()
        self.backbone = timm.create_model("test_resnet", num_classes=0, in_chans=1)
        self.dense = nn.Linear(self.backbone.num_features + numbers, outputs)

    def forward(self, pixels, metadata=None):
        features = self.backbone(pixels)
        if metadata is not None:
            features = torch.cat([features, metadata], dim=1)
        return self.dense(features)


def build(numbers=0, outputs=1):
    return Baseline(numbers, outputs)
"""


class Baseline(nn.Module):
    """The same here, with a body that was trained a while."""

    def __init__(self, numbers: int = 0, outputs: int = 1) -> None:
        super().__init__()
        self.backbone = timm.create_model("test_resnet", num_classes=0, in_chans=1)
        trained = net().state_dict()
        self.backbone.load_state_dict({k: v for k, v in trained.items() if not k.startswith("fc.")})
        torch.manual_seed(3)
        self.dense = nn.Linear(self.backbone.num_features + numbers, outputs)

    def forward(self, pixels: torch.Tensor, metadata: torch.Tensor | None = None) -> torch.Tensor:
        features = self.backbone(pixels)
        if metadata is not None:
            features = torch.cat([features, metadata], dim=1)
        return self.dense(features)


class Small(nn.Module):
    """A CNN of somebody's own, quick to export."""

    def __init__(self, channels: int = 1, outputs: int = 1, last: nn.Module | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Sequential(
            nn.Conv2d(channels, 8, 3, stride=4), nn.BatchNorm2d(8), nn.ReLU()
        )
        self.fc = nn.Linear(8, outputs)
        self.last = last or nn.Identity()

    def forward(self, pixels: torch.Tensor, table: torch.Tensor | None = None) -> torch.Tensor:
        features = self.features(pixels).mean((2, 3))
        if table is not None:
            features = features + table.sum(1, keepdim=True)
        return self.last(self.fc(features) * 3)


def write_onnx(
    path: Path,
    network: nn.Module,
    *,
    channels: int = 1,
    batch: int = 1,
    dynamic: bool = True,
    numbers: int = 0,
    size: Sequence[int] = SIZE,
    **changes: Any,
) -> Path:
    """Export a network as its author would, by torch's older exporter, which is quick."""
    inputs = [torch.rand(batch, channels, *size)]
    names = ["pixels"]
    if numbers:
        inputs.append(torch.rand(batch, numbers))
        names.append("table")
    torch.onnx.export(
        network.eval(),
        tuple(inputs),
        path,
        **{
            "input_names": names,
            "output_names": ["prediction"],
            "dynamic_axes": {name: {0: "n"} for name in [*names, "prediction"]}
            if dynamic
            else None,
            "opset_version": 17,
            "dynamo": False,
            **changes,
        },
    )
    onnx.checker.check_model(path)
    return path
