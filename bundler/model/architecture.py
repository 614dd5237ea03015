"""The architecture that weights belong to: recognised, built, and filled without a hole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from bundler.errors import InputError, UsageError
from bundler.model import architectures, fit, hints
from bundler.model.adopted.reading import OnnxFile
from bundler.model.checkpoint import Checkpoint
from bundler.model.factory import Factory
from bundler.model.fit import Fit
from inference import metadata
from inference.boot.fields import Plain
from train.errors import ConfigError

_IMAGENET_CLASSES = 1000


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What can be read from the weights themselves; None where it cannot."""

    channels: int | None
    outputs: int | None
    head: str | None
    head_question: str


def name_likely(state: Mapping[str, torch.Tensor]) -> str:
    """Return a phrase that names the likeliest timm model, or nothing."""
    names = architectures.name_likeliest(fit.without_prefixes(state))
    return f" (its weights look like {' or '.join(names)})" if names else ""


def read_shape(checkpoint: Checkpoint, arch: str, factory: Factory | None = None) -> Shape:
    """Read input channels and outputs from the weights. Raises UsageError for an unknown arch."""
    if checkpoint.graph is not None:
        return _read_graph(checkpoint.graph)
    if factory is not None:
        first = next((one for one in checkpoint.state.values() if one.ndim == 4), None)
        return Shape(
            channels=int(first.shape[1])
            if first is not None and first.shape[1] in (1, 3)
            else None,
            outputs=None,
            head=None,
            head_question="sigmoid:K if output K (from 0) is the logit of cancer; softmax:K if it "
            "is one of several classes'; probability:K if the network computes the probability",
        )
    if checkpoint.ours:
        kwargs = checkpoint.model_kwargs
        return Shape(
            channels=_count(kwargs, "in_chans", 3),
            outputs=_count(kwargs, "num_classes", 1),
            head=None,
            head_question="",
        )
    config = _timm_config(arch)
    state = fit.without_prefixes(checkpoint.state)
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


def _read_graph(graph: OnnxFile) -> Shape:
    """Return what an ONNX file shows of itself."""
    known = graph.outputs == 1 or graph.ends_in == "Sigmoid"
    kind = "probability" if graph.ends_in in ("Sigmoid", "Softmax") else "sigmoid"
    return Shape(
        channels=graph.image.channels,
        outputs=graph.outputs,
        head=f"{kind}:0" if known and graph.outputs == 1 else None,
        head_question=f"{kind}:K if output K (from 0) of {graph.outputs or 'several'} is cancer"
        + ("" if kind == "probability" else ", or softmax if it is the second of two"),
    )


def arguments(
    checkpoint: Checkpoint,
    arch: str,
    shape: Shape,
    size: Sequence[int],
    given: Mapping[str, Plain],
    factory: Factory | None,
) -> Mapping[str, Plain]:
    """Return the keyword arguments of a checkpoint's network on images of `size` (H, W).

    Those that were `given` come before what the weights show.
    """
    if factory is not None or checkpoint.graph is not None:
        return given
    if barred := sorted({"pretrained", "checkpoint_path", "pretrained_cfg"} & given.keys()):
        raise UsageError(
            f"--model-kwarg {barred[0]} would load other weights than the checkpoint's. Leave it "
            "out: all weights come from the checkpoint."
        )
    if checkpoint.ours:
        other = [name for name in given if checkpoint.model_kwargs.get(name) != given[name]]
        if other:
            raise UsageError(
                f"--model-kwarg {other[0]} is {given[other[0]]!r}, but {checkpoint.path} was "
                f"trained with {checkpoint.model_kwargs.get(other[0])!r}. Leave it out."
            )
        return checkpoint.model_kwargs
    kwargs: dict[str, Plain] = {"num_classes": shape.outputs or 1, "in_chans": shape.channels or 3}
    if _timm_config(arch).fixed_input_size:
        kwargs["img_size"] = [int(side) for side in size]
    return {**kwargs, **given}


def build(
    checkpoint: Checkpoint,
    arch: str,
    kwargs: Mapping[str, Plain],
    columns: Sequence[str],
    *,
    factory: Factory | None = None,
    ignore: Sequence[str] = (),
) -> nn.Module:
    """Build the network, by timm or a factory, and load the weights into it, every one.

    Raises InputError where one is missing, left over or no number; `ignore` are patterns of names
    that are meant to be left over.
    """
    net = _timm_model(arch, kwargs, columns) if factory is None else factory.build(kwargs)
    expected = net.state_dict()
    chosen = fit.select(checkpoint.state, checkpoint.others, list(expected), ignore)
    _check_fit(chosen, expected, checkpoint, arch, factory)
    fit.check_numbers(chosen.weights, expected, checkpoint.path)
    fit.check_ignore([*checkpoint.state, *checkpoint.others], ignore, checkpoint.path)
    net.load_state_dict({**expected, **fit.dense(chosen.weights)})
    return net.float().eval()


def _timm_model(arch: str, kwargs: Mapping[str, Plain], columns: Sequence[str]) -> nn.Module:
    from train import model

    try:
        return model.build(arch, kwargs, columns)
    except (ConfigError, TypeError, RuntimeError, ValueError, AssertionError) as error:
        raise UsageError(f"timm cannot build {arch} with {dict(kwargs)}: {error}") from error


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
    chosen = fit.select(checkpoint.state, checkpoint.others, list(expected))
    needed = {key for key in expected if not key.endswith(fit.NOT_NEEDED)}
    if not needed <= chosen.weights.keys():
        _check_fit(chosen, expected, checkpoint, arch)


def _check_fit(
    chosen: Fit,
    expected: Mapping[str, torch.Tensor],
    checkpoint: Checkpoint,
    arch: str,
    factory: Factory | None = None,
) -> None:
    state = chosen.weights
    needed = {key for key in expected if not key.endswith(fit.NOT_NEEDED)}
    shapes = {
        f"{key} {list(state[key].shape)} for {list(expected[key].shape)}"
        for key in needed & state.keys()
        if state[key].shape != expected[key].shape
    }
    groups = {
        "missing": needed - state.keys(),
        "unexpected": {*(state.keys() - expected.keys()), *chosen.left_over},
        "of another shape": shapes,
    }
    wrong = {what: keys for what, keys in groups.items() if keys}
    if not wrong:
        return
    listed = "; ".join(f"{len(keys)} {what} ({fit.some(keys)})" for what, keys in wrong.items())
    advice = _advise(checkpoint, arch, factory, wrong)
    raise InputError(
        f"The weights in {checkpoint.path} are not those of {arch}: {listed}. {advice}"
    )


def _advise(
    checkpoint: Checkpoint, arch: str, factory: Factory | None, wrong: Mapping[str, set[str]]
) -> str:
    """Return what to do about weights that do not fit."""
    left_out = (
        "Every tensor must be used. If nothing predicts with these (a loss, a second head), leave "
        f"them out with {fit.suggest_ignore(wrong['unexpected'])}."
        if wrong.keys() == {"unexpected"}
        else ""
    )
    if factory is not None:
        return left_out or "Build in the factory just what was trained, names and shapes included."
    hint = hints.write(checkpoint.state, checkpoint.others)
    if hint is not None:
        return f"{left_out}{' ' if left_out else ''}{hint}"
    if left_out:
        return left_out
    likely = architectures.name_likeliest(fit.without_prefixes(checkpoint.state))
    if arch.partition(".")[0] in likely:
        return "The body is right; the head or the size of its images (--preset) is not."
    if likely:
        return f"Its weights look like {' or '.join(likely)}: name it with --arch."
    return (
        "No timm model has weights like these. Write a function that builds the network, and name "
        "it with --factory module:function."
    )


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
