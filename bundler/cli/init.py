"""`rsna-bundle init`: make a folder ready."""

import sys
from pathlib import Path
from typing import Any

import click

from bundler.cli.options import json_option
from bundler.cli.reports import report


@click.command("init")
@click.option("--owner", metavar="USER", help="Your user name at Kaggle.")
@click.option("--competition", metavar="SLUG", help="The competition.")
@click.option("--target", metavar="NAME", help="The notebook's image.")
@click.option(
    "--prefix",
    help="What slugs begin with (default: the competition's slug; for RSNA screening "
    "mammography rsna-bundle).",
)
@json_option
def run_init(as_json: bool, **told: Any) -> None:
    """Make this folder ready: settings, the list of packages, what git leaves alone."""
    from bundler import init

    def ask(question: str, default: str) -> str:
        return click.prompt(question, default) if sys.stdin.isatty() else default

    done = init.init(Path.cwd(), init.InitOptions(**told), ask)
    report(done.as_dict(), done.summary(), as_json=as_json, quiet=False)
