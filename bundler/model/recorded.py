"""What a file of weights records beside them: architecture, fold, epoch, metrics.

The keys are those that trainings use in the field; what is of another type says nothing. Needs no
torch, since files are bundled as they are without it.
"""

import argparse
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

from bundler.model import metrics

LARGEST_JSON = 64 << 20  # bytes of a header or table that is read
_ARCH_KEYS = ("arch", "architecture", "model_name", "timm_model", "backbone", "encoder")
_SETTINGS = ("hyper_parameters", "hparams", "config", "cfg", "args")
_SECTIONS = ("metrics", "scores", "results", "metric", "val_metrics", "best_metrics")


@runtime_checkable
class _Scalar(Protocol):
    """A tensor or a number of NumPy's, as far as it is read here."""

    def item(self) -> object:
        """Return the only number, or raise."""


def find_arch(content: Mapping[str, object]) -> str | None:
    """Return the architecture that a file names, at the top or among its hyperparameters."""
    for section in _sections(content, _SETTINGS):
        names = (section.get(key) for key in _ARCH_KEYS)
        if name := next((name for name in names if isinstance(name, str) and name), None):
            return name
    return None


def find_metrics(content: Mapping[str, object]) -> dict[str, float]:
    """Return the scores that a file records: of its sections, and at the top (`best_auc`).

    At the top only names are taken that are known to measure quality, as steps lie there, too; no
    number that is a setting is a score anywhere.
    """
    found = {
        key: score
        for key, value in content.items()
        if metrics.direction(str(key)) and (score := number(value)) is not None
    }
    for one in _sections(content, _SECTIONS)[1:]:
        found |= {
            str(key): score
            for key, value in one.items()
            if not metrics.is_setting(str(key)) and (score := number(value)) is not None
        }
    for name, score in _monitored(content):
        found.setdefault(name, score)
    return found


def find_fold(content: Mapping[str, object]) -> int | None:
    """Return the fold that a file records, at the top or among its hyperparameters."""
    for section in _sections(content, _SETTINGS):
        for key in ("fold", "kfold", "fold_id", "val_fold"):
            if (fold := whole(section.get(key))) is not None:
                return fold
    return None


def read_header(path: Path) -> Mapping[str, object]:
    """Return the metadata that a safetensors file begins with; nothing of what is broken."""
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header = parse_json(stream.read(length)) if length <= LARGEST_JSON else {}
    metadata = header.get("__metadata__")
    if not isinstance(metadata, dict):
        return {}
    nested = parse_json(str(metadata.get("metrics", "")))
    return {**metadata, "metrics": nested}


def parse_json(text: str | bytes) -> Mapping[str, object]:
    """Return a JSON object; nothing of what is none, since it is somebody else's file."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def number(value: object) -> float | None:
    """Return a finite number, also of a scalar tensor or of a text, or None."""
    if isinstance(value, _Scalar):
        try:
            value = value.item()
        except (ValueError, RuntimeError):  # of several numbers
            return None
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        result = float(value)
    except (ValueError, OverflowError):
        return None
    return result if math.isfinite(result) else None


def whole(value: object) -> int | None:
    """Return a whole number from 0 on, or None."""
    result = number(value)
    is_whole = result is not None and 0 <= result < 2**53 and result.is_integer()
    return int(result) if is_whole and result is not None else None


def _sections(content: Mapping[str, object], keys: tuple[str, ...]) -> list[Mapping[str, object]]:
    """Return a file's content, and the sections of it that are under these keys."""
    values = [content.get(key) for key in keys]
    values = [vars(one) if isinstance(one, argparse.Namespace) else one for one in values]
    return [content, *(one for one in values if isinstance(one, Mapping))]


def _monitored(content: Mapping[str, object]) -> Iterator[tuple[str, float]]:
    """Yield the score of this very state that Lightning's ModelCheckpoint keeps."""
    callbacks = content.get("callbacks")
    for state in callbacks.values() if isinstance(callbacks, Mapping) else ():
        if not isinstance(state, Mapping):
            continue
        name, score = state.get("monitor"), number(state.get("current_score"))
        if isinstance(name, str) and score is not None and not metrics.is_setting(name):
            yield name, score
