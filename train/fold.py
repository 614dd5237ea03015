"""One fold from its rows to its best checkpoint and out-of-fold predictions."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from inference.boot.fields import Plain
from train import checkpoint, data, loop, model, outcome, randomness, revision, settings
from train.augmentation import Augmentation
from train.checkpoint import Checkpoint, Normalize
from train.errors import ConfigError, DataError
from train.fields import FieldError
from train.storage import write

if TYPE_CHECKING:
    import pandas as pd
    from omegaconf import DictConfig

    from train.images import CachedImages
    from train.processes import Processes
    from train.run_logger import RunLogger


def train_fold(
    cfg: DictConfig,
    fold: int,
    rows: pd.DataFrame,
    images: CachedImages,
    out: Path,
    processes: Processes,
    logger: RunLogger,
) -> None:
    """Train a fold, or what is left of it; write its checkpoint and out-of-fold rows."""
    predictions, state = out / f"fold{fold}.oof.csv", out / f"fold{fold}.state"
    if predictions.exists():
        return
    logger.begin_fold()
    # By fold, so that a fold is the same alone and among others; by process, whose shares differ.
    randomness.seed(cfg.seed + 1000 * fold + processes.rank)
    if cfg.trainer.threads:
        torch.set_num_threads(cfg.trainer.threads)

    training = rows[rows.fold != fold].reset_index(drop=True)
    validation = rows[rows.fold == fold].reset_index(drop=True)
    _check_parts(fold, training, validation)
    train, valid = _items(cfg, training, validation, images)
    run = _begin(cfg, fold, state, processes)
    keeper = Keeper(cfg, images, out, logger.run_id)

    def report(row: dict[str, float], epoch: int) -> None:
        if processes.first:
            print(_line(fold, epoch, cfg.trainer.epochs, row), file=sys.stderr, flush=True)
            logger.log_epoch(fold, row, epoch)

    logger.log_images(fold, train)
    loop.fit(run, train, valid, validation, state, keeper.keep, report)
    _predict_best(run, out, valid, validation, predictions)
    logger.end_fold(fold, run.progress.history, outcome.best_checkpoint(out, fold))


@dataclass(frozen=True)
class Keeper:
    """Keeps one checkpoint of a fold in the run's folder: the best, or the last."""

    cfg: DictConfig
    images: CachedImages
    out: Path
    run_id: str | None

    def keep(self, run: loop.Fold, row: dict[str, float]) -> None:
        """Save the run as its fold's; what was kept before goes when this is on the disk."""
        if not run.processes.first:
            return
        made = self.checkpoint(run, row)
        name = checkpoint.file_name(made, self.cfg.trainer.monitor)
        checkpoint.save(self.out / name, made)
        for older in self.out.glob(f"fold{run.fold}_epoch*.pt"):
            if older.name != name:
                older.unlink()

    def checkpoint(self, run: loop.Fold, row: dict[str, float]) -> Checkpoint:
        """Return what a checkpoint says of the run as it is now."""
        cfg, code = self.cfg, revision.current()
        return Checkpoint(
            model=run.weights,
            ema=run.average and run.average.weights,
            arch=cfg.model.arch,
            model_kwargs=_model_kwargs(cfg),
            preprocess=self.images.preprocess,
            normalize=_normalize(cfg),
            metadata_columns=list(cfg.model.metadata),
            fold=run.fold,
            epoch=run.progress.epoch,
            metrics=row,
            prevalence=row["prevalence"],
            run_id=self.run_id,
            commit=code.commit,
            dirty=code.dirty,
            config=settings.plain(cfg),
        )


def _items(
    cfg: DictConfig, training: pd.DataFrame, validation: pd.DataFrame, images: CachedImages
) -> tuple[data.Images, data.Images]:
    """Return the items of both parts; only the training part's are augmented."""
    columns = {"metadata_columns": list(cfg.model.metadata), "auxiliary": list(cfg.model.auxiliary)}
    data.check_metadata(columns["metadata_columns"])
    chosen = settings.plain(cfg.aug) | {"scale": tuple(cfg.aug.scale)}
    augment = Augmentation(**chosen).build()
    train = data.Images(training, images.cache, augment=augment, **columns)
    return train, data.Images(validation, images.cache, **columns)


def _begin(cfg: DictConfig, fold: int, state: Path, processes: Processes) -> loop.Fold:
    """Build the network and what trains it, as new or as it was saved."""
    net = model.build(
        cfg.model.arch,
        _model_kwargs(cfg),
        list(cfg.model.metadata),
        # Weights that the saved state replaces need not be fetched.
        pretrained=cfg.model.pretrained and not state.exists(),
        weights=cfg.model.weights,
    )
    classifier = model.Classifier(net, _normalize(cfg), cfg.model.in_chans)
    classes = data.auxiliary_classes(list(cfg.model.auxiliary))
    run = loop.Fold(cfg, fold, classifier, classes, processes)
    run.resume(state)
    return run


def _predict_best(
    run: loop.Fold, out: Path, valid: data.Images, validation: pd.DataFrame, path: Path
) -> None:
    """Write the out-of-fold rows as the checkpoint on the disk predicts them."""
    # The first process writes the checkpoint that all of them read.
    run.processes.wait()
    best = checkpoint.load(outcome.best_checkpoint(out, run.fold))
    run.classifier.net.load_state_dict(dict(best.weights))
    logits = torch.from_numpy(loop.predict(run, valid)[:, 0])
    if run.processes.first:
        oof = validation[outcome.OOF_COLUMNS[:-2]].copy()
        oof["target"] = validation.cancer
        oof["probability"] = logits.sigmoid().numpy()
        write(str(path), oof.to_csv(index=False).encode())
    run.processes.wait()


def _check_parts(fold: int, training: pd.DataFrame, validation: pd.DataFrame) -> None:
    for name, part in (("training", training), ("validation", validation)):
        if not part.cancer.any() or part.cancer.all():
            raise DataError(
                f"Fold {fold}'s {name} part has {int(part.cancer.sum())} images with cancer of "
                f"{len(part)}: it needs both kinds. Ask for fewer folds (data.folds)."
            )
    shared = set(training.patient_id) & set(validation.patient_id)
    if shared:
        raise DataError(f"Fold {fold} shares {len(shared)} patients between its parts.")


def _model_kwargs(cfg: DictConfig) -> dict[str, Plain]:
    """Return timm's arguments: an output for cancer, then the auxiliary targets' classes."""
    outputs = 1 + sum(data.auxiliary_classes(list(cfg.model.auxiliary)))
    kwargs: dict[str, Plain] = {"num_classes": outputs, "in_chans": int(cfg.model.in_chans)}
    for name in ("drop_rate", "drop_path_rate"):
        if cfg.model[name]:
            kwargs[name] = float(cfg.model[name])
    return kwargs | settings.plain(cfg.model.kwargs)


def _normalize(cfg: DictConfig) -> Normalize:
    try:
        return Normalize.parse(settings.plain(cfg.model.normalize))
    except FieldError as error:
        raise ConfigError(f"model.normalize: {error}.") from error


def _line(fold: int, epoch: int, epochs: int, row: dict[str, float]) -> str:
    return (
        f"fold {fold} epoch {epoch + 1}/{epochs}: loss {row['train_loss']:.4f} → "
        f"{row['loss']:.4f}, pF1 {row['pfbeta']:.3f} (ones {row['pfbeta_all_ones']:.3f}), "
        f"best F1 {row['best_f1']:.3f} at {row['threshold']:.3f}, PR-AUC {row['pr_auc']:.3f}, "
        f"ROC-AUC {row['roc_auc']:.3f}; lr {row['lr']:.1e}, {row['images_per_s']:.0f} images/s, "
        f"{row['busy']:.0%} busy"
    )
