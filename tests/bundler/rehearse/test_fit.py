"""Growth, fitted: linear until shown otherwise, with intervals that hold what is true."""

import random

import pytest

from bundler.rehearse import fit as fits
from bundler.rehearse.fit import Fit, Point

N = 32_000


def fitted(*points: tuple[float, ...], error: float = 0.1, first: bool = False) -> Fit:
    """Fit (units, value) points; `first`: the first is an upper bound alone."""
    made = [
        Point(units=int(n), value=y, error=error, at_most=first and number == 0)
        for number, (n, y) in enumerate(points)
    ]
    result = fits.fit(made, N)
    assert result is not None
    return result


@pytest.mark.parametrize("exponent", [1.0, 1.5, 2.0, 3.0])
def test_finds_the_exponent(exponent: float) -> None:
    sizes = (50, 200, 800)
    found = fitted(*((n, 2 + 1e-3 * n**exponent) for n in sizes), error=0.01)
    assert found.best.exponent == pytest.approx(exponent, abs=0.05)
    assert found.value == pytest.approx(2 + 1e-3 * N**exponent, rel=0.1)
    assert found.linear == (exponent == 1.0)


def test_two_sizes_are_taken_for_linear_and_say_what_they_do_not_exclude() -> None:
    found = fitted((50, 2.5), (450, 6.5))
    assert found.linear
    assert found.value == pytest.approx(2 + 0.01 * N, rel=0.05)
    assert found.worst.exponent == 2.0
    assert found.worst.value(N) > 10 * found.value


def test_one_size_says_nothing() -> None:
    assert fits.fit([Point(units=5, value=1.0, error=0.1)] * 2, N) is None
    assert fits.fit([], N) is None


def test_what_does_not_grow_is_not_said_to() -> None:
    steady = fitted((50, 500.0), (500, 504.0), error=6.0)
    assert not steady.grows
    assert steady.low <= 500 <= steady.high
    assert fitted((50, 500.0), (500, 1000.0), error=6.0).grows


def test_less_with_more_units_is_no_growth() -> None:
    falling = fitted((50, 9.0), (500, 5.0), error=0.1)
    assert falling.best.at == 0
    assert not falling.grows


def test_an_upper_bound_lets_the_true_line_lie_below_it() -> None:
    """The first run took 10 s to warm a cache: without it, the line would begin at 1 s."""
    found = fitted((50, 11.5), (450, 5.5), first=True)
    assert found.high > 1 + 0.01 * N
    assert found.value > 0.01 * N  # it lies above what more units took: it says nothing
    third = fitted((50, 11.5), (450, 5.5), (1800, 19.0), first=True)
    assert third.linear
    assert third.value == pytest.approx(1 + 0.01 * N, rel=0.05)


def test_an_upper_bound_limits_what_is_fixed() -> None:
    """Else a large fixed part, as no small run had it, would leave the square possible."""
    bound = fitted((1, 62.0), (8, 482.0), (12, 722.0), first=True, error=3.0)
    assert bound.exponents[1] < 1.3


def test_what_is_paid_once_by_larger_runs_hides_no_square() -> None:
    """A compiler takes 4 s from the fiftieth row on: the small run, without it, bounds nothing."""
    seconds = {34: 1.2, 136: 1 + 4 + 0.9, 544: 1 + 4 + 15.0}
    made = [
        Point(units=n, value=y, error=0.3, at_most=n == 34, once=10.0) for n, y in seconds.items()
    ]
    found = fits.fit(made, N)
    assert found is not None
    assert found.worst.value(N) > 40_000
    larger = fits.fit([*made, Point(units=1200, value=1 + 4 + 73.0, error=2.0)], N)
    assert larger is not None
    assert not larger.linear


def test_a_step_is_not_taken_for_a_power() -> None:
    seconds = {34: 6.0, 68: 8.0, 136: 10.0 + 9.0}
    made = [
        Point(units=n, value=y, error=0.5, at_most=n == 34, once=10.0) for n, y in seconds.items()
    ]
    found = fits.fit(made, N)
    assert found is not None
    assert found.linear
    assert found.worst.exponent == 2.0  # which is not excluded either


@pytest.mark.parametrize(
    ("values", "grows"),
    [
        ({56: 450.0, 896: 1400.0, 4000: 5000.0}, True),  # on no line, but far beyond a step
        ({56: 450.0, 4000: 5000.0}, True),
        ({56: 450.0, 4000: 800.0}, False),  # a step of each worker may be all of it
        ({56: 450.0, 100: 5000.0}, False),  # too near to each other
    ],
)
def test_far_more_than_a_step_is_growth(values: dict[int, float], grows: bool) -> None:
    points = [Point(units=n, value=y, error=10.0, once=400.0) for n, y in values.items()]
    found = fits.fit_steps(points, N)
    assert found is not None
    assert (found.grows and found.proven) is grows


def test_nine_of_ten_intervals_hold_the_truth() -> None:
    draw, held = random.Random(0), 0
    for _ in range(200):
        found = fitted(*((n, 2 + 0.01 * n + draw.gauss(0, 0.1)) for n in (50, 400, 800)))
        held += found.low <= 2 + 0.01 * N <= found.high
    assert held >= 170


def test_sound_runs_are_seldom_said_to_grow_faster() -> None:
    draw = random.Random(1)
    faster = sum(
        not fitted(*((n, 2 + 0.01 * n + draw.gauss(0, 0.1)) for n in (50, 400, 800))).linear
        for _ in range(200)
    )
    assert faster <= 10


def test_the_interval_is_a_band_around_the_line() -> None:
    found = fitted((50, 2.5), (450, 6.5))
    for size in (50, 450, 5000, N):
        low, high = found.band(size)
        assert low <= found.best.value(size) <= high
