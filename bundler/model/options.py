"""The options of `rsna-bundle model`, by what they decide.

The command line fills these from its parameters by name: a new option is one declaration in
`bundler/cli/model_options.py` and one field here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from bundler.progress import SILENT, Progress
from inference.boot.fields import Plain

PRECISIONS = ("fp32", "fp16", "int8")
ENSEMBLES = ("merge", "separate")
# Of inference.pixels.preprocess, which needs NumPy: `--help` does not.
PRESET_NAMES = ("baseline-512", "bilinear-512", "roi-1024x512", "roi-1536x768", "roi-2048x1024")
WeightsKind = Literal["ema", "raw"]
WEIGHTS: tuple[WeightsKind, ...] = get_args(WeightsKind)
AVERAGES = {"mean": "weighted", "rank": "rank"}
SCALES = {"1/255": 1 / 255, "1": 1.0}


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which checkpoints to take: files and folders, or those of an MLflow run."""

    checkpoints: tuple[Path, ...] = ()
    onnx: tuple[Path, ...] = ()  # whole networks, in place of checkpoints
    run: str | None = None
    best: str | None = None
    store: str = ""
    by: str | None = None
    folds: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PreprocessChanges:
    """Fields of a preprocessing that differ from the preset; `PreprocessConfig` explains them."""

    size: tuple[int, int] | None = None
    window: Literal["dicom", "min-max", "percentile"] | None = None
    percentiles: tuple[float, float] | None = None
    crop: Literal["breast", "none"] | None = None
    crop_margin: float | None = None
    flip: Literal["chest-left", "none"] | None = None
    fit: Literal["pad", "stretch"] | None = None
    reduce: Literal["area", "bilinear"] | None = None
    decode_margin: float | None = None
    version: int | None = None


@dataclass(frozen=True, kw_only=True)
class Training:
    """How they were trained; None leaves a question to what the checkpoint records.

    `weights` chooses between the averaged and the raw weights of a file that holds both.
    `mean` and `std` hold one number, or one for each channel, of pixels after `scale`. `factory` is
    `module:function` of the repository at `root`, in place of timm's `arch`; `ignore` are patterns
    of tensors that nothing predicts with.
    """

    weights: WeightsKind | None = None
    arch: str | None = None
    factory: str | None = None
    root: Path = Path()
    model_kwargs: Mapping[str, Plain] = field(default_factory=dict)
    metadata_columns: tuple[str, ...] | None = None
    ignore: tuple[str, ...] = ()
    onnx_output: str | None = None
    preset: str | None = None
    preprocessing: PreprocessChanges = PreprocessChanges()
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    scale: float | None = None
    in_chans: int | None = None
    head: str | None = None
    prevalence: float | None = None


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What is made of them, and what it is compared with."""

    oof: tuple[Path, ...] = ()
    images: Path | None = None
    oof_atol: float = 0.05  # in probability: how far a replayed prediction may be off
    strict: bool = False
    threshold: float | None = None
    aggregation: Literal["mean", "max"] = "mean"
    predict: Literal["binary", "probability"] = "binary"
    average: Literal["weighted", "rank"] = "weighted"  # over several files of the bundle
    precision: str = "fp32"
    atol: float | None = None
    ensemble: str = "merge"


@dataclass(frozen=True, kw_only=True)
class Member:
    """Checkpoints that become one ONNX file, how they were trained, and how much it counts."""

    choice: Choice
    training: Training = field(default_factory=Training)
    weight: float = 1.0
    name: str = ""  # for messages, where there are several


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """All options of an export: of one member by `choice` and `training`, or `several`."""

    choice: Choice = field(default_factory=Choice)
    training: Training = field(default_factory=Training)
    export: ExportOptions = ExportOptions()
    several: tuple[Member, ...] = ()
    progress: Progress = SILENT

    @property
    def members(self) -> tuple[Member, ...]:
        """Return what is exported, member by member."""
        return self.several or (Member(choice=self.choice, training=self.training),)
