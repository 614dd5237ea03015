"""The architecture that weights belong to: recognised, built, and filled without a hole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from bundler.errors import InputError, UsageError
from bundler.model import architectures
from bundler.model.checkpoint import Checkpoint
from inference import metadata
from inference.boot.fields import Plain
from train.errors import ConfigError

SHOWN = 4  # names of tensors that a message lists
_IMAGENET_CLASSES = 1000
_NOT_NEEDED = ("num_batches_tracked",)  # counts training steps; nothing predicts with it


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What can be read from the weights themselves; None where it cannot."""

    channels: int | None
    outputs: int | None
    head: str | None
    head_question: str


def name_likely(state: Mapping[str, torch.Tensor]) -> str:
    """Return a phrase that names the likeliest timm model, or nothing."""
    names = architectures.name_likeliest(_without_prefixes(state))
    return f" (its weights look like {' or '.join(names)})" if names else ""


def read_shape(checkpoint: Checkpoint, arch: str) -> Shape:
    """Read input channels and outputs from the weights. Raises UsageError for an unknown arch."""
    if checkpoint.ours:
        kwargs = checkpoint.model_kwargs
        return Shape(
            channels=_count(kwargs, "in_chans", 3),
            outputs=_count(kwargs, "num_classes", 1),
            head=None,
            head_question="",
        )
    config = _timm_config(arch)
    state = _without_prefixes(checkpoint.state)
    first = _find(state, _first(config.first_conv))
    last = _find(state, _first(config.classifier))
    outputs = None if last is None else int(last.shape[0])
    if outputs == _IMAGENET_CLASSES:
        raise InputError(
            f"{checkpoint.path} has {outputs} outputs: ImageNet's classes. These are pretrained "
            "weights, not yet trained on mammograms. Name the checkpoint of a training."
        )
    channels = None if first is None or first.ndim != 4 else int(first.shape[1])
    if channels not in (1, 3):  # what timm calls the first convolution is not there, or another
        _check_names(checkpoint, arch)
    question = f"it has {outputs} outputs: sigmoid:K if output K (from 0) is the logit of cancer"
    if outputs == 2:
        question += ", or softmax if the second of both is cancer"
    return Shape(
        channels=channels,
        outputs=outputs,
        head="sigmoid:0" if outputs in (None, 1) else None,
        head_question=question,
    )


def arguments(
    checkpoint: Checkpoint, arch: str, shape: Shape, size: Sequence[int]
) -> Mapping[str, Plain]:
    """Return timm's keyword arguments for a checkpoint's network on images of `size`."""
    if checkpoint.ours:
        return checkpoint.model_kwargs
    kwargs: dict[str, Plain] = {"num_classes": shape.outputs or 1, "in_chans": shape.channels or 3}
    if _timm_config(arch).fixed_input_size:
        kwargs["img_size"] = [int(side) for side in size]
    return kwargs


def build(
    checkpoint: Checkpoint, arch: str, kwargs: Mapping[str, Plain], columns: Sequence[str]
) -> nn.Module:
    """Build the network and load the weights into it, every one. Raises InputError."""
    from train import model

    try:
        net = model.build(arch, kwargs, columns)
    except (ConfigError, TypeError, RuntimeError, ValueError, AssertionError) as error:
        raise UsageError(f"timm cannot build {arch} with {dict(kwargs)}: {error}") from error
    expected = net.state_dict()
    state = _select(checkpoint.state, expected)
    _check_fit(state, expected, checkpoint, arch)
    _check_finite(state, checkpoint)
    net.load_state_dict({**expected, **state})
    return net.float().eval()


def metadata_width(columns: Sequence[str]) -> int:
    """Return how many numbers the runner makes of these columns of the table."""
    try:
        return metadata.width(columns)
    except KeyError as error:
        raise InputError(
            f"The checkpoint needs the column {error} of the table, which the runner cannot "
            f"encode. It can encode {', '.join(metadata.WIDTHS)}."
        ) from error


def _check_names(checkpoint: Checkpoint, arch: str) -> None:
    """Refuse weights that lack tensors of the architecture, before anything else is asked."""
    from train import model

    try:
        with torch.device("meta"):
            expected = model.build(arch, {"num_classes": 1}).state_dict()
    except (ConfigError, TypeError, RuntimeError, ValueError, AssertionError):
        return  # some of timm's need memory for their weights: `build` refuses them later
    state = _select(checkpoint.state, expected)
    missing = {key for key in expected if key not in state and not key.endswith(_NOT_NEEDED)}
    if missing:
        _check_fit(state, expected, checkpoint, arch)


def _check_fit(
    state: Mapping[str, torch.Tensor],
    expected: Mapping[str, torch.Tensor],
    checkpoint: Checkpoint,
    arch: str,
) -> None:
    needed = {key for key in expected if not key.endswith(_NOT_NEEDED)}
    shapes = {
        f"{key} {list(state[key].shape)} for {list(expected[key].shape)}"
        for key in needed & state.keys()
        if state[key].shape != expected[key].shape
    }
    groups = {
        "missing": needed - state.keys(),
        "unexpected": state.keys() - expected.keys(),
        "of another shape": shapes,
    }
    wrong = [f"{len(keys)} {what} ({_some(keys)})" for what, keys in groups.items() if keys]
    if not wrong:
        return
    likely = architectures.name_likeliest(_without_prefixes(checkpoint.state))
    hint = "No timm model has weights like these."
    if arch.partition(".")[0] in likely:
        hint = "The body is right; the head or the size of its images (--preset) is not."
    elif likely:
        hint = f"Its weights look like {' or '.join(likely)}: name it with --arch."
    raise InputError(
        f"The weights in {checkpoint.path} are not those of {arch}: {'; '.join(wrong)}. {hint}"
    )


def _check_finite(state: Mapping[str, torch.Tensor], checkpoint: Checkpoint) -> None:
    broken = {
        key
        for key, value in state.items()
        if value.is_floating_point() and not bool(torch.isfinite(value).all())
    }
    if broken:
        raise InputError(
            f"{len(broken)} of {len(state)} tensors in {checkpoint.path} hold NaN or infinity "
            f"({_some(broken)}): the training had diverged. Use an earlier epoch."
        )


def _select(
    state: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Return the weights under the names that the network has, whatever they are nested in.

    What lies beside the network (a loss with weights of its own) is left out; where two copies
    lie in one file, the averaged one is taken.
    """
    bare = _without_wrappers(state)
    first = next(iter(expected))
    prefixes = [
        key.removesuffix(first) for key in bare if key == first or key.endswith("." + first)
    ]
    if not prefixes:
        return bare

    def rank(prefix: str) -> tuple[int, bool]:
        return sum(prefix + key in bare for key in expected), "ema" in prefix

    prefix = max(prefixes, key=rank)
    return {
        key.removeprefix(prefix): value for key, value in bare.items() if key.startswith(prefix)
    }


def _without_wrappers(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Undo what DataParallel, torch.compile and averaging add to the names."""
    bare = {}
    for key, value in state.items():
        name = key.replace("_orig_mod.", "")
        while name.startswith("module."):
            name = name.removeprefix("module.")
        if name != "n_averaged":
            bare[name] = value
    return bare


def _without_prefixes(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Undo wrappers, and any prefix that all names share."""
    bare = _without_wrappers(state)
    while bare and len({key.partition(".")[0] for key in bare}) == 1:
        shorter = {key.partition(".")[2]: value for key, value in bare.items()}
        if not all(shorter):
            break
        bare = shorter
    return bare


def _count(kwargs: Mapping[str, Plain], name: str, default: int) -> int:
    value = kwargs.get(name, default)
    assert isinstance(value, int)  # the checkpoint's schema has checked these two
    return value


def _timm_config(arch: str) -> Any:
    from train.timm_import import timm

    name = arch.partition(".")[0]
    if not timm.is_model(name):
        import difflib

        near = difflib.get_close_matches(name, timm.list_models(), n=3)
        meant = f" Did you mean {' or '.join(near)}?" if near else ""
        raise UsageError(f"timm {timm.__version__} has no model {arch}.{meant}")
    return timm.get_pretrained_cfg(name)


def _first(names: Any) -> str:
    return names if isinstance(names, str) else str(next(iter(names or ("",))))


def _find(state: Mapping[str, torch.Tensor], layer: str) -> torch.Tensor | None:
    """Return the weight of a layer, wherever the network is nested."""
    wanted = f"{layer}.weight"
    keys = [key for key in state if key == wanted or key.endswith("." + wanted)]
    # The outermost: a block deeper inside may have a layer of the same name.
    return state[min(keys, key=len)] if keys else None


def _some(names: Sequence[str] | set[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:SHOWN]) + (", …" if len(listed) > SHOWN else "")
