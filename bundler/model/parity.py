"""Whether ONNX Runtime answers as the network does: largest and mean difference, and the ranks.

The network's own answer in float64 is what the exported file is measured by; how far the network
is off from that in float32, by itself, is measured beside it. hgnetv2_b1 differs from itself by
3e-4 between two sizes of a batch: to ask more of an export would ask for luck.
"""

import contextlib
import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch

from bundler.errors import CheckError, InputError
from bundler.model.network import Folds
from bundler.model.origin import Reference
from inference import predict
from inference.boot.card import Parity
from inference.pixels.errors import ImageError
from inference.pixels.loading import load
from inference.pixels.preprocess import PreprocessConfig

Array = npt.NDArray[Any]
TOLERANCE = {"fp32": 1e-4, "fp16": 5e-3, "int8": 5e-3}  # of a probability
NOISE_FACTOR = 4  # an export may be off by so many times what the network itself is
MARGIN = 1e-4  # by which rounding may take a probability out of 0 to 1
MOST_NOISE = 5e-3  # allowed on that ground: beyond, float32 is not enough for the network
# What the reference may cost in floating-point operations: some 10 s on two cores in float64.
BUDGET = 200 * 10**9
RANDOM_IMAGES = 4
MOST_AT_ONCE = 4  # batches: each takes memory of its own
REAL_IMAGES = 8
SEARCHED = 2000  # files of a folder that are looked at


def rounded(parity: Parity) -> Parity:
    """Return differences of one digit, so that equal exports stay equal on another machine."""
    return replace(
        parity,
        probability_max=_one_digit(parity.probability_max),
        probability_mean=_one_digit(parity.probability_mean),
        logit_max=_one_digit(parity.logit_max),
        logit_mean=_one_digit(parity.logit_mean),
        noise=None if parity.noise is None else _one_digit(parity.noise),
        logit_noise=None if parity.logit_noise is None else _one_digit(parity.logit_noise),
    )


def _one_digit(value: float) -> float:
    return float(f"{value:.0e}")


def random_images(size: tuple[int, int], count: int = RANDOM_IMAGES) -> npt.NDArray[np.uint8]:
    """Return uint8 [count, H, W]: from noise to smooth, since a network may hide in either."""
    rng = np.random.default_rng(0)
    height, width = size
    noise = rng.integers(0, 256, (count, height, width))
    ramp = np.linspace(0, 255, height)[:, None] * np.linspace(0, 1, width)
    share = np.linspace(0, 1, count)[:, None, None]
    return np.asarray(noise * (1 - share) + ramp * share, dtype=np.uint8)


def load_real(folder: Path | None, config: PreprocessConfig) -> npt.NDArray[np.uint8]:
    """Return uint8 [N, H, W]: up to 8 DICOM files of a folder as the model gets them."""
    if folder is None:
        return np.empty((0, *config.size), dtype=np.uint8)
    paths = sorted(itertools.islice(folder.rglob("*.dcm"), SEARCHED))
    images = []
    for path in paths[:: max(1, len(paths) // REAL_IMAGES)][:REAL_IMAGES]:
        with contextlib.suppress(ImageError):  # an image that cannot be read compares nothing
            images.append(load(path, [config]).inputs[0])
    if not images:
        raise InputError(f"{folder} holds no readable DICOM file (*.dcm).")
    return np.stack(images)


def rows(count: int, needed: int, operations: int) -> list[int]:
    """Return which of `count` images the reference computes: the last `needed`, and what it can.

    Each costs `operations`. They are spread over all, and kept in order.
    """
    more = min(max(BUDGET // max(operations, 1) - needed, 0), count - needed)
    return [*range(more), *range(count - needed, count)]


def allowed(precision: str, noise: float, atol: float | None) -> float:
    """Return how far a probability may be off: as asked for, or by the network's own noise."""
    if atol is not None:
        return atol
    least = min(NOISE_FACTOR * noise, MOST_NOISE)
    return max(TOLERANCE[precision], _one_digit(least))


def answer_torch(
    network: Folds, images: Array, metadata: Array | None, *, batch: int = 1
) -> tuple[Array, Array]:
    """Return a network's probabilities [N] and logits [N, F], `batch` images at a time."""
    network.eval()

    def answer(part: slice) -> tuple[Array, Array]:
        torch.set_num_threads(1)  # of this thread's own sums
        inputs = [torch.from_numpy(images[part, None])]
        if metadata is not None:
            inputs.append(torch.from_numpy(metadata[part]))
        with torch.inference_mode():
            probability, _, logit = network(*inputs)
        return probability.numpy(), logit.numpy()

    before = torch.get_num_threads()
    try:
        return _answer_parts(answer, len(images), batch)
    finally:
        torch.set_num_threads(before)


def answer_onnx(path: Path, images: Array, metadata: Array | None) -> tuple[Array, Array]:
    """Return an ONNX file's probabilities [N] and logits [N, F] on the CPU, two images at a time.

    What torch computes one by one is so compared with a batch.
    """
    one_thread = predict.settings(threads=1)
    session = onnxruntime.InferenceSession(path, one_thread, providers=[predict.CPU])

    def answer(part: slice) -> tuple[Array, Array]:
        inputs = {"image": images[part, None]}
        if metadata is not None:
            inputs["metadata"] = metadata[part]
        probability, logit = session.run(["probability", "logits"], inputs)
        return probability, logit

    return _answer_parts(answer, len(images), 2)


def _answer_parts(
    answer: Callable[[slice], tuple[Array, Array]], count: int, batch: int
) -> tuple[Array, Array]:
    """Return the answers for `count` images, several batches at once, a thread each.

    More threads for one image would add its sums up in another order, and the same checkpoint
    would become another bundle on a machine with other cores.
    """
    parts = [slice(start, start + batch) for start in range(0, count, batch)]
    with ThreadPoolExecutor(min(os.cpu_count() or 1, MOST_AT_ONCE)) as pool:
        probabilities, logits = zip(*pool.map(answer, parts), strict=True)
    return np.concatenate(probabilities), np.concatenate(logits)


def compare(
    reference: Reference, actual: tuple[Array, Array], *, real: int, tolerance: float
) -> Parity:
    """Return how an answer (probabilities [N], logits [N, F]) differs from the reference."""
    probability = np.abs(reference.probabilities - actual[0])
    logit = np.abs(reference.logits - actual[1])
    return Parity(
        images=len(probability),
        real=real,
        probability_max=float(probability.max()),
        probability_mean=float(probability.mean()),
        logit_max=float(logit.max()),
        logit_mean=float(logit.mean()),
        rank_agreement=rank_agreement(reference.probabilities, actual[0], tolerance),
        tolerance=tolerance,
        reference=reference.kind,
        noise=reference.noise,
        logit_noise=reference.logit_noise,
    )


def rank_agreement(expected: Array, actual: Array, tolerance: float) -> float | None:
    """Return the share of pairs, further apart than the tolerance, that keep their order.

    None where no pair is: answers that are all alike say nothing about the order.
    """
    apart = expected[:, None].astype(np.float64) - expected[None]
    pairs = apart > tolerance
    if not pairs.any():
        return None
    kept = (actual[:, None].astype(np.float64) - actual[None])[pairs] > 0
    return float(kept.mean())


def rank_text(agreement: float | None) -> str:
    """Return the rank agreement for people: whether any pair decides it."""
    return "ranks not known" if agreement is None else f"ranks {agreement:.3f}"


def check_range(reference: Reference) -> None:
    """Raise CheckError for probabilities that are none: logits that --head takes for final."""
    least, most = reference.probabilities.min(), reference.probabilities.max()
    if least < -MARGIN or most > 1 + MARGIN:
        raise CheckError(
            f"The network's numbers, taken for probabilities (--head), go from {least:.3g} to "
            f"{most:.3g}. Use sigmoid:K or softmax. Nothing was written."
        )


def check(parity: Parity, precision: str) -> None:
    """Raise CheckError for an export that does not answer as the network does."""
    if not parity.probability_max <= parity.tolerance:  # NaN is refused, too
        noise = "" if parity.noise is None else f"; the network itself by {parity.noise:.1e}"
        raise CheckError(
            f"The export in {precision} is off by {parity.probability_max:.1e} in probability "
            f"(mean {parity.probability_mean:.1e}, {rank_text(parity.rank_agreement)}{noise}); "
            f"at most {parity.tolerance:.0e} is allowed. Nothing was written. "
            + _remedy(parity, precision)
        )


def _remedy(parity: Parity, precision: str) -> str:
    """Return what to do about an export that is off."""
    if precision != "fp32":
        return "Export with --precision fp32, or allow more with --atol where that is enough."
    if parity.reference == "onnx":
        return (
            "An ONNX file that was exported in training mode, or for one size of a batch, answers "
            "so: export it after model.eval() and with a dynamic batch."
        )
    if parity.noise is not None and parity.noise > MOST_NOISE:
        return (
            "The network is off by as much when torch computes it in float32: float32 is not "
            "enough for it. If that is what was trained and scored, allow it with --atol."
        )
    return "Please report the architecture: torch and ONNX Runtime should agree on it."


def random_metadata(width: int, count: int) -> npt.NDArray[np.float32] | None:
    """Return float32 [count, width] of metadata as it is encoded, or None without any."""
    if not width:
        return None
    return np.random.default_rng(1).choice([-1.0, 0.0, 0.3, 1.0], (count, width)).astype(np.float32)
