"""Progress in a terminal: a clock for the step, bars below it, drawn by rich."""

import atexit
import contextlib
import threading
import time
from collections.abc import Iterator
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as Bars
from rich.table import Column
from rich.text import Text

from bundler.progress import Advance, Progress, elapsed


class TerminalProgress(Progress):
    """One line for each step that ended; a clock and bars for what is under way."""

    def __init__(self, stream: TextIO) -> None:
        # NO_COLOR is rich's to look at; whether this is a terminal was decided by the caller.
        self._console = Console(file=stream, force_terminal=True, highlight=False)
        spinner = "line" if self._console.options.ascii_only else "dots"
        cut = Column(no_wrap=True, overflow="ellipsis")
        text = TextColumn("{task.description}", markup=False, table_column=cut)
        self._steps = Bars(SpinnerColumn(spinner), text, TimeElapsedColumn())
        self._bytes = Bars(
            text, BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()
        )
        self._counts = Bars(text, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._lock = threading.RLock()
        self._live: Live | None = None
        self._step: tuple[TaskID, str, float] | None = None
        atexit.register(self.close)  # a hidden cursor must not outlive the process

    def step(self, text: str) -> None:
        with self._lock:
            self._end_step()
            self._start()
            self._step = self._steps.add_task(text, total=None), text, time.monotonic()

    def note(self, text: str) -> None:
        self._print(Text(text))

    def warn(self, text: str) -> None:
        self._print(Text.assemble(("warning:", "bold yellow"), " ", text))

    def alert(self, text: str) -> None:
        self._print(Text.assemble((f"warning: {text}", "bold red")))

    @contextlib.contextmanager
    def bar(self, text: str, total: int | None, unit: str = "B") -> Iterator[Advance]:
        bars = self._bytes if unit == "B" else self._counts
        began = time.monotonic()
        with self._lock:
            self._start()
            name = text if unit == "B" else f"{text} ({unit})"
            task = bars.add_task(name, total=total)
        try:
            yield lambda count: bars.advance(task, count)
        finally:
            with self._lock:
                bars.remove_task(task)
                self._print(Text(f"{text} ({elapsed(time.monotonic() - began)})"))
                if self._step is None and not (self._bytes.tasks or self._counts.tasks):
                    self._stop()

    def close(self) -> None:
        with self._lock:
            self._end_step()
            self._stop()

    def _print(self, text: Text) -> None:
        # soft_wrap: the terminal breaks long lines, so that a path can still be copied whole.
        with contextlib.suppress(OSError, ValueError):
            self._console.print(text, soft_wrap=True)

    def _end_step(self) -> None:
        if self._step is not None:
            task, text, began = self._step
            self._step = None
            self._steps.remove_task(task)
            self._print(Text(f"{text} ({elapsed(time.monotonic() - began)})"))

    def _start(self) -> None:
        if self._live is None:
            # Standard output belongs to the result: rich must not redirect it to this console.
            self._live = Live(
                Group(self._steps, self._bytes, self._counts),
                console=self._console,
                transient=True,
                redirect_stdout=False,
            )
            self._live.start()

    def _stop(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            live.stop()
