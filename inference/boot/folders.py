"""Folders that are being made: locked by their maker, so that what a kill left behind is known.

The standard library only, like all of `boot`.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: nothing is locked there, and nothing is swept
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def unfinished(parent: Path, prefix: str) -> Iterator[Path]:
    """Yield a new, empty folder below `parent`, which is removed at the end unless it was moved.

    Folders of the same prefix whose maker was killed are removed first. Raises OSError.
    """
    parent.mkdir(parents=True, exist_ok=True)
    sweep(parent, prefix)
    folder, handle = _make(parent, prefix)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def sweep(parent: Path, prefix: str) -> None:
    """Remove the folders of this prefix that nobody is making any more."""
    for folder in parent.glob(f"{prefix}*"):
        with contextlib.suppress(OSError):
            handle = os.open(folder, os.O_RDONLY)
            try:
                if _lock(handle, wait=False):
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(handle)


def _make(parent: Path, prefix: str) -> tuple[Path, int]:
    """Make and lock a folder; the lock is the system's, so it ends with the process."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        # Until it is locked another process may sweep it: then another is made.
        try:
            handle = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:
            continue
        _lock(handle, wait=True)
        if folder.exists():
            return folder, handle
        os.close(handle)


def _lock(handle: int, *, wait: bool) -> bool:
    if fcntl is None:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:  # held by its maker, or a file system without locks
        return False
    return True
