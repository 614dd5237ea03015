"""`rsna-bundle notebook`: bundles → the notebook that runs them, and two other notebooks."""

from pathlib import Path

import click

from bundler import settings as settings_module
from bundler.cli.modes import modes
from bundler.cli.options import (
    competition_option,
    dist_option,
    reporting,
    run_option,
    time_limit_option,
)
from bundler.cli.reports import Output
from bundler.settings import Settings


@modes("notebook")
def notebook() -> None:
    """Write the notebook that runs the bundles.

    Without a MODE this is `notebook submission`, whose options it takes.
    """


@notebook.command()
@competition_option
@time_limit_option
@click.option(
    "--on-failures",
    type=click.Choice(["stop", "finish"]),
    help="What to do if too many images cannot be read (default: from the settings).",
)
@run_option
@click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="NAME",
    help="The image that the libs must have been made for; repeatable (default: from the "
    "settings).",
)
@dist_option
@reporting
@click.pass_obj
def submission(
    settings: Settings,
    /,
    competition: str | None,
    time_limit_hours: float | None,
    on_failures: str | None,
    run: str | None,
    targets: tuple[str, ...],
    dist: Path | None,
    output: Output,
) -> None:
    """Write the submission notebook for the bundles in dist."""
    from bundler.notebook import submission

    settings = settings_module.override(
        settings,
        competition=competition,
        time_limit_hours=time_limit_hours,
        on_failures=on_failures,
        run=run,
        target=targets,
    )
    output.report(submission.write_for(settings, dist or settings.dist))


@notebook.command()
@click.option("--repository", metavar="URL", help="Where to clone from (default: git's origin).")
@click.option("--branch", default="main", show_default=True, help="The branch to train.")
@click.option(
    "--set", "overrides", multiple=True, metavar="K=V", help="A setting of train.run; repeatable."
)
@click.option("--bucket", metavar="URL", help="Push the runs to this bucket at the end.")
@dist_option
@reporting
@click.pass_obj
def train(
    settings: Settings,
    /,
    repository: str | None,
    branch: str,
    overrides: tuple[str, ...],
    bucket: str | None,
    dist: Path | None,
    output: Output,
) -> None:
    """Write a notebook that trains the newest commit."""
    from bundler.notebook import other

    written = other.write_training(
        settings,
        dist or settings.dist,
        repository=repository,
        branch=branch,
        overrides=overrides,
        bucket=bucket,
    )
    output.report(written)


@notebook.command()
@click.option(
    "--build",
    "packages",
    multiple=True,
    metavar="PKG",
    help="A package to build: a name, NAME==VERSION or a git address; repeatable.",
)
@dist_option
@reporting
@click.pass_obj
def libs(
    settings: Settings, /, packages: tuple[str, ...], dist: Path | None, output: Output
) -> None:
    """Write a notebook that builds wheels no index has."""
    from bundler.notebook import other

    output.report(other.write_libs(dist or settings.dist, packages=packages))
