"""What `rsna-bundle model` is asked to do."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bundler.errors import UsageError
from bundler.settings import Settings

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
    dry_run: bool = False
    run: str | None = None
    best: str | None = None
    store: str = ""


def parse(told: Mapping[str, Any], settings: Settings) -> ModelOptions:
    """Return the options of a command line."""
    values = dict(told)
    if not (values["checkpoints"] or values["run"] or values["best"]):
        raise UsageError(
            "Name a checkpoint or a folder of them with --ckpt, or a tracked run with --run or "
            "--best."
        )
    values["store"] = values["store"] or f"sqlite:///{settings.root / 'runs' / 'mlflow.db'}"
    for name in ("mean", "std"):
        values[name] = _numbers(f"--{name}", values[name])
    values["scale"] = SCALES[values["scale"]] if values["scale"] else None
    values["in_chans"] = int(values["in_chans"]) if values["in_chans"] else None
    values["output"] = values["output"] or settings.output
    return ModelOptions(**values)


def _numbers(option: str, text: str | None) -> tuple[float, ...] | None:
    try:
        return None if text is None else tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"{option} {text} is no number, nor numbers with commas.") from error
