"""Ctrl-C and SIGTERM: one line, the shell's exit code, and no work lost."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import ClassVar

CAUGHT = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class Interrupted(BaseException):
    """A signal asks this process to end; no `except Exception` on the way may swallow that."""

    def __init__(self, number: int) -> None:
        super().__init__(f"Interrupted by {signal.Signals(number).name}.")
        self.exit_code = 128 + number  # as a shell has it


class Interrupts:
    """Turns signals into `Interrupted`, but for the moments in which results are written."""

    _waiting: ClassVar[list[int] | None] = None  # signals that came while they are deferred

    def __init__(self) -> None:
        self._held = False

    @contextlib.contextmanager
    def caught(self) -> Iterator["Interrupts"]:
        """Catch the signals while the context lasts."""
        if threading.current_thread() is not threading.main_thread():
            yield self  # only the main thread may say what signals do
            return
        before = {number: signal.signal(number, self._handle) for number in CAUGHT}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def hold(self) -> None:
        """Ignore signals from now on: what is left takes a moment, and half of it is no use."""
        self._held = True

    @classmethod
    @contextlib.contextmanager
    def deferred(cls) -> Iterator[None]:
        """Let signals wait while the context lasts: what is half done would outlive them."""
        before, cls._waiting = cls._waiting, []
        try:
            yield
        finally:
            came, cls._waiting = cls._waiting, before
            if came:
                raise Interrupted(came[0])

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._held:
            return
        if Interrupts._waiting is None:
            raise Interrupted(number)
        Interrupts._waiting.append(number)
