"""`rsna-bundle competition`: what a competition's folder holds, shown, confirmed and kept."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from bundler.cli.options import json_option
from bundler.cli.reports import report
from bundler.settings import Settings


@click.command("competition")
@click.option(
    "--competition-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder with the competition's files.",
)
@click.option("--write", is_flag=True, help="Keep it in [tool.rsna-bundle.hidden].")
@click.option(
    "--set",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    help="Decide one thing: --set id=image_id, --set labels=age,grade. May be repeated.",
)
@click.option("--again", is_flag=True, help="Infer it again, whatever the settings hold.")
@json_option
@click.pass_obj
def competition(
    settings: Settings,
    /,
    competition_dir: Path,
    write: bool,
    options: tuple[str, ...],
    again: bool,
    as_json: bool,
) -> None:
    """Say how a competition's tables and files belong together, and keep it in the settings."""
    from bundler.competition import confirm, profile
    from bundler.hidden import Hidden

    own = confirm.apply(options, Hidden() if again else settings.hidden)
    found = profile.read(competition_dir, own)
    if write and found.questions and not as_json and sys.stdin.isatty():
        click.echo(found.summary())
        chosen = [f"{key}={_ask(key, values)}" for key, values in confirm.options_of(found).items()]
        found = profile.read(competition_dir, confirm.apply(chosen, own))
    report(dict(found.as_dict()), found.summary(), as_json=as_json, quiet=False)
    if write:
        path = settings.root / "pyproject.toml"
        confirm.keep(found, path)
        click.echo(f"Written to [tool.rsna-bundle.hidden] of {path}; edit it there.", err=True)


def _ask(key: str, values: Sequence[str]) -> str:
    default = values[0] if values else None
    text = f"{key} ({' or '.join(values)})" if values else key
    return str(click.prompt(text, default=default))
