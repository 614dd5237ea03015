"""`rsna-bundle rehearse`: run the notebook here as Kaggle will."""

import sys
from pathlib import Path
from typing import Any

import click

from bundler import settings as settings_module
from bundler.cli.options import common
from bundler.cli.reports import report
from bundler.settings import Settings


@click.command()
@common
@click.option(
    "--dist",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where bundles and notebook lie (default: dist).",
)
@click.option("--patients", type=int, default=6, show_default=True, help="Patients to predict.")
@click.option(
    "--competition-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Sample the training images of this folder (default: phantoms).",
)
@click.option("--target", help="The notebook's machine: a name, a file, or `host`.")
@click.option("--competition", metavar="SLUG", help="The competition that is mounted.")
@click.option("--hidden-images", type=int, help="Images of the hidden test, to project to.")
@click.option("--time-limit-hours", type=float, help="After which the run must have ended.")
@click.option("--layout", "layouts", multiple=True, type=click.Choice(["new", "legacy"]))
@click.option(
    "--python",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="The notebook's Python, with pip and ipykernel (default: made for the target).",
)
@click.pass_obj
def rehearse(settings: Settings, /, **given: Any) -> None:
    """Run the very notebook as Kaggle will: network cut, inputs read-only, awkward images."""
    from bundler.rehearse import RehearseOptions, run

    dist = given["dist"] or settings.dist
    options = RehearseOptions(
        settings=settings_module.override(settings, given),
        dist=dist,
        out=given["out"] or dist / "rehearsal",
        patients=given["patients"],
        competition_dir=given["competition_dir"],
        python=given["python"],
        layouts=given["layouts"] or RehearseOptions.layouts,
        quiet=given["quiet"] or given["as_json"],
    )
    result = run(options)
    report(result.as_dict(), result.summary(), as_json=given["as_json"], quiet=given["quiet"])
    if not result.passed:
        sys.exit(1)
