"""The recipe: how weights become a prediction. What is not known is an error, never assumed."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

from bundler.errors import UsageError
from bundler.model import architecture, builder, preprocessing
from bundler.model import head as heads
from bundler.model.checkpoint import Checkpoint
from bundler.model.factory import Factory
from bundler.model.options import Training
from bundler.model.questions import Questions, show
from inference.boot.fields import Plain
from inference.pixels.preprocess import PRESETS, PreprocessConfig
from train.checkpoint import Normalize

OURS = "sigmoid:0"  # the head of this project's own checkpoints: output 0 is cancer


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that folds must share to be merged.

    `head` says which output K is cancer's: `sigmoid:K` (a logit), `softmax:K` (a logit among
    those of all classes; `softmax` is the second of two) or `probability:K` (as it is). `arch` is
    timm's name, or the factory's, or "onnx".
    """

    arch: str
    factory: Factory | None = None
    ignored: tuple[str, ...] = ()  # patterns of tensors that are meant to be left out
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


def resolve(checkpoint: Checkpoint, training: Training) -> tuple[Recipe, float]:
    """Return a checkpoint's recipe and its validation set's prevalence, or ask for them."""
    questions = Questions(path=checkpoint.path)
    settle = questions.settle
    arch, factory = builder.settle(questions, checkpoint, training)
    preprocess = settle(
        "--preset",
        checkpoint.preprocess,
        preprocessing.named(training, checkpoint.preprocess),
        _PRESETS,
    )
    normalize = _settle_normalize(questions, checkpoint.normalize, training)
    prevalence = settle("--prevalence", checkpoint.prevalence, training.prevalence, _PREVALENCE)
    if arch is None:  # the shape cannot be read without it
        questions.ask()
    shape = architecture.read_shape(checkpoint, arch, factory)
    channels = settle("--in-chans", shape.channels, training.in_chans, "1 or 3 channels")
    head = settle(
        "--head", OURS if checkpoint.ours else shape.head, training.head, shape.head_question
    )
    columns = builder.settle_columns(questions, checkpoint, training)
    questions.ask()
    _check_head(head, shape.outputs, checkpoint)
    _check_normalize(normalize, channels, checkpoint)
    recipe = Recipe(
        arch=arch,
        factory=factory,
        ignored=training.ignore,
        model_kwargs=architecture.arguments(
            checkpoint, arch, shape, preprocess.size, training.model_kwargs, factory
        ),
        channels=channels,
        head=head,
        normalize=normalize,
        preprocess=preprocess,
        metadata_columns=columns,
    )
    return recipe, _check_prevalence(prevalence)


_PRESETS = f"the preprocessing it was trained on: {', '.join(PRESETS)}"
_SCALES = "1/255 if it was trained on pixels from 0 to 1, 1 if on pixels from 0 to 255"
_PREVALENCE = "the share of breasts with cancer in its validation set (naturally 0.0206)"


def _settle_normalize(
    questions: Questions, recorded: Normalize | None, training: Training
) -> Normalize:
    mean, std, scale = (
        (None, None, None) if recorded is None else (recorded.mean, recorded.std, recorded.scale)
    )
    return Normalize(
        mean=questions.settle("--mean", mean, training.mean, "what training subtracted"),
        std=questions.settle("--std", std, training.std, "what training then divided by"),
        scale=questions.settle("--scale", scale, training.scale, _SCALES),
    )


def _check_head(head: str, outputs: int | None, checkpoint: Checkpoint) -> None:
    parsed = heads.parse(head)
    # `softmax` alone is for two classes: of several, which one is the second says nothing.
    pair = head == "softmax" and outputs not in (None, 2)
    fits = parsed is not None and not pair and (outputs is None or parsed.fits(outputs))
    if not fits:
        raise UsageError(
            f"--head {head} does not fit {checkpoint.path}, which has "
            f"{outputs or 'an unknown number of'} outputs. Use sigmoid:K where output K (counted "
            "from 0) is the logit of cancer, softmax:K where it is one of several classes' "
            "(softmax alone: the second of two), or probability:K where the network computes the "
            "probability itself."
        )
    made = checkpoint.graph.ends_in if checkpoint.graph else None
    if made is not None and parsed is not None and parsed.kind != "probability":
        raise UsageError(activated(made, head, str(checkpoint.path), parsed.index))


def activated(operator: str, head: str, name: str, index: int) -> str:
    """Return what is wrong with a head that would be applied to what is a probability already."""
    return (
        f"{name} ends in a {operator} of its own, so its numbers are probabilities, and --head "
        f"{head} would squeeze them once more. Use --head probability:{index}."
    )


def _check_normalize(normalize: Normalize, channels: int, checkpoint: Checkpoint) -> None:
    for name, numbers in (("mean", normalize.mean), ("std", normalize.std)):
        fits = len(numbers) in (1, channels) and all(map(math.isfinite, numbers))
        if not fits or (name == "std" and min(numbers) <= 0):
            raise UsageError(
                f"The {name} {show(numbers)} of {checkpoint.path} must be one number "
                f"or one for each of {channels} channels" + (", above 0." if name == "std" else ".")
            )


def _check_prevalence(prevalence: float) -> float:
    if not 0 <= prevalence <= 1:
        raise UsageError(f"The prevalence {prevalence} (--prevalence) is not between 0 and 1.")
    return float(prevalence)
