"""What an adopted ONNX file answers by itself, as its author would call it.

Nothing of our graph takes part: pixels are normalised here in numpy, and so is the answer read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir
import onnxruntime

from bundler.errors import CheckError, InputError, UsageError
from bundler.model import graph
from bundler.model import head as heads
from bundler.model.adopted import cost, reading, wrapping
from bundler.model.adopted.reading import OnnxFile
from bundler.model.adopted.wrapping import Wrapping
from bundler.model.network import LEAST
from bundler.model.origin import Reference
from bundler.model.recipe import Recipe
from inference import predict

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class OnnxOrigin:
    """ONNX files, one a fold, that are read alike."""

    files: Sequence[OnnxFile]
    recipe: Recipe
    metadata_width: int

    def count_operations(self) -> int:
        """Return the operations of an image; raises InputError where a file cannot take one."""
        for file in self.files:
            self._check_inputs(file)
        costs = [cost.count(reading.load(file.path)) for file in self.files]
        return sum(one or 0 for one in costs)

    def export(self, precision: str, scratch: Path) -> onnx_ir.Model:
        """Return one graph with the inputs and outputs of ours."""
        own = {file.precision for file in self.files}
        if precision == "fp16" and own != {"fp16"}:
            raise UsageError(
                "--precision fp16 is for checkpoints: an ONNX file is adopted in the precision "
                "that it was exported in. Export it in float16 yourself, or use --precision fp32."
            )
        models = [reading.load(file.path, weights=True) for file in self.files]
        made = wrapping.wrap(self.files, models, self._wrapping())
        return graph.quantize(made, scratch) if precision == "int8" else made

    def answer(self, images: npt.NDArray[np.uint8], metadata: Array | None) -> Reference:
        """Return what the files answer, one image at a time, and how far optimising moves it."""
        plain = [self._run(file, images, metadata, optimised=False) for file in self.files]
        again = [self._run(file, images, metadata, optimised=True) for file in self.files]
        (logits, folds), (others, same) = (self._read(each) for each in (plain, again))
        noise = np.abs(folds.mean(axis=1) - same.mean(axis=1))
        return Reference(
            probabilities=folds.mean(axis=1),
            logits=logits,
            kind="onnx",
            noise=float(noise.max()),
            logit_noise=float(np.abs(logits - others).max()),
        )

    def _check_inputs(self, file: OnnxFile) -> None:
        wanted = self.recipe.size
        for given, side in zip(file.image.size, wanted, strict=True):
            if given not in (None, side):
                shown = "×".join("any" if one is None else str(one) for one in file.image.size)
                raise InputError(
                    f"{file.path} takes images of {shown}, and the preprocessing makes them "
                    f"{wanted[0]}×{wanted[1]} (height × width). Name the preprocessing that it was "
                    "trained with."
                )
        width = None if file.metadata is None else file.metadata.width
        if file.metadata is None and self.metadata_width:
            raise UsageError(
                f"{file.path} takes no numbers of the table, so leave out --metadata-columns."
            )
        if width is not None and width != self.metadata_width:
            columns = ", ".join(self.recipe.metadata_columns)
            raise UsageError(
                f"{file.path} takes {width} numbers of the table, and {columns} are "
                f"{self.metadata_width} as the runner encodes them."
            )
        self._count_outputs(file)

    def _count_outputs(self, file: OnnxFile) -> int:
        """Return how many numbers a file gives for an image. Raises InputError."""
        blank = np.zeros((1, *self.recipe.size), np.uint8)
        table = np.zeros((1, self.metadata_width), np.float32) if self.metadata_width else None
        outputs = int(self._run(file, blank, table, optimised=True).shape[1])
        if not heads.read(self.recipe.head).fits(outputs):
            raise UsageError(
                f"{file.path} has {outputs} output{'' if outputs == 1 else 's'}, so --head "
                f"{self.recipe.head} names none. Outputs are counted from 0."
            )
        return outputs

    def _wrapping(self) -> Wrapping:
        return Wrapping(
            size=self.recipe.size,
            channels=self.recipe.channels,
            normalize=self.recipe.normalize,
            head=heads.read(self.recipe.head),
            outputs=self._count_outputs(self.files[0]),
            metadata_width=self.metadata_width,
        )

    def _prepare(self, file: OnnxFile, image: Array) -> Array:
        """Return what the file takes for one uint8 [H, W] image: its batch holds copies."""
        how = self.recipe.normalize
        pixels = np.repeat(image[None].astype(np.float64), self.recipe.channels, axis=0)
        if file.image.element != "uint8":
            mean, std = (np.reshape(one, (-1, 1, 1)) for one in (how.mean, how.std))
            pixels = (pixels * how.scale - mean) / std
        if file.image.channels_last:
            pixels = pixels.transpose(1, 2, 0)
        return np.repeat(pixels[None], file.image.batch or 1, axis=0).astype(file.image.element)

    def _run(
        self, file: OnnxFile, images: Array, metadata: Array | None, *, optimised: bool
    ) -> Array:
        """Return a file's numbers float64 [N, C]."""
        session = _open(file.path, optimised=optimised)
        rows = []
        for number, image in enumerate(images):
            inputs = {file.image.name: self._prepare(file, image)}
            if file.metadata is not None and metadata is not None:
                row = np.repeat(metadata[number][None], file.image.batch or 1, axis=0)
                inputs[file.metadata.name] = row.astype(file.metadata.element)
            try:
                (answer,) = session.run([file.output], inputs)
            except Exception as error:  # ONNX Runtime's errors have no common base of their own
                shape = list(inputs[file.image.name].shape)
                raise InputError(
                    f"{file.path} cannot predict from {file.image.element} {shape}: "
                    f"{_first_line(error)}"
                ) from error
            rows.append(_row(np.asarray(answer, np.float64), file))
        return np.stack(rows)

    def _read(self, answers: Sequence[Array]) -> tuple[Array, Array]:
        """Return logits and probabilities [N, F] of the files' numbers [N, C] each."""
        head = heads.read(self.recipe.head)
        logits, folds = [], []
        for answer in answers:
            own = answer[:, head.index]
            if head.kind == "probability":
                if own.min() < -LEAST or own.max() > 1 + LEAST:
                    raise CheckError(
                        f"--head probability says that the network gives probabilities, but it "
                        f"gives {own.min():.3g} to {own.max():.3g}. Use sigmoid or softmax. "
                        "Nothing was written."
                    )
                inner = own.clip(LEAST, 1 - LEAST)
                logits.append(np.log(inner / (1 - inner)))
                folds.append(own)
                continue
            if head.kind == "softmax":
                own = own - np.logaddexp.reduce(np.delete(answer, head.index, axis=1), axis=1)
            logits.append(own)
            folds.append(1 / (1 + np.exp(-own)))
        return np.stack(logits, axis=1), np.stack(folds, axis=1)


def _row(answer: Array, file: OnnxFile) -> Array:
    """Return the numbers of the first image of a batch."""
    if answer.ndim == 0 or any(side != 1 for side in answer.shape[2:]):
        raise InputError(
            f"{file.path} gives {list(answer.shape)} for an image, not logits [C]: nothing pools "
            "it. Export a network that pools."
        )
    return np.asarray(answer[0]).reshape(-1)


def _open(path: Path, *, optimised: bool) -> onnxruntime.InferenceSession:
    options = predict.settings(threads=1)
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = (
        levels.ORT_ENABLE_ALL if optimised else levels.ORT_DISABLE_ALL
    )
    try:
        return onnxruntime.InferenceSession(path, options, providers=[predict.CPU])
    except Exception as error:  # ONNX Runtime's errors have no common base of their own
        raise InputError(
            f"{path} cannot be opened by ONNX Runtime {onnxruntime.__version__}, which is what the "
            f"notebook runs: {_first_line(error)} Export it again, for this version."
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
