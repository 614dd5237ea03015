"""Pictures of a run: losses and metrics over epochs, and the two curves of its predictions."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from train import metrics


def history(rows: Sequence[Mapping[str, float]]) -> bytes:
    """Return a PNG of losses and metrics by epoch."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    losses, scores = figure.subplots(1, 2)
    epochs = np.arange(len(rows))
    for name, label in (("train_loss", "training"), ("loss", "validation")):
        losses.plot(epochs, [row[name] for row in rows], "o-", label=label)
    for name in ("pfbeta", "best_f1", "pr_auc", "roc_auc"):
        scores.plot(epochs, [row[name] for row in rows], "o-", label=name)
    scores.axhline(rows[-1]["pfbeta_all_ones"], ls=":", c="gray", label="pfbeta of all ones")
    losses.set(xlabel="epoch", title="loss")
    scores.set(xlabel="epoch", title="validation, by breast", ylim=(0, 1))
    for axes in (losses, scores):
        axes.legend(fontsize="small")
    return _png(figure)


def of_predictions(oof: Path) -> bytes:
    """Return a PNG of the curves of an oof.csv by breast, the mean over its images."""
    import pandas as pd

    rows = pd.read_csv(oof)
    _, truth, given = metrics.by_breast(rows.prediction_id.tolist(), rows.target, rows.probability)
    return predictions(truth, given)


def predictions(labels: ArrayLike, given: ArrayLike) -> bytes:
    """Return a PNG of the precision-recall curve, the ROC curve and F1 by threshold."""
    from matplotlib.figure import Figure

    truth, values = np.asarray(labels, float), np.asarray(given, float)
    order = np.argsort(-values, kind="stable")
    hits, chosen = np.cumsum(truth[order]), np.arange(1, truth.size + 1)
    positives = max(truth.sum(), 1)
    figure = Figure(figsize=(12, 4), layout="constrained")
    precision_recall, roc, f1 = figure.subplots(1, 3)
    precision_recall.step(hits / positives, hits / chosen, where="post")
    precision_recall.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1))
    precision_recall.set_title(f"average precision {metrics.pr_auc(truth, values):.3f}")
    roc.plot((chosen - hits) / max(truth.size - truth.sum(), 1), hits / positives)
    roc.plot([0, 1], [0, 1], ls=":", c="gray")
    roc.set(xlabel="false positive rate", ylabel="true positive rate")
    roc.set_title(f"ROC-AUC {metrics.roc_auc(truth, values):.3f}")
    best, threshold = metrics.best_f1(truth, values)
    f1.plot(values[order], 2 * hits / (chosen + positives))
    f1.axvline(threshold, ls=":", c="gray")
    f1.set(xlabel="threshold", ylabel="F1", title=f"best F1 {best:.3f} at {threshold:.3f}")
    return _png(figure)


def _png(figure: object) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=80)  # type: ignore[attr-defined]
    return content.getvalue()
