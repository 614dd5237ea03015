"""One fold from its rows to its best checkpoint and out-of-fold predictions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from train import checkpoint, data, loop, model, outcome, randomness, revision, settings
from train.augmentation import Augmentation
from train.checkpoint import Checkpoint
from train.errors import DataError
from train.storage import write

if TYPE_CHECKING:
    import pandas as pd
    from omegaconf import DictConfig

    from train.diary import Diary
    from train.images import CachedImages
    from train.processes import Processes


def train_fold(
    cfg: DictConfig,
    fold: int,
    rows: pd.DataFrame,
    images: CachedImages,
    out: Path,
    processes: Processes,
    diary: Diary,
) -> None:
    """Train a fold, or what is left of it; write its checkpoint and out-of-fold rows."""
    predictions = out / f"fold{fold}.oof.csv"
    if predictions.exists():
        return
    diary.begin(fold)
    randomness.seed(cfg.seed + 1000 * fold + processes.rank)
    if cfg.trainer.threads:
        torch.set_num_threads(cfg.trainer.threads)
    training = rows[rows.fold != fold].reset_index(drop=True)
    validation = rows[rows.fold == fold].reset_index(drop=True)
    _check_parts(fold, training, validation)

    auxiliary = list(cfg.model.auxiliary)
    classes = data.auxiliary_classes(auxiliary)
    kwargs = _model_kwargs(cfg, 1 + sum(classes))
    columns = list(cfg.model.metadata)
    data.check_metadata(columns)
    parts = {"metadata_columns": columns, "auxiliary": auxiliary}
    augment = Augmentation(**settings.plain(cfg.aug) | {"scale": tuple(cfg.aug.scale)})
    train = data.Images(training, images.cache, augment=augment.build(), **parts)
    valid = data.Images(validation, images.cache, **parts)

    state = out / f"fold{fold}.state"
    fresh = cfg.model.pretrained and not state.exists()
    net = model.build(cfg.model.arch, kwargs, columns, pretrained=fresh, weights=cfg.model.weights)
    classifier = model.Classifier(net, cfg.model.normalize, cfg.model.in_chans)
    run = loop.Fold(cfg, fold, classifier, classes, processes)
    run.resume(state)

    code = revision.current()

    def keep(run: loop.Fold, row: dict[str, float]) -> None:
        if not processes.first:
            return
        made = Checkpoint(
            model=run.weights,
            ema=run.average and run.average.weights,
            arch=cfg.model.arch,
            model_kwargs=kwargs,
            preprocess=images.preprocess.as_dict(),
            normalize=settings.plain(cfg.model.normalize),
            metadata_columns=columns,
            fold=fold,
            epoch=run.progress.epoch,
            metrics=row,
            prevalence=row["prevalence"],
            run_id=diary.run_id,
            commit=code.commit,
            dirty=code.dirty,
            config=settings.plain(cfg),
        )
        name = checkpoint.file_name(made, cfg.trainer.monitor)
        checkpoint.save(out / name, made)
        for older in out.glob(f"fold{fold}_epoch*.pt"):
            if older.name != name:
                older.unlink()

    def report(row: dict[str, float], epoch: int) -> None:
        if processes.first:
            print(_line(fold, epoch, cfg.trainer.epochs, row), file=sys.stderr, flush=True)
            diary.epoch(fold, row, epoch)

    diary.show(fold, train)
    loop.fit(run, train, valid, validation, state, keep, report)
    _predict_best(run, out, valid, validation, predictions)
    diary.finish(fold, run.progress.history, outcome.best_checkpoint(out, fold))


def _predict_best(
    run: loop.Fold, out: Path, valid: data.Images, validation: pd.DataFrame, place: Path
) -> None:
    """Write the out-of-fold rows as the checkpoint on the disk predicts them."""
    run.processes.wait()
    best = checkpoint.load(outcome.best_checkpoint(out, run.fold))
    run.classifier.net.load_state_dict(dict(best.model if best.ema is None else best.ema))
    logits = torch.from_numpy(loop.predict(run, valid)[:, 0])
    if run.processes.first:
        oof = validation[outcome.OOF_COLUMNS[:-2]].copy()
        oof["target"] = validation.cancer
        oof["probability"] = logits.sigmoid().numpy()
        write(str(place), oof.to_csv(index=False).encode())
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


def _model_kwargs(cfg: DictConfig, outputs: int) -> dict[str, Any]:
    kwargs = {"num_classes": outputs, "in_chans": int(cfg.model.in_chans)}
    for name in ("drop_rate", "drop_path_rate"):
        if cfg.model[name]:
            kwargs[name] = float(cfg.model[name])
    return kwargs | settings.plain(cfg.model.kwargs)


def _line(fold: int, epoch: int, epochs: int, row: dict[str, float]) -> str:
    return (
        f"fold {fold} epoch {epoch + 1}/{epochs}: loss {row['train_loss']:.4f} → "
        f"{row['loss']:.4f}, pF1 {row['pfbeta']:.3f} (ones {row['pfbeta_all_ones']:.3f}), "
        f"best F1 {row['best_f1']:.3f} at {row['threshold']:.3f}, PR-AUC {row['pr_auc']:.3f}, "
        f"ROC-AUC {row['roc_auc']:.3f}; lr {row['lr']:.1e}, {row['images_per_s']:.0f} images/s, "
        f"{row['busy']:.0%} busy"
    )
