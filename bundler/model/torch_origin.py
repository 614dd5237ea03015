"""Folds as torch computes them: exported, and what they answer in float64 and in float32."""

import contextlib
import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx_ir

from bundler.errors import BundlerError, InputError
from bundler.model import golden, graph, parity
from bundler.model.network import Folds
from bundler.model.origin import Reference
from bundler.model.recipe import Recipe

_OF_META = (RuntimeError, TypeError, ValueError, AttributeError, AssertionError, LookupError)


@dataclass(frozen=True, kw_only=True)
class TorchOrigin:
    """A network in float32, which is never changed: what alters its weights gets a copy."""

    network: Folds
    recipe: Recipe
    metadata_width: int

    def count_operations(self) -> int:
        """Return the operations of an image; raises InputError where the network takes none."""
        # Some networks have code that the device `meta`, which computes nothing, cannot run.
        with contextlib.suppress(*_OF_META):
            return self._count("meta")
        how = self.recipe
        try:
            return self._count("cpu")
        except BundlerError:
            raise
        except Exception as error:
            shape = f"[1, {how.channels}, {how.size[0]}, {how.size[1]}]"
            table = f" and [1, {self.metadata_width}] of the table" if self.metadata_width else ""
            raise InputError(
                f"{how.arch} cannot predict from float32 {shape}{table}: {type(error).__name__}: "
                f"{_first_line(error)}. Check the size of its images (--preset), its channels "
                "(--in-chans) and whether it takes the table (--metadata-columns)."
            ) from error

    def _count(self, device: str) -> int:
        size, width = self.recipe.size, self.metadata_width
        return golden.count_operations(self.network, size, width, device=device)

    def export(self, precision: str, scratch: Path) -> onnx_ir.Model:
        """Return the graph in a precision."""
        how = self.recipe
        # float16 changes a network's weights in place; the one at hand stays as the reference.
        network = self.network if precision != "fp16" else copy.deepcopy(self.network).to_half()
        model = graph.export(network, how.size, self.metadata_width, how.arch)
        return graph.quantize(model, scratch) if precision == "int8" else model

    def answer(
        self, images: npt.NDArray[np.uint8], metadata: npt.NDArray[np.float32] | None
    ) -> Reference:
        """Return the answers in float64, and how far float32 is off, alone and in batches of two.

        A network whose code insists on float32 is its own reference.
        """
        single = parity.answer_torch(self.network, images, metadata)
        pairs = parity.answer_torch(self.network, images, metadata, batch=2)
        try:
            exact = parity.answer_torch(copy.deepcopy(self.network).double(), images, metadata)
        except RuntimeError:
            exact = single
        doubled = exact[0].dtype == np.float64
        others = [single, pairs] if doubled else [pairs]
        return Reference(
            probabilities=exact[0].astype(np.float64),
            logits=exact[1].astype(np.float64),
            kind="float64" if doubled else "float32",
            noise=max(float(np.abs(exact[0] - one[0]).max()) for one in others),
            logit_noise=max(float(np.abs(exact[1] - one[1]).max()) for one in others),
        )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0].rstrip(".")[:300]
