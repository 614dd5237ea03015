"""Write files and folders whole or not at all: a kill leaves the old one or the new one."""

import ctypes
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inference.boot import folders

AT_FDCWD = -100  # <fcntl.h>: paths are relative to the working folder
RENAME_EXCHANGE = 2  # <linux/fs.h>
RENAME_SWAP = 2  # <sys/stdio.h> on macOS


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path`; where the block ends well it is moved there.

    The folder that was there before is exchanged in one step where the system can (Linux,
    macOS), so that at each moment one whole folder lies at `path`. What a run that was killed
    left half-written beside it is removed. Raises OSError.
    """
    with folders.unfinished(path.parent, f".{path.name}-new-") as building:
        building.chmod(0o755)  # mkdtemp's 0700 would keep a notebook server's user out
        yield building
        replace_folder(building, path)


def replace_folder(new: Path, path: Path) -> None:
    """Move the folder `new` to `path`; the old folder, if any, ends at `new`."""
    try:  # without asking first: another process may put its folder there at this moment
        new.rename(path)
        return
    except OSError:
        if not path.exists():
            raise
    if not _exchange(new, path):
        old = Path(tempfile.mkdtemp(prefix=f".{path.name}-old-", dir=path.parent))
        path.rename(old)  # between these two lines `path` is absent: never half
        new.rename(path)
        old.rename(new)


def _exchange(one: Path, other: Path) -> bool:
    paths = os.fsencode(one), os.fsencode(other)
    if sys.platform == "win32":
        return False
    libc = ctypes.CDLL(None)
    if sys.platform == "darwin" and hasattr(libc, "renamex_np"):
        return bool(libc.renamex_np(*paths, RENAME_SWAP) == 0)
    if hasattr(libc, "renameat2"):
        done = libc.renameat2(AT_FDCWD, paths[0], AT_FDCWD, paths[1], RENAME_EXCHANGE)
        return bool(done == 0)
    return False


def write_text(path: Path, text: str) -> None:
    """Write a text file in one rename; one that was there keeps its mode. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o644
    handle, partial = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        os.chmod(partial, mode)
        os.replace(partial, path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path` while the block runs; another process waits for it to end.

    The system frees the lock of a process that dies. On Windows nothing is locked.
    """
    with path.open("ab") as stream:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def link_or_copy(source: Path, target: Path) -> None:
    """Put a file at a second path, without copying it where that is possible."""
    try:
        os.link(source.resolve(), target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
