"""How long the hidden test will take, with a 90 % interval, from what the rehearsal measured.

What does not grow with the rows (install, opening the models) is taken as it was. Where the
competition measured steady work in the sandbox, on rows in the shares of the hidden test's kinds,
the rate is that, scaled by the number of cores and by their speed; else it is fitted to the
command's seconds at all sizes. In either case the sizes tell whether growth is worse than linear.
"""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from bundler.competition.check import Check, Status
from bundler.competition.protocol import Measurement, Stratum
from bundler.image import capture
from bundler.image.target import Target
from bundler.rehearse import quantities
from bundler.rehearse.fit import Fit
from bundler.rehearse.inputs import Inputs
from bundler.rehearse.run.notebook_run import NotebookRun
from bundler.result import Json
from bundler.sandbox import system
from bundler.settings import NO_ACCELERATOR

RED = 0.8  # of a limit: what is left is for what no rehearsal sees, such as slow mounts
Z = 1.645  # of a 90 % interval
UNCALIBRATED = 1.35  # how far another machine's core may be from this one's
MOST_ERROR = 0.9  # of the rate: beyond it the lower end would be no time at all
BUSY = 0.15  # share of the CPUs that other programs may have; beyond it no time is known
CROWDED = 1.5  # how much longer CPUs that are shared take beside that: caches, clock, memory


@dataclass(frozen=True, kw_only=True)
class Projection:
    """How long the hidden test takes on the target, in seconds, with 90 % intervals."""

    count: int  # rows of the hidden test
    rows: str  # what is counted: "images"
    seconds: float
    seconds_low: float
    seconds_high: float
    seconds_worst: float  # if it grew as fast as the runs do not exclude, up to the square
    limit_seconds: float
    fixed_seconds: float
    seconds_per_row: float  # on the target, all its cores at work
    cores_here: int
    cores_there: int
    core_speed: float | None  # the target's core over this one's; None: not known
    same_machine: bool  # the target is this machine
    gpu_missing: bool  # the target predicts on a GPU, this machine does not
    others: float  # share of the CPUs that other programs had during the runs
    exponents: tuple[float, float] | None  # of the growth with the rows; None: of one size only
    linear: bool  # as far as is known
    sizes: tuple[int, ...]  # rows of the runs
    stages: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    predict_seconds: float = 0.0  # for one row, all cores of this machine at work
    sample: int | None = None  # ordinary rows that the rate rests on; 0: awkward, small ones alone
    scale: float = 1.0  # how many times as much work a real row may be
    doubts: tuple[str, ...] = ()  # what the sample cannot tell

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

    def check(self) -> Check:
        """Return whether it is within 80 % of the limit, as far as that is known."""
        bound = RED * self.limit_seconds
        # Without the target's GPU only the decoding is known to take as long there.
        known = self.seconds_low if self.gpu_missing else self.seconds
        if self.others > BUSY:
            # What the others took is not there to be taken; nor is what their company cost.
            known = self.seconds_low * (1 - self.others) / CROWDED
        message = f"{self.summary()}."
        if known > bound:
            status: Status = "failed"
            message += f" That is beyond 80 % of the limit: {self._advice()}"
        elif reason := self._not_known(bound):
            status, message = "unproven", f"Not known. {message} {reason}"
        else:
            status = "passed"
        return Check(name="time", status=status, message=" ".join([message, *self._doubts()]))

    def _advice(self) -> str:
        if not self.linear and self.exponents:
            low, high = self.exponents
            return (
                f"it grows with the power {(low + high) / 2:.1f} ({low:.1f} to {high:.1f}) of the "
                f"{self.rows}, by runs on {listed(self.sizes)}. Look for a loop, a search or a "
                "table that is copied, over all of them for each one."
            )
        if self.sample is None:
            return "use a smaller or faster model, or more of the machine's cores."
        return "use a smaller preset or model, or no --flip."

    def _not_known(self, bound: float) -> str:
        """Return why it is not known whether the time suffices; "" where it is."""
        if self.others > BUSY:
            return (
                f"Other programs had {self.others:.0%} of the CPUs during the runs: rehearse again "
                "when this machine is idle."
            )
        if self.scale > 1:
            real = self.fixed_seconds + self.scale * (self.seconds_high - self.fixed_seconds)
            return f"With images as large as real ones may be, it would be up to {_time(real)}."
        if self.sample == 0:
            return "No ordinary row was timed."
        if self.seconds_high > bound:
            return "The interval reaches beyond 80 % of the limit."
        if self.exponents is None:
            return "How it grows is not known: it was run at one size."
        if self.seconds_worst > bound:
            return (
                f"Growth with the power {self.exponents[1]:.1f} of the {self.rows}, which runs on "
                f"{listed(self.sizes)} do not exclude, would take {_time(self.seconds_worst)}: "
                "raise --budget or --units."
            )
        return ""

    def _doubts(self) -> Iterator[str]:
        """Yield what the projected time does not know."""
        yield from self.doubts
        if self.gpu_missing:
            part = "decoding alone" if self.sample is not None else "nothing of the command"
            yield (
                f"The target predicts on a GPU that this machine lacks: the lower end counts {part}"
                ", the estimate predicts on the CPU."
            )
        if self.core_speed is None and not self.same_machine:
            yield "Its cores' speed is not in the target's file, so they count as this one's."


@dataclass(frozen=True, kw_only=True)
class _Span:
    """Seconds with an interval, and if growth were the worst that is not excluded."""

    value: float
    low: float
    high: float
    worst: float


def project(
    runs: Sequence[NotebookRun], measured: Measurement | None, rows: str, inputs: Inputs
) -> Projection | None:
    """Project the runs to the hidden test on the target; None where nothing can be said."""
    small = next(run for run in runs if run.kind == "small")
    count = inputs.options.settings.hidden_units
    fit = quantities.fit_seconds(runs, count)
    if measured is None and fit is None:
        return None
    target, limits = inputs.target, inputs.limits
    speed = _speed(target)
    cores = target.cpus or limits.cpus
    # The runner keeps all cores busy, so its rate grows with their number; a command's may not.
    scale = (limits.cpus / cores if measured else 1.0) / (speed or 1.0)
    doubt = 1.0 if target.name == "host" or speed is not None else UNCALIBRATED
    gpu_missing = _gpu_missing(inputs, measured)
    if measured:
        rate = statistics.fmean(measured.rates)
        # The notebook's time is what does not grow, and the rate for each row of the sample.
        fixed = max(small.seconds - measured.sample * rate, 0.0)
        span = _of_rate(measured, limits.cpus, count, gpu_missing=gpu_missing)
        span = _with_growth(span, fit, count * rate)
    else:
        assert fit is not None
        fixed, rate = max(run.fixed_seconds for run in runs), fit.best.at / count
        span = _of_fit(fit, gpu_missing=gpu_missing)
    others = max(run.usage.others for run in runs)
    return Projection(
        count=count,
        rows=measured.rows if measured else rows,
        seconds=fixed + span.value * scale,
        # Alone, this machine would have been faster by the others' share at most.
        seconds_low=fixed + span.low * (1 - others) * scale / doubt,
        seconds_high=fixed + span.high * scale * doubt,
        seconds_worst=fixed + span.worst * scale * doubt,
        limit_seconds=limits.seconds,
        fixed_seconds=fixed,
        seconds_per_row=rate * scale,
        cores_here=limits.cpus,
        cores_there=cores,
        core_speed=speed,
        same_machine=target.name == "host",
        gpu_missing=gpu_missing,
        others=others,
        exponents=fit.exponents if fit else None,
        linear=fit is None or fit.linear,
        sizes=tuple(sorted({run.size for run in runs})),
        stages=_all_stages(measured),
        predict_seconds=measured.predict_seconds if measured else 0.0,
        sample=measured.sample if measured else None,
        scale=measured.scale if measured else 1.0,
        doubts=measured.doubts if measured else (),
    )


def _of_rate(measured: Measurement, cpus: int, count: int, *, gpu_missing: bool) -> _Span:
    """Return the seconds of so many rows at the measured rate, all cores at work."""
    rate = statistics.fmean(measured.rates)
    strata = [stratum for stratum in measured.strata if stratum.share and stratum.seconds]
    # A GPU predicts while the CPU decodes, so decoding alone is the least that it takes.
    least = min(_mean(strata) / cpus, rate) if gpu_missing else rate
    error = min(Z * _relative_error(measured.rates, strata), MOST_ERROR)
    value = count * rate
    return _Span(
        value=value, low=count * least * (1 - error), high=value * (1 + error), worst=value
    )


def _with_growth(span: _Span, fit: Fit | None, seen: float) -> _Span:
    """Add what the command took with more rows beyond the `seen` seconds of steady work.

    The runs' rows are small: of their time only what is not steady work comes on top, such as a
    loop after the images; all of it where it grows faster than they do.
    """
    if fit is None:
        return span
    base = seen + fit.best.fixed if fit.linear else 0.0
    return _Span(
        value=span.value + max(fit.value - base, 0.0),
        low=span.low + max(fit.low - base, 0.0),
        high=span.high + max(fit.high - base, 0.0),
        worst=span.worst + max(fit.worst.value(fit.units) - base, 0.0),
    )


def _of_fit(fit: Fit, *, gpu_missing: bool) -> _Span:
    return _Span(
        value=fit.value,
        low=0.0 if gpu_missing else fit.low,
        high=fit.high,
        worst=max(fit.worst.value(fit.units), fit.value),
    )


def _gpu_missing(inputs: Inputs, measured: Measurement | None) -> bool:
    """Say whether the target predicts on a GPU, and this machine did not."""
    if measured:
        return bool(inputs.target.gpus) and not measured.on_gpu
    wanted = inputs.options.settings.accelerator.lower() not in ("", *NO_ACCELERATOR)
    return bool(inputs.target.gpus) and wanted and not system.gpu_devices()


def _all_stages(measured: Measurement | None) -> dict[str, dict[str, float]]:
    strata = measured.strata if measured else ()
    return {one.name: _stages(one.seconds) for one in strata if one.seconds}


def listed(sizes: Sequence[int]) -> str:
    """Return sizes for people: "50, 245 and 490"."""
    *most, last = map(str, sizes)
    return f"{', '.join(most)} and {last}" if most else last


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
