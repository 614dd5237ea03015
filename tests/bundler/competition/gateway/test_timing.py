"""The slowest of many calls, and memory that grows: against samples whose truth is known."""

import random

import pytest

from bundler.competition.gateway import timing


def test_the_slowest_of_many_is_within_its_interval_nine_times_in_ten() -> None:
    """Lognormal calls, as assumed: how often the true slowest lies in the interval is measured."""
    draw = random.Random(1)
    inside = 0
    for _ in range(200):
        sample = [draw.lognormvariate(-1, 0.4) for _ in range(40)]
        truth = max(draw.lognormvariate(-1, 0.4) for _ in range(1000))
        found = timing.slowest(sample, 1000)
        assert found is not None
        assert found.low <= found.expected <= found.high
        inside += found.low <= truth <= found.high
    # The maximum of 1,000 varies by itself, which the interval of its middle does not hold.
    assert inside > 0.6 * 200


def test_no_interval_from_few_calls() -> None:
    assert timing.slowest([0.1] * (timing.FEWEST - 1), 100) is None


def test_the_slowest_is_never_below_what_was_seen() -> None:
    found = timing.slowest([0.1, 0.1, 0.1, 0.1, 0.1, 9.0], 6)
    assert found is not None
    assert found.low >= 9.0


def memory(
    per_call: int, calls: int, noise: int = 0
) -> tuple[list[tuple[float, int]], list[float]]:
    """Return ten looks a call at memory that grows, and the ends of the calls."""
    draw = random.Random(2)
    looks = []
    for number in range(calls * 10):
        size = 500 * 10**6 + per_call * (number // 10) + draw.randint(-noise, noise)
        looks.append((number / 10, size))
    return looks, [number + 0.95 for number in range(calls)]


@pytest.mark.parametrize("per_call", [5 * 10**6, 40 * 10**6])
def test_names_growth(per_call: int) -> None:
    trend = timing.growth(*memory(per_call, 12, noise=2 * 10**6))
    assert trend is not None
    assert trend.exact
    assert trend.per_call == pytest.approx(per_call, rel=0.2)


def test_noise_is_no_growth() -> None:
    trend = timing.growth(*memory(0, 30, noise=20 * 10**6))
    assert trend is not None
    assert trend.per_call == 0.0


def test_calls_between_two_looks_give_a_bound() -> None:
    looks = [(0.0, 100), (1.0, 100), (2.0, 1900)]
    trend = timing.growth(looks, [1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7])
    assert trend is not None
    assert not trend.exact
    assert trend.per_call == 300


def test_no_trend_from_few_calls() -> None:
    assert timing.growth(*memory(10**7, timing.FEWEST - 1)) is None
    assert timing.growth([], [1.0] * 9) is None
