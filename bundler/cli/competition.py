"""`rsna-bundle competition`: what a competition's folder holds, shown, confirmed and kept."""

import contextlib
import functools
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bundler.cli.options import FOLDER, reporting
from bundler.cli.reports import Output
from bundler.settings import Settings

if TYPE_CHECKING:
    from bundler.competition.profile import Profile
    from bundler.hidden import Hidden


@click.command()
@click.option(
    "--competition-dir",
    type=FOLDER,
    help="The folder with the competition's files (default: from the settings, or else as Kaggle "
    "lists them).",
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
    competition_dir: Path | None,
    write: bool,
    options: tuple[str, ...],
    again: bool,
    output: Output,
) -> None:
    """Show how a competition's tables and files belong together.

    What is uncertain is marked, with the alternatives. `rehearse` makes its hidden test set by the
    result.
    """
    from bundler.competition import confirm
    from bundler.hidden import Hidden

    own = confirm.apply(options, Hidden() if again else settings.hidden)
    with _folder(settings, competition_dir or settings.competition_folder, output) as read:
        found = read(own)
        if write and found.questions and not output.as_json and sys.stdin.isatty():
            output.report(found)
            chosen = [f"{key}={_ask(key, names)}" for key, names in confirm.choices(found).items()]
            found = read(confirm.apply(chosen, own))
    output.report(found)
    if write:
        path = settings.root / "pyproject.toml"
        confirm.keep(found, path)
        output.progress.note(f"Written to [tool.rsna-bundle.hidden] of {path}; edit it there.")


@contextlib.contextmanager
def _folder(
    settings: Settings, folder: Path | None, output: Output
) -> "Iterator[Callable[[Hidden], Profile]]":
    """Yield what reads the profile: from a folder, or from what Kaggle lists of one."""
    from bundler.competition import profile

    if folder is not None:
        yield functools.partial(profile.read, folder)
        return
    from bundler.publish import client, competition_files

    slug = settings.competition
    with tempfile.TemporaryDirectory(prefix="rsna-bundle-competition-") as name:
        signed_in = client.connect(output.progress)
        left_out = competition_files.fetch(signed_in, slug, Path(name), output.progress)

        def read(own: "Hidden") -> "Profile":
            found = profile.read(Path(name), own)
            return replace(found, title=f"{slug} at Kaggle", notes=(*found.notes, *left_out))

        yield read


def _ask(key: str, values: Sequence[str]) -> str:
    text = f"{key} ({' or '.join(values)})" if values else key
    return str(click.prompt(text, default=values[0] if values else None))
