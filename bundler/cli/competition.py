"""`rsna-bundle competition`: what a competition's folder holds, shown, confirmed and kept."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from bundler.cli.options import FOLDER, reporting
from bundler.cli.reports import Output
from bundler.settings import Settings


@click.command()
@click.option(
    "--competition-dir",
    type=FOLDER,
    required=True,
    help="The folder with the competition's files.",
)
@click.option("--write", is_flag=True, help="Keep the result in [tool.rsna-bundle.hidden].")
@click.option(
    "--set",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set a key, such as id=image_id or labels=age,grade. Repeatable.",
)
@click.option("--again", is_flag=True, help="Ignore the settings and infer everything again.")
@reporting
@click.pass_obj
def competition(
    settings: Settings,
    /,
    competition_dir: Path,
    write: bool,
    options: tuple[str, ...],
    again: bool,
    output: Output,
) -> None:
    """Show how a competition's tables and files belong together.

    What is uncertain is marked, with the alternatives. `rehearse` makes its hidden test set by the
    result.
    """
    from bundler.competition import confirm, profile
    from bundler.hidden import Hidden

    own = confirm.apply(options, Hidden() if again else settings.hidden)
    found = profile.read(competition_dir, own)
    if write and found.questions and not output.as_json and sys.stdin.isatty():
        output.report(found)
        chosen = [f"{key}={_ask(key, values)}" for key, values in confirm.choices(found).items()]
        found = profile.read(competition_dir, confirm.apply(chosen, own))
    output.report(found)
    if write:
        path = settings.root / "pyproject.toml"
        confirm.keep(found, path)
        output.progress.note(f"Written to [tool.rsna-bundle.hidden] of {path}; edit it there.")


def _ask(key: str, values: Sequence[str]) -> str:
    text = f"{key} ({' or '.join(values)})" if values else key
    return str(click.prompt(text, default=values[0] if values else None))
