"""`rsna-bundle code`: a git commit → a bundle."""

from typing import Any

import click

from bundler.cli.options import common, publish_option
from bundler.cli.reports import report_built
from bundler.settings import Settings


@click.command()
@common
@click.option("--rev", default="HEAD", show_default=True, help="The commit to bundle.")
@click.option("--allow-dirty", is_flag=True, help="Bundle the working tree as it is, and say so.")
@publish_option
@click.pass_obj
def code(
    settings: Settings, /, rev: str, allow_dirty: bool, publish: bool, **common_options: Any
) -> None:
    """Bundle a git commit of this repository, with the runner in it."""
    from bundler import snapshot

    place = common_options["out"] or settings.dist / "code"
    built = snapshot.build(settings.root, place, rev=rev, allow_dirty=allow_dirty)
    report_built(settings, built, place, publish=publish, **common_options)
