"""What a threshold is worth on breasts that it was not chosen on.

The best F1 over all thresholds of the same rows is optimistic: with few positives it follows their
accidents. Here each fold's breasts are judged by the threshold that is best on the other folds.
"""

import numpy as np

from bundler.model import cuts
from bundler.model.out_of_fold import Floats, OutOfFold, by_breast
from inference.boot.card import CrossFit
from train import metrics

PARTS = 5  # of the patients, where the rows name fewer than two folds


def measure(oof: OutOfFold, aggregation: str) -> CrossFit | None:
    """Return F1 by thresholds of the other folds; None where these lack a class."""
    names, labels, values = by_breast(oof, aggregation)
    folds = dict(zip(oof.breasts, oof.folds, strict=False))
    own = [folds.get(name, "") for name in names]
    by_fold = len(set(own)) > 1 and all(own)
    parts = np.array(own if by_fold else _parts(oof, names))
    called, chosen = np.zeros(len(names), bool), []
    for part in np.unique(parts):
        held_out = parts == part
        threshold = _best(labels[~held_out], values[~held_out])
        if threshold is None:
            return None
        called[held_out] = values[held_out] >= threshold
        chosen.append(threshold)
    return CrossFit(
        by="fold" if by_fold else "patients",
        f1=float(metrics.pfbeta(labels, called)),
        thresholds=tuple(chosen),
    )


def _best(labels: Floats, values: Floats) -> float | None:
    return cuts.best(labels, values) if 0 < labels.sum() < len(labels) else None


def _parts(oof: OutOfFold, names: list[str]) -> list[str]:
    """Deal the patients out in parts, both breasts of one to the same part."""
    owners = dict(zip(oof.breasts, oof.patients, strict=True))
    numbers = {patient: number for number, patient in enumerate(sorted(set(oof.patients)))}
    return [str(numbers[owners[name]] % PARTS) for name in names]
