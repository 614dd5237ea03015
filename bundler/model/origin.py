"""Where a network comes from, and its answers there, which the exported file is compared with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
import onnx_ir


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What a network answers where it comes from, float64: probabilities [N] and logits [N, F].

    `kind` is what computed it; `noise` and `logit_noise` are how far the same network is off in
    float32, by itself: what no export can be better than.
    """

    probabilities: npt.NDArray[np.float64]
    logits: npt.NDArray[np.float64]
    kind: Literal["float64", "float32", "onnx"]
    noise: float
    logit_noise: float


class Origin(Protocol):
    """A network as it is on the laptop: torch's, or an ONNX file that is adopted."""

    def count_operations(self) -> int:
        """Return the floating-point operations that an image costs."""

    def export(self, precision: str, scratch: Path) -> onnx_ir.Model:
        """Return its graph with the runner's inputs and outputs."""

    def answer(
        self, images: npt.NDArray[np.uint8], metadata: npt.NDArray[np.float32] | None
    ) -> Reference:
        """Return what it answers to uint8 [N, H, W] images and float32 [N, K] of metadata."""
