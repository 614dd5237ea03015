"""Run one command to its end: its output passed on, its signals, its time, nothing left behind."""

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from inference.boot import processes
from inference.errors import RunError, UsageError

FORWARDED = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)
)
GRACE = 10.0  # seconds that the command has to end after a signal or its time limit
POLL = 1.0  # seconds between two looks at memory and clock
TAIL = 8192  # bytes of output that are kept for the error message
DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


class InterruptedByError(RunError):
    """A signal came while nothing was running yet; its number is part of the exit code."""

    def __init__(self, number: int) -> None:
        super().__init__(f"Interrupted by {signal.Signals(number).name}.")
        self.exit_code = 128 + number


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended; a signal counts as 128 and its number, as in a shell."""

    exit_code: int
    signal: int | None  # that ended the command, whoever sent it
    interrupted_by: int | None  # that came from outside and was passed on
    timed_out: bool
    tail: str  # the last of its output: of stderr, or of stdout where that is empty
    leftovers: int  # processes that it left running


class Signals:
    """Passes signals on to the command's process group; before there is one, they are errors."""

    def __init__(self) -> None:
        self.received: int | None = None
        self.group: int | None = None

    @contextlib.contextmanager
    def caught(self) -> Iterator["Signals"]:
        """Catch the signals that end a process while the context lasts."""
        before = {number: signal.signal(number, self._handle) for number in FORWARDED}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def send(self, number: int) -> None:
        """Send a signal to the whole group."""
        if self.group is not None:
            with contextlib.suppress(OSError):
                os.killpg(self.group, number)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.received = self.received or number
        if self.group is None:
            raise InterruptedByError(number)
        self.send(number)


def run(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    working: Path,
    signals: Signals,
    *,
    mark: str,
    limit: float | None,
    watch: Callable[[int], None],
) -> Ended:
    """Run a command in the folder `working` and pass its output on as it comes.

    All its processes carry `mark`; after `limit` seconds it is ended; `watch` is called about every
    second with the bytes of memory that they hold. Raises UsageError where it cannot start.
    """
    process = _start(arguments, {**environment, processes.MARK: mark}, working)
    signals.group = process.pid
    if signals.received:  # it came while the command was being started
        signals.send(signals.received)
    pumps = [Pump(process.stderr, sys.stderr), Pump(process.stdout, sys.stdout)]
    timed_out = _wait(process, signals, limit, watch)
    signals.group = None
    leftovers = _sweep(process.pid, mark)
    for pump in pumps:
        pump.join()
    watch(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * _RSS_UNIT)
    code = process.returncode
    return Ended(
        exit_code=code if code >= 0 else 128 - code,
        signal=-code if code < 0 else None,
        interrupted_by=signals.received,
        timed_out=timed_out,
        tail=next((pump.text for pump in pumps if pump.text.strip()), ""),
        leftovers=leftovers,
    )


_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


def _start(
    arguments: Sequence[str], environment: Mapping[str, str], working: Path
) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(
            arguments,
            env=environment,
            cwd=working,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # a group of its own, which signals reach as a whole
            preexec_fn=_dying_with_parent() if sys.platform == "linux" else None,
        )
    except FileNotFoundError as error:
        raise UsageError(
            f"The command {arguments[0]!r} does not exist: there is no program of that name "
            f"on the PATH, nor a file {arguments[0]} in the tree. Set `run` to a command that the "
            "image or the libs bundle has."
        ) from error
    except OSError as error:
        raise UsageError(
            f"The command {arguments[0]!r} cannot be started: {error.strerror}. Call it by its "
            f'interpreter (`run = "bash {arguments[0]}"`, say).'
        ) from error


def _dying_with_parent() -> Callable[[], None]:
    """Return what lets the kernel end the command where this process is killed itself."""
    prctl = ctypes.CDLL(None).prctl  # looked up here: after a fork as little as can be is done
    return lambda: prctl(DIES_WITH_PARENT, signal.SIGKILL)


def _wait(
    process: "subprocess.Popen[bytes]",
    signals: Signals,
    limit: float | None,
    watch: Callable[[int], None],
) -> bool:
    """Wait for the end; return whether the time limit was what ended it."""
    start = time.monotonic()
    killed_at: float | None = None
    timed_out = False
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(POLL)
            return timed_out
        now = time.monotonic()
        watch(processes.memory(process.pid))
        if limit is not None and now - start >= limit and not timed_out:
            timed_out = True
            signals.send(signal.SIGTERM)
        if killed_at is None and (timed_out or signals.received):
            killed_at = now + GRACE
        if killed_at is not None and now >= killed_at:
            signals.send(signal.SIGKILL)


def _sweep(group: int, mark: str) -> int:
    """End what the command left running, in its group or out of it; return how many there were."""
    left = processes.end_marked(mark)
    with contextlib.suppress(OSError):
        os.killpg(group, signal.SIGKILL)
    return len(left)


class Pump:
    """A thread that passes a stream on, byte for byte, and keeps the last of it."""

    def __init__(self, source: IO[bytes] | None, sink: IO[str]) -> None:
        assert source is not None  # both of the command's streams are pipes
        self._source, self._sink, self._kept = source, sink, b""
        self._thread = threading.Thread(target=self._pass_on, daemon=True)
        self._thread.start()

    @property
    def text(self) -> str:
        """Return the last of what came."""
        return self._kept.decode(errors="replace")

    def join(self) -> None:
        """Wait until all was passed on; who else holds the pipe was ended before."""
        self._thread.join(processes.PATIENCE)

    def _pass_on(self) -> None:
        while chunk := os.read(self._source.fileno(), 1 << 16):
            self._kept = (self._kept + chunk)[-TAIL:]
            with contextlib.suppress(OSError, ValueError):  # nobody listens: read on all the same
                binary = getattr(self._sink, "buffer", None)
                if binary is None:  # a notebook's or a test's stream takes text alone
                    self._sink.write(chunk.decode(errors="replace"))
                else:
                    binary.write(chunk)
                self._sink.flush()
        self._source.close()
