"""The preprocessing that the options name: a preset or a file as the start, and what differs."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from bundler.errors import InputError, UsageError
from bundler.model.options import Training
from inference.errors import InputError as Refused
from inference.pixels.preprocess import PRESETS, VERSION, PreprocessConfig

_FORMATS = {".json": json.loads, ".toml": tomllib.loads}


def named(training: Training, recorded: PreprocessConfig | None) -> PreprocessConfig | None:
    """Return the preprocessing that the options name, None where they name none. UsageError.

    Single fields change the preset that is named, else what the checkpoint records: nothing that
    was not given is assumed.
    """
    start = None if training.preset is None else _start(training.preset)
    changes = {
        name: value for name, value in vars(training.preprocessing).items() if value is not None
    }
    if not changes:
        return start
    start = start or recorded
    listed = ", ".join(f"--{name.replace('_', '-')}" for name in changes)
    if start is None:
        raise UsageError(
            f"{listed} changes a preset. Name the one to start from with --preset: "
            f"{', '.join(PRESETS)}, or a file."
        )
    try:
        return replace(start, **changes)
    except Refused as error:
        raise UsageError(f"{listed}: {error}") from error


def _start(preset: str) -> PreprocessConfig:
    if preset in PRESETS:
        return PRESETS[preset]
    path = Path(preset)
    if path.suffix not in _FORMATS:
        raise UsageError(
            f"Unknown preset {preset!r} in --preset. Choose one of {', '.join(PRESETS)}, or name a "
            "file (*.toml, *.json) with the fields of a preprocessing."
        )
    return _read(path)


def _read(path: Path) -> PreprocessConfig:
    """Return the preprocessing of a file; what it leaves out has the fields' defaults."""
    try:
        values = _FORMATS[path.suffix](path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"The preprocessing {path} cannot be read: {error}.") from error
    if not isinstance(values, Mapping):
        raise InputError(f"The preprocessing {path} is not a table of fields such as `size`.")
    try:
        return PreprocessConfig.from_dict({"version": VERSION, **values})
    except Refused as error:
        raise InputError(f"{path}: {error}") from error
