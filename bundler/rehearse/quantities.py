"""What grows with a test set: time, memory, disk, open files and threads, as runs measured them.

Each quantity becomes points for `fit`: one for each run on a hidden test, at its size.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from bundler.rehearse import fit as fits
from bundler.rehearse.fit import Fit, Point
from bundler.rehearse.run.notebook_run import NotebookRun
from bundler.rehearse.run.sampling import Role, RoleUse

Name = Literal["time", "memory", "disk", "open files", "threads"]
# What two equal runs differ by: a floor, and a share of what is measured. Of seconds it is the
# start of a Python and the machine's pace, of memory when a collection or a batch fell.
SECONDS_ERROR, SECONDS_SHARE = 0.15, 0.03
ONCE = 10.0  # seconds of what begins only after some rows: compiling a decoder, opening a model
BYTES_ERROR, BYTES_SHARE = 10e6, 0.02
DISK_ERROR, DISK_SHARE = 2e5, 0.01
FILES_ERROR = THREADS_ERROR = 2.0
# What all processes together take once, after some rows: compiled code, which each worker loads
# (170 MB of each of two were measured), caches of libraries, a pool.
BYTES_ONCE, DISK_ONCE, FILES_ONCE, THREADS_ONCE = 4e8, 2e7, 16.0, 16.0
# What many systems allow a process (getrlimit(2), RLIMIT_NOFILE; proc(5), pid_max). Kaggle's own
# limits are not known: what does not grow has shown that it runs.
MOST_FILES, MOST_THREADS = 1024, 32768
PARTS: dict[Role, str] = {
    "command": "the command's own process",
    "worker": "the command's child processes",
    "kernel": "the notebook's kernel",
}


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """One quantity in one place, at all sizes."""

    name: Name
    place: str  # "/kaggle/working", "the command's own process", "" where it is all of it
    points: tuple[Point, ...]
    fit: Fit | None  # None: only one size was run
    limit: float | None = None

    @property
    def most(self) -> float:
        """Return the most that any run showed."""
        return max(point.value for point in self.points)

    @property
    def grows(self) -> bool:
        """Say whether it grows, beyond what measuring could feign."""
        return self.fit is not None and self.fit.grows and self.fit.proven

    @property
    def projected(self) -> float:
        """Return what the hidden test needs: what the runs needed, where no growth was seen."""
        return max(self.fit.value if self.fit and self.grows else 0.0, self.most)

    def is_open(self, share: float) -> bool:
        """Say whether it may be within this share of its limit, and may be beyond."""
        if self.limit is None or self.fit is None:
            return False
        most = self.fit.high
        if self.name in ("open files", "threads"):  # one more or less is no sign of growth
            most = self.fit.value if self.fit.grows else self.most
        return self.projected <= share * self.limit < most


def fit_seconds(runs: Sequence[NotebookRun], units: int) -> Fit | None:
    """Return the command's seconds, fitted over all runs that came to their end."""
    return fits.fit(seconds(runs), units)


def seconds(runs: Sequence[NotebookRun]) -> list[Point]:
    """Return the command's seconds of each run.

    The first run may have warmed caches for the others, the public test may be answered in another
    way, and where more rows took less, something else had slowed the fewer: what these took is an
    upper bound.
    """
    ended = [run for run in runs if run.returncode == 0]
    return [
        Point(
            units=run.size,
            value=run.command_seconds,
            error=_seconds_error(run),
            at_most=run is ended[0] or run.kind == "public" or _is_slower(run, ended),
            once=ONCE / max(1 - run.usage.others, 0.1),
        )
        for run in ended
    ]


def _seconds_error(run: NotebookRun) -> float:
    # Another program's share of the CPUs may have lengthened it by as much.
    share = SECONDS_SHARE + run.usage.others / 2
    return math.hypot(SECONDS_ERROR, share * run.command_seconds)


def _is_slower(run: NotebookRun, others: Sequence[NotebookRun]) -> bool:
    """Say whether a run took longer than one of more rows did."""
    least = run.command_seconds - fits.Z * _seconds_error(run)
    return any(one.size > run.size and one.command_seconds < least for one in others)


def time(runs: Sequence[NotebookRun], units: int, limit: float) -> Quantity:
    """Return the command's seconds as a quantity, for the report."""
    return Quantity(
        name="time",
        place="the command",
        points=tuple(seconds(runs)),
        fit=fit_seconds(runs, units),
        limit=limit,
    )


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the target has, in bytes."""

    memory: float
    working: float
    tmp: float


def measure(
    runs: Sequence[NotebookRun], units: int, limits: Limits, *, further: float = 0.0
) -> list[Quantity]:
    """Return all quantities but time, of all runs on hidden tests.

    `further` is memory in bytes that the target needs beyond what was needed here.
    """
    ended = [run for run in runs if run.returncode == 0 and run.kind != "public"]

    def quantity(
        name: Name,
        place: str,
        value: Callable[[NotebookRun], float],
        noise: tuple[float, float, float],
        limit: float | None = None,
    ) -> Quantity:
        floor, share, once = noise
        points = [
            Point(
                units=run.size,
                value=value(run),
                error=math.hypot(floor, share * value(run)),
                once=once,
            )
            for run in ended
        ]
        return Quantity(
            name=name,
            place=place,
            points=tuple(points),
            fit=fits.fit_steps(points, units),
            limit=limit,
        )

    of_bytes = BYTES_ERROR, BYTES_SHARE, BYTES_ONCE
    of_disk = DISK_ERROR, DISK_SHARE, DISK_ONCE
    of_files, of_threads = (FILES_ERROR, 0.0, FILES_ONCE), (THREADS_ERROR, 0.0, THREADS_ONCE)
    found = [
        quantity("memory", "", lambda run: run.usage.peak_bytes + further, of_bytes, limits.memory),
        quantity("disk", "/kaggle/working", lambda run: run.working_peak, of_disk, limits.working),
        quantity("disk", "the temporary folder", lambda run: run.tmp_peak, of_disk, limits.tmp),
    ]
    for role, place in PARTS.items():
        if any(role in run.usage.peaks for run in ended):
            found += [
                quantity(
                    "memory", place, _of(role, lambda use: use.rss_bytes), of_bytes, limits.memory
                ),
                quantity(
                    "open files", place, _of(role, lambda use: use.files), of_files, MOST_FILES
                ),
                quantity(
                    "threads", place, _of(role, lambda use: use.threads), of_threads, MOST_THREADS
                ),
            ]
    return found


def _of(role: Role, figure: Callable[[RoleUse], int]) -> Callable[[NotebookRun], float]:
    return lambda run: float(figure(run.usage.peaks.get(role, RoleUse())))


def singular(rows: str) -> str:
    """Return one of what is counted: "image" of "images", "study" of "studies"."""
    return f"{rows[:-3]}y" if rows.endswith("ies") else rows.removesuffix("s")
