"""A rehearsal's surroundings: one at a time, a folder of its own, nothing left when it ends."""

import contextlib
import fcntl
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from bundler.errors import CheckError


@contextlib.contextmanager
def only_one(out: Path) -> Iterator[None]:
    """Let one rehearsal at a time write to `out`; raise CheckError where another does."""
    out.parent.mkdir(parents=True, exist_ok=True)
    path = out.parent / f".{out.name}.lock"
    with _locked(path, out) as stream:
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        try:
            yield
        finally:
            # While it is still locked, so that nobody can hold a file that is about to vanish.
            path.unlink(missing_ok=True)


def _locked(path: Path, out: Path) -> TextIO:
    """Open and lock a file; the system frees the lock of a process that dies."""
    while True:
        stream = path.open("a+")
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Its last holder may have removed it since it was opened: then a third process could
            # make and lock a new one beside this one.
            if _is_at(path, stream):
                return stream
        except BlockingIOError:
            stream.seek(0)
            holder = stream.read().strip() or "unknown"
            stream.close()
            raise CheckError(
                f"Another rehearsal for {out} is running (process {holder}). Wait until it has "
                "ended, or name another folder with --out."
            ) from None
        stream.close()


def _is_at(path: Path, stream: TextIO) -> bool:
    try:
        return os.path.samestat(os.fstat(stream.fileno()), path.stat())
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def work_folder(out: Path) -> Iterator[Path]:
    """Yield an empty folder beside `out`, and remove it at the end.

    Removes first what a killed rehearsal left; `only_one` must be held, so that nobody uses it.
    """
    for leftover in out.parent.glob(f".{out.name}-work-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}-work-", dir=out.parent.resolve()))
    folder.chmod(0o755)  # mkdtemp's 0700 would keep the sandbox's user out
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Turn a polite request to end into KeyboardInterrupt, so that all is cleaned up."""

    # By default SIGTERM ends Python at once: no `finally` runs, and the sandbox's folders stay.
    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread, which then has to see to it
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
