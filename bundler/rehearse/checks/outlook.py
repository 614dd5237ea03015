"""What the hidden test will need, projected from all runs: checks, and what the report draws."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from bundler.competition.check import Check
from bundler.competition.protocol import Measurement
from bundler.rehearse import quantities
from bundler.rehearse.checks import growth, projection
from bundler.rehearse.checks.projection import Projection
from bundler.rehearse.inputs import Inputs
from bundler.rehearse.quantities import Limits, Quantity
from bundler.rehearse.run.notebook_run import NotebookRun
from bundler.result import Json

# Assumed: Kaggle documents no limit for what lies outside of /kaggle/working.
TMP_BYTES = 57_600_000_000


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """The hidden test, as far as the runs foretell it."""

    checks: tuple[Check, ...]
    projection: Projection | None  # of time
    quantities: tuple[Quantity, ...]
    rows: str
    units: int

    def as_dict(self) -> list[Json]:
        """Return what the JSON holds of the quantities: points, and the fit where there is one."""
        return [
            {
                "name": one.name,
                "place": one.place,
                "limit": one.limit,
                "points": [asdict(point) for point in one.points],
                "value": one.fit.value if one.fit else None,
                "low": one.fit.low if one.fit else None,
                "high": one.fit.high if one.fit else None,
                "exponents": list(one.fit.exponents) if one.fit else None,
                "per_unit": one.fit.per_unit if one.fit and one.fit.linear else None,
            }
            for one in self.quantities
        ]


def limits_of(inputs: Inputs) -> Limits:
    """Return what the target has, as far as it is known; else what this machine has."""
    return Limits(
        memory=inputs.target.memory_bytes or inputs.limits.memory_bytes,
        working=inputs.limits.working_bytes,
        tmp=TMP_BYTES,
    )


def look(
    runs: Sequence[NotebookRun], measured: Measurement | None, rows: str, inputs: Inputs
) -> Outlook:
    """Fit what all runs measured, and check it at the size of the hidden test."""
    units, limits = inputs.options.settings.hidden_units, inputs.limits
    if not any(run.kind == "small" and run.returncode == 0 for run in runs):
        return Outlook(checks=(), projection=None, quantities=(), rows=rows, units=units)
    projected = projection.project(runs, measured, rows, inputs)
    cores = inputs.target.cpus or limits.cpus
    found = quantities.measure(
        runs,
        units,
        limits_of(inputs),
        # A worker for each core that the target has more holds memory of its own.
        further=max(cores - limits.cpus, 0) * (measured.worker_bytes if measured else 0),
    )
    time = quantities.time(runs, units, limits.seconds)
    return Outlook(
        checks=(
            projected.check() if projected else UNKNOWN_TIME,
            *growth.check(found, rows, units),
        ),
        projection=projected,
        quantities=(time, *found),
        rows=rows,
        units=units,
    )


UNKNOWN_TIME = Check(
    name="time",
    status="unproven",
    message="Not known: it was run at one size. Rehearse without --quick.",
)
