"""`rsna-bundle push`: a notebook's run on Kaggle."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import click

from bundler.cli.modes import modes
from bundler.cli.options import add, dist_option, reporting
from bundler.cli.reports import Output
from bundler.progress import Progress
from bundler.result import Result
from bundler.settings import Settings

PUSH_OPTIONS = (
    click.option("--no-wait", is_flag=True, help="Return at once; do not follow the run."),
    dist_option,
)


class Push(Protocol):
    """What pushes a notebook, runs it and fetches what it left."""

    def __call__(
        self, settings: Settings, dist: Path, progress: Progress, /, *, follow: bool
    ) -> Result: ...


@modes("push")
def push() -> None:
    """Run the notebook on Kaggle and fetch its output.

    Without a MODE this is `push submission`, whose options it takes.
    """


def mode(chosen: Callable[[], Push]) -> click.Command:
    """Return the command that calls what a function returns, under its name and with its text."""

    @push.command(chosen.__name__, help=inspect.getdoc(chosen))
    @add(PUSH_OPTIONS)
    @reporting
    @click.pass_obj
    def command(settings: Settings, /, no_wait: bool, dist: Path | None, output: Output) -> None:
        folder = dist or settings.dist
        output.report(chosen()(settings, folder, output.progress, follow=not no_wait))

    return command


@mode
def submission() -> Push:
    """Push the submission notebook and check its output.

    Follows the run, and compares the bundles that it used with those in dist.
    """
    from bundler.publish import push

    return push.push


@mode
def train() -> Push:
    """Push the training notebook and fetch its runs."""
    from bundler.publish import notebooks

    return notebooks.push_training


@mode
def libs() -> Push:
    """Push the notebook that builds wheels and fetch them."""
    from bundler.publish import notebooks

    return notebooks.push_libs
