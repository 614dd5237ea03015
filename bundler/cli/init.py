"""`rsna-bundle init`: set up a folder."""

import sys
from pathlib import Path

import click

from bundler.cli.options import FOLDER, reporting
from bundler.cli.reports import Output


@click.command()
@click.option("--owner", metavar="USER", help="Your Kaggle user name.")
@click.option("--competition", metavar="SLUG", help="The competition.")
@click.option(
    "--competition-dir",
    type=FOLDER,
    help="The folder with its files, to write submit.py for its tables.",
)
@click.option("--target", metavar="NAME", help="The notebook's image: a name or a JSON file.")
@click.option(
    "--prefix",
    help="The beginning of the names of datasets and notebook (default: the competition's slug).",
)
@reporting
def init(
    owner: str | None,
    competition: str | None,
    competition_dir: Path | None,
    target: str | None,
    prefix: str | None,
    output: Output,
) -> None:
    """Set up this folder: settings, packages, submit.py.

    Writes pyproject.toml, wheelhouse.txt, .gitignore and, for a competition other than RSNA
    screening mammography, submit.py. Existing files are kept; missing lines are added. Names are
    taken from kernel-metadata.json, dataset-metadata.json and Kaggle's credentials; in a terminal,
    asks for what none of them says.
    """
    from bundler import init

    options = init.InitOptions(
        owner=owner,
        competition=competition,
        competition_dir=competition_dir,
        target=target,
        prefix=prefix,
    )
    output.report(init.init(Path.cwd(), options, _ask))


def _ask(question: str, default: str) -> str:
    return click.prompt(question, default) if sys.stdin.isatty() else default
