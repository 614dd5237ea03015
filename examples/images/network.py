"""The network, and how a PNG becomes its input: one copy, for training and for the notebook."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

CLASSES = ("healthy", "rust", "scab")
SIZE = 48


def read(path: Path) -> Tensor:
    """Return an image as float32 [3, SIZE, SIZE] in 0 … 1. Raises OSError."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB").resize((SIZE, SIZE)))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1) / 255


class Network(nn.Module):
    """Three convolutions, and an average over what they see."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(64, len(CLASSES)),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits [N, 3] of images [N, 3, H, W]."""
        return self.layers(images - 0.5)
