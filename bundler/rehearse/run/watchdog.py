"""Watch a running notebook from outside: memory, time and stalls; end what goes beyond."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bundler.rehearse.run import sampling
from bundler.rehearse.run.sampling import Process, Recorder, Role, RoleUse, Sample
from bundler.rehearse.run.stalls import Stall, StallWatch

# Often enough to see a peak before the kernel kills for it, seldom enough to cost nothing.
EVERY = 0.1  # seconds between two looks


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a rehearsal's processes used until the notebook had ended."""

    peak_bytes: int = 0
    killed: str | None = None  # `memory`, `time` or `stall`, where something had to be ended
    stall: Stall | None = None
    began: float = 0.0  # seconds since the epoch, from which those of the samples count
    seconds: float = 0.0
    samples: tuple[Sample, ...] = ()
    peaks: Mapping[Role, RoleUse] = field(default_factory=dict)
    cpu_seconds: float = 0.0  # of all processes
    others: float = 0.0  # share of the CPUs that other programs had, at the worst


def watch(
    process: "subprocess.Popen[bytes]",
    *,
    root: int | None = None,
    memory: int,
    seconds: float,
    until: Path,
    grace: float,
    cpus: Sequence[int] = (),
    stalls: StallWatch | None = None,
) -> Usage:
    """Wait for a process; end what uses more than `memory` bytes, takes over `seconds`, or stalls.

    As the notebook's machine would: where memory is over, the largest process dies. Memory
    counts until the file `until` appears; after it the process has `grace` seconds left. `cpus`
    are those that it runs on, to tell its work from that of other programs. The processes that
    count are those below `root`, if that is not the process itself.
    """
    root = process.pid if root is None else root
    began, start, elapsed = time.time(), time.monotonic(), 0.0
    ended: float | None = None  # when the notebook had ended
    killed: str | None = None
    recorder, probed = Recorder(root=root, cpus=cpus), None
    stall: Stall | None = None
    while process.poll() is None:
        elapsed = time.monotonic() - start
        # By process, not by a cgroup: to make one needs rights that a user seldom has.
        processes = sampling.look(root)
        if not until.exists():
            total = _total(processes, memory)
            recorder.note(processes, total)
            if total > memory:
                # The kernel on Kaggle kills one process, too, and the rest may well go on.
                killed = "memory"
                _kill(max(_killable(processes), key=lambda one: one.rss_bytes).pid)
            if stalls and not stall and (stall := stalls.note(processes, elapsed)):
                killed = "stall"
                _end(processes)
        else:
            ended = elapsed if ended is None else ended
            probed = probed or Recorder(root=root, cpus=cpus)
            probed.note(processes, 0)
        limit = seconds if ended is None else ended + grace
        if elapsed > limit and killed != "time":
            killed = "time"
            _end(processes)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(EVERY)
    return Usage(
        peak_bytes=recorder.peak_bytes,
        killed=killed,
        stall=stall,
        began=began,
        seconds=elapsed,
        samples=recorder.samples,
        peaks=recorder.peaks,
        cpu_seconds=recorder.cpu_seconds,
        others=max(recorder.others, probed.others if probed else 0.0),
    )


def _total(processes: Sequence[Process], memory: int) -> int:
    """Return the memory of some processes; near the limit, what they share is counted once."""
    total = sum(one.rss_bytes for one in processes)
    # Reading each process's own share walks its page tables: too slow for every look.
    return sum(map(_own_share, processes)) if total > memory / 2 else total


def descendants(root: int) -> list[int]:
    """Return the ids of a process's children, and theirs, as far as they live."""
    return [one.pid for one in sampling.look(root)]


def _own_share(process: Process) -> int:
    """Return a process's memory in which each page counts by how many processes share it."""
    try:
        text = (sampling.PROC / str(process.pid) / "smaps_rollup").read_text()
        return next(int(x.split()[1]) for x in text.splitlines() if x.startswith("Pss:")) << 10
    except (OSError, StopIteration):
        return process.rss_bytes


def _killable(processes: Sequence[Process]) -> list[Process]:
    """Return the notebook's processes: the rehearsal's own must live to report the end."""
    return [one for one in processes if one.role != "rehearsal"] or list(processes)


def _end(processes: Sequence[Process]) -> None:
    for one in _killable(processes):
        _kill(one.pid)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
