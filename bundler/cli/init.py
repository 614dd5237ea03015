"""`rsna-bundle init`: set up a folder."""

import sys
from pathlib import Path

import click

from bundler.cli.options import reporting
from bundler.cli.reports import Output


@click.command()
@click.option("--owner", metavar="USER", help="Your Kaggle user name.")
@click.option("--competition", metavar="SLUG", help="The competition.")
@click.option("--target", metavar="NAME", help="The notebook's image: a name or a JSON file.")
@click.option(
    "--prefix",
    default="rsna-bundle",
    show_default=True,
    help="The beginning of the names of datasets and notebook.",
)
@reporting
def init(
    owner: str | None, competition: str | None, target: str | None, prefix: str, output: Output
) -> None:
    """Set up this folder: settings, wheelhouse.txt, .gitignore.

    Existing files are kept; missing lines are added. In a terminal, asks for what no option gives.
    """
    from bundler import init

    options = init.InitOptions(owner=owner, competition=competition, target=target, prefix=prefix)
    output.report(init.init(Path.cwd(), options, _ask))


def _ask(question: str, default: str) -> str:
    return click.prompt(question, default) if sys.stdin.isatty() else default
