"""The threshold: what pF1 would have been at each, on predictions of images held out.

At a threshold a breast is 0 or 1, so that pF1 is plain F1. The predictions are those of single
folds; the mean of merged folds is a little less spread, so prefer the middle of a broad plateau.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bundler.model import cross_fit, cuts
from bundler.model.out_of_fold import Floats, OutOfFold, by_breast
from inference.boot.card import CrossFit, Curve
from train import metrics

ROUNDS = 500
BAND = (0.05, 0.95)
POINTS = 64  # of the curve that is kept
PLATEAU = 0.98  # of the best pF1: thresholds that reach it are as good
AGGREGATIONS = ("mean", "max")


def rounded(curve: Curve) -> Curve:
    """Return a curve of four digits, for the bundle; the threshold stays as it is."""
    points = (tuple(map(_short, point)) for point in curve.points)
    return replace(
        curve,
        pf1=_short(curve.pf1),
        low=_short(curve.low),
        high=_short(curve.high),
        probabilistic=_short(curve.probabilistic),
        cross_fit=curve.cross_fit and _rounded(curve.cross_fit),
        plateau=(_short(curve.plateau[0]), _short(curve.plateau[1])),
        points=tuple((point[0], point[1], point[2], point[3]) for point in points),
    )


def _rounded(fit: CrossFit) -> CrossFit:
    return replace(fit, f1=_short(fit.f1), thresholds=tuple(map(_short, fit.thresholds)))


def curve(oof: OutOfFold, aggregation: str) -> Curve:
    """Return the curve of pF1 against the threshold for a way to join a breast's images."""
    names, labels, values = by_breast(oof, aggregation)
    owners = dict(zip(oof.breasts, oof.patients, strict=True))
    order = np.argsort(-values, kind="stable")
    labels, values = labels[order], values[order]
    _, patients = np.unique([owners[names[index]] for index in order], return_inverse=True)
    places = cuts.between(values)  # ties are taken together
    scores = cuts.f1(labels, np.ones(len(labels)))[places.last]
    draws = _bootstrap(labels, patients, places.last)
    best = cuts.middle_of_best(scores)
    middles = places.thresholds
    spread = np.linspace(0, len(middles) - 1, POINTS - 1).astype(int)
    kept = np.unique(np.append(spread, best))[::-1]  # by rising threshold
    low, high = np.quantile(draws, BAND, axis=0)
    reach = np.flatnonzero(scores >= PLATEAU * scores[best])
    first, final = _run_around(reach, best)
    return Curve(
        aggregation=aggregation,
        threshold=places.threshold(best),
        pf1=float(scores[best]),
        low=float(low[best]),
        high=float(high[best]),
        plateau=(float(places.below[final]), float(places.above[first])),
        probabilistic=metrics.pfbeta(labels, values),
        breasts=len(labels),
        positives=int(labels.sum()),
        cross_fit=cross_fit.measure(oof, aggregation),
        points=tuple(
            (float(middles[i]), float(scores[i]), float(low[i]), float(high[i])) for i in kept
        ),
    )


def score(oof: OutOfFold, aggregation: str, threshold: float) -> float:
    """Return pF1 of calling every breast positive whose probability reaches the threshold."""
    _, labels, values = by_breast(oof, aggregation)
    return metrics.pfbeta(labels, values >= threshold)


def draw(curves: Sequence[Curve], threshold: float, path: Path) -> None:
    """Draw the curves with their bands as a PNG, the same bytes for the same curves."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), dpi=120, layout="constrained")
    axes = figure.subplots()
    for one, colour in zip(curves, ("C0", "C1"), strict=False):
        x, y, low, high = (np.array(column) for column in zip(*one.points, strict=True))
        name = f"{one.aggregation}: {one.pf1:.3f} at {one.threshold:.3g}"
        axes.plot(x, y, color=colour, label=name)
        axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
    axes.axvline(threshold, color="0.3", linestyle="--", label=f"chosen: {threshold:.3g}")
    axes.set_xlabel("threshold on a breast's probability")
    axes.set_ylabel(f"pF1 (band: {BAND[0]:.0%} to {BAND[1]:.0%} of {ROUNDS} bootstraps)")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.legend(loc="upper right")
    axes.set_title(f"{curves[0].breasts} breasts, {curves[0].positives} with cancer, out of fold")
    FigureCanvasAgg(figure)
    figure.savefig(path, format="png", metadata={"Software": None})


def _bootstrap(
    labels: Floats, patients: npt.NDArray[np.intp], last: npt.NDArray[np.bool_]
) -> Floats:
    """Return F1 [rounds, thresholds] with whole patients drawn with replacement."""
    rng = np.random.default_rng(0)
    count = int(patients.max()) + 1
    draws = []
    for _ in range(ROUNDS):
        times = np.bincount(rng.integers(count, size=count), minlength=count).astype(np.float64)
        draws.append(cuts.f1(labels, times[patients])[last].astype(np.float32))
    return np.array(draws)


def _run_around(indices: npt.NDArray[np.intp], best: int) -> tuple[int, int]:
    """Return the first and last of the unbroken run of indices that holds `best`."""
    breaks = np.flatnonzero(np.diff(indices) > 1)
    for run in np.split(indices, breaks + 1):
        if best in run:
            return int(run[0]), int(run[-1])
    return best, best


def _short(value: float) -> float:
    return float(f"{value:.4g}") if math.isfinite(value) else 0.0
