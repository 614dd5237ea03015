"""`rsna-bundle push`: a notebook's run on Kaggle."""

from pathlib import Path

import click

from bundler.cli.modes import modes
from bundler.cli.options import add, dist_option, reporting
from bundler.cli.reports import Output
from bundler.settings import Settings

PUSH_OPTIONS = (
    click.option("--no-wait", is_flag=True, help="Return at once; do not follow the run."),
    dist_option,
)


@modes("push")
def push() -> None:
    """Run the notebook on Kaggle and fetch its output.

    Without a MODE this is `push submission`, whose options it takes.
    """


@push.command()
@add(PUSH_OPTIONS)
@reporting
@click.pass_obj
def submission(settings: Settings, /, no_wait: bool, dist: Path | None, output: Output) -> None:
    """Push the submission notebook and check its output.

    Follows the run, and compares the bundles that it used with those in dist.
    """
    from bundler.publish import push

    folder = dist or settings.dist
    output.report(push.push(settings, folder, output.progress, follow=not no_wait))


@push.command()
@add(PUSH_OPTIONS)
@reporting
@click.pass_obj
def train(settings: Settings, /, no_wait: bool, dist: Path | None, output: Output) -> None:
    """Push the training notebook and fetch its runs."""
    from bundler.publish import notebooks

    folder = dist or settings.dist
    output.report(notebooks.push_training(settings, folder, output.progress, follow=not no_wait))


@push.command()
@add(PUSH_OPTIONS)
@reporting
@click.pass_obj
def libs(settings: Settings, /, no_wait: bool, dist: Path | None, output: Output) -> None:
    """Push the notebook that builds wheels and fetch them."""
    from bundler.publish import notebooks

    folder = dist or settings.dist
    output.report(notebooks.push_libs(settings, folder, output.progress, follow=not no_wait))
