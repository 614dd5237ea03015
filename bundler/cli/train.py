"""`rsna-bundle train`: the same as `python -m train.…`, whatever packages the user has.

In a repository with a `train` of its own, `python -m train.run` would run that one.
"""

import click

from bundler import process

# Everything after the name is the module's: its options, Hydra's overrides, --help.
PASS_ON = {"ignore_unknown_options": True, "help_option_names": []}


@click.group()
def train() -> None:
    """Train models, on real data or phantoms.

    The subcommands are the modules `train.phantom`, `train.prepare`, `train.run` and `train.sync`;
    each explains its arguments with --help.
    """


def arguments(command: click.decorators.FC) -> click.decorators.FC:
    """Let a command take any words and pass them on."""
    return click.argument("arguments", nargs=-1, type=click.UNPROCESSED)(command)


@train.command(context_settings=PASS_ON)
@arguments
def phantom(arguments: tuple[str, ...]) -> None:
    """Draw a competition's folder with made-up mammograms."""
    process.become(process.own_module("train.phantom", *arguments))


@train.command(context_settings=PASS_ON)
@arguments
def prepare(arguments: tuple[str, ...]) -> None:
    """Preprocess a competition's images into a cache."""
    process.become(process.own_module("train.prepare", *arguments))


@train.command(context_settings=PASS_ON)
@arguments
def run(arguments: tuple[str, ...]) -> None:
    """Train the folds of a configuration."""
    process.become(process.own_module("train.run", *arguments))


@train.command(context_settings=PASS_ON)
@arguments
def sync(arguments: tuple[str, ...]) -> None:
    """Push runs to a bucket, or pull them from one."""
    process.become(process.own_module("train.sync", *arguments))
