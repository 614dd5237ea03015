"""What a prediction is worth, breast by breast: numpy alone, so that the bundler can use it, too.

All functions take `labels` [N] in {0, 1} and `predictions` [N] in numbers, and refuse NaN: a
metric of an undefined prediction is a lie.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from train.errors import DataError

Floats = NDArray[np.float64]
Metric = Callable[[Floats, Floats], float]

AGGREGATIONS: dict[str, Callable[[Floats], float]] = {
    "mean": lambda values: float(values.mean()),
    "max": lambda values: float(values.max()),
}


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A bootstrap interval around a metric."""

    value: float
    low: float
    high: float


def _checked(labels: ArrayLike, predictions: ArrayLike) -> tuple[Floats, Floats]:
    truth = np.asarray(labels, np.float64).ravel()
    given = np.asarray(predictions, np.float64).ravel()
    if truth.shape != given.shape:
        raise DataError(f"{truth.size} labels cannot be compared with {given.size} predictions.")
    if not np.isin(truth, (0.0, 1.0)).all():
        raise DataError("A label is neither 0 nor 1: look for missing values in the table.")
    if np.isnan(given).any():
        raise DataError(
            f"{int(np.isnan(given).sum())} of {given.size} predictions are NaN. The training has "
            "diverged: lower the learning rate, or train without half precision."
        )
    return truth, given


def pfbeta(labels: ArrayLike, predictions: ArrayLike, beta: float = 1.0) -> float:
    """Return the competition's probabilistic F score; 0 where it is undefined.

    Predictions are clipped to [0, 1] and count as fractions of a positive. On predictions of 0
    and 1 it is the plain F score. Source: the competition's evaluation page.
    """
    truth, given = _checked(labels, predictions)
    given = given.clip(0, 1)
    positives = truth.sum()
    true_positives, false_positives = given[truth == 1].sum(), given[truth == 0].sum()
    if positives == 0 or true_positives == 0:
        return 0.0
    precision = true_positives / (true_positives + false_positives)
    recall = true_positives / positives
    weight = beta * beta
    below = weight * precision + recall
    # Numbers so small that their squares vanish leave nothing to divide by.
    return float((1 + weight) * precision * recall / below) if below > 0 else 0.0


def best_f1(labels: ArrayLike, predictions: ArrayLike) -> tuple[float, float]:
    """Return the largest F1 over all thresholds and the threshold: positive where p >= it."""
    truth, given = _checked(labels, predictions)
    if truth.sum() == 0:
        return 0.0, 1.0
    order = np.argsort(-given, kind="stable")
    hits = np.cumsum(truth[order])
    chosen = np.arange(1, truth.size + 1)
    f1 = 2 * hits / (chosen + truth.sum())
    last = np.append(np.diff(given[order]) != 0, True)  # ties are taken together
    best = int(np.argmax(np.where(last, f1, -1.0)))
    return float(f1[best]), float(given[order][best])


def roc_auc(labels: ArrayLike, predictions: ArrayLike) -> float:
    """Return the area under the ROC curve, ties counted half; NaN where a class is missing."""
    truth, given = _checked(labels, predictions)
    positives = int(truth.sum())
    negatives = truth.size - positives
    if positives == 0 or negatives == 0:
        return float("nan")
    _, inverse, counts = np.unique(given, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    above = ranks[truth == 1].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def pr_auc(labels: ArrayLike, predictions: ArrayLike) -> float:
    """Return the average precision (area under the stepped precision-recall curve)."""
    truth, given = _checked(labels, predictions)
    if truth.sum() == 0:
        return float("nan")
    order = np.argsort(-given, kind="stable")
    hits = np.cumsum(truth[order])
    last = np.append(np.diff(given[order]) != 0, True)
    precision = hits[last] / (np.flatnonzero(last) + 1)
    recall = hits[last] / truth.sum()
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def by_breast(
    breasts: Sequence[str], labels: ArrayLike, predictions: ArrayLike, how: str = "mean"
) -> tuple[list[str], Floats, Floats]:
    """Aggregate images to breasts: names, labels and predictions, in the order first seen."""
    truth, given = _checked(labels, predictions)
    names, index = np.unique(np.asarray(breasts, dtype=str), return_inverse=True)
    members = [np.flatnonzero(index == number) for number in range(len(names))]
    for name, rows in zip(names, members, strict=True):
        if np.ptp(truth[rows]) > 0:
            raise DataError(f"The images of breast {name} contradict each other on cancer.")
    members.sort(key=lambda rows: int(rows[0]))
    aggregate = AGGREGATIONS[how]
    return (
        [str(breasts[rows[0]]) for rows in members],
        np.array([truth[rows[0]] for rows in members], np.float64),
        np.array([aggregate(given[rows]) for rows in members], np.float64),
    )


def bootstrap(
    metric: Metric,
    labels: ArrayLike,
    predictions: ArrayLike,
    *,
    groups: Sequence[str] | None = None,
    rounds: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return the metric with its percentile bootstrap interval.

    Whole `groups` (patients: their two breasts are alike) are drawn with replacement. Draws
    in which the metric is undefined are left out.
    """
    truth, given = _checked(labels, predictions)
    names = np.arange(truth.size) if groups is None else np.asarray(groups)
    _, index = np.unique(names, return_inverse=True)
    order = np.argsort(index, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(index))[:-1])
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(rounds):
        drawn = rng.integers(len(members), size=len(members))
        rows = np.concatenate([members[number] for number in drawn])
        values.append(metric(truth[rows], given[rows]))
    defined = np.array(values)[~np.isnan(values)]
    value = metric(truth, given)
    if defined.size == 0:
        return Interval(value=value, low=float("nan"), high=float("nan"))
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value=value, low=float(low), high=float(high))


def baselines(labels: ArrayLike) -> dict[str, float]:
    """Return pF1 of the predictions that know nothing: all ones, and the constant prevalence."""
    truth, _ = _checked(labels, np.zeros(np.size(labels)))
    constant = np.full(truth.size, truth.mean() if truth.size else 0.0)
    return {
        "pfbeta_all_ones": pfbeta(truth, np.ones(truth.size)),
        "pfbeta_constant": pfbeta(truth, constant),
    }


def evaluate(labels: ArrayLike, predictions: ArrayLike) -> dict[str, float]:
    """Return the metrics of one set of breasts beside what knowing nothing would score."""
    f1, threshold = best_f1(labels, predictions)
    return {
        "pfbeta": pfbeta(labels, predictions),
        "best_f1": f1,
        "threshold": threshold,
        "pr_auc": pr_auc(labels, predictions),
        "roc_auc": roc_auc(labels, predictions),
        "prevalence": float(np.mean(np.asarray(labels, np.float64))),
        **baselines(labels),
    }


def evaluate_sites(
    sites: Sequence[str], labels: ArrayLike, predictions: ArrayLike
) -> Mapping[str, dict[str, float]]:
    """Return `evaluate` for each site that has both classes among its breasts."""
    truth, given = _checked(labels, predictions)
    names = np.asarray(sites, dtype=str)
    evaluated = {}
    for name in sorted(set(names.tolist())):
        rows = names == name
        if 0 < truth[rows].sum() < rows.sum():
            evaluated[name] = evaluate(truth[rows], given[rows])
    return evaluated
