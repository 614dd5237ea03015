"""Which runs a rehearsal makes, in which order, on how many rows: one plan that serves all checks.

    public   the public test, where the competition has one: it warms caches, and tells what a unit
             may cost at most
    small    the hidden test in one layout: everything is checked on it
    grown    its rows among others, in another order and the other layout: growth, order and
             neighbours in one. Where small and grown leave open what the hidden test needs, one
             more size decides, or two.

A size is chosen when the runs before it have shown what a unit costs: a millisecond or a minute.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bundler.rehearse import quantities
from bundler.rehearse.run.notebook_run import NotebookRun
from bundler.rehearse.run.setup import Kind

FEWEST, USUAL = 2, 6  # units of the small hidden test, where the user names no number
APART = 1.5  # times as many at least, so that growth shows
USUALLY_APART = 4.0
MOST_APART = 16.0  # times as many at most: what grows with the square then takes 256 times as long
MOST = 4000  # rows, whatever they cost: the folder has to be written, too
GROWN_RUNS = 3  # at most: one in most rehearsals, more where something is open
LEAST_SECONDS = 4.0  # for growth, where the other runs have used the budget up
MOST_SECONDS = 30.0  # for what must be known, whatever the budget
PATIENCE = 400.0  # seconds for it, if it were to grow with the square
BOUND = 0.8  # of a limit


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One run to come."""

    kind: Kind
    layout: str
    size: int = 0  # units of a small hidden test, all rows of a grown one; public: 0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is known before the first run."""

    layouts: Sequence[str]
    budget: float  # seconds
    quick: bool
    units: int | None  # as the user wants; None: by the budget
    hidden_units: int  # of the true hidden test
    limit_seconds: float  # for them
    limits: quantities.Limits
    public: bool  # there is a public test

    def following(self, runs: Sequence[NotebookRun]) -> Wanted | None:
        """Return the run that comes after these; None where all is known, or one has failed."""
        if any(run.kind != "public" and run.returncode != 0 for run in runs):
            return None  # the next would fail, too
        kinds = [run.kind for run in runs]
        if self.public and not self.quick and "public" not in kinds:
            return Wanted(kind="public", layout=self.layouts[0])
        if "small" not in kinds:
            return Wanted(kind="small", layout=self.layouts[0], size=self._units(runs))
        grown = kinds.count("grown")
        if self.quick or grown == GROWN_RUNS:
            return None
        size = self._decisive(runs) if grown else self._grown(runs)
        return Wanted(kind="grown", layout=self.layouts[-1], size=size) if size else None

    def _units(self, runs: Sequence[NotebookRun]) -> int:
        """Return how many units the small hidden test has."""
        if self.units is not None:
            return self.units
        # A unit that took longer would not fit into the limit anyway.
        costs = [self.limit_seconds / self.hidden_units, *(_cost(run) for run in runs)]
        # Twice, since the cost is an upper bound: it counts the imports, too.
        return min(max(int(2 * self.budget / max(min(costs), 1e-3)), FEWEST), USUAL)

    def _grown(self, runs: Sequence[NotebookRun]) -> int:
        """Return how many rows the budget allows, as far as the runs tell what one costs."""
        small = next(run for run in runs if run.kind == "small")
        cost = max(_least_cost(runs), 1e-3)
        size = small.size + max(self._left(runs), LEAST_SECONDS) / cost
        # Sizes near to each other tell little; the cost is an upper bound, and mostly far too high.
        if (USUALLY_APART - 1) * small.size * cost <= MOST_SECONDS:
            size = max(size, USUALLY_APART * small.size)
        return _bounded(int(min(size, MOST_APART * small.size)), small.size)

    def _decisive(self, runs: Sequence[NotebookRun]) -> int:
        """Return a size that decides what is open; 0 where nothing is, or no size can.

        Open is whether growth is linear, where its square would take too long, and whether memory
        and disk suffice. A larger size tells best; where that would take too long, one between does
        for the time.
        """
        fit = quantities.fit_seconds(runs, self.hidden_units)
        worst = fit.worst.value(self.hidden_units) if fit else 0.0
        time_open = worst > BOUND * self.limit_seconds
        measured = quantities.measure(runs, self.hidden_units, self.limits)
        others_open = any(one.is_open(BOUND) for one in measured)
        if not time_open and not others_open:
            return 0
        *others, largest = sorted(runs, key=lambda run: run.size)
        more = largest.command_seconds - min(run.command_seconds for run in others)
        seconds = max(self._left(runs), MOST_SECONDS)
        times = 1 + seconds / max(more, 2 * quantities.SECONDS_ERROR)
        if time_open:  # it may grow with the square
            times = math.sqrt(times)
        if others_open and (1 + USUALLY_APART**2) * more <= PATIENCE:
            times = max(times, USUALLY_APART)  # a size near to the others tells nothing of steps
        if times >= APART:
            return _bounded(int(min(times, MOST_APART) * largest.size), largest.size)
        between = largest.size // 2
        return between if between > APART * others[-1].size else 0

    def _left(self, runs: Sequence[NotebookRun]) -> float:
        """Return the seconds that the budget leaves for the command of one more run."""
        last = runs[-1]
        return self.budget - sum(run.usage.seconds for run in runs) - last.fixed_seconds


def _bounded(size: int, smaller: int) -> int:
    """Return a size that is apart from a smaller one, and can be written."""
    return max(min(size, MOST), smaller + FEWEST, math.ceil(APART * smaller))


def _cost(run: NotebookRun) -> float:
    """Return what a row of a run took at most, in seconds: all that the command did is counted."""
    return run.command_seconds / max(run.size, 1)


def _least_cost(runs: Sequence[NotebookRun]) -> float:
    """Return the least upper bound that the runs give of a row's seconds."""
    costs = [_cost(run) for run in runs]
    first, last = runs[0], runs[-1]
    if last.size > first.size:
        more = last.command_seconds - first.command_seconds + quantities.SECONDS_ERROR
        costs.append(max(more, quantities.SECONDS_ERROR) / (last.size - first.size))
    return min(costs)
