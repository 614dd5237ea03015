"""The recipe: how weights become a prediction. What is not known is asked for, never assumed."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bundler.errors import InputError, UsageError
from bundler.model import architecture
from bundler.model.checkpoint import Checkpoint
from bundler.model.options import ModelOptions
from inference.errors import RunError
from inference.pixels.preprocess import PRESETS, PreprocessConfig

OURS = "sigmoid:0"  # the head of this project's own checkpoints: output 0 is cancer


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that folds must share to be merged.

    `normalize` holds `mean`, `std` and `scale`: (x * scale - mean) / std for uint8 x. `head` is
    `sigmoid:K` (output K is the logit of cancer) or `softmax` (of two outputs, the second).
    """

    arch: str
    model_kwargs: Mapping[str, Any]
    channels: int
    head: str
    normalize: Mapping[str, Any]
    preprocess: Mapping[str, Any]
    metadata_columns: tuple[str, ...] = field(default=())

    @property
    def size(self) -> tuple[int, int]:
        """Return the height and width of the images that the network takes."""
        height, width = self.preprocess["size"]
        return int(height), int(width)

    def differences(self, other: "Recipe") -> list[str]:
        """Return the names of the parts in which two recipes differ."""
        return [
            name
            for name in self.__dataclass_fields__
            if getattr(self, name) != getattr(other, name)
        ]


@dataclass(kw_only=True)
class _Questions:
    """What was found so far, and what is still to be asked."""

    checkpoint: Checkpoint
    missing: list[str] = field(default_factory=list)

    def settle(self, option: str, said: Any, given: Any, question: str) -> Any:
        """Return what the file or the command line says; refuse two answers that differ."""
        if said is None and given is None:
            self.missing.append(f"  {option}: {question}")
        if said is not None and given is not None and not _same(said, given):
            raise UsageError(
                f"{option} says {_show(given)}, but {self.checkpoint.path} says {_show(said)}. "
                f"Leave {option} out, or take the checkpoint that was trained so."
            )
        return given if said is None else said

    def ask(self) -> None:
        """Raise UsageError with all that is missing, at once."""
        if self.missing:
            raise UsageError(
                f"{self.checkpoint.path} does not say how it was trained, and guessing has cost "
                "others their submission. Say it with:\n" + "\n".join(self.missing)
            )


def resolve(checkpoint: Checkpoint, options: ModelOptions) -> tuple[Recipe, float]:
    """Return a checkpoint's recipe and its validation set's prevalence, or ask for them."""
    questions = _Questions(checkpoint=checkpoint)
    settle = questions.settle
    likely = architecture.name_likely(checkpoint.state) if checkpoint.arch is None else ""
    arch = settle("--arch", checkpoint.arch, options.arch, f"the timm model{likely}")
    preprocess = settle("--preset", _config(checkpoint.preprocess), _preset(options), _PRESETS)
    said = checkpoint.normalize or {}
    normalize = {
        "mean": settle("--mean", said.get("mean"), options.mean, "what training subtracted"),
        "std": settle("--std", said.get("std"), options.std, "what training then divided by"),
        "scale": settle("--scale", said.get("scale"), options.scale, _SCALES),
    }
    prevalence = settle("--prevalence", checkpoint.prevalence, options.prevalence, _PREVALENCE)
    if arch is None:
        questions.ask()
    shape = architecture.read_shape(checkpoint, arch)
    channels = settle("--in-chans", shape.channels, options.in_chans, "1 or 3 channels")
    head = settle(
        "--head", OURS if checkpoint.ours else shape.head, options.head, shape.head_question
    )
    questions.ask()
    _check_head(head, shape.outputs, checkpoint)
    recipe = Recipe(
        arch=arch,
        model_kwargs=architecture.arguments(checkpoint, arch, shape, preprocess["size"]),
        channels=channels,
        head=head,
        normalize=_check_normalize(normalize, channels, checkpoint),
        preprocess=preprocess,
        metadata_columns=checkpoint.metadata_columns,
    )
    return recipe, _check_prevalence(prevalence)


_PRESETS = f"the preprocessing it was trained on: {', '.join(PRESETS)}"
_SCALES = "1/255 if it was trained on pixels from 0 to 1, 1 if on pixels from 0 to 255"
_PREVALENCE = "the share of breasts with cancer in its validation set (naturally 0.0206)"


def _config(preprocess: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if preprocess is None:
        return None
    try:
        return dict(PreprocessConfig.from_dict(dict(preprocess)).as_dict())
    except RunError as error:
        raise InputError(f"The checkpoint's preprocessing cannot be used: {error}") from error


def _preset(options: ModelOptions) -> dict[str, Any] | None:
    if options.preset is None:
        return None
    if options.preset not in PRESETS:
        raise UsageError(f"--preset {options.preset} is none of {', '.join(PRESETS)}.")
    return dict(PRESETS[options.preset].as_dict())


def _check_head(head: str, outputs: int | None, checkpoint: Checkpoint) -> None:
    kind, _, index = head.partition(":")
    if kind == "softmax" and not index:
        fits = outputs in (None, 2)
    else:
        fits = kind == "sigmoid" and index.isdigit() and (outputs is None or int(index) < outputs)
    if not fits:
        raise UsageError(
            f"--head {head} does not fit {checkpoint.path}, which has {outputs or 'unknown'} "
            "outputs. It is softmax (two outputs, the second is cancer) or sigmoid:K (output K, "
            "counted from 0, is cancer)."
        )


def _check_normalize(
    normalize: Mapping[str, Any], channels: int, checkpoint: Checkpoint
) -> dict[str, Any]:
    values: dict[str, Any] = {"scale": float(normalize["scale"])}
    for name in ("mean", "std"):
        numbers = _numbers(normalize[name])
        fits = len(numbers) in (1, channels) and all(map(math.isfinite, numbers))
        if not fits or (name == "std" and min(numbers) <= 0):
            raise UsageError(
                f"The {name} {_show(normalize[name])} of {checkpoint.path} must be one number "
                f"or one for each of {channels} channels" + (", above 0." if name == "std" else ".")
            )
        values[name] = list(numbers)
    return values


def _check_prevalence(prevalence: float) -> float:
    if not 0 <= prevalence <= 1:
        raise UsageError(f"--prevalence {prevalence} is no share between 0 and 1.")
    return float(prevalence)


def _numbers(value: Any) -> tuple[float, ...]:
    return (float(value),) if isinstance(value, (int, float)) else tuple(float(v) for v in value)


def _same(one: Any, other: Any) -> bool:
    numeric = (int, float, tuple, list)
    if isinstance(one, numeric) and isinstance(other, numeric):
        pairs = _numbers(one), _numbers(other)
        return len(pairs[0]) == len(pairs[1]) and all(
            abs(a - b) <= 1e-6 * max(abs(a), abs(b), 1e-6) for a, b in zip(*pairs, strict=True)
        )
    return bool(one == other)


def _show(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return ", ".join(str(v) for v in value) if isinstance(value, (tuple, list)) else str(value)
