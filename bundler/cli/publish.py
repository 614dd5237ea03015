"""What talks to Kaggle: `rsna-bundle publish`, `push`, `submit`, `status` and `history`."""

from pathlib import Path
from typing import Any

import click

from bundler.cli.options import common, json_option, quiet_option
from bundler.cli.reports import report, tell
from bundler.settings import Settings


@click.command()
@click.argument("what", nargs=-1, metavar="[libs|model|code|cache DIR]...")
@click.option("--from-kernel", metavar="OWNER/NAME", help="(cache) Take a notebook's output.")
@common
@click.pass_obj
def publish(
    settings: Settings,
    /,
    what: tuple[str, ...],
    from_kernel: str | None,
    out: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Make bundles the newest versions of their Kaggle datasets, and prove it by reading back."""
    from bundler.publish import bundles

    dist, say = out or settings.dist, tell(quiet)
    kinds = bundles.prepare(settings, dist, what, from_kernel, say)
    done = bundles.publish(settings, dist, kinds, say)
    report(done.as_dict(), done.summary(), as_json=as_json, quiet=quiet)


@click.command()
@click.option("--train", is_flag=True, help="The training notebook instead.")
@click.option("--libs", "build", is_flag=True, help="The notebook that builds wheels instead.")
@click.option("--no-wait", is_flag=True, help="Do not follow its run.")
@common
@click.pass_obj
def push(
    settings: Settings,
    /,
    train: bool,
    build: bool,
    no_wait: bool,
    out: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Push the notebook, follow its run, fetch its outputs, and compare the bundles it used."""
    from bundler.publish import notebooks
    from bundler.publish import push as pushing

    run = notebooks.push_training if train else notebooks.push_libs if build else pushing.push
    done = run(settings, out or settings.dist, tell(quiet), follow=not no_wait)
    report(done.as_dict(), done.summary(), as_json=as_json, quiet=quiet)


@click.command()
@click.option("-m", "--message", default="", help="What the submission says of itself.")
@click.option("--dry-run", is_flag=True, help="Show what would be done; write and send nothing.")
@click.option("--no-rehearse", is_flag=True, help="Do not run the notebook here first.")
@click.option("--no-wait", is_flag=True, help="Do not wait for the score.")
@click.option("--python", type=click.Path(path_type=Path), help="The rehearsal's Python.")
@click.option("--allow-dirty", is_flag=True, help="Bundle the working tree as it is, and say so.")
@json_option
@quiet_option
@click.pass_obj
def submit(settings: Settings, /, dry_run: bool, as_json: bool, quiet: bool, **told: Any) -> None:
    """Carry the current commit to a scored submission: build, rehearse, publish, push, submit."""
    from bundler.publish import submit as submitting

    options = submitting.SubmitOptions(
        message=told["message"],
        allow_dirty=told["allow_dirty"],
        rehearse=not told["no_rehearse"],
        wait=not told["no_wait"],
        python=told["python"],
    )
    run = submitting.plan if dry_run else submitting.submit
    done = run(settings, options, tell(quiet))
    report(done.as_dict(), done.summary(), as_json=as_json, quiet=quiet)


@click.command()
@json_option
@click.pass_obj
def status(settings: Settings, /, as_json: bool) -> None:
    """Show each bundle here, at Kaggle, and in the last run, and what is stale."""
    from bundler.publish import status as screen

    found = screen.look(settings, tell(False))
    report(found.as_dict(), found.summary(), as_json=as_json, quiet=False)


@click.command("history")
@click.option("--update", is_flag=True, help="Look again for scores that are not known yet.")
@json_option
@click.pass_obj
def show_history(settings: Settings, /, update: bool, as_json: bool) -> None:
    """Show what was submitted, from what, and how it scored."""
    from bundler.publish import history
    from bundler.publish import submit as submitting

    entries = submitting.update(settings, tell(False)) if update else history.read(settings.root)
    listed = {"submissions": [vars(entry) for entry in entries]}
    report(listed, history.render(entries), as_json=as_json, quiet=False)
