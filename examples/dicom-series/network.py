"""The network, and how a study becomes its input: one copy, for training and for the notebook.

The files are read by rsna-bundle's own reader, which decodes no more of a JPEG 2000 file than the
input needs.
"""

from pathlib import Path

import numpy as np
import torch
from inference.pixels import dicom, preprocess
from inference.pixels.errors import ImageError
from torch import Tensor, nn

CONDITIONS = ("fracture", "stenosis", "tumor")
INPUT = preprocess.PreprocessConfig(size=(48, 48), window="min-max", crop="none", flip="none")


def read(study: Path) -> Tensor:
    """Return all slices of a study, float32 [N, 1, H, W] in 0 … 1; unreadable ones are left out."""
    slices = []
    for path in sorted(study.rglob("*.dcm")):
        try:
            image = dicom.read(path, at_least=INPUT.size)
        except ImageError as error:
            print(f"left out: {error}")
        else:
            slices.append(preprocess.prepare(image, INPUT))
    if not slices:
        return torch.empty(0, 1, *INPUT.size)
    return torch.from_numpy(np.stack(slices))[:, None] / 255


class Network(nn.Module):
    """Convolutions for each slice; a study shows a condition where any slice does."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 8, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(8, 16, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(16 * (INPUT.size[0] // 4) * (INPUT.size[1] // 4), len(CONDITIONS)),
        )

    def forward(self, slices: Tensor) -> Tensor:
        """Return the logits [3] of one study's slices [N, 1, H, W]."""
        return self.layers(slices - 0.5).amax(0)
