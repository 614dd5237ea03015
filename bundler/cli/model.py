"""`rsna-bundle model`: checkpoints → one verified ONNX → a bundle."""

from functools import partial
from pathlib import Path
from typing import Any

import click

from bundler.cli.options import add, common, json_option, publish_option
from bundler.cli.reports import report, report_built
from bundler.model.options import ENSEMBLES, PRECISIONS, SCALES
from bundler.settings import Settings

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


@click.group(invoke_without_command=True)
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
    from bundler import bundle
    from bundler.model import export, selection, store
    from bundler.model.options import parse

    settings: Settings = context.obj
    options = parse(told, settings)
    if options.dry_run:
        with store.fetched(options) as fetched:
            selected = selection.select(fetched)
        report(selected.as_dict(), selected.table(), as_json=as_json, quiet=quiet)
        return
    place = out or settings.dist / "model"
    bundle.check_place(place)  # now, since an export may take minutes
    # Beside JSON it goes where people look and scripts do not: a warning must not be lost.
    say = (lambda text: None) if quiet else partial(click.echo, err=as_json)
    built = export.build(options, place, say)
    report_built(settings, built, place, publish=publish, as_json=as_json, quiet=quiet)


@model.command("show")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def show_model(file: Path, as_json: bool) -> None:
    """Show where a model comes from: an ONNX FILE, or a model bundle's folder."""
    from bundler.model import card
    from inference.boot.fields import plain

    cards = card.read(file)
    report(
        {"models": plain(cards)}, "\n\n".join(map(card.render, cards)), as_json=as_json, quiet=False
    )
