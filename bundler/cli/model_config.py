"""`model --config` and `--write-config`: the options of `rsna-bundle model`, from and to a file."""

import difflib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from click.types import FloatParamType, IntParamType

from bundler.cli.model_options import (
    CHOICE_OPTIONS,
    EXPORT_OPTIONS,
    NETWORK_OPTIONS,
    TRAINING_OPTIONS,
    average_of,
    scale_of,
    weight_option,
)
from bundler.cli.options import add, fill, names, numbers
from bundler.errors import UsageError
from bundler.model import config
from bundler.model.config import Table
from bundler.model.options import (
    AVERAGES,
    PRESET_NAMES,
    SCALES,
    ExportOptions,
    Member,
    ModelOptions,
)
from bundler.progress import Progress
from bundler.result import Json
from bundler.settings import Settings
from inference.boot.fields import Plain

# Never run: they parse the tables, with the types, choices and messages of the command line.


@click.command()
@add(EXPORT_OPTIONS)
def whole(**values: Any) -> None:
    """Parse the file's top level."""


@click.command()
@add((*CHOICE_OPTIONS, *NETWORK_OPTIONS, *TRAINING_OPTIONS, weight_option))
def member(**values: Any) -> None:
    """Parse a [[member]] table."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """The result of --write-config."""

    path: Path

    def summary(self) -> str:
        """Return one line for people."""
        return f"{self.path} written. Export it: rsna-bundle model --config {self.path}"

    def as_dict(self) -> Mapping[str, Json]:
        """Return what `--json` prints."""
        return {"config": str(self.path)}


def read(path: Path, settings: Settings, progress: Progress) -> ModelOptions:
    """Return the options that a file of members amounts to. Raises InputError, UsageError."""
    file = config.read(path)
    # The members first: most mistakes are in them.
    members = tuple(_member(table, settings) for table in file.members)
    export = fill(ExportOptions, _parse(whole, file.whole, settings))
    return ModelOptions(export=export, several=members, progress=progress)


def write(path: Path, context: click.Context) -> Written:
    """Write the file that the options given to `model` amount to. Raises UsageError."""
    config.write(path, _given(context, whole, path), _given(context, member, path))
    return Written(path=path)


def _member(table: Table, settings: Settings) -> Member:
    values = {**_parse(member, table, settings), "root": settings.root, "name": table.name}
    one = fill(Member, values)
    if not (one.choice.checkpoints or one.choice.run or one.choice.best or one.choice.onnx):
        raise UsageError(
            f"{table.where} names no checkpoint. Give it ckpt, run or best, or an ONNX file with "
            "onnx."
        )
    return one


def _parse(command: click.Command, table: Table, settings: Settings) -> Mapping[str, Any]:
    """Return a table's values as click converts them. Raises UsageError with file and key."""
    options = _options(command)
    words: list[str] = []
    for key, value in table.values.items():
        if key not in options:
            raise UsageError(_unknown(key, command, table))
        words += _words(key, options[key], value, table)
    try:
        return command.make_context(table.name, words, obj=settings).params
    except click.UsageError as error:
        raise UsageError(f"{table.where}: {error.format_message()}") from error


def _options(command: click.Command) -> Mapping[str, click.Option]:
    """Return a command's options by their keys in a file."""
    return {
        option.opts[0].removeprefix("--"): option
        for option in command.params
        if isinstance(option, click.Option)
    }


def _unknown(key: str, command: click.Command, table: Table) -> str:
    keys = _options(command)
    message = f"{table.where}: unknown key {key!r}."
    if key in _options(whole if command is member else member):
        level = "above the first [[member]]" if command is member else "in a [[member]] table"
        return f"{message} It belongs {level}."
    near = difflib.get_close_matches(key, keys, n=1)
    return message + (
        f" Did you mean {near[0]!r}?" if near else f" Its keys are {', '.join(keys)}."
    )


def _words(key: str, option: click.Option, value: Plain, table: Table) -> list[str]:
    """Return what would stand on the command line for a key and its value."""
    name, where = option.opts[0], f"{table.where}: {key} is {value!r}"
    if option.is_flag:
        if not isinstance(value, bool):
            raise UsageError(f"{where}; it must be true or false.")
        return [name] if value else []
    if isinstance(value, Mapping) and key == "model-kwarg":
        value = [f"{argument}={json.dumps(each)}" for argument, each in value.items()]
    listed = isinstance(value, Sequence) and not isinstance(value, str)
    items = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    is_number = isinstance(option.type, (IntParamType, FloatParamType))
    kinds = (int, float) if is_number else (int, float, str)
    if not all(isinstance(item, kinds) and not isinstance(item, bool) for item in items):
        raise UsageError(f"{where}; it must be {'a number' if is_number else 'text or a number'}.")
    texts = _located(key, option, [str(item) for item in items], table)
    if option.nargs > 1:
        if len(texts) != option.nargs:
            raise UsageError(f"{where}; it must be a list of {option.nargs} values.")
        return [name, *texts]
    if option.multiple:
        return [f"{name}={text}" for text in texts]
    if listed and option.callback in (numbers, names):
        return [f"{name}={','.join(texts)}"]
    if listed:
        raise UsageError(f"{where}; it must be one value, not a list.")
    return [f"{name}={texts[0]}"]


def _located(key: str, option: click.Option, texts: list[str], table: Table) -> list[str]:
    """Return texts with the paths among them relative to the working folder, patterns expanded."""
    folder = table.file.parent
    if isinstance(option.type, click.Path):
        if option.multiple:
            return [str(path) for path in table.find(key, texts)]
        return [str(folder / text) for text in texts]
    if key == "preset" and Path(texts[0]).suffix:
        return [str(folder / texts[0]), *texts[1:]]
    return texts


def _given(context: click.Context, command: click.Command, path: Path) -> dict[str, Json]:
    """Return the options that were given to `model`, of those that one of the tables has.

    What the submission holds is always among them: its default is of the settings, which may
    be others where the file is used.
    """
    given: dict[str, Json] = {}
    for key, option in _options(command).items():
        name = str(option.name)
        was_given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if was_given or name == "predict":
            given[key] = _plain(option, context.params[name], path.parent)
    return given


def _plain(option: click.Option, value: Any, folder: Path) -> Json:
    """Return a converted value as the file has it, paths relative to the file's folder."""
    for callback, texts in ((scale_of, SCALES), (average_of, AVERAGES)):
        if option.callback is callback:
            return next(text for text, meaning in texts.items() if meaning == value)
    if option.name == "preset" and value not in PRESET_NAMES and Path(value).suffix:
        value = Path(value)
    if isinstance(value, Path):
        return Path(os.path.relpath(value, folder)).as_posix()
    if isinstance(value, Mapping):
        return [f"{name}={json.dumps(each)}" for name, each in value.items()]
    if isinstance(value, tuple):
        return [_plain(option, item, folder) for item in value]
    assert isinstance(value, (bool, int, float, str))
    return value
