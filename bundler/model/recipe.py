"""The recipe: how weights become a prediction. What is not known is an error, never assumed."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TypeVar, cast

from bundler.errors import UsageError
from bundler.model import architecture
from bundler.model.checkpoint import Checkpoint
from bundler.model.options import Training
from inference.boot.fields import Plain
from inference.pixels.preprocess import PRESETS, PreprocessConfig
from train.checkpoint import Normalize

T = TypeVar("T")
OURS = "sigmoid:0"  # the head of this project's own checkpoints: output 0 is cancer


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that folds must share to be merged.

    `head` is `sigmoid:K` (output K is the logit of cancer) or `softmax` (of two outputs, the
    second).
    """

    arch: str
    model_kwargs: Mapping[str, Plain]
    channels: int
    head: str
    normalize: Normalize
    preprocess: PreprocessConfig
    metadata_columns: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Return the height and width of the images that the network takes."""
        return self.preprocess.size

    def differences(self, other: "Recipe") -> list[str]:
        """Return the names of the parts in which two recipes differ."""
        names = [part.name for part in fields(self)]
        return [name for name in names if getattr(self, name) != getattr(other, name)]


@dataclass(kw_only=True)
class _Questions:
    """The answers of a checkpoint and of the command line, and what neither of them gives.

    What is missing is collected, so that one error names all of it, not option by option.
    """

    path: Path
    missing: list[str] = field(default_factory=list)

    def settle(self, option: str, recorded: T | None, given: T | None, question: str) -> T:
        """Return what the file or the command line gives; refuse two answers that differ.

        What neither gives is None until `ask` raises for it: nothing is computed before.
        """
        if recorded is None and given is None:
            self.missing.append(f"  {option}: {question}")
        if recorded is not None and given is not None and not _same(recorded, given):
            raise UsageError(
                f"{option} is {_show(given)}, but {self.path} was trained with {_show(recorded)}. "
                f"Leave {option} out, or choose the checkpoint that was trained that way."
            )
        return cast(T, given if recorded is None else recorded)

    def ask(self) -> None:
        """Raise UsageError with all that is missing, at once."""
        if self.missing:
            raise UsageError(
                f"{self.path} does not record how it was trained, and a wrong guess would only "
                "show in the score. Give these options:\n" + "\n".join(self.missing)
            )


def resolve(checkpoint: Checkpoint, training: Training) -> tuple[Recipe, float]:
    """Return a checkpoint's recipe and its validation set's prevalence, or ask for them."""
    questions = _Questions(path=checkpoint.path)
    settle = questions.settle
    likely = architecture.name_likely(checkpoint.state) if checkpoint.arch is None else ""
    arch = settle("--arch", checkpoint.arch, training.arch, f"the timm model{likely}")
    preprocess = settle("--preset", checkpoint.preprocess, _preset(training), _PRESETS)
    normalize = _settle_normalize(questions, checkpoint.normalize, training)
    prevalence = settle("--prevalence", checkpoint.prevalence, training.prevalence, _PREVALENCE)
    if arch is None:  # the shape cannot be read without it
        questions.ask()
    shape = architecture.read_shape(checkpoint, arch)
    channels = settle("--in-chans", shape.channels, training.in_chans, "1 or 3 channels")
    head = settle(
        "--head", OURS if checkpoint.ours else shape.head, training.head, shape.head_question
    )
    questions.ask()
    _check_head(head, shape.outputs, checkpoint)
    _check_normalize(normalize, channels, checkpoint)
    recipe = Recipe(
        arch=arch,
        model_kwargs=architecture.arguments(checkpoint, arch, shape, preprocess.size),
        channels=channels,
        head=head,
        normalize=normalize,
        preprocess=preprocess,
        metadata_columns=checkpoint.metadata_columns,
    )
    return recipe, _check_prevalence(prevalence)


_PRESETS = f"the preprocessing it was trained on: {', '.join(PRESETS)}"
_SCALES = "1/255 if it was trained on pixels from 0 to 1, 1 if on pixels from 0 to 255"
_PREVALENCE = "the share of breasts with cancer in its validation set (naturally 0.0206)"


def _settle_normalize(
    questions: _Questions, recorded: Normalize | None, training: Training
) -> Normalize:
    mean, std, scale = (
        (None, None, None) if recorded is None else (recorded.mean, recorded.std, recorded.scale)
    )
    return Normalize(
        mean=questions.settle("--mean", mean, training.mean, "what training subtracted"),
        std=questions.settle("--std", std, training.std, "what training then divided by"),
        scale=questions.settle("--scale", scale, training.scale, _SCALES),
    )


def _preset(training: Training) -> PreprocessConfig | None:
    if training.preset is None:
        return None
    if training.preset not in PRESETS:
        raise UsageError(
            f"Unknown preset {training.preset!r} in --preset. Choose one of {', '.join(PRESETS)}."
        )
    return PRESETS[training.preset]


def _check_head(head: str, outputs: int | None, checkpoint: Checkpoint) -> None:
    kind, _, index = head.partition(":")
    if kind == "softmax" and not index:
        fits = outputs in (None, 2)
    else:
        fits = kind == "sigmoid" and index.isdigit() and (outputs is None or int(index) < outputs)
    if not fits:
        raise UsageError(
            f"--head {head} does not fit {checkpoint.path}, which has "
            f"{outputs or 'an unknown number of'} outputs. Use softmax (two outputs, the second "
            "is cancer) or sigmoid:K (output K, counted from 0, is cancer)."
        )


def _check_normalize(normalize: Normalize, channels: int, checkpoint: Checkpoint) -> None:
    for name, numbers in (("mean", normalize.mean), ("std", normalize.std)):
        fits = len(numbers) in (1, channels) and all(map(math.isfinite, numbers))
        if not fits or (name == "std" and min(numbers) <= 0):
            raise UsageError(
                f"The {name} {_show(numbers)} of {checkpoint.path} must be one number "
                f"or one for each of {channels} channels" + (", above 0." if name == "std" else ".")
            )


def _check_prevalence(prevalence: float) -> float:
    if not 0 <= prevalence <= 1:
        raise UsageError(f"The prevalence {prevalence} (--prevalence) is not between 0 and 1.")
    return float(prevalence)


def _same(one: object, other: object) -> bool:
    """Return whether two answers agree; numbers may differ by how many digits were typed."""
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return abs(one - other) <= 1e-6 * max(abs(one), abs(other), 1e-6)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return one == other


def _show(value: object) -> str:
    if isinstance(value, PreprocessConfig):
        return ", ".join(f"{name} {item}" for name, item in value.as_dict().items())
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
