"""rsna-bundle: the command line. Click lives here and nowhere else; each command makes one call.

Everything that is slow to import is imported inside the command that needs it.
"""

import functools
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

import inference
from bundler import settings as settings_module
from bundler.errors import BundlerError
from bundler.model.options import ENSEMBLES, PRECISIONS, SCALES
from bundler.settings import Settings
from inference.errors import RunError

Command = Callable[..., None]
FAULT_OF_OURS = 70

out_option = click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Folder to write instead."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
quiet_option = click.option("--quiet", is_flag=True, help="Print nothing but errors.")
publish_option = click.option("--publish", is_flag=True, help="Publish it at Kaggle, too.")


def common(command: Command) -> Command:
    """Add the options that all commands have."""
    return out_option(json_option(quiet_option(command)))


def add(options: Sequence[Callable[[Command], Command]]) -> Callable[[Command], Command]:
    """Return a decorator that adds options to a command, in their order."""
    return lambda command: functools.reduce(lambda one, option: option(one), options[::-1], command)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(inference.__version__, prog_name="rsna-bundle")
@click.pass_context
def cli(context: click.Context) -> None:
    """Bundle wheels, models and code for a Kaggle notebook without internet, and rehearse it."""
    context.obj = settings_module.load()


@cli.command()
@common
@click.option("--rev", default="HEAD", show_default=True, help="The commit to bundle.")
@click.option("--allow-dirty", is_flag=True, help="Bundle the working tree as it is, and say so.")
@publish_option
@click.pass_obj
def code(
    settings: Settings, /, rev: str, allow_dirty: bool, publish: bool, **common_options: Any
) -> None:
    """Bundle a git commit of this repository, with the runner in it."""
    from bundler import snapshot

    place = common_options["out"] or settings.dist / "code"
    built = snapshot.build(settings.root, place, rev=rev, allow_dirty=allow_dirty)
    report_built(settings, built, place, publish=publish, **common_options)


@cli.command()
@common
@click.option("--competition", metavar="SLUG", help="The competition that is mounted.")
@click.option("--time-limit-hours", type=float, help="After which the run must have ended.")
@click.option("--on-failures", type=click.Choice(["stop", "finish"]), help="Too many bad images.")
@click.option("--train", is_flag=True, help="The training notebook instead.")
@click.option("--repository", metavar="URL", help="(--train) Where git fetches the code from.")
@click.option("--branch", default="main", show_default=True, help="(--train) Which branch.")
@click.option("--set", "overrides", multiple=True, metavar="K=V", help="(--train) A setting.")
@click.option("--bucket", metavar="URL", help="(--train) Where its runs are pushed to.")
@click.option("--libs", "build", is_flag=True, help="The notebook that builds wheels instead.")
@click.option("--build", "packages", multiple=True, metavar="PKG", help="(--libs) A package.")
@click.pass_obj
def notebook(settings: Settings, /, train: bool, build: bool, **given: Any) -> None:
    """Write the submission notebook for the three bundles in dist (--out: where they lie)."""
    from bundler.notebook import other, submission

    dist = given["out"] or settings.dist
    if train or build:
        made = (other.write_training if train else other.write_libs)(settings, dist, **given)
        report(made.as_dict(), made.summary(), as_json=given["as_json"], quiet=given["quiet"])
        return
    options = submission.runner_options(settings_module.override(settings, given))
    written = submission.write(dist, dist / "notebook", options)
    report(written.as_dict(), written.summary(), as_json=given["as_json"], quiet=given["quiet"])


@cli.command()
@common
@click.option("--requirements", type=click.Path(path_type=Path), help="The list of packages.")
@click.option("--target", help="The machine: a name, a file, or `host`.")
@click.option("--resolver", type=click.Choice(["uv", "pip-tools"]), default="uv", show_default=True)
@click.option("--no-delta", is_flag=True, help="Ship what the image has, too.")
@click.option("--allow-sdist", is_flag=True, help="Ship what compiles, to be built there.")
@click.option("--audit", type=click.Path(path_type=Path), help="Advisories in the OSV format.")
@click.option("--no-proof", is_flag=True, help="Do not install and import the bundle here.")
@click.option("--check", is_flag=True, help="Exit with 1 where the lock is stale; write nothing.")
@click.option("--upgrade", is_flag=False, flag_value="", metavar="[PKG]", help="Resolve anew.")
@publish_option
@click.pass_obj
def libs(settings: Settings, /, **given: Any) -> None:
    """Bundle the packages that the notebook's image lacks, with their hashes."""
    from bundler.libs import LibsOptions, build

    if given["check"] and given["publish"]:
        raise click.UsageError("--check writes nothing, so there is nothing to --publish.")
    upgrade = given["upgrade"]
    options = LibsOptions(
        requirements=given["requirements"] or settings.root / settings.requirements,
        target=given["target"] or settings.target,
        out=given["out"] or settings.dist / "libs",
        resolver=given["resolver"],
        delta=not given["no_delta"],
        allow_sdist=given["allow_sdist"],
        proof=not given["no_proof"],
        audit=given["audit"],
        check=given["check"],
        upgrade=None if upgrade is None else tuple(upgrade.split(",")) if upgrade else (),
        quiet=given["quiet"] or given["as_json"],
    )
    report_built(settings, build(options), options.out, **given)


@cli.group("target")
def target_group() -> None:
    """Describe the machine that the notebook runs on."""


@target_group.command()
@click.option("--out", type=click.Path(path_type=Path), help="The file to write.")
@click.option("--name", default="captured", show_default=True, help="What to call the target.")
@click.option("--script", is_flag=True, help="Print the script instead, for a notebook's cell.")
@click.option(
    "--push", is_flag=True, help="Describe Kaggle's image, by a notebook that runs there."
)
@click.pass_obj
def capture(settings: Settings, /, out: Path | None, name: str, script: bool, push: bool) -> None:
    """Describe this machine, where the bundle will be used, as a target."""
    from bundler import target

    if push:
        from bundler.publish import notebooks

        place = out or settings.root / "target.json"
        click.echo(notebooks.capture(settings, place, name, tell(False)).summary())
        return
    click.echo(target.capture_script() if script else target.capture(name, out))


@target_group.command()
@click.argument("name", required=False)
@json_option
@click.pass_obj
def show(settings: Settings, /, name: str | None, as_json: bool) -> None:
    """Say what a target is: by default the one that the settings name."""
    from bundler import target

    found = target.load(name or settings.target, settings.root)
    report(found.as_dict(), found.summary(), as_json=as_json, quiet=False)


@target_group.command("diff")
@click.argument("old")
@click.argument("new")
@json_option
@click.pass_obj
def diff_targets(settings: Settings, /, old: str, new: str, as_json: bool) -> None:
    """Say what moved from one target to another: Python, tags, packages."""
    from bundler import target
    from bundler.targets import difference

    two = [target.load(name, settings.root) for name in (old, new)]
    found = difference.between(*two)
    report(found.as_dict(), found.text(), as_json=as_json, quiet=False)


MODEL_OPTIONS = (
    click.option(
        "--ckpt",
        "checkpoints",
        multiple=True,
        type=click.Path(path_type=Path),
        help="A checkpoint, or a folder of them; repeatable.",
    ),
    click.option("--run", metavar="ID", help="The checkpoints of a run that MLflow tracked."),
    click.option("--best", metavar="METRIC", help="Those of the run that was best at it."),
    click.option(
        "--store",
        metavar="URI",
        envvar="MLFLOW_TRACKING_URI",
        help="The MLflow store (default: runs/mlflow.db).",
    ),
    click.option("--by", metavar="METRIC|last", help="Which of a folder's is the best."),
    click.option("--fold", "folds", multiple=True, type=int, help="Only this fold; repeatable."),
    click.option("--dry-run", is_flag=True, help="Show what would be chosen; write nothing."),
    click.option(
        "--oof",
        multiple=True,
        type=click.Path(path_type=Path, dir_okay=False),
        help="Out-of-fold predictions to find the threshold on; repeatable.",
    ),
    click.option(
        "--images",
        type=click.Path(path_type=Path, file_okay=False, exists=True),
        help="A folder of DICOM files to verify the export on, too.",
    ),
    click.option("--arch", metavar="MODEL", help="The timm model."),
    click.option("--preset", metavar="NAME", help="The preprocessing it was trained on."),
    click.option("--mean", metavar="X[,X,X]", help="What training subtracted, after --scale."),
    click.option("--std", metavar="X[,X,X]", help="What training then divided by."),
    click.option(
        "--scale",
        type=click.Choice(list(SCALES)),
        help="1/255 if it was trained on pixels from 0 to 1, 1 if on 0 to 255.",
    ),
    click.option("--in-chans", type=click.Choice(["1", "3"]), help="Its input channels."),
    click.option("--head", metavar="sigmoid:K|softmax", help="Which of its outputs is cancer."),
    click.option("--prevalence", type=float, help="Share of cancer in its validation set."),
    click.option("--threshold", type=float, help="The probability that counts as cancer."),
    click.option(
        "--aggregation",
        type=click.Choice(["mean", "max"]),
        default="mean",
        show_default=True,
        help="How the probabilities of a breast's images become one.",
    ),
    click.option(
        "--output",
        type=click.Choice(["binary", "probability"]),
        help="What the submission says of a breast (default: the settings').",
    ),
    click.option(
        "--precision",
        type=click.Choice(PRECISIONS),
        default="fp32",
        show_default=True,
        help="What the network computes in.",
    ),
    click.option(
        "--ensemble",
        type=click.Choice(ENSEMBLES),
        default="merge",
        show_default=True,
        help="Folds in one file that averages them, or a file each.",
    ),
)


@cli.group(invoke_without_command=True)
@common
@add(MODEL_OPTIONS)
@publish_option
@click.pass_context
def model(
    context: click.Context,
    /,
    out: Path | None,
    as_json: bool,
    quiet: bool,
    publish: bool,
    **told: Any,
) -> None:
    """Export checkpoints as one verified ONNX with their history inside, and bundle it."""
    if context.invoked_subcommand:
        return
    from bundler.model import export
    from bundler.model.options import parse

    settings: Settings = context.obj
    say = (lambda text: None) if as_json or quiet else click.echo
    built = export.build(parse(told, settings), out or settings.dist / "model", say)
    if built:
        place = out or settings.dist / "model"
        report_built(settings, built, place, publish=publish, as_json=as_json, quiet=quiet)


@model.command("show")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def show_model(file: Path, as_json: bool) -> None:
    """Show where a model comes from: an ONNX FILE, or a model bundle's folder."""
    from bundler.model import card

    cards = card.read(file)
    report({"models": cards}, "\n\n".join(map(card.render, cards)), as_json=as_json, quiet=False)


# --- Kaggle ---


@cli.command()
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


@cli.command()
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


@cli.command()
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


@cli.command()
@json_option
@click.pass_obj
def status(settings: Settings, /, as_json: bool) -> None:
    """Show each bundle here, at Kaggle, and in the last run, and what is stale."""
    from bundler.publish import status as screen

    found = screen.look(settings, tell(False))
    report(found.as_dict(), found.summary(), as_json=as_json, quiet=False)


@cli.command("history")
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


@cli.command("doctor")
@json_option
@click.pass_obj
def run_doctor(settings: Settings, /, as_json: bool) -> None:
    """Look for what stands in the way of a submission, and say how to mend it."""
    from bundler import doctor

    found = doctor.examine(settings)
    report(found.as_dict(), found.summary(), as_json=as_json, quiet=False)
    sys.exit(0 if found.sound else 1)


@cli.command("init")
@click.option("--owner", metavar="USER", help="Your user name at Kaggle.")
@click.option("--competition", metavar="SLUG", help="The competition.")
@click.option("--target", metavar="NAME", help="The notebook's image.")
@click.option("--prefix", default="rsna-bundle", show_default=True, help="What slugs begin with.")
@json_option
def run_init(as_json: bool, **told: Any) -> None:
    """Make this folder ready: settings, the list of packages, what git leaves alone."""
    from bundler import init

    def ask(question: str, default: str) -> str:
        return click.prompt(question, default) if sys.stdin.isatty() else default

    done = init.init(Path.cwd(), init.InitOptions(**told), ask)
    report(done.as_dict(), done.summary(), as_json=as_json, quiet=False)


def report_built(
    settings: Settings,
    built: Any,
    place: Path,
    *,
    publish: bool,
    as_json: bool,
    quiet: bool,
    **_: Any,
) -> None:
    """Report a bundle that was built, once it is published where that was asked for."""
    result, text = built.as_dict(), built.summary()
    if publish:
        from bundler.publish import bundles

        done = bundles.publish_folder(settings, place, tell(quiet))
        result, text = result | {"published": done.as_dict()}, f"{text}\n{done.summary()}"
    report(result, text, as_json=as_json, quiet=quiet)


def tell(quiet: bool) -> Callable[[str], None]:
    """Return what a command tells its progress by: standard error, or nothing."""
    return (lambda text: None) if quiet else functools.partial(click.echo, err=True)


@cli.command()
@common
@click.option(
    "--dist",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where bundles and notebook lie (default: dist).",
)
@click.option("--patients", type=int, default=6, show_default=True, help="Patients to predict.")
@click.option(
    "--competition-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Sample the training images of this folder (default: phantoms).",
)
@click.option("--target", help="The notebook's machine: a name, a file, or `host`.")
@click.option("--competition", metavar="SLUG", help="The competition that is mounted.")
@click.option("--hidden-images", type=int, help="Images of the hidden test, to project to.")
@click.option("--time-limit-hours", type=float, help="After which the run must have ended.")
@click.option("--layout", "layouts", multiple=True, type=click.Choice(["new", "legacy"]))
@click.option(
    "--python",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="The notebook's Python, with pip and ipykernel (default: made for the target).",
)
@click.pass_obj
def rehearse(settings: Settings, /, **given: Any) -> None:
    """Run the very notebook as Kaggle will: network cut, inputs read-only, awkward images."""
    from bundler.rehearse import RehearseOptions, run

    dist = given["dist"] or settings.dist
    options = RehearseOptions(
        settings=settings_module.override(settings, given),
        dist=dist,
        out=given["out"] or dist / "rehearsal",
        patients=given["patients"],
        competition_dir=given["competition_dir"],
        python=given["python"],
        layouts=given["layouts"] or RehearseOptions.layouts,
        quiet=given["quiet"] or given["as_json"],
    )
    result = run(options)
    report(result.as_dict(), result.summary(), as_json=given["as_json"], quiet=given["quiet"])
    if not result.passed:
        sys.exit(1)


def report(result: dict[str, Any], text: str, *, as_json: bool, quiet: bool, **_: Any) -> None:
    """Print a command's result: as JSON, as text for people, or not at all."""
    if as_json:
        click.echo(json.dumps(result, indent=2, ensure_ascii=False))
    elif not quiet:
        click.echo(text)


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


if __name__ == "__main__":
    main()
