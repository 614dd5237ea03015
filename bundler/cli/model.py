"""`rsna-bundle model`: checkpoints → one verified ONNX, or any files as they are → a bundle."""

from collections.abc import Container, Sequence
from pathlib import Path
from typing import Literal

import click
from click.core import ParameterSource

from bundler.cli.options import (
    ANY_PATH,
    EXISTING_FOLDER,
    FILE,
    add,
    numbers,
    out_option,
    publish_option,
    refuse_options,
    reporting,
)
from bundler.cli.reports import Output
from bundler.model.options import ENSEMBLES, PRECISIONS, SCALES
from bundler.settings import Settings

files_option = click.option(
    "--files",
    multiple=True,
    type=ANY_PATH,
    metavar="PATH...",
    help="Bundle these files and folders byte for byte instead; export nothing.",
)
# Which checkpoints.
CHOICE_OPTIONS = (
    click.option(
        "--ckpt",
        "checkpoints",
        multiple=True,
        type=ANY_PATH,
        help="A checkpoint or a folder of them; several, or repeated.",
    ),
    click.option("--run", metavar="ID", help="Take the checkpoints of this MLflow run."),
    click.option("--best", metavar="METRIC", help="Take those of the best MLflow run."),
    click.option(
        "--store",
        metavar="URI",
        envvar="MLFLOW_TRACKING_URI",
        help="The MLflow store (default: runs/mlflow.db).",
    ),
    click.option("--by", metavar="METRIC|last", help="Choose each fold's checkpoint by this."),
    click.option("--fold", "folds", multiple=True, type=int, help="Only this fold; repeatable."),
    click.option("--dry-run", is_flag=True, help="Show the chosen checkpoints; write nothing."),
)
# What a checkpoint of another program does not say.
TRAINING_OPTIONS = (
    click.option("--arch", metavar="MODEL", help="The timm model."),
    click.option("--preset", metavar="NAME", help="The preprocessing that it was trained with."),
    click.option(
        "--mean",
        metavar="X[,X,X]",
        callback=numbers,
        help="What training subtracted, after --scale.",
    ),
    click.option(
        "--std", metavar="X[,X,X]", callback=numbers, help="What training divided by, after --mean."
    ),
    click.option(
        "--scale",
        type=click.Choice(list(SCALES)),
        help="1/255 if it was trained on pixels from 0 to 1, 1 if on 0 to 255.",
    ),
    click.option("--in-chans", type=click.Choice(["1", "3"]), help="The input channels."),
    click.option("--head", metavar="sigmoid:K|softmax", help="Which of the outputs is cancer."),
    click.option("--prevalence", type=float, help="The share of cancer in the validation set."),
)
# What is made of them.
EXPORT_OPTIONS = (
    click.option(
        "--oof",
        multiple=True,
        type=FILE,
        help="Out-of-fold predictions, to find the threshold on; repeatable.",
    ),
    click.option(
        "--images",
        type=EXISTING_FOLDER,
        help="DICOM files, to verify the export on besides the built-in ones.",
    ),
    click.option("--threshold", type=float, help="The probability that counts as cancer."),
    click.option(
        "--aggregation",
        type=click.Choice(["mean", "max"]),
        default="mean",
        show_default=True,
        help="How a breast's probability follows from its images'.",
    ),
    click.option(
        "--output",
        "predict",
        type=click.Choice(["binary", "probability"]),
        help="What the submission holds (default: from the settings).",
    ),
    click.option(
        "--precision",
        type=click.Choice(PRECISIONS),
        default="fp32",
        show_default=True,
        help="The precision of the network.",
    ),
    click.option(
        "--ensemble",
        type=click.Choice(ENSEMBLES),
        default="merge",
        show_default=True,
        help="One file that averages the folds, or one for each.",
    ),
)


SEVERAL = ("--files", "--ckpt")  # options that a shell's pattern may give many values


class ModelGroup(click.Group):
    """A group whose options --files and --ckpt take several paths each: `--files *.pth`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse arguments as if each path had its own option."""
        return super().parse_args(ctx, spread(args, self.commands))


def spread(arguments: Sequence[str], commands: Container[str]) -> list[str]:
    """Return arguments in which each path after --files or --ckpt has the option before it.

    The paths end at the next option, and at the name of a command.
    """
    spread: list[str] = []
    option = None
    for argument in arguments:
        if argument.startswith("-") or argument in commands:
            option = argument if argument in SEVERAL else None
        if option and spread and spread[-1] not in SEVERAL and not argument.startswith("-"):
            spread.append(option)
        spread.append(argument)
    return spread


@click.group(cls=ModelGroup, invoke_without_command=True)
@add((files_option, *CHOICE_OPTIONS, *TRAINING_OPTIONS, *EXPORT_OPTIONS))
@out_option("dist/model")
@publish_option
@reporting
@click.pass_context
def model(
    context: click.Context,
    /,
    files: tuple[Path, ...],
    checkpoints: tuple[Path, ...],
    run: str | None,
    best: str | None,
    store: str | None,
    by: str | None,
    folds: tuple[int, ...],
    dry_run: bool,
    arch: str | None,
    preset: str | None,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
    scale: str | None,
    in_chans: str | None,
    head: str | None,
    prevalence: float | None,
    oof: tuple[Path, ...],
    images: Path | None,
    threshold: float | None,
    aggregation: Literal["mean", "max"],
    predict: Literal["binary", "probability"] | None,
    precision: str,
    ensemble: str,
    out: Path | None,
    publish: bool,
    output: Output,
) -> None:
    """Export checkpoints to one verified ONNX model and bundle it.

    The file carries its history: checkpoints, metrics, preprocessing, what was compared.
    With --files, bundle any files and folders as they are, for a command of your own.
    """
    if context.invoked_subcommand:
        refuse_options(context)
        return
    if files:
        _bundle_files(context, files, out, publish, output)
        return
    from bundler.model import export
    from bundler.model.options import ModelOptions

    settings: Settings = context.obj
    if not (checkpoints or run or best):
        raise click.UsageError(
            "Name a checkpoint or a folder of them with --ckpt, an MLflow run with --run or "
            "--best, or any files with --files."
        )
    options = ModelOptions(
        checkpoints=checkpoints,
        run=run,
        best=best,
        store=store or f"sqlite:///{settings.root / 'runs' / 'mlflow.db'}",
        by=by,
        folds=folds,
        arch=arch,
        preset=preset,
        mean=mean,
        std=std,
        scale=SCALES[scale] if scale else None,
        in_chans=int(in_chans) if in_chans else None,
        head=head,
        prevalence=prevalence,
        oof=oof,
        images=images,
        threshold=threshold,
        aggregation=aggregation,
        output=predict or settings.output,
        precision=precision,
        ensemble=ensemble,
        progress=output.progress,
    )
    if dry_run:
        output.report(export.choose(options))
        return
    folder = out or settings.dist / "model"
    built = export.build(options, folder)
    output.report_built(settings, built, folder, publish=publish)


def _bundle_files(
    context: click.Context, files: tuple[Path, ...], out: Path | None, publish: bool, output: Output
) -> None:
    """Bundle files as they are; options that shape an export make no sense beside them."""
    from bundler.model import files as model_files

    mine = {"files", "out", "publish", "as_json", "quiet"}
    others = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name not in mine
        and context.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE
    ]
    if others:
        raise click.UsageError(
            f"--files bundles files as they are, so {', '.join(others)} cannot be used with it."
        )
    settings: Settings = context.obj
    folder = out or settings.dist / "model"
    options = model_files.FilesOptions(paths=files, out=folder, progress=output.progress)
    output.report_built(settings, model_files.build(options), folder, publish=publish)


@model.command()
@click.argument("file", type=ANY_PATH)
@reporting
def show(file: Path, output: Output) -> None:
    """Show what a model was made from.

    FILE is an ONNX file or the folder of a model bundle.
    """
    from bundler.model import show as model_show

    output.report(model_show.show(file))
