"""A checkpoint: one file that says all that is needed to predict as it did in validation.

This is its only schema: the training writes by it and `rsna-bundle model` reads by it. The file
is a `torch.save`d dict that `weights_only=True` can read: tensors and plain types alone, so
reading a stranger's checkpoint runs none of his code.
"""

from __future__ import annotations

import dataclasses
import io
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from inference.boot import card
from inference.boot.fields import Plain, plain
from inference.errors import RunError
from inference.pixels.preprocess import PreprocessConfig
from train import fields
from train.errors import DataError
from train.fields import FieldError
from train.storage import write_atomically

FORMAT = 1
# Names that no other project's checkpoints have: by them a file is known as one of this format.
_OWN_NAMES = ("model_kwargs", "preprocess", "normalize", "metadata_columns")
_REMEDY = (
    "Copy it again from where it was trained, or, if it was written by hand, write it with "
    "train.checkpoint.save."
)


@dataclass(frozen=True, kw_only=True)
class Normalize(card.Normalize):
    """How pixels become the network's input: the fields that an exported model records, too."""

    @classmethod
    def parse(cls, values: Mapping[str, Plain]) -> Normalize:
        """Return what the settings or a file hold; FieldError names what is missing or wrong."""
        for name in ("mean", "std", "scale"):
            if name not in values:
                raise FieldError("normalize", values, f"a dict with {name}")
        return cls(
            mean=fields.numbers("normalize.mean", values["mean"]),
            std=fields.numbers("normalize.std", values["std"]),
            scale=fields.number("normalize.scale", values["scale"]),
        )

    def as_dict(self) -> dict[str, Plain]:
        """Return plain values for a checkpoint: one number where all channels have the same."""
        mean, std = (one[0] if len(one) == 1 else list(one) for one in (self.mean, self.std))
        return {"mean": mean, "std": std, "scale": self.scale}


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What is in the file, beside its format."""

    model: Mapping[str, Tensor]
    ema: Mapping[str, Tensor] | None  # what the metrics were measured with, where it is there
    arch: str
    model_kwargs: Mapping[str, Plain]
    preprocess: PreprocessConfig
    normalize: Normalize
    metadata_columns: Sequence[str]
    fold: int | None
    epoch: int | None
    metrics: Mapping[str, float]
    prevalence: float | None  # of the validation part's breasts
    run_id: str | None
    commit: str | None
    dirty: bool | None
    config: Mapping[str, Plain]  # resolved

    @property
    def weights(self) -> Mapping[str, Tensor]:
        """Return the averaged weights where there are any: the metrics are theirs."""
        return self.model if self.ema is None else self.ema


def file_name(checkpoint: Checkpoint, metric: str) -> str:
    """Return the name that says fold, epoch and metric: fold0_epoch02_vpfbeta0.504.pt."""
    value = checkpoint.metrics[metric]
    return f"fold{checkpoint.fold}_epoch{checkpoint.epoch:02d}_v{metric}{value:.3f}.pt"


# --- writing ---------------------------------------------------------------------------------


def save(path: Path | str, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; what was at `path` stays if the disk refuses (StorageError)."""
    content: dict[str, object] = {"format": FORMAT}
    for field in dataclasses.fields(checkpoint):
        content[field.name] = _plain(getattr(checkpoint, field.name))
    write_tensors(Path(path), content)


def write_tensors(path: Path, content: Mapping[str, object]) -> None:
    """Write a dict of tensors and plain types, whole or not at all."""
    # torch.save into a file that refuses ends in an error of its own, not the disk's.
    memory = io.BytesIO()
    torch.save(dict(content), memory)
    write_atomically(path, memory.getbuffer())


def _plain(value: object) -> object:
    """Return the value in the types that `weights_only` reads."""
    if isinstance(value, Tensor):
        return value.detach().cpu().clone()
    if isinstance(value, PreprocessConfig):
        return plain(value)
    if isinstance(value, Normalize):
        return value.as_dict()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if hasattr(value, "item"):  # a numpy number
        return value.item()
    raise TypeError(f"A checkpoint holds tensors and plain types, not {type(value).__name__}.")


# --- reading ---------------------------------------------------------------------------------


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
    if not isinstance(content, Mapping) or "format" not in content:
        raise DataError(f"{path} is not a checkpoint of this project: it has no field `format`.")
    return parse(content, path)


def is_ours(content: object) -> bool:
    """Return whether a file's content claims to be of this format, whatever its number."""
    if not isinstance(content, Mapping) or "format" not in content:
        return False
    # Others, too, may have written a number under `format`; with `arch` it is taken for ours.
    return any(name in content for name in _OWN_NAMES) or (
        isinstance(content["format"], int) and "arch" in content
    )


def parse(content: Mapping[str, object], path: Path | str) -> Checkpoint:
    """Return what a file holds, every field of the right type; DataError names one that is not."""
    # A bool equals 1, too, and is no format.
    if content["format"] != FORMAT or isinstance(content["format"], bool):
        raise DataError(
            f"The checkpoint {path} is of format {content['format']!r}; this version reads format "
            f"{FORMAT} only. Read it with the version of rsna-bundle that wrote it."
        )
    missing = [field.name for field in dataclasses.fields(Checkpoint) if field.name not in content]
    if missing:
        raise DataError(f"The checkpoint {path} lacks the field {', '.join(missing)}. {_REMEDY}")
    try:
        return Checkpoint(
            model=_tensors("model", content["model"]),
            ema=None if content["ema"] is None else _tensors("ema", content["ema"]),
            arch=fields.text("arch", content["arch"]),
            model_kwargs=_model_kwargs(content["model_kwargs"]),
            preprocess=PreprocessConfig.from_dict(
                fields.mapping("preprocess", content["preprocess"])
            ),
            normalize=Normalize.parse(fields.mapping("normalize", content["normalize"])),
            metadata_columns=fields.texts("metadata_columns", content["metadata_columns"]),
            fold=fields.whole_or_none("fold", content["fold"]),
            epoch=fields.whole_or_none("epoch", content["epoch"]),
            metrics=_metrics(content["metrics"]),
            prevalence=fields.number_or_none("prevalence", content["prevalence"]),
            run_id=fields.text_or_none("run_id", content["run_id"]),
            commit=fields.text_or_none("commit", content["commit"]),
            dirty=fields.flag_or_none("dirty", content["dirty"]),
            config=fields.mapping("config", content["config"]),
        )
    except FieldError as error:
        raise DataError(f"The checkpoint {path} cannot be used: {error}. {_REMEDY}") from error
    except RunError as error:  # of the code that would have to do the preprocessing
        raise DataError(f"The checkpoint {path}: the field preprocess. {error}") from error


def _tensors(name: str, value: object) -> Mapping[str, Tensor]:
    if not isinstance(value, Mapping) or not value:
        raise FieldError(name, value, "a state_dict of tensors")
    for key, item in value.items():
        if not isinstance(key, str) or not isinstance(item, Tensor):
            raise FieldError(f"{name}[{key!r}]", item, "a tensor under a name")
    return value


def _metrics(value: object) -> Mapping[str, float]:
    return {
        key: fields.number(f"metrics.{key}", item)
        for key, item in fields.mapping("metrics", value).items()
    }


def _model_kwargs(value: object) -> Mapping[str, Plain]:
    kwargs = fields.mapping("model_kwargs", value)
    for name in ("in_chans", "num_classes"):  # the two that are computed with
        if fields.whole_or_none(f"model_kwargs.{name}", kwargs.get(name, 1)) is None:
            raise FieldError(f"model_kwargs.{name}", None, "a whole number")
    return kwargs
