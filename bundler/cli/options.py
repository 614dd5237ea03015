"""The options that several commands have, and the kinds of values that options take."""

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import click
from click.core import ParameterSource

from bundler.cli.reports import Output
from inference.boot.fields import Plain

Command = Callable[..., None]
Decorator = Callable[[Command], Command]
T = TypeVar("T")

FILE = click.Path(path_type=Path, dir_okay=False)
EXISTING_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
FOLDER = click.Path(path_type=Path, file_okay=False)
EXISTING_FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)
ANY_PATH = click.Path(path_type=Path)


def numbers(
    context: click.Context, option: click.Parameter, text: str | None
) -> tuple[float, ...] | None:
    """Return the numbers of an option's text: one, or several separated by commas."""
    try:
        return None if text is None else tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not a number or a list like 0.5,0.4,0.3.") from error


def names(
    context: click.Context, option: click.Parameter, text: str | None
) -> tuple[str, ...] | None:
    """Return the names of an option's text, separated by commas."""
    return None if text is None else tuple(filter(None, map(str.strip, text.split(","))))


def pairs(
    context: click.Context, option: click.Parameter, texts: tuple[str, ...]
) -> Mapping[str, Plain]:
    """Return what NAME=VALUE texts give: a value of JSON, or else the text itself."""
    values: dict[str, Plain] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise click.BadParameter(f"{text!r} is not NAME=VALUE.")
        try:
            values[name] = json.loads({"True": "true", "False": "false"}.get(value, value))
        except ValueError:
            values[name] = value
    return values


def refuse_options(context: click.Context) -> None:
    """Raise UsageError for options before a subcommand, which would be ignored there."""
    for name in context.params:
        if context.get_parameter_source(name) == ParameterSource.COMMANDLINE:
            raise click.UsageError(f"Options go after `{context.invoked_subcommand}`.", context)


publish_option = click.option(
    "--publish", is_flag=True, help="Then publish the bundle to its Kaggle dataset."
)
allow_dirty_option = click.option(
    "--allow-dirty", is_flag=True, help="Bundle uncommitted changes, too, and record that."
)
dist_option = click.option(
    "--dist", "--out", "dist", type=FOLDER, help="The folder with the bundles (default: dist)."
)
competition_option = click.option(
    "--competition", metavar="SLUG", help="The competition (default: from the settings)."
)
competition_dir_option = click.option(
    "--competition-dir",
    type=FOLDER,
    help="The folder with the competition's files (default: from the settings).",
)
run_option = click.option(
    "--run",
    metavar="COMMAND",
    help="The command that the notebook runs (default: from the settings, or the runner).",
)
time_limit_option = click.option(
    "--time-limit-hours",
    type=click.FloatRange(min=0, min_open=True),
    metavar="HOURS",
    help="The run's time limit (default: from the settings).",
)


def out_option(default: str) -> Decorator:
    """Return the option that names the folder to write."""
    return click.option("--out", type=FOLDER, help=f"The folder to write (default: {default}).")


def reporting(command: Command) -> Command:
    """Add --json and --quiet; the command takes an `output` in their place."""

    @click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
    @click.option("--quiet", is_flag=True, help="Print errors only.")
    @functools.wraps(command)
    def run(*arguments: Any, as_json: bool, quiet: bool, **options: Any) -> None:
        output = Output.begin(as_json=as_json, quiet=quiet)
        # Also after an error: its message must not be written into a line that is still drawn.
        click.get_current_context().call_on_close(output.progress.close)
        command(*arguments, output=output, **options)

    return run


def add(options: Sequence[Decorator]) -> Decorator:
    """Return a decorator that adds options to a command, in their order."""
    return lambda command: functools.reduce(lambda one, option: option(one), options[::-1], command)


def fill(kind: type[T], values: Mapping[str, Any]) -> T:
    """Return a dataclass whose fields have the values of click's parameters of the same names.

    A field that is a dataclass itself is filled from the same values. A field that no parameter
    has is a KeyError: options are declared and stored under one name, or not at all.
    """
    hints = get_type_hints(kind).items()
    return kind(
        **{
            name: fill(hint, values)
            if isinstance(hint, type) and is_dataclass(hint)
            else values[name]
            for name, hint in hints
        }
    )
