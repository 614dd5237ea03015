"""A rehearsal's surroundings: one at a time, a folder of its own, nothing left when it ends."""

import contextlib
import fcntl
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bundler.errors import CheckError


@contextlib.contextmanager
def only_one(out: Path) -> Iterator[None]:
    """Let one rehearsal at a time write to `out`; raise CheckError where another does."""
    out.parent.mkdir(parents=True, exist_ok=True)
    path = out.parent / f".{out.name}.lock"
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise CheckError(
                f"Another rehearsal for {out} is running (process {holder}). Wait until it has "
                "ended, or name another folder with --out."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


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
