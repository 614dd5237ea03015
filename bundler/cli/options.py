"""The options that several commands have."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import click

Command = Callable[..., None]

out_option = click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Folder to write instead."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
quiet_option = click.option("--quiet", is_flag=True, help="Print nothing but errors.")
publish_option = click.option("--publish", is_flag=True, help="Publish it at Kaggle, too.")


def common(command: Command) -> Command:
    """Add the options that all commands have."""
    return out_option(json_option(quiet_option(command)))


def add(options: Sequence[Callable[[Command], Command]]) -> Callable[[Command], Command]:
    """Return a decorator that adds options to a command, in their order."""
    return lambda command: functools.reduce(lambda one, option: option(one), options[::-1], command)
