"""`rsna-bundle doctor`: what would stop a submission."""

import sys

import click

from bundler.cli.options import reporting
from bundler.cli.reports import Output
from bundler.settings import Settings


@click.command()
@reporting
@click.pass_obj
def doctor(settings: Settings, /, output: Output) -> None:
    """Check this machine and your Kaggle account.

    Looks at git, disk space, the sandbox, the network, credentials, datasets and the competition,
    and says how to fix what it finds. Changes nothing. Exits with 1 if something would stop a
    submission.
    """
    from bundler import doctor

    diagnosis = doctor.examine(settings)
    output.report(diagnosis)
    sys.exit(0 if diagnosis.sound else 1)
