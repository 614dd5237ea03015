"""A checkpoint: one file that says all that is needed to predict as it did in validation.

It is a `torch.save`d dict that `weights_only=True` can read: tensors and plain types alone, so
reading a stranger's checkpoint runs none of his code.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from train.errors import DataError
from train.storage import write_atomically

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What is in the file, beside its format."""

    model: Mapping[str, Tensor]
    ema: Mapping[str, Tensor] | None  # what the metrics were measured with, where it is there
    arch: str
    model_kwargs: Mapping[str, Any]
    preprocess: Mapping[str, Any]
    normalize: Mapping[str, float]  # mean, std, scale: (x * scale - mean) / std
    metadata_columns: Sequence[str]
    fold: int
    epoch: int
    metrics: Mapping[str, float]
    prevalence: float  # of the validation part's breasts
    run_id: str | None
    commit: str | None
    dirty: bool | None
    config: Mapping[str, Any]  # resolved, plain types


def file_name(checkpoint: Checkpoint, metric: str) -> str:
    """Return the name that says fold, epoch and metric: fold0_epoch02_vpfbeta0.504.pt."""
    value = checkpoint.metrics[metric]
    return f"fold{checkpoint.fold}_epoch{checkpoint.epoch:02d}_v{metric}{value:.3f}.pt"


def save(path: Path | str, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; what was at `path` stays if the disk refuses (StorageError)."""
    content = {"format": FORMAT}
    content |= {field.name: _plain(getattr(checkpoint, field.name)) for field in fields(checkpoint)}
    write_tensors(Path(path), content)


def write_tensors(path: Path, content: Mapping[str, Any]) -> None:
    """Write a dict of tensors and plain types, whole or not at all."""
    # torch.save into a file that refuses ends in an error of its own, not the disk's.
    memory = io.BytesIO()
    torch.save(dict(content), memory)
    write_atomically(path, memory.getbuffer())


def load(path: Path | str) -> Checkpoint:
    """Read a checkpoint; DataError where it is none, cut short, or of another format."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise DataError(f"There is no checkpoint {path}.") from error
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read as a checkpoint of tensors and plain types: "
            f"{str(error).splitlines()[0] if str(error) else type(error).__name__} "
            "It may be cut short, or hold pickled objects, which are not trusted."
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise DataError(f"{path} is of format {found!r}, not a checkpoint of format {FORMAT}.")
    names = {field.name for field in fields(Checkpoint)}
    missing = sorted(names - set(content))
    if missing:
        raise DataError(f"The checkpoint {path} lacks {', '.join(missing)}.")
    return Checkpoint(**{name: content[name] for name in names})


def _plain(value: Any) -> Any:
    """Return the value in the types that `weights_only` reads."""
    if isinstance(value, Tensor):
        return value.detach().cpu().clone()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if hasattr(value, "item"):  # a numpy number
        return value.item()
    raise TypeError(f"A checkpoint holds tensors and plain types, not {type(value).__name__}.")
