"""The decision: threshold and aggregation, and the out-of-fold curve that they come from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bundler.errors import InputError, UsageError
from bundler.model import cuts, metrics, out_of_fold, thresholds
from bundler.model.checkpoint import Checkpoint
from bundler.model.options import ExportOptions
from bundler.model.out_of_fold import SHOWN, OutOfFold
from bundler.progress import Progress
from inference.boot import card
from inference.boot.card import Curve

PICTURE = "threshold.png"
_AGREES = 2e-3  # how far pF1 of oof.csv may be from what the checkpoint records


@dataclass(frozen=True, kw_only=True)
class Decision:
    """How a breast's images become a number and a number a verdict; curves where known.

    `oof` are the rows that the curves are of, `warnings` what speaks against them.
    """

    aggregation: Literal["mean", "max"]
    threshold: float | None
    curves: Sequence[Curve] = ()
    pf1: float | None = None
    oof: OutOfFold | None = None
    warnings: tuple[str, ...] = ()

    @property
    def out_of_fold(self) -> card.OutOfFold | None:
        """Return what the model's card holds of the curves."""
        if not self.curves:
            return None
        return card.OutOfFold(
            sha256=self.oof.sha256 if self.oof else None,
            pf1_at_threshold=None if self.pf1 is None else round(self.pf1, 4),
            curves=tuple(thresholds.rounded(curve) for curve in self.curves),
        )


def decide(options: ExportOptions, chosen: Sequence[Checkpoint], progress: Progress) -> Decision:
    """Return the threshold that was given, or the best out of fold. Raises UsageError."""
    if options.average == "rank":
        return _decide_ranks(options)
    oof = _read_out_of_fold(options, chosen, progress)
    if oof is None:
        if options.threshold is None and options.predict == "binary":
            raise UsageError(
                "A binary output needs a threshold. Give out-of-fold predictions with --oof "
                "oof.csv or a number with --threshold, or set output = "
                '"probability" under [tool.rsna-bundle] in pyproject.toml.'
            )
        return Decision(aggregation=options.aggregation, threshold=_given(options))
    if oof.repeated:
        progress.note(f"{oof.repeated} out-of-fold rows were there twice, and count once.")
    curves = [thresholds.curve(oof, name) for name in thresholds.AGGREGATIONS]
    (own,) = (curve for curve in curves if curve.aggregation == options.aggregation)
    threshold = own.threshold if options.threshold is None else _given(options)
    assert threshold is not None
    return Decision(
        aggregation=options.aggregation,
        threshold=threshold,
        curves=curves,
        pf1=thresholds.score(oof, options.aggregation, threshold),
        oof=oof,
        warnings=tuple(_doubts(oof, options.aggregation, threshold)),
    )


def _decide_ranks(options: ExportOptions) -> Decision:
    """Return the threshold that was given: rows of probabilities tell nothing about ranks.

    The rows still prove what the files predict.
    """
    if options.threshold is None and options.predict == "binary":
        raise UsageError(
            "A mean of ranks needs its threshold from you (--threshold): the share of the images "
            "that the model puts below. Out-of-fold predictions are probabilities, no ranks."
        )
    return Decision(
        aggregation=options.aggregation,
        threshold=_given(options),
        oof=out_of_fold.read(options.oof) if options.oof else None,
    )


def draw(decided: Decision, folder: Path) -> list[Path]:
    """Draw the curves, where there are any, and return the picture."""
    if not decided.curves or decided.threshold is None:
        return []
    thresholds.draw(decided.curves, decided.threshold, folder / PICTURE)
    return [folder / PICTURE]


def _doubts(oof: OutOfFold, aggregation: str, threshold: float) -> Iterator[str]:
    """Yield why the rows are no good measure, or the threshold is no good one for them."""
    if leaks := oof.leaks():
        listed = ", ".join(leaks[:SHOWN]) + (", …" if len(leaks) > SHOWN else "")
        yield (
            f"{len(leaks)} patients have out-of-fold rows in several folds ({listed}): the models "
            "of the other folds were trained on these patients, and the scores are too good. "
            "Divide the folds by patient."
        )
    _, _, values = out_of_fold.by_breast(oof, aggregation)
    if ties := cuts.count_ties(values, threshold):
        yield (
            f"The threshold {threshold:.6g} lies on the probability of {ties} of {len(values)} "
            "breasts: rounding decides them. Choose a threshold between two probabilities."
        )
    called = int((values >= threshold).sum())
    if called in (0, len(values)):
        which = "no breast" if called == 0 else "every breast"
        yield (
            f"The threshold {threshold:.6g} calls {which} of the out-of-fold rows positive: the "
            "submission would hold one number. The predictions do not tell the classes apart, or "
            "the threshold belongs to another model."
        )


def _given(options: ExportOptions) -> float | None:
    if options.threshold is not None and not 0 <= options.threshold <= 1:
        raise UsageError(f"The threshold {options.threshold} (--threshold) is not between 0 and 1.")
    return options.threshold


def _read_out_of_fold(
    options: ExportOptions, chosen: Sequence[Checkpoint], progress: Progress
) -> OutOfFold | None:
    """Return the out-of-fold predictions that were named, or those the training left beside."""
    if options.oof:
        return out_of_fold.read(options.oof)
    tables = [one.path.with_name(f"fold{one.fold}.oof.csv") for one in chosen]
    if not all(one.ours and path.is_file() for one, path in zip(chosen, tables, strict=True)):
        return None
    if len(set(tables)) > len({one.fold for one in chosen}):
        progress.warn(
            "several checkpoints hold the same fold, so the rows beside them are of no blend, and "
            "are not used. Give the blend's own with --oof."
        )
        return None
    for one, path in zip(chosen, tables, strict=True):
        try:
            pf1 = thresholds.curve(out_of_fold.read([path]), "mean").probabilistic
        except InputError as error:
            progress.warn(f"no threshold can be read from {path.name}: {error}")
            return None
        # A later training may have written its rows into the same folder.
        recorded = metrics.find(one.metrics, "pfbeta")
        if recorded is None or abs(pf1 - recorded) > _AGREES:
            progress.warn(
                f"{path.name} gives pF1 {pf1:.4g}, {one.path.name} records {_recorded(recorded)}: "
                "it is not this checkpoint's, and is not used. Name it with --oof to use it all "
                "the same."
            )
            return None
    return out_of_fold.read(tables)


def _recorded(value: float | None) -> str:
    """Return a recorded metric, or that there is none."""
    return "none" if value is None else f"{value:.4g}"
