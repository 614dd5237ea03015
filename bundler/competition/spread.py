"""How a submission's numbers are distributed, for the report."""

import math
import statistics

from bundler.competition.columns import NUMBER
from bundler.competition.profile import Profile
from bundler.competition.protocol import Distribution
from bundler.competition.submission_file import Submission

BINS = 20


def draw(found: Submission, profile: Profile) -> Distribution | None:
    """Return the histogram of all targets' numbers; None where they are no numbers."""
    names = [name for name in profile.hidden.targets if name in found.columns]
    cells = [value for name in names for value in found.values(name)]
    if not cells or not all(NUMBER.fullmatch(cell) for cell in cells):
        return None
    values = [float(cell) for cell in cells]
    if not all(map(math.isfinite, values)):
        return None
    # Probabilities are drawn over all that they could be, other numbers over what they are.
    low, high = min(0.0, *values), max(1.0, *values)
    counts = [0] * BINS
    for value in values:
        counts[min(int((value - low) / (high - low) * BINS), BINS - 1)] += 1
    note = f"{len(values)} values of {', '.join(names[:4])}; mean {statistics.fmean(values):.4g}"
    return Distribution(counts=tuple(counts), low=low, high=high, note=note)
