"""`rsna-bundle target`: describe the machine that the notebook runs on, and what moved there."""

from pathlib import Path

import click

from bundler.cli.options import json_option
from bundler.cli.reports import report, tell
from bundler.settings import Settings


@click.group("target")
def target_group() -> None:
    """Describe the machine that the notebook runs on."""


@target_group.command()
@click.option("--out", type=click.Path(path_type=Path), help="The file to write.")
@click.option("--name", default="captured", show_default=True, help="What to call the target.")
@click.option("--script", is_flag=True, help="Print the script instead, for a notebook's cell.")
@click.option(
    "--push", is_flag=True, help="Describe Kaggle's image, by a notebook that runs there."
)
@click.pass_obj
def capture(settings: Settings, /, out: Path | None, name: str, script: bool, push: bool) -> None:
    """Describe this machine, where the bundle will be used, as a target."""
    from bundler.image import target

    if push:
        from bundler.publish import notebooks

        place = out or settings.root / "target.json"
        click.echo(notebooks.capture(settings, place, name, tell(False)).summary())
        return
    click.echo(target.capture_script() if script else target.capture(name, out))


@target_group.command()
@click.argument("name", required=False)
@json_option
@click.pass_obj
def show(settings: Settings, /, name: str | None, as_json: bool) -> None:
    """Say what a target is: by default the one that the settings name."""
    from bundler.image import target

    found = target.load(name or settings.target, settings.root)
    report(found.as_dict(), found.summary(), as_json=as_json, quiet=False)


@target_group.command("diff")
@click.argument("old")
@click.argument("new")
@json_option
@click.pass_obj
def diff_targets(settings: Settings, /, old: str, new: str, as_json: bool) -> None:
    """Say what moved from one target to another: Python, tags, packages."""
    from bundler.image import difference, target

    two = [target.load(name, settings.root) for name in (old, new)]
    found = difference.between(*two)
    report(found.as_dict(), found.text(), as_json=as_json, quiet=False)
