"""What may have been otherwise in the training: setups that differ from an export in one thing."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from bundler.model import architectures, checkpoint, parity
from bundler.model.checkpoint import Checkpoint
from bundler.model.ensemble import Ensemble
from train.checkpoint import Normalize

Pixels = npt.NDArray[np.uint8]
Pooling = Literal["avg", "max", "avgmax", "gem"]
TRIED = (
    "scale, mean and std, weights (EMA or raw), channel order, pooling, twin architecture, head, "
    "flip, window, crop, fit or reduction"
)
# Mean and std of pixels from 0 to 1 that trainings use.
NORMALIZATIONS = (
    ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),  # ImageNet
    ((0.449,), (0.226,)),  # ImageNet, its channels averaged
    ((0.5,), (0.5,)),  # Inception
    ((0.0,), (1.0,)),
    ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),  # CLIP
)
FLIPS: tuple[Literal["chest-left", "none"], ...] = ("chest-left", "none")
WINDOWS: tuple[Literal["dicom", "min-max", "percentile"], ...] = ("dicom", "min-max", "percentile")
CROPS: tuple[Literal["breast", "none"], ...] = ("breast", "none")
FITS: tuple[Literal["pad", "stretch"], ...] = ("pad", "stretch")
REDUCTIONS: tuple[Literal["area", "bilinear"], ...] = ("area", "bilinear")
GEM_POWER, GEM_LEAST = 3.0, 1e-6  # of the usual generalised mean


@dataclass(frozen=True, kw_only=True)
class Setup:
    """The members of one fold, and what is done otherwise than an `Ensemble` can say."""

    ensemble: Ensemble
    pooling: Pooling | None = None
    mirrored: Literal["no", "yes", "both"] = "no"
    inverted: bool = False

    @classmethod
    def of(cls, ensemble: Ensemble, members: Sequence[Checkpoint]) -> "Setup":
        """Return the export's own setup, of some of its members."""
        return cls(ensemble=replace(ensemble, folds=members, prevalences=(0.0,) * len(members)))

    def answers(
        self, views: Sequence[Pixels], metadata: npt.NDArray[np.float32] | None
    ) -> list[npt.NDArray[np.floating]]:
        """Return the probabilities [N] for each view, where the network comes from.

        Raises BundlerError where the weights do not fit.
        """
        if self.is_adopted:
            origin = self.ensemble.open()
            return [origin.answer(view, metadata).probabilities for view in views]
        network = self.ensemble.assemble()
        if self.pooling:
            for module in list(network.modules()):
                _replace_pools(module, self.pooling)
        return [parity.answer_torch(network, view, metadata)[0] for view in views]

    @property
    def is_adopted(self) -> bool:
        """Say whether the network is an ONNX file: it has no layers to exchange."""
        return any(one.graph is not None for one in self.ensemble.folds)

    def views(self, pixels: Pixels) -> list[Pixels]:
        """Return what the network gets of images [N, H, W]; its answers are averaged."""
        shown = 255 - pixels if self.inverted else pixels
        turned = shown[:, :, ::-1]
        return {"no": [shown], "yes": [turned], "both": [shown, turned]}[self.mirrored]


@dataclass(frozen=True, kw_only=True)
class Change:
    """A setup that differs in one thing: what would have been wrong, and what would agree."""

    cause: str
    remedy: str
    setup: Setup


def scales(setup: Setup) -> Iterator[Change]:
    """Yield the other scale of the pixels, and mean and std that trainings use."""
    own = setup.ensemble.recipe.normalize
    for scale, name in ((1 / 255, "1/255"), (1.0, "1")):
        if abs(scale - own.scale) > 1e-6:
            normalize = replace(own, scale=scale)
            yield _recipe(setup, "the scale of the pixels", f"--scale {name}", normalize=normalize)
    channels = setup.ensemble.recipe.channels
    for mean, std in NORMALIZATIONS:
        if len(mean) in (1, channels):
            normalize = Normalize(mean=mean, std=std, scale=1 / 255)
            remedy = f"--mean {_listed(mean)} --std {_listed(std)} --scale 1/255"
            yield _recipe(setup, "mean and std", remedy, normalize=normalize)
    raw = Normalize(mean=(0.0,), std=(1.0,), scale=1.0)
    yield _recipe(setup, "mean and std", "--mean 0 --std 1 --scale 1", normalize=raw)


def channel_orders(setup: Setup) -> Iterator[Change]:
    """Yield the other order of the channels: of a grey image only mean and std have one."""
    own = setup.ensemble.recipe.normalize
    if len(set(own.mean)) > 1 or len(set(own.std)) > 1:
        turned = replace(own, mean=own.mean[::-1], std=own.std[::-1])
        remedy = f"--mean {_listed(turned.mean)} --std {_listed(turned.std)}"
        yield _recipe(setup, "the order of the channels (BGR or RGB)", remedy, normalize=turned)


def weights(setup: Setup) -> Iterator[Change]:
    """Yield the other weights that the checkpoint's file holds: averaged or raw."""
    members = setup.ensemble.folds
    if any(one.other_weights is None for one in members):
        return
    kind: Literal["ema", "raw"] = "raw" if members[0].weights == "ema" else "ema"
    others = [checkpoint.read(one.path, weights=kind) for one in members]
    ensemble = replace(setup.ensemble, folds=others)
    yield Change(
        cause=f"that the {'averaged (EMA)' if kind == 'raw' else 'raw'} weights were taken",
        remedy=f"--weights {kind} (the key {others[0].source!r})",
        setup=replace(setup, ensemble=ensemble),
    )


def twins(setup: Setup) -> Iterator[Change]:
    """Yield other architectures whose tensors have the same names and shapes."""
    recipe = setup.ensemble.recipe
    for name in architectures.twins(recipe.arch):
        ensemble = replace(setup.ensemble, recipe=replace(recipe, arch=name))
        yield Change(
            cause=f"the architecture, which has a twin of equal tensors ({name})",
            remedy=f"--arch {name}",
            setup=replace(setup, ensemble=ensemble),
        )


def poolings(setup: Setup) -> Iterator[Change]:
    """Yield other ways to pool the last features; none of them has weights."""
    if setup.is_adopted:
        return
    names: tuple[Pooling, ...] = ("avg", "max", "avgmax", "gem")
    for name in names:
        remedy = f"--model-kwarg global_pool={name}"
        if name == "gem":
            remedy = f"a generalised mean of the power {GEM_POWER:g} (GeM; --factory)"
        yield Change(cause="the pooling", remedy=remedy, setup=replace(setup, pooling=name))


def heads(setup: Setup) -> Iterator[Change]:
    """Yield other outputs that may be the one for cancer."""
    recipe = setup.ensemble.recipe
    names = ["sigmoid:0", "sigmoid:1", "sigmoid:2", "sigmoid:3", "softmax", "softmax:0"]
    for name in names:
        if name != recipe.head:
            yield _recipe(
                setup, "the output that was taken for cancer", f"--head {name}", head=name
            )


def flips(setup: Setup) -> Iterator[Change]:
    """Yield images that are mirrored, and the mean over both (test-time augmentation)."""
    config = setup.ensemble.recipe.preprocess
    for flip in FLIPS:
        if flip != config.flip:
            changed = replace(config, flip=flip)
            yield _recipe(setup, "the flip of the images", f"--flip {flip}", preprocess=changed)
    yield Change(
        cause="the flip of the images",
        remedy="every image mirrored",
        setup=replace(setup, mirrored="yes"),
    )
    yield Change(
        cause="that the predictions were recorded with test-time augmentation",
        remedy="the mean of each image and its mirror image; record them without",
        setup=replace(setup, mirrored="both"),
    )


def windows(setup: Setup) -> Iterator[Change]:
    """Yield other windows, and images whose black and white are exchanged."""
    config = setup.ensemble.recipe.preprocess
    for window in WINDOWS:
        if window != config.window:
            changed = replace(config, window=window)
            yield _recipe(setup, "the window", f"--window {window}", preprocess=changed)
    yield Change(
        cause="the window",
        remedy="black and white exchanged",
        setup=replace(setup, inverted=True),
    )


def crops(setup: Setup) -> Iterator[Change]:
    """Yield other crops and ways to fit what is kept into the input."""
    config = setup.ensemble.recipe.preprocess
    for crop in CROPS:
        if crop != config.crop:
            yield _recipe(
                setup, "the crop", f"--crop {crop}", preprocess=replace(config, crop=crop)
            )
    for way in REDUCTIONS:
        if way != config.reduce:
            changed = replace(config, reduce=way)
            yield _recipe(setup, "how images are reduced", f"--reduce {way}", preprocess=changed)
    for fit in FITS:
        if fit != config.fit:
            changed = replace(config, fit=fit)
            yield _recipe(setup, "how images are fitted", f"--fit {fit}", preprocess=changed)


# By how often they are met, and how little it costs to try them.
KINDS: tuple[Callable[[Setup], Iterator[Change]], ...] = (
    *(scales, channel_orders, weights, poolings, twins, heads),
    *(flips, windows, crops),
)


def _recipe(setup: Setup, cause: str, remedy: str, **parts: Any) -> Change:
    """Return a change of some parts of the recipe."""
    recipe = replace(setup.ensemble.recipe, **parts)
    ensemble = replace(setup.ensemble, recipe=recipe)
    return Change(cause=cause, remedy=remedy, setup=replace(setup, ensemble=ensemble))


class _Pool(nn.Module):
    """Features [N, C, H, W] → [N, C], or [N, C, 1, 1] where the rest of the head wants that."""

    def __init__(self, pooling: Pooling, flatten: bool) -> None:
        super().__init__()
        self.pooling, self.flatten = pooling, flatten

    def forward(self, features: Tensor) -> Tensor:
        """Return the pooled features."""
        spatial = (2, 3)
        if self.pooling == "gem":
            powers = features.clamp(min=GEM_LEAST).pow(GEM_POWER)
            pooled = powers.mean(spatial, keepdim=True).pow(1 / GEM_POWER)
        else:
            mean, highest = features.mean(spatial, keepdim=True), features.amax(spatial, True)
            both = (mean + highest) / 2
            pooled = {"avg": mean, "max": highest, "avgmax": both}[self.pooling]
        return pooled.flatten(1) if self.flatten else pooled


def _replace_pools(module: nn.Module, pooling: Pooling) -> None:
    """Exchange timm's own pooling layers among the children of a module."""
    for name, child in module.named_children():
        # By name: the class is timm's, and a factory's network need not know timm.
        if type(child).__name__ == "SelectAdaptivePool2d":
            flatten = not isinstance(getattr(child, "flatten", None), nn.Identity)
            setattr(module, name, _Pool(pooling, flatten))


def _listed(numbers: tuple[float, ...]) -> str:
    return ",".join(f"{number:g}" for number in numbers)
