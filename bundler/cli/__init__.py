"""rsna-bundle: the command line. Click lives in this folder and nowhere else.

Each command builds its options and makes one call; what is slow to import is imported inside the
command that needs it.
"""

import sys

import click

import inference
from bundler import extras
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
    push,
    rehearse,
    target,
    train,
)
from bundler.errors import BundlerError
from inference.errors import RunError

INTERNAL_ERROR = 70

# In the order in which they are used, which is the order of `--help`.
COMMANDS = (
    init.init,
    libs.libs,
    model.model,
    code.code,
    notebook.notebook,
    competition.competition,
    rehearse.rehearse,
    publish.publish,
    push.push,
    publish.submit,
    publish.status,
    publish.history,
    doctor.doctor,
    target.target,
    train.train,
)


class Commands(click.Group):
    """The commands, in the order of their use rather than of the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names as they were added."""
        return list(self.commands)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(inference.__version__, prog_name="rsna-bundle")
@click.pass_context
def cli(context: click.Context) -> None:
    """Bundle wheels, models and code for offline Kaggle notebooks.

    Settings are read from [tool.rsna-bundle] in the nearest pyproject.toml.
    """
    context.obj = settings_module.load()


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
        click.echo("Interrupted. Earlier results were left as they were.", err=True)
        sys.exit(130)
    except (BundlerError, RunError) as error:
        click.echo(f"{click.style('error:', fg='red', bold=True)} {error}", err=True)
        sys.exit(error.exit_code)
    except Exception as error:  # noqa: BLE001 - a bug of ours: the one case with a traceback
        extras.refuse(error)  # which leaves, if a package is missing that an extra of ours has
        import traceback

        traceback.print_exc()
        sys.exit(INTERNAL_ERROR)
