"""Why a model does not repeat recorded predictions: what would, found by trying.

Changes are tried kind by kind, the frequent mistakes first, on images of one fold; where no single
one is enough, the best is kept and another is tried on top of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bundler.errors import BundlerError
from bundler.model import agreement, alternatives, sampling
from bundler.model.agreement import Limits
from bundler.model.alternatives import Change, Setup
from bundler.model.checkpoint import Checkpoint
from bundler.model.ensemble import Ensemble
from bundler.model.sampling import Sample
from inference.boot.card import Agreement
from inference.pixels.preprocess import PreprocessConfig

Floats = npt.NDArray[np.float64]
IMAGES = 8  # of the fold: enough to tell a cause, few enough for dozens of trials
DEEPEST = 3  # changes on top of each other
BETTER = 0.8  # of the former error: what a change must come below to be kept
LEAST = 1e-5  # of a probability whose logit is compared
ALIKE = 0.999  # correlation of logits: one is a function of the other


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is recorded for a sample of one fold, and what its members answer, on average."""

    members: tuple[Checkpoint, ...]
    sample: Sample
    replayed: Floats

    @property
    def names(self) -> str:
        """Return the members' files."""
        return ", ".join(one.path.name for one in self.members)

    @property
    def recorded(self) -> Floats:
        """Return the recorded probabilities [N]."""
        return self.sample.recorded

    @property
    def agreement(self) -> Agreement:
        """Return how the answers agree with what was recorded."""
        return agreement.measure(self.recorded, self.replayed)


@dataclass(kw_only=True)
class _Bench:
    """Answers setups on the images of one sample; prepared images are kept by configuration."""

    sample: Sample
    prepared: dict[PreprocessConfig, npt.NDArray[np.uint8]] = field(default_factory=dict)

    def answer(self, setup: Setup) -> Floats | None:
        """Return a setup's probabilities [N]; None for one that cannot be computed."""
        try:
            pixels = self._prepare(setup.ensemble.recipe.preprocess)
            views = [np.ascontiguousarray(view) for view in setup.views(pixels)]
            answers = setup.answers(views, self.sample.metadata)
        except (BundlerError, RuntimeError, IndexError):  # a network that does not take it
            return None
        mean: Floats = np.mean(answers, axis=0, dtype=np.float64)
        return mean

    def error(self, answer: Floats | None) -> float:
        """Return how far answers are from what was recorded: in logits, on average."""
        if answer is None or not np.isfinite(answer).all():
            return np.inf
        return float(np.abs(logits(answer) - logits(self.sample.recorded)).mean())

    def measure(self, setup: Setup) -> Agreement:
        """Return how a setup's answers agree with what was recorded; nothing where it has none."""
        answer = self.answer(setup)
        if answer is None:
            answer = np.full(len(self.sample.recorded), np.nan)
        return agreement.measure(self.sample.recorded, answer)

    def agrees(self, setup: Setup, limits: Limits) -> bool:
        """Say whether a setup repeats what was recorded."""
        return limits.allows(self.measure(setup), float(self.sample.recorded.std()))

    def _prepare(self, config: PreprocessConfig) -> npt.NDArray[np.uint8]:
        if config not in self.prepared:
            self.prepared[config] = sampling.prepare(self.sample, config)[0]
        return self.prepared[config]


def explain(ensemble: Ensemble, wrong: Case, others: Sequence[Sample], limits: Limits) -> str:
    """Return the likeliest cause of a disagreement, and what would agree, as text.

    `others` are samples of the other folds: a member may repeat one of these.
    """
    setup = Setup.of(ensemble, wrong.members)
    for other in others:
        bench = _bench(other)
        if bench.agrees(setup, limits):
            return (
                f"The likeliest cause is the fold: {wrong.names}, taken for fold "
                f"{wrong.sample.fold}, repeats the rows of fold {other.fold}. Give the file and "
                "the table the same number (are folds counted from 0 in the one, from 1 in the "
                "other?)."
            )
    bench = _bench(wrong.sample)
    chain = _search(bench, setup, limits)
    if chain and bench.agrees(chain[-1].setup, limits):
        causes = " and ".join(change.cause for change in chain)
        remedies = " and ".join(change.remedy for change in chain)
        numbers = agreement.describe(bench.measure(chain[-1].setup))
        return f"The likeliest cause is {causes}. It agrees with {remedies}: {numbers}."
    if text := _monotone(wrong):
        return text
    closest = ""
    if chain:
        numbers = agreement.describe(bench.measure(chain[-1].setup))
        remedies = " and ".join(change.remedy for change in chain)
        closest = f" The nearest is {remedies}: {numbers}."
    return (
        f"No other {alternatives.TRIED} agrees.{closest} Are these the predictions of this very "
        "checkpoint, on these images? If your training prepares its images by code of its own, "
        "allow more with --oof-atol; without --images the model is exported with `proof: none`."
    )


def logits(probabilities: Floats) -> Floats:
    """Return the logits of probabilities, those of 0 and 1 cut off."""
    inner = probabilities.clip(LEAST, 1 - LEAST)
    return np.asarray(np.log(inner / (1 - inner)))


def _search(bench: _Bench, setup: Setup, limits: Limits) -> list[Change]:
    """Return the changes, on top of each other, that come closest to what was recorded."""
    chain: list[Change] = []
    error = bench.error(bench.answer(setup))
    while len(chain) < DEEPEST:
        best = _best(bench, chain[-1].setup if chain else setup, chain, limits)
        if best is None or best[0] > BETTER * error:
            break
        error = best[0]
        chain.append(best[1])
        if bench.agrees(best[1].setup, limits):
            break
    return chain


def _best(
    bench: _Bench, setup: Setup, chain: Sequence[Change], limits: Limits
) -> tuple[float, Change] | None:
    """Return the best change with its error: of the first kind that has one which agrees."""
    known = {change.cause for change in chain}
    best: tuple[float, Change] | None = None
    for kind in alternatives.KINDS:
        for change in kind(setup):
            if change.cause in known:
                continue
            error = bench.error(bench.answer(change.setup))
            if best is None or error < best[0]:
                best = error, change
        if best and bench.agrees(best[1].setup, limits):
            return best
    return best


def _bench(sample: Sample) -> _Bench:
    """Return a bench for images of a sample that span what was recorded."""
    order = np.argsort(sample.recorded)
    kept = np.unique(order[np.linspace(0, len(order) - 1, min(IMAGES, len(order))).astype(int)])
    return _Bench(sample=sample.only(kept))


def _monotone(wrong: Case) -> str:
    """Return that the recorded numbers are a function of the answers, where they are."""
    mine, recorded = logits(wrong.replayed), logits(wrong.recorded)
    if np.ptp(mine) == 0 or np.ptp(recorded) == 0 or np.corrcoef(mine, recorded)[0, 1] < ALIKE:
        return ""
    slope, offset = np.polyfit(mine, recorded, 1)
    return (
        "The likeliest cause is that the recorded probabilities were changed after the model "
        f"(calibrated, rescaled, averaged by ranks): their logits are {slope:.3g} times the "
        f"model's {offset:+.3g}. Record what the model itself predicts, or do the same in the "
        "network (--factory)."
    )
