"""A timm body inside a wrapper of the user's own, and the factory that would rebuild it.

The usual baseline is `self.backbone = timm.create_model(…, num_classes=0)` and `self.dense =
nn.Linear(…)`, perhaps with a table's numbers beside the body's features. Names and shapes show the
layers; what has no weights between them does not show, and the text says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bundler.model import architectures, fit

FILE = "rsna_model"  # what the text proposes to call the file
_SMALLEST_BODY = 8  # tensors
_MOST_LAYERS = 12  # of a head; more are named, not written


@dataclass(frozen=True, kw_only=True)
class Wrapper:
    """What the names and shapes show: a body of timm's under a prefix, and the layers beside it."""

    prefix: str
    arch: str
    channels: int
    features: int
    layers: Mapping[str, Mapping[str, Tensor]]  # by the attribute's name; of each its tensors


def write(state: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> str | None:
    """Return what to do about a wrapped timm network, or None where the weights show none."""
    wrapper = recognise({**state, **others})
    if wrapper is None:
        return None
    beside = ", ".join(f"{name}.*" for name in wrapper.layers)
    lines = "\n".join(f"    {line}".rstrip() for line in code(wrapper))
    return (
        f"Under `{wrapper.prefix}.` they look like timm's {wrapper.arch}, beside layers of your "
        f"own ({beside}), which timm does not build. Write a factory; from the weights alone it "
        f"would be this, in {FILE}.py at the root of your repository:\n\n{lines}\n\nName it with "
        f"--factory {FILE}:build (without --arch). Compare forward() with your training's: "
        "activations, pooling and what else has no weights do not show in a checkpoint."
    )


def recognise(state: Mapping[str, Tensor]) -> Wrapper | None:
    """Return the wrapper that weights belong to, if they look like one."""
    bare = fit.without_prefixes(state)
    groups: dict[str, dict[str, Tensor]] = {}
    for name, value in bare.items():
        top, dot, rest = name.partition(".")
        groups.setdefault(top, {})[rest if dot else ""] = value
    for prefix, body in groups.items():
        if len(groups) < 2 or len(body) < _SMALLEST_BODY or not prefix.isidentifier():
            continue
        likely = architectures.name_likeliest(body)
        described = _describe(likely[0], body) if likely else None
        if described is not None:
            layers = {name: group for name, group in groups.items() if name != prefix}
            channels, features = described
            return Wrapper(
                prefix=prefix, arch=likely[0], channels=channels, features=features, layers=layers
            )
    return None


def code(wrapper: Wrapper) -> list[str]:
    """Return the lines of a module with a function `build`."""
    numbers, branch, head = _roles(wrapper)
    pool = next((name for name in wrapper.layers if _is_pool(wrapper, name)), None)
    layers = [name for name in wrapper.layers if name != pool]
    lines = ["import timm", "import torch", "from torch import nn", "", "", "class Net(nn.Module):"]
    lines += ["    def __init__(self):", "        super().__init__()"]
    pooled = ', global_pool=""' if pool else ""
    lines.append(
        f'        self.{wrapper.prefix} = timm.create_model("{wrapper.arch}", num_classes=0, '
        f"in_chans={wrapper.channels}{pooled})"
    )
    if pool:
        lines.append(f"        self.{pool} = nn.Module()")
        lines.append(f"        self.{pool}.p = nn.Parameter(torch.ones(1))")
    for name in layers:
        lines += [f"        {line}" for line in _layer(name, wrapper.layers[name])]
    inputs = "pixels, metadata" if numbers else "pixels"
    lines += ["", f"    def forward(self, {inputs}):"]
    lines.append(f"        features = self.{wrapper.prefix}(pixels)")
    if pool:
        lines.append(
            f"        powers = features.clamp(min=1e-6) ** self.{pool}.p  # GeM, as usually written"
        )
        lines.append(f"        features = powers.mean((2, 3)) ** (1 / self.{pool}.p)")
    if numbers:
        table = f"self.{branch}(metadata)" if branch else "metadata"
        lines.append(f"        features = torch.cat([features, {table}], dim=1)")
    call = f"self.{head}(features)" if head else "features  # no layer that takes the features"
    lines += [f"        return {call}", "", "", "def build():", "    return Net()"]
    if numbers:
        lines.append(
            f"# metadata has {numbers} numbers, in the order of --metadata-columns; the runner "
            "encodes them (docs/model.md)"
        )
    return lines


def _describe(arch: str, body: Mapping[str, Tensor]) -> tuple[int, int] | None:
    """Return the input channels and the number of features of a body; None where it is not one."""
    from train.timm_import import timm

    try:
        with torch.device("meta"):
            network = timm.create_model(arch, num_classes=0)
    except (RuntimeError, TypeError, ValueError, NotImplementedError, AssertionError):
        return None
    first = next((one for one in body.values() if one.dim() == 4), None)
    channels = int(first.shape[1]) if first is not None and first.shape[1] in (1, 3) else 3
    features: Any = getattr(network, "head_hidden_size", 0) or network.num_features
    return channels, int(features)


def _is_pool(wrapper: Wrapper, name: str) -> bool:
    """Say whether a layer is the exponent of a generalised mean."""
    return wrapper.layers[name].keys() == {"p"} and wrapper.layers[name]["p"].numel() == 1


def _roles(wrapper: Wrapper) -> tuple[int, str | None, str | None]:
    """Return how many numbers come beside the pixels, the branch that takes them, and the head."""
    linear = {name: _ends(group) for name, group in wrapper.layers.items()}
    heads = [name for name, ends in linear.items() if ends and ends[0] >= wrapper.features]
    head = heads[0] if len(heads) == 1 else None
    joined = linear[head][0] - wrapper.features if head and linear[head] else 0  # type: ignore[index]
    if not joined:
        return 0, None, head
    for name, ends in linear.items():
        if name != head and ends and ends[1] == joined:
            return ends[0], name, head
    return joined, None, head


def _ends(group: Mapping[str, Tensor]) -> tuple[int, int] | None:
    """Return how many numbers a chain of linear layers takes and gives."""
    weights = [
        value for name, value in group.items() if name.endswith("weight") and value.dim() == 2
    ]
    return (int(weights[0].shape[1]), int(weights[-1].shape[0])) if weights else None


def _layer(name: str, group: Mapping[str, Tensor]) -> Sequence[str]:
    """Return the lines that make an attribute of the network."""
    if "weight" in group or not all(key.partition(".")[0].isdigit() for key in group):
        made = _module(group)
        return [
            f"self.{name} = {made}"
            if made
            else f"# self.{name}: not understood ({fit.some(group)})"
        ]
    places: dict[int, dict[str, Tensor]] = {}
    for key, value in group.items():
        number, _, rest = key.partition(".")
        places.setdefault(int(number), {})[rest] = value
    if max(places) > _MOST_LAYERS:
        return [f"# self.{name}: {len(places)} layers that you know better"]
    gap = iter(["nn.ReLU()  # or what stood here", *["nn.Identity()"] * _MOST_LAYERS])
    lines = [f"self.{name} = nn.Sequential("]
    for place in range(max(places) + 1):
        made = _module(places[place]) if place in places else next(gap)
        text, _, remark = (made or "nn.Identity()  # not understood").partition("  #")
        lines.append(f"    {text},{'  #' + remark if remark else ''}")
    return [*lines, ")"]


def _module(group: Mapping[str, Tensor]) -> str | None:
    """Return the torch layer that has tensors of these names and shapes."""
    weight = group.get("weight")
    bias = "" if "bias" in group else ", bias=False"
    if weight is None or not group.keys() <= {
        "weight",
        "bias",
        "running_mean",
        "running_var",
        "num_batches_tracked",
    }:
        return None
    if weight.dim() == 2:
        return f"nn.Linear({weight.shape[1]}, {weight.shape[0]}{bias})"
    if weight.dim() == 1 and "running_mean" in group:
        return f"nn.BatchNorm1d({weight.shape[0]})"
    return f"nn.LayerNorm({weight.shape[0]})" if weight.dim() == 1 else None
