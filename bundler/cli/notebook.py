"""`rsna-bundle notebook`: bundles → the notebook that runs them."""

from typing import Any

import click

from bundler import settings as settings_module
from bundler.cli.options import common
from bundler.cli.reports import report
from bundler.settings import Settings


@click.command()
@common
@click.option("--competition", metavar="SLUG", help="The competition that is mounted.")
@click.option("--time-limit-hours", type=float, help="After which the run must have ended.")
@click.option("--on-failures", type=click.Choice(["stop", "finish"]), help="Too many bad images.")
@click.option("--train", is_flag=True, help="The training notebook instead.")
@click.option("--repository", metavar="URL", help="(--train) Where git fetches the code from.")
@click.option("--branch", default="main", show_default=True, help="(--train) Which branch.")
@click.option("--set", "overrides", multiple=True, metavar="K=V", help="(--train) A setting.")
@click.option("--bucket", metavar="URL", help="(--train) Where its runs are pushed to.")
@click.option("--libs", "build", is_flag=True, help="The notebook that builds wheels instead.")
@click.option("--build", "packages", multiple=True, metavar="PKG", help="(--libs) A package.")
@click.pass_obj
def notebook(settings: Settings, /, train: bool, build: bool, **given: Any) -> None:
    """Write the submission notebook for the three bundles in dist (--out: where they lie)."""
    from bundler.notebook import other, submission

    dist = given["out"] or settings.dist
    if train or build:
        made = (other.write_training if train else other.write_libs)(settings, dist, **given)
        report(made.as_dict(), made.summary(), as_json=given["as_json"], quiet=given["quiet"])
        return
    options = submission.runner_options(settings_module.override(settings, given))
    written = submission.write(dist, dist / "notebook", options)
    report(written.as_dict(), written.summary(), as_json=given["as_json"], quiet=given["quiet"])
