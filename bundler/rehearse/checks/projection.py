"""From a sample to the hidden test: how long it will take, how much memory and disk.

What does not grow with the rows (install, opening the models) is taken as it was; the rate is that
of steady work in the same sandbox, on rows in the shares of the hidden test's kinds, scaled by the
number of cores and by their speed.
"""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from bundler.competition.check import Check, Status
from bundler.competition.protocol import Measurement, Stratum
from bundler.image import capture
from bundler.image.target import Target
from bundler.rehearse.inputs import Inputs
from bundler.rehearse.run.notebook_run import NotebookRun
from bundler.result import Json

RED = 0.8  # of a limit: what is left is for what no rehearsal sees, such as slow mounts
Z = 1.645  # of a 90 % interval
UNCALIBRATED = 1.35  # how far another machine's core may be from this one's
MOST_ERROR = 0.9  # of the rate: beyond it the lower end would be no time at all


@dataclass(frozen=True, kw_only=True)
class Projection:
    """What the hidden test will take on the target, with 90 % intervals; seconds and bytes."""

    count: int  # rows of the hidden test
    rows: str  # what is counted: "images"
    seconds: float
    seconds_low: float
    seconds_high: float
    limit_seconds: float
    fixed_seconds: float
    seconds_per_row: float  # on the target, all its cores at work
    cores_here: int
    cores_there: int
    core_speed: float | None  # the target's core over this one's; None: not known
    same_machine: bool  # the target is this machine
    gpu_missing: bool  # the target predicts on a GPU, this machine does not
    memory_bytes: int
    memory_limit: int
    disk_bytes: int
    working_bytes: int
    working_limit: int
    stages: Mapping[str, Mapping[str, float]]  # kind of row → stage → core-seconds for one
    predict_seconds: float  # for one row, all cores of this machine at work
    sample: int  # ordinary rows that it rests on; 0: the awkward ones alone, which are small
    scale: float  # how many times as much work a real row may be
    doubts: tuple[str, ...]  # what the sample cannot tell

    def as_dict(self) -> dict[str, Json]:
        """Return what the JSON holds."""
        return asdict(self)

    def summary(self) -> str:
        """Return one line for people."""
        span = f"{_time(self.seconds_low)} to {_time(self.seconds_high)}"
        return (
            f"{self.count} {self.rows} take {_time(self.seconds)} ({span}) of "
            f"{_time(self.limit_seconds)} on the target's {self.cores_there} cores"
        )

    def checks(self) -> list[Check]:
        """Return whether time, memory and disk are within 80 % of their limits."""
        return [self._time_check(), self._memory_check(), self._disk_check()]

    def _time_check(self) -> Check:
        bound = RED * self.limit_seconds
        status: Status = "passed"
        # Without the target's GPU only the decoding is known to take as long there.
        known = self.seconds_low if self.gpu_missing else self.seconds
        message = f"{self.summary()}."
        if known > bound:
            status = "failed"
            message += (
                " That is beyond 80 % of the limit: use a smaller preset or model, or no --flip."
            )
        elif self.seconds_high > bound:
            status = "unproven"
            message += " The interval reaches beyond 80 % of the limit."
        elif not self.sample or self._high_for_real_rows() > bound:
            status = "unproven"
        return Check(name="time", status=status, message=" ".join([message, *self._doubts()]))

    def _high_for_real_rows(self) -> float:
        """Return the upper end if each real row were as much more work as it may be."""
        return self.fixed_seconds + self.scale * (self.seconds_high - self.fixed_seconds)

    def _doubts(self) -> Iterator[str]:
        """Yield what the projected time does not know."""
        yield from self.doubts
        if self.gpu_missing:
            yield (
                "The target predicts on a GPU that this machine lacks: the lower end counts "
                "decoding alone, the estimate predicts on the CPU."
            )
        if self.core_speed is None and not self.same_machine:
            yield "Its cores' speed is not in the target's file, so they count as this one's."

    def _memory_check(self) -> Check:
        message = f"{self.memory_bytes / 1e9:.2f} of {self.memory_limit / 1e9:.1f} GB at its peak"
        fits = self.memory_bytes <= RED * self.memory_limit
        message += "" if fits else ": beyond 80 %. Use fewer --workers or a smaller batch."
        return Check(name="memory", status="passed" if fits else "failed", message=message)

    def _disk_check(self) -> Check:
        message = (
            f"{self.working_bytes / 1e9:.2f} of {self.working_limit / 1e9:.1f} GB in "
            f"/kaggle/working, {self.disk_bytes / 1e9:.2f} GB in the temporary folder"
        )
        fits = self.working_bytes <= RED * self.working_limit
        message += "" if fits else ": beyond 80 % of the limit. Write what is temporary to /tmp."
        return Check(name="disk", status="passed" if fits else "failed", message=message)


def project(run: NotebookRun, measured: Measurement | None, inputs: Inputs) -> Projection | None:
    """Project a run to the hidden test on the target; None where nothing was measured."""
    if measured is None:
        return None
    target, limits, count = inputs.target, inputs.limits, inputs.options.settings.hidden_units
    rate = statistics.fmean(measured.rates)
    speed = _speed(target)
    cores = target.cpus or limits.cpus
    # The runner keeps all cores busy, so its rate grows with their number.
    scale = limits.cpus / cores / (speed or 1.0)
    gpu_missing = bool(target.gpus) and not measured.on_gpu
    # The notebook's time is what does not grow, and the rate for each row of the sample.
    fixed = max(run.seconds - measured.sample * rate, 0.0)
    strata = [stratum for stratum in measured.strata if stratum.share and stratum.seconds]
    # A GPU predicts while the CPU decodes, so decoding alone is the least that it takes.
    least = min(_mean(strata) / limits.cpus, rate) if gpu_missing else rate
    error = min(Z * _relative_error(measured.rates, strata), MOST_ERROR)
    doubt = 1.0 if target.name == "host" or speed is not None else UNCALIBRATED
    return Projection(
        count=count,
        rows=measured.rows,
        seconds=fixed + count * rate * scale,
        seconds_low=fixed + count * least * (1 - error) * scale / doubt,
        seconds_high=fixed + count * rate * (1 + error) * scale * doubt,
        limit_seconds=limits.seconds,
        fixed_seconds=fixed,
        seconds_per_row=rate * scale,
        cores_here=limits.cpus,
        cores_there=cores,
        core_speed=speed,
        same_machine=target.name == "host",
        gpu_missing=gpu_missing,
        # A worker for each core that the target has more holds memory of its own.
        memory_bytes=run.usage.peak_bytes + max(cores - limits.cpus, 0) * measured.worker_bytes,
        memory_limit=target.memory_bytes or limits.memory_bytes,
        disk_bytes=run.tmp_bytes,
        working_bytes=sum(run.sizes.values()),
        working_limit=limits.working_bytes,
        stages={one.name: _stages(one.seconds) for one in measured.strata if one.seconds},
        predict_seconds=measured.predict_seconds,
        sample=measured.sample,
        scale=measured.scale,
        doubts=measured.doubts,
    )


def _speed(target: Target) -> float | None:
    """Return the speed of the target's core over this machine's; None where it is not known."""
    return capture.core_seconds() / target.core_seconds if target.core_seconds else None


def _stages(seconds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {stage: statistics.fmean(one[stage] for one in seconds) for stage in seconds[0]}


def _mean(strata: Sequence[Stratum]) -> float:
    """Return the core-seconds that a row takes to load, each kind by its share."""
    return sum(one.share * statistics.fmean(_loads(one)) for one in strata)


def _loads(stratum: Stratum) -> list[float]:
    return [sum(seconds.values()) for seconds in stratum.seconds]


def _relative_error(rates: Sequence[float], strata: Sequence[Stratum]) -> float:
    """Return the rate's standard error over the rate: of its parts, and of drawing rows.

    The rows are a stratified sample: what varies is the mean of each kind, by its share
    (Cochran, Sampling Techniques, 5.3).
    """
    # One part says nothing of how parts differ, nor one row of its kind.
    parts = statistics.stdev(rates) / math.sqrt(len(rates)) if len(rates) > 1 else 0.0
    variance = sum(
        one.share**2 * statistics.variance(_loads(one)) / one.count
        for one in strata
        if len(one.seconds) > 1
    )
    mean = _mean(strata)
    drawn = math.sqrt(variance) / mean if mean else 0.0
    # The two are independent: the machine's pace wavers, and other rows might have been drawn.
    return math.hypot(parts / statistics.fmean(rates), drawn)


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
