"""What training may do to an image: acts on the uint8 output of `inference.pixels`, no earlier.

The transforms are torchvision's (`transforms.v2`: BSD licence, released with every torch). An
image stays uint8 [1, H, W] and keeps its size, so an augmented image is one that inference
could have made; what is moved in from outside is black, like the air around a breast.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from train.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

Transform = Callable[["Tensor"], "Tensor"]


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How far each transform goes, zero for not at all."""

    flip_horizontal: float = 0.0  # probability
    flip_vertical: float = 0.0
    degrees: float = 0.0
    translate: float = 0.0  # share of the side
    scale: tuple[float, float] = (1.0, 1.0)
    shear: float = 0.0  # degrees
    brightness: float = 0.0
    contrast: float = 0.0
    holes: int = 0  # CoarseDropout: how many squares
    hole_area: float = 0.01  # share of the image, each at most
    holes_probability: float = 0.5

    def __post_init__(self) -> None:
        """Refuse what would show training other sizes than inference sees."""
        low, high = self.scale
        if not 0 < low <= 1 <= high or high > 1.5 or low < 0.5:
            raise ConfigError(
                f"aug.scale is [{low}, {high}]. It must lie within 0.5 to 1.5 and contain 1: "
                "inference never enlarges, so training that always does learns other sizes than "
                "the model will see."
            )
        if not 0 <= self.hole_area <= 0.25 or not 0 <= self.translate <= 0.5:
            raise ConfigError("aug.hole_area lies within 0 to 0.25, aug.translate within 0 to 0.5.")

    def build(self) -> Transform | None:
        """Return the transform of uint8 [1, H, W], or None where nothing is asked for."""
        from train.timm_import import transforms

        steps: list[Transform] = []
        if self.flip_horizontal:
            steps.append(transforms.RandomHorizontalFlip(self.flip_horizontal))
        if self.flip_vertical:
            steps.append(transforms.RandomVerticalFlip(self.flip_vertical))
        if self.degrees or self.translate or self.shear or self.scale[0] != self.scale[1]:
            steps.append(
                transforms.RandomAffine(
                    self.degrees,
                    translate=(self.translate, self.translate),
                    scale=self.scale,
                    shear=self.shear or None,
                    interpolation=transforms.InterpolationMode.BILINEAR,
                )
            )
        if self.brightness or self.contrast:
            steps.append(transforms.ColorJitter(brightness=self.brightness, contrast=self.contrast))
        if self.holes:
            hole = transforms.RandomErasing(1.0, (self.hole_area / 4, self.hole_area), (0.5, 2.0))
            steps.append(transforms.RandomApply([hole] * self.holes, self.holes_probability))
        return transforms.Compose(steps) if steps else None
