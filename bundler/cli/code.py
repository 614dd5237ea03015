"""`rsna-bundle code`: a git commit → a bundle."""

from pathlib import Path

import click

from bundler.cli.options import allow_dirty_option, out_option, publish_option, reporting
from bundler.cli.reports import Output
from bundler.settings import Settings


@click.command()
@click.option("--rev", default="HEAD", show_default=True, help="The commit to bundle.")
@allow_dirty_option
@out_option("dist/code")
@publish_option
@reporting
@click.pass_obj
def code(
    settings: Settings,
    /,
    rev: str,
    allow_dirty: bool,
    out: Path | None,
    publish: bool,
    output: Output,
) -> None:
    """Bundle a git commit of this repository.

    The runner that the notebook uses travels in the same bundle.
    """
    from bundler import snapshot

    folder = out or settings.dist / "code"
    built = snapshot.build(
        settings.root,
        folder,
        rev=rev,
        allow_dirty=allow_dirty,
        run=settings.run,
        progress=output.progress,
    )
    output.report_built(settings, built, folder, publish=publish)
