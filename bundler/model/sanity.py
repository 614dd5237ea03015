"""Signs that a model is not what was trained, where no predictions of the user's can prove it.

They come from the weights and from answers to varied pictures, so they find what is absurd, not
what is a little wrong: another pooling or an older epoch shows only in `bundler.model.proof`.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bundler.errors import BundlerError
from bundler.model import architectures, parity
from bundler.model.ensemble import Ensemble
from bundler.model.network import Folds
from bundler.model.origin import Origin
from bundler.model.torch_origin import TorchOrigin
from inference.boot.card import Normalize, Parity

FARTHEST = 30.0  # a logit: beyond it float32 knows only 0 and 1
SATURATED = 12.0  # a logit: 6e-6 away from 0 or 1
MOST_SATURATED = 0.9  # share of the pictures
NEAR_CONSTANT = 0.01  # in logits, from the lowest to the highest: pictures that differ differ more
NARROWEST = 0.5  # what of black to white a network must get, in standard deviations
MANY_TIMES = 30.0  # wider or narrower, or so many deviations off, than in training: another scale
TWIN_APART = 1e-3  # in logits
LOOKED_AT = 4  # pictures that are run through a twin or up to the first batch norm
DEAD = 0.01  # of the largest variance: channels below are dead, and their shares mean nothing


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Varied pictures, uint8 [N, H, W], with metadata [N, K], and an export's logits [N, F].

    `drawn` [N] marks noise and ramps; the others are mammograms, real ones and phantoms.
    """

    images: npt.NDArray[np.uint8]
    metadata: npt.NDArray[np.float32] | None
    logits: npt.NDArray[np.float32]
    drawn: npt.NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        images: npt.NDArray[np.uint8],
        metadata: npt.NDArray[np.float32] | None,
        logits: npt.NDArray[np.float32],
        drawn: slice,
    ) -> "Pictures":
        """Return pictures of which a part is drawn."""
        mask = np.zeros(len(images), bool)
        mask[drawn] = True
        return cls(images=images, metadata=metadata, logits=logits, drawn=mask)

    def mammograms(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32] | None]:
        """Return a few mammograms with their metadata, real ones first."""
        own = np.flatnonzero(~self.drawn)[::-1][:LOOKED_AT]
        return self.images[own], None if self.metadata is None else self.metadata[own]


def check(
    ensemble: Ensemble, origin: Origin, pictures: Pictures, compared: Parity
) -> Iterator[str]:
    """Yield every sign that an export is not what was trained; fewer of an adopted ONNX file."""
    names = [one.path.name for one in ensemble.folds]
    yield from normalization(ensemble.recipe.normalize)
    yield from answers(pictures.logits, names, pictures.drawn)
    yield from ranks(compared.rank_agreement, compared.tolerance)
    if isinstance(origin, TorchOrigin):
        yield from batch_norms(origin.network, names, *pictures.mammograms())
        yield from twins(ensemble, origin.network, pictures.mammograms()[0])


def normalization(normalize: Normalize) -> Iterator[str]:
    """Yield how mean and std contradict the scale of the pixels."""
    white = 255 * normalize.scale
    mean, std = max(normalize.mean), max(normalize.std)
    numbers = f"mean {_listed(normalize.mean)}, std {_listed(normalize.std)}"
    if white <= 1.5 and mean > 1:
        yield (
            f"The {numbers} follow --scale 1/255, after which no pixel is above 1: black and white "
            f"become {-mean / std:.3g} and {(white - mean) / std:.3g}. Numbers for pixels from 0 "
            "to 255 need --scale 1."
        )
    elif white / std < NARROWEST:
        yield (
            f"Between black and white there is only {white / std:.2g} after the {numbers}: the "
            "network would see next to nothing. Numbers for pixels from 0 to 255 need --scale 1."
        )
    elif white > 100 and (0 < mean <= 1 or std < 1):
        yield (
            f"The {numbers} look like numbers for pixels from 0 to 1, but --scale 1 leaves them "
            f"from 0 to 255: white becomes {(white - mean) / std:.4g}. Is it --scale 1/255?"
        )


def answers(
    logits: npt.NDArray[np.float32], names: Sequence[str], drawn: npt.NDArray[np.bool_]
) -> Iterator[str]:
    """Yield what is absurd about logits [N, F] of varied pictures; a checkpoint's name for each F.

    `drawn` [N] marks noise and ramps: a network may answer them wildly, but not all alike.
    """
    for name, column in zip(names, logits.T.astype(np.float64), strict=True):
        spread, mammograms = float(np.ptp(column)), column[~drawn]
        farthest = float(mammograms[np.abs(mammograms).argmax()])
        saturated = float((np.abs(mammograms) > SATURATED).mean())
        pictures = f"{len(column)} pictures that differ widely"
        if spread == 0:
            yield (
                f"{name} answers the same (logit {column[0]:.4g}) to {pictures}: its head is "
                "constant. Was the checkpoint saved before the training, or without the head?"
            )
        elif spread < NEAR_CONSTANT:
            yield (
                f"{name} answers nearly the same (logits {column.min():.4g} to {column.max():.4g}) "
                f"to {pictures}. Has it been trained, and on pixels of this --scale, --mean and "
                "--std?"
            )
        if abs(farthest) > FARTHEST:
            yield (
                f"{name} answers a mammogram with the logit {farthest:.4g}; beyond ±{FARTHEST:.0f} "
                "float32 knows only 0 and 1. Are --scale, --mean and --std those of the training?"
            )
        elif saturated >= MOST_SATURATED:
            yield (
                f"{name} is sure of {saturated:.0%} of {len(mammograms)} mammograms (logits beyond "
                f"±{SATURATED:.0f}). Are --scale, --mean and --std those of the training?"
            )


def ranks(agreement: float | None, tolerance: float) -> Iterator[str]:
    """Yield that the comparison with torch says nothing of the order, where no pair decides it."""
    if agreement is None:
        yield (
            f"No two answers are further apart than {tolerance:.0e}, so that the comparison with "
            "torch says nothing about the order of the predictions. Give real mammograms with "
            "--images."
        )


def batch_norms(
    network: Folds,
    names: Sequence[str],
    images: npt.NDArray[np.uint8],
    metadata: npt.NDArray[np.float32] | None,
) -> Iterator[str]:
    """Yield which nets get other values than in training, as their first batch norm remembers.

    uint8 [N, H, W] images, float32 [N, K] metadata. A batch norm keeps mean and variance of all
    that it was trained on.
    """
    inputs = [torch.from_numpy(images[:, None])]
    if metadata is not None:
        inputs.append(torch.from_numpy(metadata))
    with contextlib.ExitStack() as hooks:
        firsts = [hooks.enter_context(_watch(net)) for net in network.nets]
        with torch.inference_mode():
            network(*inputs)
    for name, first in zip(names, firsts, strict=True):
        times, shift = first[0] if first else (1.0, 0.0)
        if not 1 / MANY_TIMES < times < MANY_TIMES or shift > MANY_TIMES:
            yield (
                f"{name} gets values {times:.2g} times as spread as in its training, and "
                f"{shift:.2g} standard deviations off, as its first batch norm remembers. Are "
                "--scale, --mean and --std those of the training?"
            )


def twins(ensemble: Ensemble, network: Folds, images: npt.NDArray[np.uint8]) -> Iterator[str]:
    """Yield other architectures that the weights fit and that answer otherwise.

    Nothing is yielded where the checkpoint itself records its architecture.
    """
    recipe, one = ensemble.recipe, ensemble.folds[0]
    if one.arch is not None or recipe.metadata_columns or recipe.factory:
        return
    own = parity.answer_torch(network, images, None)[1][:, 0]
    for name in architectures.twins(recipe.arch):
        try:
            other = replace(ensemble, recipe=replace(recipe, arch=name), folds=(one,)).assemble()
        except BundlerError:  # the index knows bodies only: the head, or its size, is another
            continue
        apart = float(np.abs(parity.answer_torch(other, images, None)[1][:, 0] - own).max())
        if apart > TWIN_APART:
            yield (
                f"The weights fit {recipe.arch} and {name} alike: all tensors have the same names "
                f"and shapes, but the two compute something else ({apart:.2g} apart in logits). "
                "Only your own predictions tell which of both was trained: give --oof and --images."
            )


@contextlib.contextmanager
def _watch(net: nn.Module) -> Iterator[list[tuple[float, float]]]:
    """Yield a list that gets how the input of a net's first batch norm compares with training."""
    compared: list[tuple[float, float]] = []

    def look(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if not compared:
            compared.append(_compare(module, inputs[0]))

    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [module.register_forward_pre_hook(look) for module in norms]
    try:
        yield compared
    finally:
        for hook in hooks:
            hook.remove()


def _compare(norm: nn.Module, values: Tensor) -> tuple[float, float]:
    """Return how many times as spread values [N, C, H, W] are as those of the training, and how
    many standard deviations off, in the median channel; 1 and 0 where the norm has seen nothing.
    """
    mean, variance = norm.running_mean, norm.running_var
    if not isinstance(mean, Tensor) or not isinstance(variance, Tensor):
        return 1.0, 0.0
    alive = variance > DEAD * variance.max()
    fresh = bool((variance == 1).all() and (mean == 0).all())
    if fresh or not bool(alive.any()):
        return 1.0, 0.0
    spread = values.var(dim=(0, 2, 3)) / variance
    shift = (values.mean(dim=(0, 2, 3)) - mean).abs() / variance.sqrt()
    return float(spread[alive].median().sqrt()), float(shift[alive].median())


def _listed(numbers: Sequence[float]) -> str:
    return ", ".join(f"{number:g}" for number in numbers)
