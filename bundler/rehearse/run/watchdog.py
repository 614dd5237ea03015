"""Watch a running notebook from outside: its memory and its time, and end what goes beyond."""

import contextlib
import os
import signal
import subprocess
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

# Often enough to see a peak before the kernel kills for it, seldom enough to cost nothing.
EVERY = 0.1  # seconds between two looks
PROC = Path("/proc")
LISTED = ("ps", "-axo", "pid=,ppid=,rss=")  # where there is no /proc; kilobytes
PAGE = os.sysconf("SC_PAGE_SIZE")
OURS = ("supervise.py", "execute.py", "bwrap", "unshare")  # what must live to report the end


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a rehearsal's processes used."""

    peak_bytes: int = 0
    killed: str | None = None  # `memory` or `time`, where something had to be ended
    seconds: float = 0.0
    series: tuple[tuple[float, int], ...] = ()  # seconds, bytes


def watch(
    process: "subprocess.Popen[bytes]", *, memory: int, seconds: float, until: Path, grace: float
) -> Usage:
    """Wait for a process; end what uses more than `memory` bytes, or takes over `seconds`.

    As the notebook's machine would: where memory is over, the largest process dies. Memory
    counts until the file `until` appears; after it the process has `grace` seconds left.
    """
    start, elapsed = time.monotonic(), 0.0
    ended: float | None = None  # when the notebook had ended
    killed: str | None = None
    series: list[tuple[float, int]] = []
    while process.poll() is None:
        elapsed = time.monotonic() - start
        # By process, not by a cgroup: to make one needs rights that a user seldom has.
        sizes = sizes_below(process.pid)
        if not until.exists():
            total = _total(sizes, memory)
            if total:
                series.append((elapsed, total))
            if total > memory:
                # The kernel on Kaggle kills one process, too, and the rest may well go on.
                killed = "memory"
                _kill(max((pid for pid in sizes if not _is_ours(pid)), key=sizes.__getitem__))
        elif ended is None:
            ended = elapsed
        limit = seconds if ended is None else ended + grace
        if elapsed > limit and killed != "time":
            killed = "time"
            for pid in [pid for pid in sizes if not _is_ours(pid)]:
                _kill(pid)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(EVERY)
    peak = max((size for _, size in series), default=0)
    return Usage(peak_bytes=peak, killed=killed, seconds=elapsed, series=tuple(series))


def _total(sizes: dict[int, int], memory: int) -> int:
    """Return the memory of some processes; near the limit, what they share is counted once."""
    total = sum(sizes.values())
    # Reading each process's own share walks its page tables: too slow for every look.
    return _shared_once(sizes) if total > memory / 2 else total


def sizes_below(root: int) -> dict[int, int]:
    """Return the resident bytes of a process's children, and theirs, as far as they live."""
    if PROC.is_dir():
        return {pid: _rss(pid) for pid in _below(root, _parents())}
    listed = subprocess.run(LISTED, capture_output=True, text=True, check=False).stdout
    rows = [list(map(int, line.split())) for line in listed.splitlines()]
    parents, sizes = {row[0]: row[1] for row in rows}, {row[0]: row[2] << 10 for row in rows}
    return {pid: sizes[pid] for pid in _below(root, parents)}


def descendants(root: int) -> list[int]:
    """Return the ids of a process's children, and theirs, as far as they live."""
    return _below(root, _parents())


def _parents() -> dict[int, int]:
    parents = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                # A program's name, in parentheses, may hold blanks and parentheses itself.
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                parents[int(entry.name)] = int(fields[1])
    return parents


def _below(root: int, parents: dict[int, int]) -> list[int]:
    children = defaultdict(list)
    for pid, parent in parents.items():
        children[parent].append(pid)
    below, todo = [], [root]
    while todo:
        for child in children[todo.pop()]:
            below.append(child)
            todo.append(child)
    return below


def _rss(pid: int) -> int:
    try:
        return int((PROC / str(pid) / "statm").read_text().split()[1]) * PAGE
    except (OSError, IndexError, ValueError):
        return 0  # it has ended


def _shared_once(sizes: dict[int, int]) -> int:
    """Return the memory of some processes, counting once what they share."""
    total = 0
    for pid, size in sizes.items():
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += (
                next(int(x.split()[1]) for x in text.splitlines() if x.startswith("Pss:")) << 10
            )
        except (OSError, StopIteration):
            total += size
    return total


def _is_ours(pid: int) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return False
    return any(name in command for name in OURS)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
