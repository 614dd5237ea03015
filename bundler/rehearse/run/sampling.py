"""What a run's processes use, looked at from outside: which process is which, and how much of what.

    look(root) → processes, each with its role → Recorder.note → Usage of each role, thinned series

Roles follow from the tree: the notebook's kernel starts the launcher, which starts the command in a
session of its own; what the command starts are its workers. All else below `root` is the
rehearsal's own. Fields of /proc by proc(5); where there is none (macOS), memory alone is known.
"""

import contextlib
import math
import os
import subprocess
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Role = Literal["rehearsal", "kernel", "launcher", "command", "worker"]
PROC = Path("/proc")
LISTED = ("ps", "-axo", "pid=,ppid=,rss=")  # where there is no /proc; kilobytes
PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")  # of a second
KERNEL, LAUNCHER = "ipykernel_launcher", "inference.launch"  # in their command lines
MOST_SAMPLES = 400  # of a series: a run of hours is thinned, its peaks are kept


@dataclass(frozen=True, kw_only=True)
class Process:
    """One process at one moment."""

    pid: int
    parent: int
    role: Role
    rss_bytes: int
    threads: int = 0
    files: int = 0  # open; 0 where it cannot be seen
    cpu_seconds: float = 0.0  # its own, and those of children that have ended


@dataclass(frozen=True, kw_only=True)
class RoleUse:
    """What the processes of one role used; peaks over a run, or one moment."""

    processes: int = 0
    rss_bytes: int = 0  # of all of them together
    threads: int = 0  # of all of them together
    files: int = 0  # of the one that has most open: the limit is each process's own
    began: float = math.inf  # seconds after the start: the first look that saw one
    seconds: float = 0.0  # from that to the last

    def peak(self, other: "RoleUse") -> "RoleUse":
        """Return the greater of each figure, and the earlier beginning."""
        return RoleUse(
            processes=max(self.processes, other.processes),
            rss_bytes=max(self.rss_bytes, other.rss_bytes),
            threads=max(self.threads, other.threads),
            files=max(self.files, other.files),
            began=min(self.began, other.began),
            seconds=max(self.seconds, other.seconds),
        )


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One look at a run."""

    seconds: float  # since its start
    roles: Mapping[Role, RoleUse]

    @property
    def rss_bytes(self) -> int:
        """Return the memory of all processes together."""
        return sum(use.rss_bytes for use in self.roles.values())


# --- one look ---


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """A line of the process table."""

    parent: int
    session: int
    rss_bytes: int
    threads: int = 0
    cpu_seconds: float = 0.0


def look(root: int) -> list[Process]:
    """Return a process's children, and theirs, as far as they live."""
    table = _table() if PROC.is_dir() else _listed()
    children = defaultdict(list)
    for pid, entry in table.items():
        children[entry.parent].append(pid)
    seen: list[Process] = []
    todo: list[tuple[int, Role]] = [(root, "rehearsal")]
    while todo:
        parent, role = todo.pop()
        for pid in children[parent]:
            own = _role(pid, role, table[pid])
            todo.append((pid, own))
            seen.append(
                Process(
                    pid=pid,
                    parent=parent,
                    role=own,
                    rss_bytes=table[pid].rss_bytes,
                    threads=table[pid].threads,
                    files=_open_files(pid),
                    cpu_seconds=table[pid].cpu_seconds,
                )
            )
    return seen


def _role(pid: int, parent: Role, entry: _Entry) -> Role:
    if parent in ("command", "worker"):
        return "worker"
    if parent == "launcher":
        # pip and the like stay in the launcher's session; the command leads its own.
        return "command" if entry.session == pid else "launcher"
    line = command_line(pid)
    if parent == "kernel":
        return "launcher" if LAUNCHER in line else "kernel"
    return "kernel" if KERNEL in line else "rehearsal"


def command_line(pid: int) -> str:
    """Return a process's arguments, joined by blanks; "" where it has ended."""
    try:
        return (
            (PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
        )
    except OSError:
        return ""


def _table() -> dict[int, _Entry]:
    table = {}
    for entry in os.scandir(PROC):
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                table[int(entry.name)] = _entry(Path(entry.path, "stat").read_text())
    return table


def _entry(line: str) -> _Entry:
    # A program's name, in parentheses, may hold blanks and parentheses itself; after it comes
    # field 3, the state.
    fields = line.rpartition(")")[2].split()
    return _Entry(
        parent=int(fields[1]),
        session=int(fields[3]),
        rss_bytes=int(fields[21]) * PAGE,
        threads=int(fields[17]),
        cpu_seconds=sum(map(int, fields[11:15])) / TICKS,
    )


def _listed() -> dict[int, _Entry]:
    output = subprocess.run(LISTED, capture_output=True, text=True, check=False).stdout
    rows = [list(map(int, line.split())) for line in output.splitlines()]
    return {pid: _Entry(parent=ppid, session=0, rss_bytes=rss << 10) for pid, ppid, rss in rows}


def _open_files(pid: int) -> int:
    try:
        return len(os.listdir(PROC / str(pid) / "fd"))
    except OSError:
        return 0  # it has ended, or is not ours to look at


# --- the machine ---


def busy_seconds(cpus: Sequence[int]) -> float | None:
    """Return the seconds that some CPUs have worked since the start; None where it is not known."""
    try:
        lines = (PROC / "stat").read_text().splitlines()
    except OSError:
        return None
    wanted, total = {f"cpu{number}" for number in cpus}, 0
    for line in lines:
        name, *values = line.split()
        if name in wanted:
            user, nice, system, _idle, _waiting, *others = map(int, values)
            # Interrupts, and what a hypervisor took; guests are counted as users already.
            total += user + nice + system + sum(others[:3])
    return total / TICKS


# --- all looks ---


@dataclass
class Recorder:
    """Gathers the looks at one run; the only owner of what they say."""

    root: int
    cpus: Sequence[int]  # on which it runs
    _start: float = field(default_factory=time.monotonic)
    _samples: list[Sample] = field(default_factory=list)
    _stride: int = 1  # every so many looks one is kept
    _looks: int = 0
    _first: dict[Role, float] = field(default_factory=dict)
    _peaks: dict[Role, RoleUse] = field(default_factory=dict)
    _peak_bytes: int = 0
    _cpu: float = 0.0
    _before: float | None = None  # CPU time that the processes had had at the first look
    _others: float = 0.0

    def __post_init__(self) -> None:
        self._machine, self._own = busy_seconds(self.cpus), _own_seconds()

    def note(self, processes: Sequence[Process], memory: int) -> None:
        """Note one look; `memory` are the bytes of all, counting once what they share."""
        elapsed = time.monotonic() - self._start
        by_role: defaultdict[Role, list[Process]] = defaultdict(list)
        for process in processes:
            by_role[process.role].append(process)
        roles = {role: self._use(role, own, elapsed) for role, own in by_role.items()}
        for role, use in roles.items():
            self._peaks[role] = self._peaks.get(role, RoleUse()).peak(use)
        self._peak_bytes = max(self._peak_bytes, memory)
        self._note_cpu(processes, elapsed)
        if self._looks % self._stride == 0 and processes:
            self._samples.append(Sample(seconds=elapsed, roles=roles))
        self._looks += 1
        if len(self._samples) > MOST_SAMPLES:
            self._samples, self._stride = self._samples[::2], 2 * self._stride

    def _use(self, role: Role, processes: Sequence[Process], elapsed: float) -> RoleUse:
        return RoleUse(
            processes=len(processes),
            rss_bytes=sum(one.rss_bytes for one in processes),
            threads=sum(one.threads for one in processes),
            files=max(one.files for one in processes),
            began=self._first.setdefault(role, elapsed),
            seconds=elapsed - self._first[role],
        )

    def _note_cpu(self, processes: Sequence[Process], elapsed: float) -> None:
        """Note the processes' time, and the share of the machine that others had meanwhile."""
        # A child that has ended is counted by its parent: the sum only grows.
        used = sum(one.cpu_seconds for one in processes)
        self._before = used if self._before is None else self._before
        self._cpu = max(self._cpu, used - self._before)
        now = busy_seconds(self.cpus)
        if self.cpus and self._machine is not None and now is not None and elapsed > 0:
            foreign = now - self._machine - self._cpu - (_own_seconds() - self._own)
            self._others = min(max(foreign / (elapsed * len(self.cpus)), 0.0), 1.0)

    @property
    def peak_bytes(self) -> int:
        """Return the most memory that all processes held."""
        return self._peak_bytes

    @property
    def peaks(self) -> Mapping[Role, RoleUse]:
        """Return each role's peaks."""
        return dict(self._peaks)

    @property
    def samples(self) -> tuple[Sample, ...]:
        """Return the looks that were kept, evenly spread."""
        return tuple(self._samples)

    @property
    def cpu_seconds(self) -> float:
        """Return the CPU time of all processes."""
        return self._cpu

    @property
    def others(self) -> float:
        """Return the share of the run's CPUs that other programs had."""
        return self._others


def _own_seconds() -> float:
    """Return the CPU time of this process, whose looking is no other program's work."""
    times = os.times()
    return times.user + times.system
