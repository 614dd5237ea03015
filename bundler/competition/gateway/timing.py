"""How calls behave as they go on: the slowest one among many, and memory that grows."""

import math
import statistics
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

FEWEST = 5  # calls that an interval or a trend rests on
Z = 1.645  # of a 90 % interval
NOISE = 4.0  # how many times its own error a trend must be, to be one
SMALLEST = 1 << 20  # bytes a call: less is what any allocator does


@dataclass(frozen=True, kw_only=True)
class Slowest:
    """The slowest of many calls, projected from a few; seconds."""

    expected: float
    low: float
    high: float


def slowest(seconds: Sequence[float], count: int) -> Slowest | None:
    """Project the slowest of `count` calls; None where too few were seen to tell.

    The logarithms are taken as normal: the largest of n lies about z(1 - 1/n) deviations above the
    mean. Its error is that of a mean and of a deviation that are estimated from the sample.
    """
    if len(seconds) < FEWEST:
        return None
    logs = [math.log(max(value, 1e-6)) for value in seconds]
    mean, deviation = statistics.fmean(logs), statistics.stdev(logs)
    z = statistics.NormalDist().inv_cdf(1 - 1 / max(count, 2))
    # The deviation of ln x is never quite 0: a clock has its steps, a machine its moods.
    deviation = max(deviation, 0.02)
    error = deviation * math.sqrt(1 / len(logs) + z * z / (2 * (len(logs) - 1)))
    middle = mean + z * deviation
    least = max(seconds)
    return Slowest(
        expected=max(math.exp(middle), least),
        low=max(math.exp(middle - Z * error), least),
        high=max(math.exp(middle + Z * error), least),
    )


@dataclass(frozen=True, kw_only=True)
class Trend:
    """How memory goes with the calls; bytes."""

    first: int  # after the first call
    last: int  # after the last one
    per_call: float  # by which it grows; 0.0 where that is no more than noise
    exact: bool  # False: the calls were too short to look between them; at most so much


def growth(memory: Sequence[tuple[float, int]], ends: Sequence[float]) -> Trend | None:
    """Return the trend of memory over calls that ended at some times; None for too few calls."""
    times = [time for time, _ in memory]
    before = [bisect_right(times, end) - 1 for end in ends]
    if len(ends) < FEWEST or not memory:
        return None
    if min(before) >= 0 and len(set(before)) >= FEWEST:
        curve = [memory[place][1] for place in before]
        slope, error = _line(curve)
        grows = slope > SMALLEST and slope > NOISE * error
        per_call = slope if grows else 0.0
        return Trend(first=curve[0], last=curve[-1], per_call=per_call, exact=True)
    # What came of all calls together can be seen, if not what came of each.
    first = memory[max(before[0], 0)][1]
    last = max(size for _, size in memory[max(before[0], 0) :])
    rise = max(last - first, 0) / (len(ends) - 1)
    return Trend(first=first, last=last, per_call=rise, exact=False)


def after(memory: Sequence[tuple[float, int]], ends: Sequence[float]) -> tuple[float, ...]:
    """Return the memory that was seen last before each of some times; () if it never was."""
    times = [time for time, _ in memory]
    return tuple(float(memory[max(bisect_right(times, end) - 1, 0)][1]) for end in ends if memory)


def _line(values: Sequence[int]) -> tuple[float, float]:
    """Return the slope of a least-squares line over 0, 1, 2, … and its standard error."""
    numbers = range(len(values))
    slope, start = statistics.linear_regression(numbers, values)
    rest = [value - start - slope * number for number, value in zip(numbers, values, strict=True)]
    spread = sum((number - statistics.fmean(numbers)) ** 2 for number in numbers)
    variance = sum(value * value for value in rest) / max(len(values) - 2, 1)
    return slope, math.sqrt(variance / spread)
