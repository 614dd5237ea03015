"""The processes of a run: known by a variable in their environment, wherever they have gone.

A process group would lose those that start a session of their own, and so would their parent's
number once the parent has ended. Where there is no /proc (macOS) only the group is known.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

MARK = "RSNA_BUNDLE_LAUNCH"  # `<pid>:<start>:<namespace>:<scratch>` of the launch they belong to
PROC = Path("/proc")
PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
PATIENCE = 3.0  # seconds between asking a process to end and ending it


def mark(scratch: Path) -> str:
    """Return the mark of this process; its start sets it apart from another of its number."""
    return f"{os.getpid()}:{_started(os.getpid())}:{_namespace()}:{scratch}"


def end_marked(own: str) -> list[int]:
    """End all processes that carry a mark, first politely; return their numbers."""
    pids = [pid for pid, held in _marked() if held == own]
    _end(pids)
    return pids


def end_orphans(scratch: Path) -> list[int]:
    """End what an earlier launch with this scratch folder left running when it was killed.

    Numbers mean nothing across PID namespaces: what runs in a container or a sandbox, which we may
    see from outside, is left to the launch in there.
    """
    same = f":{_namespace()}:{scratch}"
    orphans = [pid for pid, held in _marked() if held.endswith(same) and not _is_alive(held)]
    _end(orphans)
    return orphans


def memory(root: int) -> int:
    """Return the bytes that a process and all below it hold in memory."""
    parents, held = {}, {}
    for entry in _entries():
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            parents[int(entry.name)], held[int(entry.name)] = int(fields[1]), int(fields[21])
    family, grew = {root}, True
    while grew:
        more = {pid for pid, parent in parents.items() if parent in family} - family
        grew = bool(more)
        family |= more
    return PAGE * sum(held.get(pid, 0) for pid in family)


def _end(pids: list[int]) -> None:
    for kind in (signal.SIGTERM, signal.SIGKILL):
        for pid in pids:
            with contextlib.suppress(OSError):
                os.kill(pid, kind)
        deadline = time.monotonic() + PATIENCE
        while any(_is_running(pid) for pid in pids) and time.monotonic() < deadline:
            time.sleep(0.02)


def _marked() -> Iterator[tuple[int, str]]:
    """Yield the processes of this user that carry a mark, but for this one."""
    for entry in _entries():
        with contextlib.suppress(OSError):
            for line in (entry / "environ").read_bytes().split(b"\0"):
                if line.startswith(f"{MARK}=".encode()) and int(entry.name) != os.getpid():
                    yield int(entry.name), line.partition(b"=")[2].decode(errors="replace")


def _entries() -> list[Path]:
    return list(PROC.glob("[0-9]*")) if PROC.is_dir() else []


def _is_alive(held: str) -> bool:
    pid, started, *_ = held.split(":")
    return pid.isdigit() and _is_running(int(pid)) and _started(int(pid)) == started


def _is_running(pid: int) -> bool:
    """Say whether a process is there and no zombie, which only its parent can remove."""
    with contextlib.suppress(OSError, IndexError):
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def _namespace() -> str:
    """Return which PID namespace this process lives in; "" where there are none."""
    with contextlib.suppress(OSError):
        return os.readlink(PROC / "self" / "ns" / "pid")
    return ""


def _started(pid: int) -> str:
    """Return when a process began, in ticks since the system did; "" where it is gone."""
    with contextlib.suppress(OSError, IndexError):
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[19]
    return ""
