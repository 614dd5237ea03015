"""Where a threshold may lie between predictions, and which of these places is the best.

Values that are closer than another machine's rounding are ties: a threshold between two of them,
or on one, would decide a breast by accident.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bundler.model.out_of_fold import Floats

# As a share of the value: float32 has seven digits, and another machine adds in another order.
TIE = 2e-6
FEWEST = 2  # places; where fewer gaps are wide enough, all of them are taken
DIGITS = range(6, 18)  # of a threshold: the fewest that keep it between its neighbours


@dataclass(frozen=True, kw_only=True)
class Cuts:
    """The places for a threshold, by falling value.

    `last` [N] marks, among values by falling size, the last one above each place; `above` and
    `below` [P] are the values on either side of a place.
    """

    last: npt.NDArray[np.bool_]
    above: Floats
    below: Floats

    @property
    def thresholds(self) -> Floats:
        """Return the middle of each gap."""
        middles: Floats = (self.above + self.below) / 2
        return middles

    def threshold(self, index: int) -> float:
        """Return the middle of a gap in the fewest digits that do not move it onto a value."""
        above, below = float(self.above[index]), float(self.below[index])
        middle = (above + below) / 2
        texts = (float(f"{middle:.{digits}g}") for digits in DIGITS)
        return next((short for short in texts if below < short < above), middle)


def between(values: Floats) -> Cuts:
    """Return the places between values that are sorted by falling size."""
    following = np.append(values[1:], max(0.0, 2 * values[-1] - 1))
    gaps = values - following
    last = gaps > TIE * values
    last[-1] = True  # below the lowest, every breast is called positive
    if last.sum() < FEWEST:
        last[:-1] = gaps[:-1] > 0
    return Cuts(last=last, above=values[last], below=following[last])


def f1(labels: Floats, weights: Floats) -> Floats:
    """Return F1 where the first n breasts (by falling probability) are called positive."""
    hits = np.cumsum(labels * weights)
    called = np.cumsum(weights)
    below = called + hits[-1]
    scores: Floats = np.divide(2 * hits, below, out=np.zeros_like(hits), where=below > 0)
    return scores


def best(labels: Floats, values: Floats) -> float:
    """Return the threshold with the best F1 on breasts in any order."""
    order = np.argsort(-values, kind="stable")
    places = between(values[order])
    return places.threshold(middle_of_best(f1(labels[order], np.ones(len(labels)))[places.last]))


def middle_of_best(scores: Floats) -> int:
    """Return the index of the best score; the middle one of the first run of equals."""
    first = int(np.argmax(scores))
    length = next(
        (n for n, s in enumerate(scores[first:]) if s != scores[first]), len(scores) - first
    )
    return first + (length - 1) // 2


def count_ties(values: Floats, threshold: float) -> int:
    """Return how many values are so near to a threshold that rounding decides them."""
    return int((np.abs(values - threshold) <= TIE * max(threshold, TIE)).sum())
