"""What a run leaves in its folder, and what it amounts to.

config.yaml                        the resolved settings
fold0_epoch02_vpfbeta0.504.pt      the best checkpoint of each fold
fold0.state                        what going on needs
fold0.oof.csv, oof.csv             out-of-fold predictions, one row per image
metrics.json                       by breast, at natural prevalence, with intervals
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from train import metrics, settings, storage
from train.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pandas as pd
    from omegaconf import DictConfig

    from train.processes import Processes

OOF_COLUMNS = [
    "image_id",
    "patient_id",
    "laterality",
    "prediction_id",
    "site_id",
    "machine_id",
    "fold",
    "target",
    "probability",
]
# Settings that may change between an interruption and going on: none alters the result.
_FREE = (
    "restart",
    "tracking.",
    "data.workers",
    "data.cache",
    "data.dir",
    "trainer.device",
)


def open_folder(cfg: DictConfig, processes: Processes) -> Path:
    """Return the run's folder, new, or one that holds the same run's beginning."""
    out = Path(cfg.out)
    if processes.first:
        if cfg.restart and (out / "config.yaml").exists():
            shutil.rmtree(out)
        _claim(cfg, out)
    processes.wait()
    return out


def _claim(cfg: DictConfig, out: Path) -> None:
    from omegaconf import OmegaConf

    ours = settings.plain(cfg)
    place = out / "config.yaml"
    if place.exists() and any(out.glob("fold*")):  # else nothing was learned yet
        theirs = settings.plain(OmegaConf.load(place))  # type: ignore[arg-type]
        old, new = settings.flatten(theirs), settings.flatten(ours)
        differ = [
            f"{key} ({old.get(key)} there, {new.get(key)} now)"
            for key in sorted(old.keys() | new.keys())
            if old.get(key) != new.get(key) and not key.startswith(_FREE)
        ]
        if differ:
            raise ConfigError(
                f"{out} holds another run; they differ in {', '.join(differ[:5])}. Give this one "
                "a name (name=…), or delete the other with restart=true."
            )
    elif out.exists() and not place.exists() and any(out.iterdir()):
        raise ConfigError(f"{out} is no run's folder and not empty. Choose another out= or name=.")
    storage.write(str(place), OmegaConf.to_yaml(OmegaConf.create(ours)).encode())


def check(cfg: DictConfig) -> None:
    """Raise ConfigError for settings that would only be noticed after the first epoch."""
    choices = {
        "trainer.monitor": (cfg.trainer.monitor, ("pfbeta", "best_f1", "pr_auc", "roc_auc")),
        "trainer.keep": (cfg.trainer.keep, ("best", "last")),
        "trainer.aggregation": (cfg.trainer.aggregation, tuple(metrics.AGGREGATIONS)),
    }
    for key, (value, allowed) in choices.items():
        if value not in allowed:
            raise ConfigError(f"{key} is {value!r}, not one of {', '.join(allowed)}.")
    chosen_folds(cfg)


def chosen_folds(cfg: DictConfig) -> list[int]:
    """Return the folds to train; ConfigError for one that is not there."""
    asked = cfg.data.fold
    if asked is None:
        return list(range(cfg.data.folds))
    chosen = [asked] if isinstance(asked, int) else list(asked)
    wrong = [fold for fold in chosen if fold not in range(cfg.data.folds)]
    if wrong or not chosen:
        raise ConfigError(f"data.fold is {asked}; folds are 0 to {cfg.data.folds - 1}.")
    return chosen


def best_checkpoint(out: Path, fold: int) -> Path:
    """Return the checkpoint that a fold kept."""
    found = sorted(out.glob(f"fold{fold}_epoch*.pt"))
    if not found:
        raise DataError(f"{out} holds no checkpoint of fold {fold}.")
    return found[-1]


def conclude(cfg: DictConfig, out: Path) -> dict[str, Any]:
    """Join the folds' predictions to oof.csv and write metrics.json."""
    import pandas as pd

    parts = [out / f"fold{fold}.oof.csv" for fold in chosen_folds(cfg)]
    kinds = {"image_id": str, "patient_id": str}
    oof = pd.concat([pd.read_csv(part, dtype=kinds) for part in parts], ignore_index=True)
    storage.write(str(out / "oof.csv"), oof[OOF_COLUMNS].to_csv(index=False).encode())
    found = summarize(oof)
    storage.write(str(out / "metrics.json"), (json.dumps(found, indent=1) + "\n").encode())
    _say(out, found)
    return found


def summarize(oof: pd.DataFrame, rounds: int = 1000) -> dict[str, Any]:
    """Return the metrics of out-of-fold rows by breast, for each way to aggregate."""
    found: dict[str, Any] = {}
    breasts = oof.drop_duplicates("prediction_id").set_index("prediction_id")
    for how in metrics.AGGREGATIONS:
        names, truth, given = metrics.by_breast(
            oof.prediction_id.tolist(), oof.target, oof.probability, how
        )
        patients = breasts.patient_id.loc[names].tolist()
        sites = breasts.site_id.loc[names].astype(str).tolist()
        interval = {
            name: vars(metrics.bootstrap(metric, truth, given, groups=patients, rounds=rounds))
            for name, metric in (
                ("pfbeta", metrics.pfbeta),
                ("pr_auc", metrics.pr_auc),
                ("roc_auc", metrics.roc_auc),
                ("best_f1", lambda labels, predictions: metrics.best_f1(labels, predictions)[0]),
            )
        }
        found[how] = {
            "breasts": len(names),
            **metrics.evaluate(truth, given),
            "interval": interval,
            "sites": metrics.evaluate_sites(sites, truth, given),
        }
    return _without_nan(found)


def _without_nan(value: Any) -> Any:
    """Return the value with None for NaN, which JSON does not know."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    return None if isinstance(value, float) and np.isnan(value) else value


def _say(out: Path, found: dict[str, Any]) -> None:
    mean = found["mean"]
    print(f"{out}: {mean['breasts']} breasts, {mean['prevalence']:.2%} with cancer")
    for name, interval in mean["interval"].items():
        if interval["value"] is not None and interval["low"] is not None:
            print(
                f"  {name:8} {interval['value']:.3f}  "
                f"(95 %: {interval['low']:.3f} to {interval['high']:.3f})"
            )
    print(
        f"  pF1 of all ones {mean['pfbeta_all_ones']:.3f}, of the constant prevalence "
        f"{mean['pfbeta_constant']:.3f}; best threshold {mean['threshold']:.3f}"
    )
