"""Golden cases, made: small phantoms and predictions of them on the laptop (inference.golden).

They are drawn, not photographed: no patient's image leaves the laptop in a bundle.
"""

import copy
import functools
import io
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bundler.model.network import Folds
from inference.boot.card import GoldenDicom, GoldenPrediction, Tolerance
from inference.golden import fingerprint
from inference.pixels.loading import load
from inference.pixels.preprocess import PreprocessConfig
from train import phantom

SIZE = (640, 512)  # of the phantoms: small, and of several resolutions in JPEG 2000
MOST_IMAGES = 16
# What a replay may cost in floating-point operations: 1 to 2 s on two CPU cores.
BUDGET = 100 * 10**9
EXACT, LOOSE = 1e-4, 5e-3  # in probability: float32 on the CPU, and anything else
# (file, transfer syntax, photometric interpretation): what the competition's images are.
DICOMS = (
    ("golden-jpeg2000.dcm", phantom.JPEG_2000_LOSSLESS, "MONOCHROME2"),
    ("golden-jpeg-lossless.dcm", phantom.JPEG_LOSSLESS_SV1, "MONOCHROME1"),
)


def affordable(operations: int, models: int) -> int:
    """Return how many images of so many operations the replay of one of `models` has, 1 to 16.

    All models share the budget, in operations, not seconds: equal input gives equal bundles.
    """
    return min(max(BUDGET // (models * max(operations, 1)), 1), MOST_IMAGES)


def draw(config: PreprocessConfig, count: int) -> npt.NDArray[np.uint8]:
    """Return uint8 [count, H, W]: phantoms as a model gets them, read from DICOM files."""
    files = (draw_dicom(number, *DICOMS[number % len(DICOMS)][1:]) for number in range(count))
    return np.stack([load(io.BytesIO(file), [config]).inputs[0] for file in files])


def write_dicoms(folder: Path, configs: Mapping[str, PreprocessConfig]) -> tuple[GoldenDicom, ...]:
    """Write the DICOM files, and return the fingerprint of the pixels that each model gets.

    `configs`: a model's file → the preprocessing that it takes.
    """
    dicoms = []
    for number, (name, syntax, photometric) in enumerate(DICOMS):
        (folder / name).write_bytes(draw_dicom(100 + number, syntax, photometric))
        inputs = load(folder / name, list(configs.values())).inputs
        prepared = dict(zip(configs, map(fingerprint, inputs), strict=True))
        dicoms.append(GoldenDicom(file=name, prepared=prepared))
    return tuple(dicoms)


def write_prediction(
    path: Path,
    images: npt.NDArray[np.uint8],
    metadata: npt.NDArray[np.float32] | None,
    probabilities: npt.NDArray[np.float32],
    precision: str,
) -> GoldenPrediction:
    """Write prepared images beside the ONNX file `path`, and return what it answered on the CPU.

    uint8 [N, H, W] images; of the first N of the metadata [M, K] and of the probabilities [M].
    """
    saved = path.with_name(f"golden-{path.stem}.npy")
    np.save(saved, images, allow_pickle=False)
    rows = None if metadata is None else metadata[: len(images)].astype(float).tolist()
    return GoldenPrediction(
        model=path.name,
        images=saved.name,
        metadata=None if rows is None else tuple(tuple(row) for row in rows),
        probabilities=tuple(round(float(v), 7) for v in probabilities[: len(images)]),
        tolerance=Tolerance(cpu=EXACT if precision == "fp32" else LOOSE, other=LOOSE),
    )


def count_operations(network: Folds, size: Sequence[int], width: int) -> int:
    """Return the floating-point operations that one image of `size` (H, W) costs.

    The products of convolutions and matrices are counted, a multiplication and a sum as two.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    # "meta" computes nothing; the counter trips over weights of CaiT that could be trained.
    shapes = copy.deepcopy(network).to("meta").requires_grad_(False)
    inputs = [torch.empty((1, 1, *size), dtype=torch.uint8, device="meta")]
    if width:
        inputs.append(torch.empty((1, width), device="meta"))
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        shapes(*inputs)
    return int(counter.get_total_flops())


@functools.cache
def draw_dicom(seed: int, syntax: str, photometric: str) -> bytes:
    """Return a phantom's DICOM file."""
    side = "LR"[seed % 2]
    pixels = phantom.draw(seed, SIZE, laterality=side, contrast=(seed % 4) / 4)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "phantom.dcm"
        phantom.write_dicom(
            path, pixels, transfer_syntax=syntax, photometric=photometric, laterality=side
        )
        return path.read_bytes()
