"""Growth: what was measured at a few sizes, fitted, and projected to another size.

    y = fixed + rate · n^p        fixed ≥ 0, rate ≥ 0, p from 1 to 3

For each exponent p, fixed and rate are the weighted least squares of the points; a projected value
has the standard error that follows from their covariance (Draper and Smith, Applied Regression
Analysis, 3rd edition, 1.4 and 9.1). An exponent agrees with the points where its χ² is at most 2.71
above the least one: a 90 % interval by profile likelihood (Venzon and Moolgavkar, Applied
Statistics 37, 1988). Growth is taken for linear as long as p = 1 agrees.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

Z = 1.645  # of a 90 % interval
AGREES = 2.706  # χ² of one degree of freedom, 90 %
OFF = 1.642  # χ² of one degree of freedom, 80 %: nothing is built on a curve further off
FAR = 3.0  # times as large as the next is a size that tells growth from steps
STEEPEST = 3.0
STEP = 0.02  # between two exponents that are tried
WORSE = 1.1  # an exponent below it is as good as linear
STEPS = 4.0  # times as much as what is paid once is no step
SQUARE = 2.0  # the worst growth that is met often: every unit is held against every other


@dataclass(frozen=True, kw_only=True)
class Point:
    """What one run measured."""

    units: int
    value: float
    error: float  # its standard error
    at_most: bool = False  # a run that warmed no caches for itself might have shown less
    once: float = 0.0  # what a larger run may have paid beside, once: a compiler that starts late


@dataclass(frozen=True, kw_only=True)
class Model:
    """One curve through the points: `fixed + at · (n / units)^exponent`."""

    units: int  # projected to
    exponent: float
    fixed: float
    at: float  # what is above `fixed` there
    variances: tuple[float, float, float]  # of fixed, of at, and their covariance
    misfit: float  # χ²

    def value(self, units: float) -> float:
        """Return the curve's height at a size."""
        return self.fixed + self.at * math.pow(units / self.units, self.exponent)

    def error(self, units: float) -> float:
        """Return the standard error of that."""
        x = math.pow(units / self.units, self.exponent)
        of_fixed, of_at, both = self.variances
        return math.sqrt(max(of_fixed + x * x * of_at + 2 * x * both, 0.0))


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A quantity at the size that is asked for, with a 90 % interval."""

    points: tuple[Point, ...]
    units: int  # the size that is asked for
    best: Model
    family: tuple[Model, ...]  # all that agree, as far as they are as steep as is thought
    exponents: tuple[float, float]  # the range that agrees with the points
    worst: Model  # the steepest that agrees, up to the square

    @property
    def linear(self) -> bool:
        """Say whether growth is in proportion, as far as is known."""
        return self.best.exponent < WORSE

    @property
    def value(self) -> float:
        """Return the quantity at that size."""
        return self.best.value(self.units)

    @property
    def low(self) -> float:
        """Return the lower end of the interval: no less than a run of no more units has shown."""
        shown = [
            p.value - Z * p.error for p in self.points if p.units <= self.units and not p.at_most
        ]
        return max(self.band(self.units)[0], *shown, 0.0)

    @property
    def high(self) -> float:
        """Return the upper end of the interval."""
        return self.band(self.units)[1]

    @property
    def per_unit(self) -> float:
        """Return how much each unit adds, where growth is linear."""
        return self.best.at / self.units

    @property
    def sizes(self) -> list[int]:
        """Return the sizes of the points, each once."""
        return sorted({point.units for point in self.points})

    @property
    def grows(self) -> bool:
        """Say whether it grows at all, beyond what measuring could feign."""
        # The least that the interval allows, against the most that a fixed quantity would show.
        return self.low > max(one.value + Z * one.error for one in self.points)

    @property
    def proven(self) -> bool:
        """Say whether more sizes than it takes to draw the curve lie on it.

        Through two points runs a line, whatever lies between: a library that each worker loads at
        its fiftieth image looks like growth, until a size that is far from the others tells.
        """
        *_, before, last = (1, 1, *self.sizes)
        enough = len(self.sizes) > (2 if self.linear else 3) and last >= FAR * before
        return (enough and self.best.misfit <= OFF) or self.beyond_steps

    @property
    def beyond_steps(self) -> bool:
        """Say whether the two largest sizes differ by far more than by what is paid `once`.

        That is growth, though the points lie on no curve: a step stands between them, or rows of
        one kind count more than others.
        """
        *_, before, last = (1, 1, *self.sizes)
        most = max(p.value + Z * p.error for p in self.points if p.units <= before)
        least = min(p.value - Z * p.error for p in self.points if p.units == last)
        once = max(point.once for point in self.points)
        return before < last >= FAR * before and 0 < STEPS * once < least - most

    def band(self, units: float) -> tuple[float, float]:
        """Return the interval at any size."""
        ends = [(m.value(units), Z * m.error(units)) for m in self.family]
        return (
            max(min(value - error for value, error in ends), 0.0),
            max(value + error for value, error in ends),
        )


def fit(points: Sequence[Point], units: int) -> Fit | None:
    """Fit points and project them to a size; None where they do not hold two sizes."""
    if len({point.units for point in points}) < 2:
        return None
    count = round((STEEPEST - 1.0) / STEP) + 1
    tried = [
        model for number in range(count) for model in _models(points, units, 1.0 + number * STEP)
    ]
    least = min(model.misfit for model in tried)
    agreeing = [model for model in tried if model.misfit <= least + AGREES]
    exponents = [model.exponent for model in agreeing]
    straight = [model for model in agreeing if model.exponent == 1.0]
    if min(exponents) >= WORSE and not _step_explains(points, units):
        best, family = min(agreeing, key=lambda one: one.misfit), agreeing
    elif straight:
        best, family = straight[0], straight
    else:  # a little steeper: as good as straight, but the interval knows of it
        best = min((m for m in tried if m.exponent == 1.0), key=lambda one: one.misfit)
        family = [best, *(model for model in agreeing if model.exponent < WORSE)]
        exponents.append(1.0)
    bounded = [model for model in agreeing if model.exponent <= SQUARE] or family
    return Fit(
        points=tuple(sorted(points, key=lambda point: point.units)),
        units=units,
        best=best,
        family=tuple(family),
        exponents=(min(exponents), max(exponents)),
        worst=max(bounded, key=lambda model: model.value(units)),
    )


def _step_explains(points: Sequence[Point], units: int) -> bool:
    """Say whether a line goes through the points, if those beyond some size paid `once` more."""
    sizes = sorted({point.units for point in points})
    for cut in sizes[:-1]:
        less = [
            replace(p, value=max(p.value - p.once, 0.0)) if p.units > cut else p for p in points
        ]
        if any(point.once for point in points) and any(
            model.misfit <= AGREES for model in _models(less, units, 1.0)
        ):
            return True
    return False


def fit_steps(points: Sequence[Point], units: int) -> Fit | None:
    """Fit points that may have a step between them, after which growth is slower.

    Where no line goes through all of them and the largest two suggest less, these alone count.
    """
    whole = fit(points, units)
    if whole is None or len(whole.sizes) < 3 or whole.proven:
        return whole
    last = fit([point for point in points if point.units in whole.sizes[-2:]], units)
    return last if last and last.value < whole.value else whole


def _models(points: Sequence[Point], units: int, exponent: float) -> list[Model]:
    """Return the curves of one exponent: all points as they are first, then without upper bounds.

    A point that is an upper bound alone (`at_most`) counts in the second as far as the curve would
    run above it, and in neither where a larger one lies below it: that shows that it is too high.
    """
    sure = [point for point in points if not point.at_most]
    bounds = [point for point in points if point.at_most]
    likely = [
        bound
        for bound in bounds
        if all(bound.value <= point.value for point in sure if point.units > bound.units)
    ]
    models = [_solve([*sure, *likely] or points, units, exponent)]
    if bounds and sure:
        without = _solve(sure, units, exponent)
        raised = [replace(bound, value=bound.value + bound.once) for bound in bounds]
        above = [p for p in raised if without.value(p.units) > p.value + Z * p.error]
        models.append(_solve([*sure, *above], units, exponent) if above else without)
    return models


def _solve(points: Sequence[Point], units: int, exponent: float) -> Model:
    """Return the weighted least squares of `fixed` and `at`, neither of them negative."""
    xs = [math.pow(point.units / units, exponent) for point in points]
    ys = [point.value for point in points]
    ws = [point.error**-2 for point in points]
    s, sx, sy = sum(ws), _dot(ws, xs), _dot(ws, ys)
    sxx = sum(w * x * x for w, x in zip(ws, xs, strict=True))
    sxy = sum(w * x * y for w, x, y in zip(ws, xs, ys, strict=True))
    spread = s * sxx - sx * sx
    if len({point.units for point in points}) < 2:
        fixed, at, variances = 0.0, sxy / sxx, (0.0, 1 / sxx, 0.0)
    else:
        fixed, at = (sxx * sy - sx * sxy) / spread, (s * sxy - sx * sy) / spread
        variances = (sxx / spread, s / spread, -sx / spread)
        if at < 0:  # its error stays: a little growth may hide in it
            fixed, at = sy / s, 0.0
        elif fixed < 0:
            fixed, at, variances = 0.0, sxy / sxx, (0.0, 1 / sxx, 0.0)
    misfit = sum(w * (y - fixed - at * x) ** 2 for w, x, y in zip(ws, xs, ys, strict=True))
    return Model(
        units=units, exponent=exponent, fixed=fixed, at=at, variances=variances, misfit=misfit
    )


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))
