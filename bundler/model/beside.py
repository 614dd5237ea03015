"""What lies in a file beside the weights that were taken, and may be weights, too.

`{"backbone": …, "head": …}` or `{"model": …, "gem_p": …}`: what is not looked at is dropped, and
the file then predicts something else than its author's model did.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

from bundler.model import fit
from bundler.model.states import State

# What only resuming a training needs, whatever it holds.
_TRAINING = re.compile(
    r"optim|sched|scaler|rng|random|callback|loops|hparam|hyper|config|cfg|args|sampler|trainer|"
    r"metric|history",
    re.IGNORECASE,
)
# Numbers that were predicted or measured; whole networks have longer names.
_MEASURED = re.compile(
    r"(^|_)(oof|preds?|predictions?|targets?|labels?|logits?|probs?|probabilit(y|ies)|scores?|"
    r"loss(es)?|embeddings?)($|_)",
    re.IGNORECASE,
)
_DEEPEST = 4  # mappings within mappings


def find(
    content: Mapping[str, object], taken: str, state: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return the tensors beside the key that was taken, named by their keys.

    The same network once more (raw beside averaged weights) is none, nor is what training keeps.
    """
    names = fit.without_prefixes(state).keys()
    found: dict[str, Tensor] = {}
    for key, value in content.items():
        if key == taken or not isinstance(key, str) or _TRAINING.search(key):
            continue
        tensors = dict(_walk(key, value))
        if not fit.is_copy(fit.without_prefixes(tensors).keys(), names):
            found |= {name: one for name, one in tensors.items() if _may_be_weights(name, one)}
    return found


def find_unaveraged(states: Sequence[State], chosen: State) -> dict[str, Tensor]:
    """Return what only the raw weights of the chosen, averaged ones' key hold: a head, say."""
    if chosen.kind == "raw":
        return {}
    averaged = tuple(fit.without_wrappers(chosen.tensors))
    key = chosen.key.partition(":")[0]
    return {
        name: value
        for state in states
        if state.kind == "raw" and state.key == key
        for name, value in state.tensors.items()
        if not name.endswith((*averaged, *fit.BUFFERS))
    }


def _may_be_weights(name: str, value: Tensor) -> bool:
    """Say whether a tensor is more than a metric, a setting, a counter or a prediction."""
    return value.is_floating_point() and value.dim() > 0 and not _MEASURED.search(name)


def _walk(path: str, value: object, depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield path, value
    elif isinstance(value, Mapping) and depth < _DEEPEST:
        for key, item in value.items():
            if isinstance(key, str):
                yield from _walk(f"{path}.{key}", item, depth + 1)
