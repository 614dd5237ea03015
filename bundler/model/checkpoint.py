"""A checkpoint: the weights in a file, and what the file records about them.

Reads this project's format, plain state_dicts, the usual dicts around one, Lightning's, and
safetensors.
"""

import argparse
import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeGuard

import numpy as np
import torch

from bundler.errors import InputError
from bundler.model import beside, naming, weights
from bundler.model.adopted.reading import OnnxFile
from inference.boot.fields import Plain
from inference.pixels.preprocess import PreprocessConfig
from train import checkpoint as schema
from train.checkpoint import Normalize
from train.errors import DataError

SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".safetensors", ".tar")
# Weights averaged over the training come first: where they exist the metrics are theirs.
STATE_KEYS = (
    *("ema", "ema_state_dict", "state_dict_ema", "model_ema", "model_ema_state_dict"),
    *("state_dict", "model_state_dict", "model", "model_state", "net", "network", "weights"),
    "module",
)
_CHUNK = 1 << 20
_ARCH_KEYS = ("arch", "architecture", "model_name", "timm_model", "backbone", "encoder")


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Weights and what their file records about them; None where it records nothing.

    `ours` marks this project's own format, which says everything; `source` is the key that the
    weights were found under, `others` what lies beside it and may be weights, too; `when` is the
    file's time of modification (seconds).
    """

    path: Path
    state: Mapping[str, torch.Tensor] = field(repr=False)
    others: Mapping[str, torch.Tensor] = field(default_factory=dict, repr=False)
    graph: OnnxFile | None = None  # in place of weights: an ONNX file is a whole network
    ours: bool = False
    source: str = ""
    when: float = 0.0
    arch: str | None = None
    model_kwargs: Mapping[str, Plain] = field(default_factory=dict)
    preprocess: PreprocessConfig | None = None
    normalize: Normalize | None = None
    metadata_columns: tuple[str, ...] = ()
    fold: int | None = None
    epoch: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    prevalence: float | None = None
    run_id: str | None = None
    commit: str | None = None
    dirty: bool | None = None


def read(path: Path, *, mapped: bool = False) -> Checkpoint:
    """Read a checkpoint. Raises InputError where it cannot be read or holds no weights.

    `mapped` leaves the weights on the disk until they are used: enough to list a folder.
    """
    content = weights.load(path, mapped)
    if isinstance(content, Mapping) and schema.is_ours(content):
        return _read_ours(path, content)
    state, source = _find_state(content, path)
    named = naming.parse(Path(path.name.removesuffix(".tar")).stem)  # of x.pth.tar: x
    # What lies beside the weights; a bare state_dict has nothing but them.
    others: Mapping[str, object] = content if isinstance(content, Mapping) and source else {}
    run_id = others.get("run_id")
    return Checkpoint(
        path=path,
        state=state,
        others=beside.find(others, source, state),
        source=source,
        when=path.stat().st_mtime,
        arch=_find_arch(others),
        fold=_number(others.get("fold"), named.fold),
        epoch=_number(others.get("epoch"), named.epoch),
        metrics=_find_metrics(others) or named.metrics,
        run_id=run_id if isinstance(run_id, str) else None,
    )


def digest(one: Checkpoint) -> str:
    """Return the sha256 of a checkpoint's file, and of what lies beside an ONNX file with it."""
    whole = hashlib.sha256()
    for path in (one.path, *(one.graph.data if one.graph else ())):
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                whole.update(chunk)
    return whole.hexdigest()


def _read_ours(path: Path, content: Mapping[str, object]) -> Checkpoint:
    """Return a checkpoint of the training's own format, as its schema reads it."""
    try:
        whole = schema.parse(content, path)
    except DataError as error:
        raise InputError(str(error)) from error
    return Checkpoint(
        path=path,
        state=whole.weights,
        ours=True,
        source="model" if whole.ema is None else "ema",
        when=path.stat().st_mtime,
        arch=whole.arch,
        model_kwargs=whole.model_kwargs,
        preprocess=whole.preprocess,
        normalize=whole.normalize,
        metadata_columns=tuple(whole.metadata_columns),
        fold=whole.fold,
        epoch=whole.epoch,
        # A metric is undefined where a fold had one class only.
        metrics={name: value for name, value in whole.metrics.items() if math.isfinite(value)},
        prevalence=whole.prevalence,
        run_id=whole.run_id,
        commit=whole.commit,
        dirty=whole.dirty,
    )


def _find_state(content: object, path: Path) -> tuple[dict[str, torch.Tensor], str]:
    """Return the weights and the key they were found under ("" where they are the file)."""
    if _is_state(content):
        return _tensors(content), ""
    if isinstance(content, Mapping):
        for key in STATE_KEYS:
            value = content.get(key)
            if isinstance(value, Mapping) and not _is_state(value):
                value = value.get("module", value.get("state_dict"))
            if isinstance(value, Mapping) and _is_state(value):
                return _tensors(value), key
        keys = ", ".join(sorted(str(key) for key in content)[:8]) or "nothing"
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


def _is_state(value: object) -> TypeGuard[Mapping[str, object]]:
    """Say whether a value maps names to tensors (a state_dict may hold a few other things)."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        return False
    tensors = sum(isinstance(item, torch.Tensor) for item in value.values())
    return tensors > 0 and tensors >= len(value) / 2 and any("." in key for key in value)


def _tensors(state: Mapping[str, object]) -> dict[str, torch.Tensor]:
    return {key: item for key, item in state.items() if isinstance(item, torch.Tensor)}


def _find_arch(content: Mapping[str, object]) -> str | None:
    """Return the architecture that a file names, at the top or among its hyperparameters."""
    sections: list[object] = [content]
    for key in ("hyper_parameters", "hparams", "config", "cfg", "args"):
        value = content.get(key)
        sections.append(vars(value) if isinstance(value, argparse.Namespace) else value)
    for section in sections:
        if isinstance(section, Mapping):
            names = (section.get(key) for key in _ARCH_KEYS)
            if name := next((name for name in names if isinstance(name, str) and name), None):
                return name
    return None


def _find_metrics(content: Mapping[str, object]) -> dict[str, float]:
    metrics = content.get("metrics")
    if not isinstance(metrics, Mapping):
        return {}
    pairs = ((str(key), _float(value)) for key, value in metrics.items())
    return {key: value for key, value in pairs if value is not None and math.isfinite(value)}


def _float(value: object) -> float | None:
    if isinstance(value, torch.Tensor):
        return float(value) if value.numel() == 1 else None
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        return None
    return float(value)


def _number(value: object, otherwise: int | None) -> int | None:
    number = _float(value)
    return int(number) if number is not None and number == number // 1 else otherwise
