"""rsna-bundle: the command line. Click lives in this folder and nowhere else.

Each command makes one call, and lies in the module of its name or of its room; what is slow to
import is imported inside the command that needs it.
"""

import sys

import click

import inference
from bundler import settings as settings_module
from bundler.cli import (
    code,
    competition,
    doctor,
    init,
    libs,
    model,
    notebook,
    publish,
    rehearse,
    target,
)
from bundler.errors import BundlerError
from inference.errors import RunError

FAULT_OF_OURS = 70


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(inference.__version__, prog_name="rsna-bundle")
@click.pass_context
def cli(context: click.Context) -> None:
    """Bundle wheels, models and code for a Kaggle notebook without internet, and rehearse it."""
    context.obj = settings_module.load()


COMMANDS = (
    libs.libs,
    model.model,
    code.code,
    notebook.notebook,
    competition.competition,
    rehearse.rehearse,
    publish.publish,
    publish.push,
    publish.submit,
    publish.status,
    publish.show_history,
    target.target_group,
    init.run_init,
    doctor.run_doctor,
)
for command in COMMANDS:
    cli.add_command(command)


def main() -> None:
    """Run the command line; expected errors become a message and their exit code."""
    try:
        sys.exit(cli(standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted; what lay there before is untouched.", err=True)
        sys.exit(130)
    except (BundlerError, RunError) as error:
        click.echo(f"{click.style('error:', fg='red', bold=True)} {error}", err=True)
        sys.exit(error.exit_code)
    except Exception:  # noqa: BLE001 - a fault of ours, the one case with a traceback
        import traceback

        traceback.print_exc()
        sys.exit(FAULT_OF_OURS)
