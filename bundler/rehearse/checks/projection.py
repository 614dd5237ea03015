"""From a sample to the hidden test: how long it will take, how much memory and disk.

What does not grow with the images (install, opening the models) is taken as it was; the rate is
that of steady work in the same room, on images in the shares of the hidden test's transfer
syntaxes, scaled by the number of cores and by their speed.
"""

import math
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bundler.competition.screening.mixture import SYNTAXES, Mixture
from bundler.image.target import Target
from bundler.rehearse.checks.checks import Check, Status
from bundler.rehearse.run.layout import Limits
from bundler.rehearse.run.notebook_run import Performance

RED = 0.8  # of a limit
Z = 1.645  # of a 90 % interval
UNCALIBRATED = 1.35  # how far another machine's core may be from this one's
REAL = 4664 * 3064  # pixels of a large mammogram
STAGES = ("read", "decode", "prepare")


@dataclass(frozen=True, kw_only=True)
class Projection:
    """What the hidden test will take on the target, with 90 % intervals; seconds and bytes."""

    images: int
    seconds: float
    seconds_low: float
    seconds_high: float
    limit_seconds: float
    fixed_seconds: float
    seconds_per_image: float  # on the target, all its cores at work
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
    stages: Mapping[str, Mapping[str, float]]  # transfer syntax → stage → core-seconds an image
    predict_seconds: float  # for an image, all cores of this machine at work
    sample: int  # ordinary images that it rests on; 0: the awkward ones alone, which are small
    unseen: Mapping[str, float]  # transfer syntaxes that the sample lacks: their share there
    phantoms: tuple[int, int] | None = None  # the size of those that stand for real images

    def as_dict(self) -> dict[str, Any]:
        """Return what the JSON holds."""
        return asdict(self)

    def said(self) -> str:
        """Return one line for people."""
        span = f"{_time(self.seconds_low)} to {_time(self.seconds_high)}"
        return (
            f"{self.what()} take {_time(self.seconds)} ({span}) of "
            f"{_time(self.limit_seconds)} on the target's {self.cores_there} cores"
        )

    def what(self) -> str:
        """Return how many images of what kind are projected."""
        if self.phantoms is None:
            return f"{self.images} images"
        height, width = self.phantoms
        return f"{self.images} phantoms of at most {height}×{width}"

    def checks(self) -> list[Check]:
        """Return whether time, memory and disk are within 80 % of their limits."""
        return [self._time_check(), self._memory_check(), self._disk_check()]

    def _time_check(self) -> Check:
        bound = RED * self.limit_seconds
        status: Status = "passed"
        # Without the target's GPU only the decoding is known to take as long there.
        known = self.seconds_low if self.gpu_missing else self.seconds
        said = f"{self.said()}."
        if known > bound:
            status = "failed"
            said += (
                " That is beyond 80 % of the limit: use a smaller preset or model, or no --flip."
            )
        elif self.seconds_high > bound:
            status = "unproven"
            said += " The interval reaches beyond 80 % of the limit."
        elif not self.sample or (self.phantoms and self._high_for_real_images() > bound):
            status = "unproven"
        return Check(name="time", status=status, said="".join([said, *self._doubts()]))

    def _high_for_real_images(self) -> float:
        """Return the upper end if a real image took as much longer as it has more pixels."""
        return self.fixed_seconds + self._larger() * (self.seconds_high - self.fixed_seconds)

    def _larger(self) -> float:
        height, width = self.phantoms or (1, REAL)
        return max(REAL / (height * width), 1.0)

    def _doubts(self) -> Iterator[str]:
        """Yield what the projected time does not know."""
        if self.phantoms and self.sample:
            yield (
                f" Real images have up to {self._larger():.0f} times as many pixels: "
                "--competition-dir measures on yours."
            )
        if not self.sample:
            yield " It rests on the awkward images alone, which are small: take some --patients."
        for name, share in self.unseen.items():
            yield (
                f" {share:.0%} of the images are {SYNTAXES.get(name, name)}, and the sample has "
                "none: take more --patients."
            )
        if self.gpu_missing:
            yield (
                " The target predicts on a GPU that this machine lacks: the lower end counts "
                "decoding alone, the estimate predicts on the CPU."
            )
        if self.core_speed is None and not self.same_machine:
            yield " Its cores' speed is not in the target's file, so they count as this one's."

    def _memory_check(self) -> Check:
        said = f"{self.memory_bytes / 1e9:.2f} of {self.memory_limit / 1e9:.1f} GB at its peak"
        fits = self.memory_bytes <= RED * self.memory_limit
        said += "" if fits else ": beyond 80 %. Use fewer --workers or a smaller batch."
        return Check(name="memory", status="passed" if fits else "failed", said=said)

    def _disk_check(self) -> Check:
        said = (
            f"{self.working_bytes / 1e9:.2f} of {self.working_limit / 1e9:.1f} GB in "
            f"/kaggle/working, {self.disk_bytes / 1e9:.2f} GB in the temporary folder"
        )
        fits = self.working_bytes <= RED * self.working_limit
        said += "" if fits else ": beyond 80 % of the limit. Write what is temporary to /tmp."
        return Check(name="disk", status="passed" if fits else "failed", said=said)


def project(
    seen: Performance,
    *,
    mixture: Mixture,
    hidden_images: int,
    target: Target,
    limits: Limits,
    here_core_seconds: float | None,
    limit_seconds: float,
    phantoms: tuple[int, int] | None = None,
) -> Projection | None:
    """Project a performance to the hidden test; None where nothing was measured."""
    probed = seen.probed
    if probed is None or not probed["rates"] or seen.report is None:
        return None
    rate = statistics.fmean(probed["rates"])
    speed = None
    if here_core_seconds and target.core_seconds:
        speed = here_core_seconds / target.core_seconds
    there, sample = target.cpus or limits.cpus, len(mixture.syntaxes)
    scale = limits.cpus / there / (speed or 1.0)
    gpu_missing = bool(target.gpus) and "CUDAExecutionProvider" not in probed["providers"]
    fixed = max(seen.seconds - sample * rate, 0.0)
    loads = _loads(probed, mixture)
    least = min(_mean(loads, mixture) / limits.cpus, rate) if gpu_missing else rate
    error = min(Z * _relative_error(probed["rates"], loads, mixture), 0.9)
    doubt = 1.0 if target.name == "host" or speed is not None else UNCALIBRATED
    return Projection(
        images=hidden_images,
        seconds=fixed + hidden_images * rate * scale,
        seconds_low=fixed + hidden_images * least * (1 - error) * scale / doubt,
        seconds_high=fixed + hidden_images * rate * (1 + error) * scale * doubt,
        limit_seconds=limit_seconds,
        fixed_seconds=fixed,
        seconds_per_image=rate * scale,
        cores_here=limits.cpus,
        cores_there=there,
        core_speed=speed,
        same_machine=target.name == "host",
        gpu_missing=gpu_missing,
        memory_bytes=_memory(seen, there - limits.cpus),
        memory_limit=target.memory_bytes or limits.memory_bytes,
        disk_bytes=seen.disk_bytes,
        working_bytes=sum(seen.sizes.values()),
        working_limit=limits.working_bytes,
        stages=_stages(probed),
        predict_seconds=float(probed["predict_seconds_per_image"]),
        sample=sample,
        unseen=mixture.unseen,
        phantoms=phantoms,
    )


def _memory(seen: Performance, more_workers: int) -> int:
    """Return the peak, and what a worker holds for each core that the target has more."""
    assert seen.probed is not None
    return seen.watched.peak_bytes + max(more_workers, 0) * int(seen.probed["worker_bytes"])


def _stages(probed: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    return {
        syntax: {stage: statistics.fmean(one[stage] for one in images) for stage in STAGES}
        for syntax, images in probed["stages"].items()
        if images
    }


def _loads(probed: Mapping[str, Any], mixture: Mixture) -> dict[str, list[float]]:
    """Return the core-seconds that some images took to load, by transfer syntax."""
    return {
        syntax: [sum(one.values()) for one in probed["stages"][syntax]]
        for syntax in mixture.weights
        if probed["stages"].get(syntax)
    }


def _mean(loads: Mapping[str, list[float]], mixture: Mixture) -> float:
    """Return the core-seconds that loading an image takes, each transfer syntax by its share."""
    return sum(mixture.weights[name] * statistics.fmean(some) for name, some in loads.items())


def _relative_error(
    rates: list[float], loads: Mapping[str, list[float]], mixture: Mixture
) -> float:
    """Return the rate's standard error over the rate: of its parts, and of drawing images.

    The images are a stratified sample: what varies is the mean of each transfer syntax, by its
    share (Cochran, Sampling Techniques, 5.3).
    """
    parts = statistics.stdev(rates) / math.sqrt(len(rates)) if len(rates) > 1 else 0.0
    variance = sum(
        mixture.weights[name] ** 2 * statistics.variance(some) / mixture.counts[name]
        for name, some in loads.items()
        if len(some) > 1
    )
    mean = _mean(loads, mixture)
    drawn = math.sqrt(variance) / mean if mean else 0.0
    return math.hypot(parts / statistics.fmean(rates), drawn)


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
