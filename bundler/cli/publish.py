"""`rsna-bundle publish`, `submit`, `status` and `history`: datasets and submissions on Kaggle."""

from pathlib import Path

import click

from bundler.cli.options import (
    EXISTING_FILE,
    allow_dirty_option,
    competition_dir_option,
    dist_option,
    reporting,
)
from bundler.cli.reports import Output
from bundler.settings import Settings


@click.command()
@click.argument("kinds", nargs=-1, metavar="[libs|model|code]... | cache [DIR]")
@click.option(
    "--from-kernel",
    metavar="OWNER/NAME",
    help="With cache: take it from this notebook's output.",
)
@dist_option
@reporting
@click.pass_obj
def publish(
    settings: Settings,
    /,
    kinds: tuple[str, ...],
    from_kernel: str | None,
    dist: Path | None,
    output: Output,
) -> None:
    """Upload bundles to their Kaggle datasets and verify them.

    Without arguments: libs, model and code. `cache DIR` bundles a training cache first. A bundle
    that its dataset already holds is not sent again.
    """
    from bundler.publish import bundles

    options = bundles.parse(kinds, from_kernel)
    output.report(bundles.publish(settings, dist or settings.dist, options, output.progress))


@click.command()
@click.option("-m", "--message", default="", help="The submission's description.")
@click.option("--dry-run", is_flag=True, help="Show the plan; write and send nothing.")
@click.option("--no-rehearse", is_flag=True, help="Skip the rehearsal.")
@click.option("--no-wait", is_flag=True, help="Do not wait for the score.")
@click.option(
    "--python",
    type=EXISTING_FILE,
    help="The Python to rehearse with (default: one made for the target).",
)
@competition_dir_option
@allow_dirty_option
@reporting
@click.pass_obj
def submit(
    settings: Settings,
    /,
    message: str,
    dry_run: bool,
    no_rehearse: bool,
    no_wait: bool,
    python: Path | None,
    competition_dir: Path | None,
    allow_dirty: bool,
    output: Output,
) -> None:
    """Take the current commit to a scored submission.

    Builds libs and code, rehearses, publishes, pushes and submits, each step only if the one
    before it succeeded, and records the score in submissions.csv.
    """
    from bundler.publish import submit

    options = submit.SubmitOptions(
        message=message,
        allow_dirty=allow_dirty,
        rehearse=not no_rehearse,
        wait=not no_wait,
        python=python,
        competition_dir=competition_dir or settings.competition_folder,
    )
    run = submit.plan if dry_run else submit.submit
    output.report(run(settings, options, output.progress))


@click.command()
@reporting
@click.pass_obj
def status(settings: Settings, /, output: Output) -> None:
    """Compare the bundles here, on Kaggle and in the last run."""
    from bundler.publish import status

    output.report(status.look(settings, output.progress))


@click.command()
@click.option("--update", is_flag=True, help="Ask Kaggle for scores that are still missing.")
@reporting
@click.pass_obj
def history(settings: Settings, /, update: bool, output: Output) -> None:
    """List past submissions and their scores."""
    from bundler.publish import history, submit

    if update:
        output.report(submit.update(settings, output.progress))
    else:
        output.report(history.load(settings.root))
