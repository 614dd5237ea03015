"""The options of `rsna-bundle model`: each named as the field of bundler.model.options it fills."""

import math
from collections.abc import Callable
from typing import TypeVar, get_args, get_type_hints

import click

from bundler.cli.options import ANY_PATH, EXISTING_FOLDER, FILE, names, numbers, pairs
from bundler.model.options import AVERAGES, ENSEMBLES, PRECISIONS, PRESET_NAMES, SCALES, WEIGHTS
from bundler.settings import Settings
from inference.boot.card import Preprocess

T = TypeVar("T")


def from_settings(pick: Callable[[Settings], T]) -> Callable[[], T]:
    """Return an option's default that is read from the settings when the command runs."""
    return lambda: pick(click.get_current_context().obj)


def values_of(name: str) -> tuple[str, ...]:
    """Return the values that a field of a preprocessing may have."""
    return get_args(get_type_hints(Preprocess)[name])


def once(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> str | None:
    """Return an option's only value; click itself would take the last of several in silence."""
    if len(values) > 1:
        raise click.BadParameter(
            f"it was given {len(values)} times ({', '.join(values)}). Give one: what is exported "
            "together has one architecture."
        )
    return values[0] if values else None


def scale_of(context: click.Context, option: click.Parameter, text: str | None) -> float | None:
    """Return the number that a text of --scale stands for."""
    return SCALES[text] if text else None


def average_of(context: click.Context, option: click.Parameter, text: str) -> str:
    """Return what the cards call a value of --average."""
    return AVERAGES[text]


def finite(context: click.Context, option: click.Parameter, number: float) -> float:
    """Return a number above 0; NaN passes each of click's comparisons."""
    if not 0 < number < math.inf:
        raise click.BadParameter(f"{number} is not a number above 0.")
    return number


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
config_option = click.option(
    "--config",
    type=FILE,
    help="Take the members of an ensemble from this file (TOML) instead of the options.",
)
write_config_option = click.option(
    "--write-config",
    type=FILE,
    metavar="FILE",
    help="Write the file for --config that these options amount to; export nothing.",
)
# Of a member in a file alone: a single model's weight means nothing.
weight_option = click.option("--weight", type=float, default=1.0, callback=finite)
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
# What changes the preset; docs/model.md has a table of them.
PREPROCESS_OPTIONS = (
    click.option(
        "--size", nargs=2, type=int, metavar="HEIGHT WIDTH", help="The input's size in pixels."
    ),
    click.option(
        "--window",
        type=click.Choice(values_of("window")),
        help="What becomes black and white: by the file's own window, between the image's "
        "extremes, or between --percentiles of what is kept.",
    ),
    click.option(
        "--percentiles",
        nargs=2,
        type=float,
        metavar="LOW HIGH",
        help="Of --window percentile (default: 0.5 99.5).",
    ),
    click.option(
        "--crop", type=click.Choice(values_of("crop")), help="Keep the breast, or the whole image."
    ),
    click.option(
        "--crop-margin",
        type=float,
        metavar="SHARE",
        help="How much of the breast's size is kept around it (default: 0.02).",
    ),
    click.option(
        "--flip",
        type=click.Choice(values_of("flip")),
        help="Mirror images so that the chest wall is on the left, or none.",
    ),
    click.option(
        "--fit",
        type=click.Choice(values_of("fit")),
        help="Keep the aspect ratio and pad right and bottom, or stretch.",
    ),
    click.option(
        "--reduce",
        type=click.Choice(values_of("reduce")),
        help="Make images smaller by area, or bilinear from a full decode, as cv2.resize.",
    ),
    click.option(
        "--decode-margin",
        type=float,
        metavar="FACTOR",
        help="Decode at least this many times the input's size (default: 1).",
    ),
    click.option(
        "--preprocess-version",
        "version",
        type=int,
        metavar="N",
        help="1: as old models were trained, by the file's own smaller image; 2: the same for all.",
    ),
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
    click.option("--arch", metavar="MODEL", multiple=True, callback=once, help="The timm model."),
    click.option(
        "--preset",
        metavar="NAME|FILE",
        help=f"The preprocessing that it was trained with, or the one to start from: "
        f"{', '.join(PRESET_NAMES)}, or a file of its fields (*.toml, *.json).",
    ),
    *PREPROCESS_OPTIONS,
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
    click.option(
        "--average",
        type=click.Choice(list(AVERAGES)),
        default="mean",
        show_default=True,
        callback=average_of,
        help="Of several files: the mean of their probabilities, or of the images' ranks.",
    ),
)
