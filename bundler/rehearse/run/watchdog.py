"""Watch a running rehearsal from outside: its memory and its time, and end what goes beyond."""

import contextlib
import os
import signal
import subprocess
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

EVERY = 0.1  # seconds between two looks
PROC = Path("/proc")
LISTED = ("ps", "-axo", "pid=,ppid=,rss=")  # where there is no /proc; kilobytes
PAGE = os.sysconf("SC_PAGE_SIZE")
OURS = ("supervise.py", "execute.py", "bwrap", "unshare")  # what must live to tell the end


@dataclass(kw_only=True)
class Watched:
    """What was seen of a rehearsal's processes."""

    peak_bytes: int = 0
    killed: str | None = None  # `memory` or `time`, where something had to be ended
    seconds: float = 0.0
    counted: float = 0.0  # until the notebook had ended
    series: list[tuple[float, int]] = field(default_factory=list)  # seconds, bytes


def watch(
    process: "subprocess.Popen[bytes]", *, memory: int, seconds: float, until: Path, grace: float
) -> Watched:
    """Wait for a process; end what uses more than `memory` bytes, or takes over `seconds`.

    As the notebook's machine would: where memory is over, the largest process dies. Memory
    counts until the file `until` appears; after it the process has `grace` seconds left.
    """
    seen, start = Watched(), time.monotonic()
    while process.poll() is None:
        seen.seconds = time.monotonic() - start
        sizes = sizes_below(process.pid)
        counting = not until.exists()
        if counting and sum(sizes.values()) > 0:
            total = _shared_once(sizes) if sum(sizes.values()) > memory / 2 else sum(sizes.values())
            seen.peak_bytes = max(seen.peak_bytes, total)
            seen.series.append((seen.seconds, total))
            if total > memory:
                seen.killed = "memory"
                _kill(max((pid for pid in sizes if not _is_ours(pid)), key=sizes.__getitem__))
        over = seconds if counting else seen.counted + grace
        seen.counted = seen.seconds if counting else seen.counted
        if seen.seconds > over and seen.killed != "time":
            seen.killed = "time"
            for pid in [pid for pid in sizes if not _is_ours(pid)]:
                _kill(pid)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(EVERY)
    return seen


def sizes_below(root: int) -> dict[int, int]:
    """Return the resident bytes of a process's children, and theirs, as far as they live."""
    if PROC.is_dir():
        return {pid: _rss(pid) for pid in _below(root, _parents())}
    told = subprocess.run(LISTED, capture_output=True, text=True, check=False).stdout
    rows = [list(map(int, line.split())) for line in told.splitlines()]
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
                told = (entry / "stat").read_text().rpartition(")")[2]
                parents[int(entry.name)] = int(told.split()[1])
    return parents


def _below(root: int, parents: dict[int, int]) -> list[int]:
    children = defaultdict(list)
    for pid, parent in parents.items():
        children[parent].append(pid)
    found, open_ = [], [root]
    while open_:
        for child in children[open_.pop()]:
            found.append(child)
            open_.append(child)
    return found


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
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return False
    return any(name in words for name in OURS)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
