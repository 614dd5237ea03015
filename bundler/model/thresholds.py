"""The threshold: what pF1 would have been at each, on predictions of images held out.

At a threshold a breast is 0 or 1, so that pF1 is plain F1. The predictions are those of single
folds; the mean of merged folds is a little less spread, so prefer the middle of a broad plateau.
"""

import csv
import hashlib
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bundler.errors import InputError
from inference.boot.card import Curve
from train import metrics
from train.errors import DataError

Floats = npt.NDArray[np.float64]
COLUMNS = ("patient_id", "prediction_id", "target", "probability")
ROUNDS = 500
BAND = (0.05, 0.95)
POINTS = 64  # of the curve that is kept
PLATEAU = 0.98  # of the best pF1: thresholds that reach it are as good
AGGREGATIONS = ("mean", "max")


@dataclass(frozen=True, kw_only=True)
class OutOfFold:
    """Rows of one or several oof.csv: an image each."""

    patients: Sequence[str]
    breasts: Sequence[str]
    labels: Floats
    probabilities: Floats
    sha256: str


def rounded(curve: Curve) -> Curve:
    """Return a curve of four digits, for the bundle; the threshold stays as it is."""
    points = (tuple(map(_short, point)) for point in curve.points)
    return replace(
        curve,
        pf1=_short(curve.pf1),
        low=_short(curve.low),
        high=_short(curve.high),
        probabilistic=_short(curve.probabilistic),
        plateau=(_short(curve.plateau[0]), _short(curve.plateau[1])),
        points=tuple((point[0], point[1], point[2], point[3]) for point in points),
    )


def read(paths: Sequence[Path]) -> OutOfFold:
    """Read out-of-fold predictions. Raises InputError for what is missing or makes no sense."""
    rows: list[dict[str, str]] = []
    digest = hashlib.sha256()
    for path in paths:
        try:
            content = path.read_bytes()
            reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig")))
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise InputError(
                    f"{path} lacks the column {', '.join(missing)}. It must be a table with commas "
                    f"and a row for each image; --oof reads its {', '.join(COLUMNS)}."
                )
            rows += _whole_rows(reader, path)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"{path} cannot be read: {error}.") from error
        digest.update(content)
    names = ", ".join(str(path) for path in paths)
    labels, probabilities = (_column(rows, name, names) for name in ("target", "probability"))
    if not rows or not 0 < labels.sum() < len(rows):
        raise InputError(
            f"{names} holds {len(rows)} images, {int(labels.sum())} of them with cancer: a "
            "threshold needs both kinds."
        )
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise InputError(f"{names} holds probabilities outside 0…1. Are they logits?")
    return OutOfFold(
        patients=[row["patient_id"] for row in rows],
        breasts=[row["prediction_id"] for row in rows],
        labels=labels,
        probabilities=probabilities,
        sha256=digest.hexdigest(),
    )


def curve(oof: OutOfFold, aggregation: str) -> Curve:
    """Return the curve of pF1 against the threshold for a way to join a breast's images."""
    names, labels, values = _by_breast(oof, aggregation)
    owners = dict(zip(oof.breasts, oof.patients, strict=True))
    order = np.argsort(-values, kind="stable")
    labels, values = labels[order], values[order]
    _, patients = np.unique([owners[names[index]] for index in order], return_inverse=True)
    last = np.append(np.diff(values) != 0, True)  # ties are taken together
    distinct = values[last]
    cuts = _between(distinct)
    scores = _f1(labels, np.ones(len(labels)))[last]
    draws = _bootstrap(labels, patients, last)
    best = _middle_of_best(scores)
    spread = np.linspace(0, len(cuts) - 1, POINTS - 1).astype(int)
    kept = np.unique(np.append(spread, best))[::-1]  # by rising threshold
    low, high = np.quantile(draws, BAND, axis=0)
    reach = np.flatnonzero(scores >= PLATEAU * scores[best])
    first, final = _run_around(reach, best)
    return Curve(
        aggregation=aggregation,
        threshold=float(f"{cuts[best]:.6g}"),
        pf1=float(scores[best]),
        low=float(low[best]),
        high=float(high[best]),
        plateau=(float(np.append(distinct, 0.0)[final + 1]), float(distinct[first])),
        probabilistic=metrics.pfbeta(labels, values),
        breasts=len(labels),
        positives=int(labels.sum()),
        points=tuple(
            (float(cuts[i]), float(scores[i]), float(low[i]), float(high[i])) for i in kept
        ),
    )


def score(oof: OutOfFold, aggregation: str, threshold: float) -> float:
    """Return pF1 of calling every breast positive whose probability reaches the threshold."""
    _, labels, values = _by_breast(oof, aggregation)
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


def _by_breast(oof: OutOfFold, aggregation: str) -> tuple[list[str], Floats, Floats]:
    try:
        return metrics.by_breast(oof.breasts, oof.labels, oof.probabilities, aggregation)
    except DataError as error:
        raise InputError(f"The out-of-fold predictions cannot be used: {error}") from error


def _whole_rows(reader: "csv.DictReader[str]", path: Path) -> list[dict[str, str]]:
    rows = []
    for row in reader:
        if any(not row[name] for name in COLUMNS):
            raise InputError(
                f"{path} is cut short or damaged: line {reader.line_num} has no "
                f"{', '.join(name for name in COLUMNS if not row[name])}."
            )
        rows.append(row)
    return rows


def _column(rows: Sequence[dict[str, str]], name: str, where: str) -> Floats:
    try:
        values = np.array([float(row[name]) for row in rows], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: the column {name} holds more than numbers.") from error
    if not np.isfinite(values).all():
        raise InputError(f"{where}: the column {name} holds NaN or infinity.")
    return values


def _between(distinct: Floats) -> Floats:
    """Return thresholds half-way to the next lower value, where rounding cannot flip a breast."""
    below = np.append(distinct[1:], max(0.0, 2 * distinct[-1] - 1))
    cuts: Floats = (distinct + below) / 2
    return cuts


def _f1(labels: Floats, weights: Floats) -> Floats:
    """Return F1 where the first n breasts (by falling probability) are called positive."""
    hits = np.cumsum(labels * weights)
    called = np.cumsum(weights)
    below = called + hits[-1]
    f1: Floats = np.divide(2 * hits, below, out=np.zeros_like(hits), where=below > 0)
    return f1


def _bootstrap(
    labels: Floats, patients: npt.NDArray[np.intp], last: npt.NDArray[np.bool_]
) -> Floats:
    """Return F1 [rounds, thresholds] with whole patients drawn with replacement."""
    rng = np.random.default_rng(0)
    count = int(patients.max()) + 1
    draws = []
    for _ in range(ROUNDS):
        times = np.bincount(rng.integers(count, size=count), minlength=count).astype(np.float64)
        draws.append(_f1(labels, times[patients])[last].astype(np.float32))
    return np.array(draws)


def _middle_of_best(scores: Floats) -> int:
    """Return the index of the best score; the middle one of the first run of equals."""
    first = int(np.argmax(scores))
    length = next(
        (n for n, s in enumerate(scores[first:]) if s != scores[first]), len(scores) - first
    )
    return first + (length - 1) // 2


def _run_around(indices: npt.NDArray[np.intp], best: int) -> tuple[int, int]:
    """Return the first and last of the unbroken run of indices that holds `best`."""
    breaks = np.flatnonzero(np.diff(indices) > 1)
    for run in np.split(indices, breaks + 1):
        if best in run:
            return int(run[0]), int(run[-1])
    return best, best


def _short(value: float) -> float:
    return float(f"{value:.4g}") if math.isfinite(value) else 0.0
