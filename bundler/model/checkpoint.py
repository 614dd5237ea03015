"""A checkpoint: the weights in a file, and what the file records about them.

Reads this project's format, plain state_dicts, the usual dicts around one, Lightning's, and
safetensors.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from bundler.errors import InputError
from bundler.model import beside, naming, recorded, states
from bundler.model import weights as file_content
from bundler.model.adopted.reading import OnnxFile
from bundler.model.options import WeightsKind
from bundler.model.states import State
from inference.boot.fields import Plain
from inference.pixels.preprocess import PreprocessConfig
from train import checkpoint as schema
from train.checkpoint import Normalize
from train.errors import DataError

SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".safetensors", ".tar")
_CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Weights and what their file records about them; None where it records nothing.

    `ours` marks this project's own format, which says everything; `source` is the key that the
    weights were found under, `weights` whether they are the average over the training (EMA);
    `other_weights` is the key of the other kind, where the file holds both; `others` is what lies
    beside them and may be weights, too; `when` is the file's time of modification (seconds).
    """

    path: Path
    state: Mapping[str, torch.Tensor] = field(repr=False)
    others: Mapping[str, torch.Tensor] = field(default_factory=dict, repr=False)
    graph: OnnxFile | None = None  # in place of weights: an ONNX file is a whole network
    ours: bool = False
    source: str = ""
    weights: WeightsKind = "raw"
    other_weights: str | None = None
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


def read(path: Path, *, weights: WeightsKind | None = None, mapped: bool = False) -> Checkpoint:
    """Read a checkpoint. Raises InputError where it cannot be read or holds no weights.

    `weights` chooses between the averaged and the raw ones (None: averaged where there are any);
    UsageError where the file does not hold that kind. `mapped` leaves the weights on the disk until
    they are used: enough to list a folder.
    """
    content = file_content.load(path, mapped)
    if isinstance(content, Mapping) and schema.is_ours(content):
        return _read_ours(path, content, weights)
    found = states.find(content, path)
    chosen, other = states.choose(found, weights, path)
    named = naming.parse(Path(path.name.removesuffix(".tar")).stem)  # of x.pth.tar: x
    # What lies beside the weights; a bare state_dict has nothing but them.
    others: Mapping[str, object] = {}
    if path.suffix == ".safetensors":
        others = recorded.read_header(path)
    elif isinstance(content, Mapping) and chosen.key and not states.is_state(content):
        others = content
    run_id = others.get("run_id")
    fold, epoch = recorded.find_fold(others), recorded.whole(others.get("epoch"))
    return Checkpoint(
        path=path,
        state=chosen.tensors,
        others=beside.find(others, chosen.key.partition(":")[0], chosen.tensors)
        | beside.find_unaveraged(found, chosen),
        source=chosen.key,
        weights=chosen.kind,
        other_weights=other,
        when=path.stat().st_mtime,
        arch=recorded.find_arch(others),
        fold=named.fold if fold is None else fold,
        epoch=named.epoch if epoch is None else epoch,
        metrics=recorded.find_metrics(others) or named.metrics,
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


def _read_ours(
    path: Path, content: Mapping[str, object], weights: WeightsKind | None
) -> Checkpoint:
    """Return a checkpoint of the training's own format, as its schema reads it."""
    try:
        whole = schema.parse(content, path)
    except DataError as error:
        raise InputError(str(error)) from error
    held = [State(key="model", kind="raw", tensors=whole.model)]
    if whole.ema is not None:
        held.insert(0, State(key="ema", kind="ema", tensors=whole.ema))
    chosen, other = states.choose(held, weights, path)
    return Checkpoint(
        path=path,
        state=chosen.tensors,
        ours=True,
        source=chosen.key,
        weights=chosen.kind,
        other_weights=other,
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
