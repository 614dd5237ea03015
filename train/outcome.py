"""What a run leaves in its folder, and the metrics of its predictions.

config.yaml                        the resolved settings
fold0_epoch02_vpfbeta0.504.pt      the best checkpoint of each fold
fold0.state                        what resuming needs
fold0.oof.csv, oof.csv             out-of-fold predictions, one row per image
metrics.json                       by breast, at natural prevalence, with intervals
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from train import metrics, settings, storage
from train.errors import ConfigError, DataError
from train.metrics import Interval

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
# Settings that may change between an interruption and resuming: none alters the result.
_FREE = (
    "restart",
    "tracking.",
    "data.workers",
    "data.cache",
    "data.dir",
    "trainer.device",
)
_SHOWN = 5  # settings that a message lists


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The metrics of a run's out-of-fold predictions by breast, for one way to aggregate."""

    breasts: int
    metrics: Mapping[str, float]
    interval: Mapping[str, Interval]
    sites: Mapping[str, Mapping[str, float]]

    def as_dict(self) -> dict[str, object]:
        """Return what metrics.json holds: None for NaN, which JSON does not know."""
        bounds = {name: _without_nan(asdict(one)) for name, one in self.interval.items()}
        sites = {name: _without_nan(site) for name, site in self.sites.items()}
        numbers = _without_nan(self.metrics)
        return {"breasts": self.breasts, **numbers, "interval": bounds, "sites": sites}

    def flat(self) -> dict[str, float]:
        """Return all that is defined as one level: pfbeta, pfbeta_low, site1/pfbeta."""
        numbers = {"breasts": float(self.breasts), **self.metrics}
        for name, one in self.interval.items():
            numbers |= {f"{name}_low": one.low, f"{name}_high": one.high}
        for site, row in self.sites.items():
            numbers |= {f"site{site}/{name}": value for name, value in row.items()}
        return {name: value for name, value in numbers.items() if not math.isnan(value)}


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
    """Write the run's settings into its folder; ConfigError where it is another run's."""
    from omegaconf import OmegaConf

    wanted = settings.plain(cfg)
    path = out / "config.yaml"
    if path.exists() and any(out.glob("fold*")):  # else nothing was learned yet
        earlier = settings.plain(OmegaConf.load(path))  # type: ignore[arg-type]
        old, new = settings.flatten(earlier), settings.flatten(wanted)
        differences = [
            f"{key} (was {old.get(key)}, is {new.get(key)})"
            for key in sorted(old.keys() | new.keys())
            if old.get(key) != new.get(key) and not key.startswith(_FREE)
        ]
        if differences:
            raise ConfigError(
                f"{out} holds a run with other settings: {', '.join(differences[:_SHOWN])}. Give "
                "this run another name (name=…), or delete the old one with restart=true."
            )
    elif out.exists() and not path.exists() and any(out.iterdir()):
        raise ConfigError(
            f"{out} is not empty and is not a run's folder. Choose another out= or name=."
        )
    storage.write(str(path), OmegaConf.to_yaml(OmegaConf.create(dict(wanted))).encode())


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
    """Return the folds to train; ConfigError for one that does not exist."""
    wanted = cfg.data.fold
    if wanted is None:
        return list(range(cfg.data.folds))
    chosen = [wanted] if isinstance(wanted, int) else list(wanted)
    wrong = [fold for fold in chosen if fold not in range(cfg.data.folds)]
    if wrong or not chosen:
        raise ConfigError(f"data.fold is {wanted}; folds are 0 to {cfg.data.folds - 1}.")
    return chosen


def best_checkpoint(out: Path, fold: int) -> Path:
    """Return the checkpoint that a fold kept."""
    paths = sorted(out.glob(f"fold{fold}_epoch*.pt"))
    if not paths:
        raise DataError(f"{out} holds no checkpoint of fold {fold}.")
    return paths[-1]


def conclude(cfg: DictConfig, out: Path) -> Mapping[str, Summary]:
    """Join the folds' predictions to oof.csv and write metrics.json; aggregation → summary."""
    import pandas as pd

    parts = [out / f"fold{fold}.oof.csv" for fold in chosen_folds(cfg)]
    kinds = {"image_id": str, "patient_id": str}
    oof = pd.concat([pd.read_csv(part, dtype=kinds) for part in parts], ignore_index=True)
    storage.write(str(out / "oof.csv"), oof[OOF_COLUMNS].to_csv(index=False).encode())
    summaries = summarize(oof)
    content = {aggregation: summary.as_dict() for aggregation, summary in summaries.items()}
    storage.write(str(out / "metrics.json"), (json.dumps(content, indent=1) + "\n").encode())
    _show(out, summaries["mean"])
    return summaries


def summarize(oof: pd.DataFrame, rounds: int = 1000) -> Mapping[str, Summary]:
    """Return the metrics of out-of-fold rows by breast: aggregation → summary."""
    summaries = {}
    breasts = oof.drop_duplicates("prediction_id").set_index("prediction_id")
    for aggregation in metrics.AGGREGATIONS:
        names, truth, predictions = metrics.by_breast(
            oof.prediction_id.tolist(), oof.target, oof.probability, aggregation
        )
        # A patient's two breasts are alike, so that patients are drawn, not breasts.
        patients = breasts.patient_id.loc[names].tolist()
        sites = breasts.site_id.loc[names].astype(str).tolist()
        summaries[aggregation] = Summary(
            breasts=len(names),
            metrics=metrics.evaluate(truth, predictions),
            interval={
                name: metrics.bootstrap(metric, truth, predictions, groups=patients, rounds=rounds)
                for name, metric in _BOOTSTRAPPED.items()
            },
            sites=metrics.evaluate_sites(sites, truth, predictions),
        )
    return summaries


_BOOTSTRAPPED: Mapping[str, metrics.Metric] = {
    "pfbeta": metrics.pfbeta,
    "pr_auc": metrics.pr_auc,
    "roc_auc": metrics.roc_auc,
    "best_f1": lambda labels, predictions: metrics.best_f1(labels, predictions)[0],
}


def _without_nan(numbers: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in numbers.items()}


def _show(out: Path, mean: Summary) -> None:
    """Print what the predictions are worth, the mean over a breast's images."""
    row = mean.metrics
    print(f"{out}: {mean.breasts} breasts, {row['prevalence']:.2%} with cancer")
    for name, one in mean.interval.items():
        if not math.isnan(one.value) and not math.isnan(one.low):
            print(f"  {name:8} {one.value:.3f}  (95 %: {one.low:.3f} to {one.high:.3f})")
    print(
        f"  pF1 of all ones {row['pfbeta_all_ones']:.3f}, of the constant prevalence "
        f"{row['pfbeta_constant']:.3f}; best threshold {row['threshold']:.3f}"
    )
