"""How probabilities agree with those that were recorded, and whether that is agreement at all."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bundler.model.parity import rank_agreement
from inference.boot.card import Agreement

Floats = npt.NDArray[np.float64]
MEAN_SHARE = 0.2  # of the largest allowed difference: what the mean of them may be
# Half precision and rounded tables leave correlations above 0.999; another pooling, or averaged
# weights for raw ones, 0.9 and less on images that were chosen to differ.
LEAST_CORRELATION = 0.98
LEAST_RANKS = 0.97
# Of recorded probabilities, from the lowest to the highest: below, agreement proves nothing.
NARROWEST = 5e-3
FEWEST = 4  # predictions of a fold
APART = 0.05  # of that range: pairs that are closer do not decide the order
MEAN_OF_SPREAD = 0.1  # of the recorded ones' standard deviation: where all are small
ROUNDING = 5e-4  # of a table with three decimals


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How far replayed probabilities may be from the recorded ones."""

    largest: float

    def allows(self, agreement: Agreement, spread: float) -> bool:
        """Say whether an agreement is one, for recorded ones of a standard deviation `spread`.

        NaN is none.
        """
        mean = min(self.largest * MEAN_SHARE, max(spread * MEAN_OF_SPREAD, ROUNDING))
        return (
            agreement.largest <= self.largest
            and agreement.mean <= mean
            and (agreement.correlation is None or agreement.correlation >= LEAST_CORRELATION)
            and (agreement.rank_agreement is None or agreement.rank_agreement >= LEAST_RANKS)
        )

    def __str__(self) -> str:
        """Return the limits for a message."""
        return (
            f"at most {self.largest:g} and on average {self.largest * MEAN_SHARE:g} is allowed, "
            f"with a correlation of {LEAST_CORRELATION} and ranks of {LEAST_RANKS}"
        )


def decides(recorded: Floats) -> bool:
    """Say whether recorded probabilities differ so much that agreement with them shows anything."""
    return len(recorded) >= FEWEST and float(np.ptp(recorded)) >= NARROWEST


def measure(recorded: Floats, replayed: Floats) -> Agreement:
    """Return how replayed probabilities [N] agree with recorded ones [N]."""
    off = np.abs(recorded - replayed)
    constant = np.ptp(recorded) == 0 or np.ptp(replayed) == 0
    return Agreement(
        predictions=len(recorded),
        largest=float(off.max()),
        mean=float(off.mean()),
        correlation=None if constant else float(np.corrcoef(recorded, replayed)[0, 1]),
        rank_agreement=rank_agreement(recorded, replayed, APART * float(np.ptp(recorded))),
    )


def describe(agreement: Agreement) -> str:
    """Return an agreement's numbers for people."""
    correlation = "none" if agreement.correlation is None else f"{agreement.correlation:.3f}"
    ranks = "not known" if agreement.rank_agreement is None else f"{agreement.rank_agreement:.3f}"
    return (
        f"off by {agreement.largest:.2g} at most, {agreement.mean:.2g} on average, correlation "
        f"{correlation}, ranks {ranks}"
    )
