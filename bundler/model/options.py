"""The options of `rsna-bundle model`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bundler.progress import SILENT, Progress

PRECISIONS = ("fp32", "fp16", "int8")
ENSEMBLES = ("merge", "separate")
SCALES = {"1/255": 1 / 255, "1": 1.0}


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """The options of an export; None leaves a question to what the checkpoint says.

    `mean` and `std` hold one number, or one for each channel, of pixels after `scale`.
    """

    checkpoints: tuple[Path, ...]
    arch: str | None = None
    preset: str | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    scale: float | None = None
    in_chans: int | None = None
    head: str | None = None
    prevalence: float | None = None
    threshold: float | None = None
    aggregation: Literal["mean", "max"] = "mean"
    output: Literal["binary", "probability"] = "binary"
    precision: str = "fp32"
    ensemble: str = "merge"
    by: str | None = None
    folds: tuple[int, ...] = ()
    oof: tuple[Path, ...] = ()
    images: Path | None = None
    run: str | None = None
    best: str | None = None
    store: str = ""
    strict: bool = False
    oof_atol: float = 0.05  # in probability: how far a replayed prediction may be off
    progress: Progress = SILENT
