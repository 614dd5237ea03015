"""The weights within a checkpoint's content: under which key, averaged over the training or raw."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeGuard

import torch

from bundler.errors import InputError, UsageError
from bundler.model.options import WeightsKind
from bundler.model.table import printable

_KINDS: Mapping[str, str] = {"ema": "averaged (EMA)", "raw": "raw"}  # for messages
# Weights averaged over the training come first: where they exist the metrics are theirs.
EMA_KEYS = (
    *("ema", "ema_state_dict", "state_dict_ema", "model_ema", "model_ema_state_dict"),
    *("ema_model", "ema_weights"),
)
RAW_KEYS = (
    *("state_dict", "model_state_dict", "model", "model_state", "net", "network", "weights"),
    "module",
)
STATE_KEYS = (*EMA_KEYS, *RAW_KEYS)
_INNER_KEYS = ("module", "state_dict", "shadow")  # of an averaging helper's own state
# Both in one state_dict, as Lightning saves a module that keeps its average beside it.
_EMA_PREFIXES = ("ema_model.module.", "ema_model.", "model_ema.module.", "model_ema.", "ema.")


@dataclass(frozen=True, kw_only=True)
class State:
    """Weights in a file, the key they are under ("" where they are the file), and their kind."""

    key: str
    kind: WeightsKind
    tensors: Mapping[str, torch.Tensor] = field(repr=False)


def choose(
    states: Sequence[State], wanted: WeightsKind | None, path: Path
) -> tuple[State, str | None]:
    """Return the weights to take, and the key of the other kind, where there is one."""
    of_kind = [one for one in states if wanted in (None, one.kind)]
    if not of_kind:
        raise UsageError(
            f"{path} holds no {_KINDS[str(wanted)]} weights, only {_KINDS[states[0].kind]} ones "
            f"({states[0].key or 'the whole file'}). Leave out --weights {wanted}, or choose "
            "another checkpoint."
        )
    chosen = of_kind[0]
    return chosen, next((one.key for one in states if one.kind != chosen.kind), None)


def find(content: object, path: Path) -> list[State]:
    """Return the weights that a file's content holds, averaged ones first, or InputError."""
    if is_state(content):
        return _divide(_tensors(content), "")
    if isinstance(content, Mapping):
        if states := [state for key in STATE_KEYS for state in _under(key, content)]:
            return sorted(states, key=lambda one: one.kind)  # stable: ema before raw
        keys = ", ".join(printable(key) for key in sorted(map(str, content))[:8]) or "nothing"
        if any("optim" in str(key).lower() for key in content) or "param_groups" in content:
            raise InputError(
                f"{path} holds the optimizer's state and no weights (keys: {keys}). Name the "
                "file that holds the model."
            )
        raise InputError(
            f"{path} holds no weights under a known key (its keys: {keys}). Save them as "
            "{'state_dict': model.state_dict()}."
        )
    raise InputError(
        f"{path} holds a {type(content).__name__}, not weights. Save model.state_dict() instead."
    )


def _under(key: str, content: Mapping[str, object]) -> list[State]:
    """Return the weights under a key, or under that of an averaging helper's state below it."""
    value = content.get(key)
    if isinstance(value, Mapping) and not is_state(value):
        value = next((value[inner] for inner in _INNER_KEYS if inner in value), None)
    if not isinstance(value, Mapping) or not is_state(value):
        return []
    tensors = _tensors(value)
    return (
        [State(key=key, kind="ema", tensors=tensors)] if key in EMA_KEYS else _divide(tensors, key)
    )


def _divide(tensors: Mapping[str, torch.Tensor], key: str) -> list[State]:
    """Return the averaged and the raw weights of a state_dict that holds both, or the one."""
    for prefix in _EMA_PREFIXES:
        averaged = {
            name.removeprefix(prefix): tensor
            for name, tensor in tensors.items()
            if name.startswith(prefix) and name != f"{prefix}n_averaged"
        }
        outer = prefix.partition(".")[0] + "."  # also of the helper's own count of steps
        rest = {name: tensor for name, tensor in tensors.items() if not name.startswith(outer)}
        # Each name of the average is that of a raw one, but for a prefix of its own.
        if averaged and all(any(raw.endswith(name) for raw in rest) for name in averaged):
            source = f"{key}: {prefix}*" if key else f"{prefix}*"
            return [
                State(key=source, kind="ema", tensors=averaged),
                State(key=key, kind="raw", tensors=rest),
            ]
    return [State(key=key, kind="raw", tensors=tensors)]


def is_state(value: object) -> TypeGuard[Mapping[str, object]]:
    """Say whether a value maps names to tensors (a state_dict may hold a few other things)."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        return False
    tensors = sum(isinstance(item, torch.Tensor) for item in value.values())
    return tensors > 0 and tensors >= len(value) / 2 and any("." in key for key in value)


def _tensors(state: Mapping[str, object]) -> dict[str, torch.Tensor]:
    return {key: item for key, item in state.items() if isinstance(item, torch.Tensor)}
