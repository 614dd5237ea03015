"""Notice a run that has stopped working, and ask each of its Pythons where it stands.

A run is stalled where for minutes it neither uses a CPU nor reads or writes, or where its
submission has been complete for minutes and Python waits, at its end, for the command's threads.
"""

import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bundler.rehearse.run import sampling
from bundler.rehearse.run.audit_hook import STACKS_SIGNAL
from bundler.rehearse.run.sampling import Process

# Waiting takes a little, too: a notebook's kernel looks after its parent, sockets are polled.
IDLE_CPU = 0.02  # of one CPU
IDLE_BYTES = 64 << 10  # read and written by all processes, a minute
EVERY = 1.0  # seconds between two looks
ANSWER = 0.5  # seconds that a process has to write its stacks
MOST = 8000  # characters of all stacks
# Where Python waits, at its end, for threads that are not daemons.
AT_EXIT = re.compile(r'File "[^"]*threading\.py", line \d+ in _shutdown')


@dataclass(frozen=True, kw_only=True)
class Stall:
    """What a stalled run was at, for people."""

    seconds: float  # without any work, or since the submission was last written
    submission: bool  # it had been written
    ending: bool  # the command has ended but for threads
    stacks: str


class StallWatch:
    """Follows one run; `note` is told of each look at its processes."""

    def __init__(self, *, after: float, stacks: Path, submission: str) -> None:
        self._after, self._stacks, self._submission = after, stacks, submission
        self._looked = self._asked = self._worked = 0.0  # seconds after the start
        self._pids: frozenset[int] = frozenset()
        self._cpu = self._bytes = 0.0

    def note(self, processes: Sequence[Process], elapsed: float) -> Stall | None:
        """Return what the run waits for, if it has been waiting for too long."""
        own = [one for one in processes if one.role != "rehearsal"]
        if elapsed - self._looked < EVERY or not own:
            return None
        self._looked = elapsed
        self._note_work(own, elapsed)
        written = _written(own, self._submission)
        if elapsed - self._worked >= self._after:
            return self._stall(own, elapsed - self._worked, written is not None)
        # At work, but with nothing to show for it: only its stacks tell whether it is at its end.
        if written and written >= self._after and elapsed - self._asked >= self._after:
            self._asked = elapsed
            stall = self._stall(own, written, True)
            return stall if stall.ending else None
        return None

    def _note_work(self, own: Sequence[Process], elapsed: float) -> None:
        pids = frozenset(one.pid for one in own)
        cpu, moved = sum(one.cpu_seconds for one in own), sum(map(_moved, pids))
        idle = elapsed - self._worked
        if (
            pids != self._pids
            or cpu - self._cpu > max(IDLE_CPU * idle, 0.1)
            or moved - self._bytes > IDLE_BYTES * max(idle / 60, 1.0)
        ):
            self._worked, self._pids, self._cpu, self._bytes = elapsed, pids, cpu, moved

    def _stall(self, own: Sequence[Process], seconds: float, submission: bool) -> Stall:
        texts = {one: ask(one.pid, self._stacks) for one in own}
        command = [text for one, text in texts.items() if one.role in ("command", "worker")]
        return Stall(
            seconds=seconds,
            submission=submission,
            ending=any(AT_EXIT.search(text) for text in command),
            # The command's first: the others wait for it.
            stacks="\n".join(
                f"process {one.pid}, {sampling.command_line(one.pid).strip()[:200]}:\n{texts[one]}"
                for one in sorted(own, key=lambda one: one.role not in ("command", "worker"))
            )[:MOST],
        )


def ask(pid: int, stacks: Path) -> str:
    """Return the stack of each thread of a process, as it writes them when it is asked to."""
    if STACKS_SIGNAL is None or not _handles(pid, STACKS_SIGNAL):
        return "  it cannot be asked: it is no Python, or one started with -I or -S\n"
    before = stacks.stat().st_size if stacks.exists() else 0
    os.kill(pid, STACKS_SIGNAL)
    end, size = time.monotonic() + ANSWER, before
    while time.monotonic() < end:
        time.sleep(0.05)
        grown = stacks.stat().st_size if stacks.exists() else 0
        if grown == size > before:
            break  # it has written, and writes no more
        size = grown
    with stacks.open("rb") as stream:
        stream.seek(before)
        return stream.read().decode(errors="replace")


def _handles(pid: int, number: int) -> bool:
    """Say whether a process handles a signal, which would end it otherwise (proc(5), SigCgt)."""
    try:
        text = (sampling.PROC / str(pid) / "status").read_text()
        (mask,) = re.findall(r"^SigCgt:\s*([0-9a-f]+)", text, re.MULTILINE)
    except (OSError, ValueError):
        return False
    return bool(int(mask, 16) & 1 << (number - 1))


def _moved(pid: int) -> int:
    """Return the bytes that a process has read and written, whatever it was."""
    try:
        text = (sampling.PROC / str(pid) / "io").read_text()
    except OSError:
        return 0  # it has ended
    fields = dict(line.split(": ") for line in text.splitlines())
    return int(fields["rchar"]) + int(fields["wchar"])


def _written(own: Sequence[Process], path: str) -> float | None:
    """Return how many seconds ago a file of the sandbox was written; None where it is not there."""
    for one in own:
        try:
            # The sandbox's own files, as one of its processes sees them.
            changed = os.stat(f"{sampling.PROC}/{one.pid}/root{path}").st_mtime
            return max(time.time() - changed, 0.0)
        except OSError:
            continue
    return None
