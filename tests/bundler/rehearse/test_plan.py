"""The plan: which runs, in which order, how large; a unit takes a millisecond or a minute."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bundler.rehearse import quantities
from bundler.rehearse.plan import MOST_APART, Plan, Wanted
from bundler.rehearse.quantities import Limits
from bundler.rehearse.run.notebook_run import NotebookRun
from bundler.rehearse.run.sampling import RoleUse
from bundler.rehearse.run.watchdog import Usage
from tests.bundler.rehearse.checks.test_projection import RUN

PLAN = Plan(
    layouts=("new", "legacy"),
    budget=40.0,
    quick=False,
    units=None,
    hidden_units=32_000,
    limit_seconds=9 * 3600.0,
    limits=Limits(memory=29e9, working=20e9, tmp=57e9),
    public=True,
)
FIXED = 4.0  # seconds of everything but the command
PLANTED = 6  # rows of a small hidden test, beside its units
Cost = Callable[[int], float]  # size → seconds of the command


def ran(wanted: Wanted, cost: Cost) -> NotebookRun:
    """Return the run that was wanted, as long as its size costs."""
    size = {"public": 10, "small": wanted.size + PLANTED, "grown": wanted.size}[wanted.kind]
    seconds = cost(size)
    usage = Usage(
        seconds=FIXED + seconds,
        peaks={"kernel": RoleUse(), "command": RoleUse(seconds=seconds)},
    )
    own = {"layout": wanted.layout, "kind": wanted.kind, "size": size, "usage": usage}
    return replace(RUN, seconds=FIXED + seconds, **own)


def rehearse(cost: Cost, **more: Any) -> list[NotebookRun]:
    """Follow the plan to its end."""
    plan, runs = replace(PLAN, **more), list[NotebookRun]()
    while wanted := plan.following(runs):
        runs.append(ran(wanted, cost))
    return runs


def kinds(runs: list[NotebookRun]) -> list[tuple[str, str]]:
    return [(run.kind, run.layout) for run in runs]


def test_a_unit_of_a_millisecond() -> None:
    runs = rehearse(lambda n: 0.5 + 0.001 * n)
    assert kinds(runs)[:3] == [("public", "new"), ("small", "new"), ("grown", "legacy")]
    assert runs[1].size == 6 + PLANTED
    assert runs[-1].size > 10 * runs[1].size
    assert sum(run.usage.seconds for run in runs) < 40


def test_a_unit_of_a_minute() -> None:
    runs = rehearse(lambda n: 2 + 60.0 * n, hidden_units=300)
    assert kinds(runs) == [("public", "new"), ("small", "new"), ("grown", "legacy")]
    assert runs[1].size == 2 + PLANTED
    assert runs[2].size == 12  # half as many again, and no more


def test_a_unit_that_must_be_slow_is_not_tried_six_times_without_a_public_test() -> None:
    runs = rehearse(lambda n: 100.0 * n, hidden_units=300, public=False)
    assert runs[0].size == 2 + PLANTED


def test_the_users_number_is_taken() -> None:
    assert rehearse(lambda n: 0.1, units=50)[1].size == 50 + PLANTED


def test_quick_is_one_run() -> None:
    assert kinds(rehearse(lambda n: 0.1, quick=True)) == [("small", "new")]


def test_one_layout_serves_all() -> None:
    assert {layout for _, layout in kinds(rehearse(lambda n: 0.1, layouts=("legacy",)))} == {
        "legacy"
    }


def test_what_the_square_would_break_is_run_at_one_more_size() -> None:
    """At 32,000 it takes 14 h: linear from two sizes, it would be minutes."""
    square = rehearse(lambda n: 1 + 0.002 * n + 4.9e-5 * n * n, public=False)
    assert len(square) in (3, 4)
    assert max(run.usage.seconds for run in square) < 200
    sizes = sorted(run.size for run in square)
    assert all(1.5 * one <= other for one, other in itertools.pairwise(sizes))
    fit = quantities.fit_seconds(square, 32_000)
    assert fit is not None
    assert not fit.linear


def test_memory_that_is_open_is_run_at_one_more_size() -> None:
    """Few rows, since each takes long: they leave open whether 29 GB suffice."""
    runs = rehearse(lambda n: 2.0 + 0.1 * n, hidden_units=2_000_000, limit_seconds=1e13)
    fit = quantities.measure(runs[:3], 2_000_000, PLAN.limits)[0]
    assert fit.is_open(0.8)
    assert [run.kind for run in runs][:4] == ["public", "small", "grown", "grown"]
    assert runs[3].size > runs[2].size


def test_growth_is_tried_in_steps() -> None:
    """What grows with the square takes 256 times as long at 16 times the size, and no longer."""
    runs = rehearse(lambda n: 1e-4 * n * n, public=False)
    assert runs[1].size <= MOST_APART * runs[0].size


@pytest.mark.parametrize("kind", ["small", "grown"])
def test_nothing_follows_a_run_that_failed(kind: str) -> None:
    runs = rehearse(lambda n: 0.1)
    at = [run.kind for run in runs].index(kind)
    failed = [*runs[:at], replace(runs[at], returncode=1)]
    assert PLAN.following(failed) is None


def test_a_public_run_that_failed_is_no_reason_not_to_run_the_hidden_test() -> None:
    (public, *_) = rehearse(lambda n: 0.1)
    wanted = PLAN.following([replace(public, returncode=1)])
    assert wanted is not None
    assert wanted.kind == "small"
