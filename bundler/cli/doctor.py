"""`rsna-bundle doctor`: what stands in the way of a submission."""

import sys

import click

from bundler.cli.options import json_option
from bundler.cli.reports import report
from bundler.settings import Settings


@click.command("doctor")
@json_option
@click.pass_obj
def run_doctor(settings: Settings, /, as_json: bool) -> None:
    """Look for what stands in the way of a submission, and say how to mend it."""
    from bundler import doctor

    found = doctor.examine(settings)
    report(found.as_dict(), found.summary(), as_json=as_json, quiet=False)
    sys.exit(0 if found.sound else 1)
