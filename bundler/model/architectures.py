"""Which timm model a set of weights belongs to, by the names and shapes of its tensors.

The signatures of all of timm's models lie in architectures.json, since building them all takes
minutes; `python -m bundler.model.architectures` writes it anew for the timm that is installed.
The head is left out of a signature: it is what competitors change.
"""

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch

from bundler import atomic

INDEX = Path(__file__).with_name("architectures.json")
HEADS = ("fc", "classifier", "head", "head_dist", "heads", "last_linear", "num_batches_tracked")
MOST_NAMED = 3
_CLOSE = 0.02  # of the parameters: how far a model may be off and still be named


def name_likeliest(state: Mapping[str, torch.Tensor]) -> list[str]:
    """Return the models that weights belong to, the likeliest first; none where none is like."""
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    keys, sizes, parameters = signature(shapes)
    index = _index()
    same_keys = {name: entry for name, entry in index.items() if entry[0] == keys}
    exact = [name for name, entry in same_keys.items() if entry[1] == sizes]
    if exact:
        return sorted(exact, key=lambda name: (len(name), name))[:MOST_NAMED]
    apart = {
        name: abs(entry[2] - parameters) / max(parameters, 1)
        for name, entry in (same_keys or index).items()
    }
    near = [name for name in apart if same_keys or apart[name] < _CLOSE]
    return sorted(near, key=lambda name: (apart[name], len(name), name))[:MOST_NAMED]


def twins(name: str) -> list[str]:
    """Return the other models whose bodies have tensors of the same names and shapes."""
    index = _index()
    own = index.get(name.partition(".")[0])
    if own is None:
        return []
    same = [other for other, entry in index.items() if entry[:2] == own[:2]]
    return sorted(other for other in same if index[other] is not own)


def signature(shapes: Mapping[str, tuple[int, ...]]) -> tuple[str, str, int]:
    """Return digests of the body's names and of its shapes, and its number of parameters.

    The number of input channels is left out, too: 1 counts as 3.
    """
    body = {key: shape for key, shape in shapes.items() if not set(key.split(".")) & set(HEADS)}
    alike = {key: _three_channels(shape) for key, shape in body.items()}
    parameters = sum(torch.Size(shape).numel() for shape in alike.values())
    return _digest(sorted(alike)), _digest(sorted(alike.items())), parameters


def _index() -> Mapping[str, tuple[str, str, int]]:
    """Return the signature of each of timm's models."""
    rows = json.loads(INDEX.read_text(encoding="utf-8"))["models"]
    return {name: (names, shapes, parameters) for name, (names, shapes, parameters) in rows.items()}


def _three_channels(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[0], 3, *shape[2:]) if len(shape) == 4 and shape[1] == 1 else shape


def _digest(items: Iterable[object]) -> str:
    return hashlib.sha256(repr(list(items)).encode()).hexdigest()[:8]


def write_index() -> int:
    """Build all of timm's models without memory for their weights, and write their signatures."""
    from train.timm_import import timm

    models: dict[str, tuple[str, str, int]] = {}
    with torch.device("meta"):
        for name in timm.list_models():
            try:
                state = timm.create_model(name, num_classes=1).state_dict()
            except (RuntimeError, TypeError, ValueError, NotImplementedError) as error:
                print(f"{name} cannot be built: {error}", file=sys.stderr)
                continue
            models[name] = signature({key: tuple(value.shape) for key, value in state.items()})
    rows = ",\n".join(f"{json.dumps(name)}: {json.dumps(row)}" for name, row in models.items())
    atomic.write_text(INDEX, f'{{"timm": "{timm.__version__}", "models": {{\n{rows}\n}}}}\n')
    return len(models)


if __name__ == "__main__":
    print(f"{write_index()} models in {INDEX.name}")
