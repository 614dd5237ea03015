"""Progress: what a command is doing, and since when. Always on standard error.

A terminal gets a clock and bars (`bundler.cli.terminal`), a pipe gets plain lines, `--quiet` gets
nothing; the command line chooses. Standard output is left to the result, so that `--json` can be
piped into a parser.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TextIO

HEARTBEAT = 30.0  # seconds without a line after which a pipe is told that the work goes on

Advance = Callable[[int], None]


class Progress:
    """Says nothing; what does speak overrides these methods. May be used by several threads."""

    def step(self, text: str) -> None:
        """Begin a step, which lasts until the next one begins."""

    def note(self, text: str) -> None:
        """Print something that the user should know."""

    def warn(self, text: str) -> None:
        """Print something that may go wrong later."""

    def alert(self, text: str) -> None:
        """Print something that is wrong as far as one can tell; in red on a terminal."""
        self.warn(text)

    @contextlib.contextmanager
    def bar(self, text: str, total: int | None, unit: str = "B") -> Iterator[Advance]:
        """Yield a function that takes how many more units are done; unit "B" is bytes."""
        yield lambda count: None

    def close(self) -> None:
        """End the last step, before something else is written to the terminal."""


SILENT = Progress()


def amount(count: int, unit: str) -> str:
    """Return a number of units as text: "3.1 MB", "12 files"."""
    if unit != "B":
        return f"{count} {unit}"
    return f"{count / 1e6:.1f} MB" if count < 1e9 else f"{count / 1e9:.2f} GB"


def elapsed(seconds: float) -> str:
    """Return a duration as text: "4.2 s", "3 min 20 s", "1 h 05 min"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


@dataclass(kw_only=True)
class _Work:
    """A step or a bar that has not ended."""

    text: str
    began: float
    total: int | None = None
    unit: str | None = None  # None: a step
    done: int = 0

    def line(self, now: float) -> str:
        """Return the line that shows that it goes on."""
        share = ""
        if self.unit is not None:
            of = f" of {amount(self.total, self.unit)}" if self.total else ""
            share = f"{amount(self.done, self.unit)}{of}, "
        return f"{self.text}: {share}{elapsed(now - self.began)} so far"


class LineProgress(Progress):
    """Plain lines, for a pipe or a log: one for each step, and a heartbeat in long silence."""

    def __init__(self, stream: TextIO, heartbeat: float = HEARTBEAT) -> None:
        self._stream, self._heartbeat = stream, heartbeat
        self._lock = threading.Lock()
        self._step: _Work | None = None
        self._bars: list[_Work] = []
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def step(self, text: str) -> None:
        self._print(text)
        with self._lock:
            self._step = _Work(text=text, began=time.monotonic())
        self._watch()

    def note(self, text: str) -> None:
        self._print(text)

    def warn(self, text: str) -> None:
        self._print(f"warning: {text}")

    @contextlib.contextmanager
    def bar(self, text: str, total: int | None, unit: str = "B") -> Iterator[Advance]:
        work = _Work(text=text, began=time.monotonic(), total=total, unit=unit)
        self._print(f"{text} ({amount(total, unit)})" if total else text)
        with self._lock:
            self._bars.append(work)
        self._watch()

        def advance(count: int) -> None:
            with self._lock:
                work.done += count

        try:
            yield advance
        finally:
            with self._lock:
                self._bars.remove(work)

    def close(self) -> None:
        self._closed.set()
        thread, self._thread = self._thread, None
        if thread:
            thread.join()
        self._step = None

    def _print(self, text: str) -> None:
        # A reader that has gone away (`2>&1 | head`) must not end the work.
        with self._lock, contextlib.suppress(OSError, ValueError):
            print(text, file=self._stream, flush=True)

    def _watch(self) -> None:
        with self._lock:
            if self._thread is None:
                self._closed.clear()
                self._thread = threading.Thread(target=self._beat, daemon=True)
                self._thread.start()

    def _beat(self) -> None:
        while not self._closed.wait(self._heartbeat):
            with self._lock:
                # A bar knows more than the step that it belongs to.
                works = self._bars or [work for work in (self._step,) if work]
                lines = [work.line(time.monotonic()) for work in works]
            for line in lines:
                self._print(line)
