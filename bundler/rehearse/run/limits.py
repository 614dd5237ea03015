"""What the notebook may use: the target's limits, as far as this machine has that much."""

import os
from dataclasses import dataclass
from pathlib import Path

from bundler.image.target import Target
from bundler.rehearse.options import STALL, RehearseOptions

SHARE = 0.9  # of this machine's free memory that a rehearsal may use


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the notebook may use."""

    cpus: int
    memory_bytes: int
    working_bytes: int
    seconds: float
    stall_seconds: float = STALL  # without any work, after which a run is ended
    scaled: tuple[str, ...] = ()  # what this machine has less of than the target, for people

    @property
    def own_cpus(self) -> list[int]:
        """Return the CPUs that the notebook runs on: the first of those that this process has."""
        return _allowed()[: self.cpus]


def read(options: RehearseOptions, target: Target) -> Limits:
    """Return the target's limits, scaled to what this machine has."""
    scaled = []
    cpus = len(_allowed())
    if target.cpus and target.cpus > cpus:
        scaled.append(f"{cpus} CPUs here, {target.cpus} on the target")
    # Without a limit that this machine can hold, the kernel here would kill in the wrong place.
    free = int(_free_memory() * SHARE)
    memory = options.memory_bytes or target.memory_bytes or free
    if memory > free:
        scaled.append(
            f"{free / 1e9:.1f} GB of memory free here, {memory / 1e9:.1f} GB on the target"
        )
    return Limits(
        cpus=min(cpus, target.cpus or cpus),
        memory_bytes=min(memory, free),
        working_bytes=options.working_bytes,
        stall_seconds=options.stall_seconds,
        seconds=options.settings.time_limit_hours * 3600,
        scaled=tuple(scaled),
    )


def _allowed() -> list[int]:
    if hasattr(os, "sched_getaffinity"):  # macOS has none
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _free_memory() -> int:
    path = Path("/proc/meminfo")
    if not path.exists():
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    # MemAvailable counts caches that the kernel would give up; MemFree does not.
    lines = dict(line.split(":") for line in path.read_text().splitlines())
    return int(lines["MemAvailable"].split()[0]) << 10
