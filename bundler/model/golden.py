"""Golden cases, made: what the laptop makes of phantoms and of rows of a table (inference.golden).

`golden_dicoms` draws the DICOM files among them.
"""

import copy
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bundler.model.golden_dicoms import DRAWINGS, draw_dicom
from bundler.model.network import Folds
from inference import metadata
from inference.boot.card import GoldenPrediction, GoldenRow, Tolerance
from inference.pixels.loading import load
from inference.pixels.preprocess import PreprocessConfig

SIZE = (640, 512)  # of the phantoms: small, and of several resolutions in JPEG 2000
MOST_IMAGES = 16
# What a replay may cost in floating-point operations: 1 to 2 s on two CPU cores.
BUDGET = 100 * 10**9
EXACT, LOOSE = 1e-4, 5e-3  # in probability: float32 on the CPU, and anything else
LOGIT_EXACT, LOGIT_LOOSE = 1e-3, 5e-2  # in a logit, and of it beyond 1
NOISE_FACTOR = 4  # times what a network's own rounding was seen to make of it
KINDS = (DRAWINGS[0], DRAWINGS[2])  # of the phantoms: what the competition's images are
# Rows as the hidden test may have them, and the training set has not: values nobody has seen,
# missing ones, missing columns, and the same thing written another way.
ROWS: tuple[Mapping[str, str], ...] = (
    {"laterality": "L", "view": "CC", "age": "61.0", "implant": "0"},
    {"laterality": "R", "view": "MLO", "age": "", "implant": "1"},
    {"laterality": "B", "view": "XCCL", "age": "nan", "implant": "2"},
    {"laterality": " r", "view": "mlo ", "age": "45", "implant": "1.0"},
    {"laterality": "", "view": "", "age": "-1", "implant": ""},
    {"age": "unknown"},
)


def affordable(operations: int, models: int) -> int:
    """Return how many images of so many operations the replay of one of `models` has, 1 to 16.

    All models share the budget, in operations, not seconds: equal input gives equal bundles.
    """
    return min(max(BUDGET // (models * max(operations, 1)), 1), MOST_IMAGES)


def draw(config: PreprocessConfig, count: int) -> npt.NDArray[np.uint8]:
    """Return uint8 [count, H, W]: phantoms as a model gets them, read from DICOM files."""
    files = (draw_dicom(number, KINDS[number % len(KINDS)], SIZE) for number in range(count))
    return np.stack([load(io.BytesIO(file), [config]).inputs[0] for file in files])


def draw_metadata(names: Sequence[str], count: int) -> npt.NDArray[np.float32]:
    """Return float32 [count, K]: the columns `names` of awkward rows, one after another."""
    rows = (metadata.encode(ROWS[number % len(ROWS)], names) for number in range(count))
    return np.stack(list(rows))


def encode_rows(names: Sequence[str]) -> tuple[GoldenRow, ...]:
    """Return how the columns `names` of the table are encoded, row by row."""
    return tuple(
        GoldenRow(
            columns=row,
            encoded={name: tuple(metadata.encode(row, [name]).astype(float)) for name in names},
        )
        for row in (ROWS if names else ())
    )


def write_prediction(
    path: Path,
    images: npt.NDArray[np.uint8],
    inputs: npt.NDArray[np.float32] | None,
    answer: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]],
    precision: str,
    noise: tuple[float, float] = (0.0, 0.0),
) -> GoldenPrediction:
    """Write prepared images beside the ONNX file `path`, and return what it answered on the CPU.

    uint8 [N, H, W] images; of the first N of their metadata `inputs` [M, K], and of the `answer`,
    probabilities [M] and logits [M, F]. `noise` is how far the network's own float32 is off in
    both: a network that differs from itself must not be told from another on the notebook.
    """
    saved = path.with_name(f"golden-{path.stem}.npy")
    np.save(saved, images, allow_pickle=False)
    exact = precision == "fp32"
    rows = None if inputs is None else inputs[: len(images)].astype(float).tolist()
    return GoldenPrediction(
        model=path.name,
        images=saved.name,
        metadata=None if rows is None else tuple(tuple(row) for row in rows),
        probabilities=tuple(round(float(v), 7) for v in answer[0][: len(images)]),
        tolerance=_tolerance(EXACT if exact else LOOSE, LOOSE, noise[0]),
        # Five digits: far more than the tolerance, and few enough for equal bytes elsewhere.
        logits=tuple(tuple(float(f"{v:.5g}") for v in row) for row in answer[1][: len(images)]),
        logit_tolerance=_tolerance(LOGIT_EXACT if exact else LOGIT_LOOSE, LOGIT_LOOSE, noise[1]),
    )


def _tolerance(cpu: float, other: float, noise: float) -> Tolerance:
    """Return a tolerance of at least what two runs of one network differ by."""
    least = float(f"{NOISE_FACTOR * noise:.0e}")
    return Tolerance(cpu=max(cpu, least), other=max(other, least))


def count_operations(
    network: Folds, size: Sequence[int], width: int, *, device: str = "meta"
) -> int:
    """Return the floating-point operations that one image of `size` (H, W) costs.

    The products of convolutions and matrices are counted, a multiplication and a sum as two.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    # "meta" computes nothing; the counter trips over weights of CaiT that could be trained.
    shapes = copy.deepcopy(network).to(device).requires_grad_(False)
    inputs = [torch.zeros((1, 1, *size), dtype=torch.uint8, device=device)]
    if width:
        inputs.append(torch.zeros((1, width), device=device))
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        shapes(*inputs)
    return int(counter.get_total_flops())
