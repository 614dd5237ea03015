"""The options of `rsna-bundle model`: each named as the field of bundler.model.options it fills."""

from collections.abc import Callable
from typing import TypeVar

import click

from bundler.cli.options import ANY_PATH, EXISTING_FOLDER, FILE, names, numbers, pairs
from bundler.model.options import ENSEMBLES, PRECISIONS, SCALES, WEIGHTS
from bundler.settings import Settings

T = TypeVar("T")


def from_settings(pick: Callable[[Settings], T]) -> Callable[[], T]:
    """Return an option's default that is read from the settings when the command runs."""
    return lambda: pick(click.get_current_context().obj)


def scale_of(context: click.Context, option: click.Parameter, text: str | None) -> float | None:
    """Return the number that a text of --scale stands for."""
    return SCALES[text] if text else None


files_option = click.option(
    "--files",
    multiple=True,
    type=ANY_PATH,
    metavar="PATH...",
    help="Bundle these files and folders byte for byte instead; export nothing.",
)
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Show the chosen checkpoints; write nothing."
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
        default=from_settings(lambda settings: f"sqlite:///{settings.root / 'runs' / 'mlflow.db'}"),
        help="The MLflow store (default: runs/mlflow.db).",
    ),
    click.option("--by", metavar="METRIC|last", help="Choose each fold's checkpoint by this."),
    click.option("--fold", "folds", multiple=True, type=int, help="Only this fold; repeatable."),
)
# Whose network it is.
NETWORK_OPTIONS = (
    click.option(
        "--onnx",
        multiple=True,
        type=ANY_PATH,
        metavar="FILE",
        help="Adopt an ONNX file of your own instead of checkpoints; repeatable, one a fold.",
    ),
    click.option(
        "--onnx-output", metavar="NAME", help="Its output to predict from, where it has several."
    ),
    click.option(
        "--factory",
        metavar="MODULE:FUNCTION",
        help="A function of your repository that builds the network; it is imported and called.",
    ),
    click.option(
        "--model-kwarg",
        "model_kwargs",
        multiple=True,
        metavar="NAME=VALUE",
        callback=pairs,
        help="An argument for timm (global_pool=max) or for the factory; repeatable.",
    ),
    click.option(
        "--metadata-columns",
        metavar="NAME,…",
        callback=names,
        help="The table's columns that the network gets besides the pixels, in its order.",
    ),
    click.option(
        "--ignore",
        multiple=True,
        metavar="NAME",
        help="Leave out tensors of this name or pattern ('criterion.*'); repeatable.",
    ),
)
# What a checkpoint of another program does not say.
TRAINING_OPTIONS = (
    click.option(
        "--weights",
        type=click.Choice(WEIGHTS),
        help="Those averaged over the training, or the raw ones (default: averaged, if recorded).",
    ),
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
        callback=scale_of,
        help="1/255 if it was trained on pixels from 0 to 1, 1 if on 0 to 255.",
    ),
    click.option("--in-chans", type=click.Choice([1, 3]), help="The input channels."),
    click.option(
        "--head",
        metavar="sigmoid:K|softmax[:K]|probability:K",
        help="Which output (from 0) is cancer, and whether it is a logit or a probability.",
    ),
    click.option("--prevalence", type=float, help="The share of cancer in the validation set."),
)
# What is made of them.
EXPORT_OPTIONS = (
    click.option(
        "--oof",
        multiple=True,
        type=FILE,
        help="Out-of-fold predictions, to find the threshold on; with --images, the export must "
        "repeat a sample of them. Repeatable.",
    ),
    click.option(
        "--images",
        type=EXISTING_FOLDER,
        help="DICOM files: those of --oof prove the export, others are compared with torch.",
    ),
    click.option(
        "--oof-atol",
        type=click.FloatRange(0, 1, min_open=True),
        default=0.05,
        show_default=True,
        help="How far a prediction of --oof may be off when it is replayed.",
    ),
    click.option("--strict", is_flag=True, help="Refuse the model where a warning is due."),
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
        default=from_settings(lambda settings: settings.output),
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
        "--atol",
        type=click.FloatRange(min=0, min_open=True),
        help="How far a probability may be off (default: by the network's own rounding noise).",
    ),
    click.option(
        "--ensemble",
        type=click.Choice(ENSEMBLES),
        default="merge",
        show_default=True,
        help="One file that averages the folds, or one for each.",
    ),
)
