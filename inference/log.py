"""One way to print: the standard library only."""

import contextlib
import os
import sys


def say(text: str, *, error: bool = False, end: str = "\n") -> None:
    """Print a line; a log that cannot be written (full disk, no reader) does not end the run."""
    try:
        print(text, file=sys.stderr if error else sys.stdout, end=end, flush=True)
    except (OSError, ValueError):
        settle()  # what stays in the buffer would fail where workers start: they flush it, too


def settle() -> None:
    """Flush both streams; what cannot be written is dropped, so that Python does not fail by it.

    Its own flush at the very end would turn the exit code into 120.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
