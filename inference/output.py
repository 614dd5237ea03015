"""The submission's two files: their space is held from the start, and they are replaced whole.

The standard library only: whether they can be written is tried before any work is done.
"""

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

from inference.boot.fields import load_json
from inference.errors import RunError
from inference.log import say

try:
    import fcntl
except ImportError:  # Windows: nothing is locked there
    fcntl = None  # type: ignore[assignment]

COMPLETE, PARTIAL, FALLBACKS = "complete", "partial", "fallbacks only"  # states of a submission
OLD = ".old"  # behind the name of a submission that was there before
RESERVING, NEW = ".partial", ".new"  # behind the names of files that are being written
IMAGES = "predictions.csv"  # of each image; no `submission.*`, which might be submitted for it
BLOCK = 1 << 16


class Output:
    """submission.csv and submission.json for the time of a run; a context manager.

    At its start the folder is tried and locked, and an earlier submission is moved out of the way
    (to `submission.csv.old`): what lies there afterwards is of this run. Raises RunError.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.report = path, path.with_suffix(".json")
        self.images = path.with_name(IMAGES)

    def __enter__(self) -> "Output":
        with _explained(self.path):
            if self.path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._csv = Reserved(self.path)
            try:
                self._clear()  # before anything can fail for want of space
                _try_folder(self.path)
                self._json = Reserved(self.report)
            except BaseException:
                self._csv.release()
                raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._csv.release()
        self._json.release()

    def reserve(self, csv_size: int, report_size: int) -> None:
        """Take the space that the files will need, so that a disk which fills up cannot."""
        with _explained(self.path, csv_size + report_size):
            self._csv.allocate(csv_size)
            self._json.allocate(report_size)

    def seed(self, csv: bytes, report: bytes) -> None:
        """Write both files for the time being; the reserved space stays reserved."""
        # The report first: where a kill leaves a seed, it is known for one.
        with _explained(self.path):
            for path, content in ((self.report, report), (self.path, csv)):
                new = path.with_name(path.name + NEW)
                _write(new, content)
                os.replace(new, path)

    def write(self, csv: bytes, report: bytes) -> None:
        """Replace both files for good, submission.csv first.

        Without submission.json the submission counts all the same: then there is a warning.
        """
        with _explained(self.path):
            self._csv.replace(csv)
        self._write_report(report)

    def write_images(self, csv: bytes) -> None:
        """Write what was predicted of each image; the submission counts without it, too."""
        try:
            _write(self.images, csv)
        except OSError as error:
            with contextlib.suppress(OSError):
                self.images.unlink(missing_ok=True)
            say(f"warning: {self.images} cannot be written: {error.strerror}.", error=True)

    def discard(self, report: bytes) -> None:
        """Remove submission.csv, which holds nothing but fallbacks; submission.json says why."""
        with _explained(self.path):
            self.path.unlink(missing_ok=True)
        self._write_report(report)

    def _write_report(self, report: bytes) -> None:
        try:
            self._json.replace(report)
        except OSError as error:
            self.report.unlink(missing_ok=True)  # it would speak of another submission.csv
            say(f"warning: {self.report} cannot be written: {error.strerror}.", error=True)

    def _clear(self) -> None:
        """Move an earlier submission out of the way; fallbacks alone are not worth keeping."""
        for path in (self.path, self.report):
            path.with_name(path.name + NEW).unlink(missing_ok=True)
        if self._is_seed():
            self.path.unlink()
            self.report.unlink(missing_ok=True)
        for path in (self.path, self.report, self.images):
            with contextlib.suppress(FileNotFoundError):
                os.replace(path, path.with_name(path.name + OLD))

    def _is_seed(self) -> bool:
        """Say whether the submission is one of fallbacks that a run which was killed left."""
        try:
            content = load_json(self.report.read_bytes())
            digest = digest_of(self.path.read_bytes())
        except (OSError, ValueError):
            return False
        match content:
            case {"state": str(state), "csv_sha256": str(described)}:
                return state == FALLBACKS and digest == described
        return False


class Reserved:
    """The space of a file to come, in `NAME.partial` beside it, locked by this process."""

    def __init__(self, path: Path) -> None:
        self._path, self._partial = path, path.with_name(path.name + RESERVING)
        self._descriptor: int | None = _lock(self._partial)

    def allocate(self, size: int) -> None:
        """Take so many bytes of the disk. Raises OSError."""
        if self._descriptor is not None:
            _allocate(self._descriptor, size)

    def replace(self, content: bytes) -> None:
        """Write the file into its space, and put it in its place in one rename. Raises OSError."""
        if self._descriptor is None:
            raise OSError(errno.EBADF, "it was written before")
        view, position = memoryview(content), 0
        while position < len(view):  # in place: a file system that is full has these blocks
            position += os.pwrite(self._descriptor, view[position:], position)
        os.ftruncate(self._descriptor, len(view))
        _sync(self._descriptor)
        os.replace(self._partial, self._path)
        os.close(self._descriptor)
        self._descriptor = None
        with contextlib.suppress(OSError):  # not every file system can
            _sync_folder(self._path.parent)

    def release(self) -> None:
        """Give the space back where the file was not written."""
        if self._descriptor is not None:
            self._partial.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None


def digest_of(content: bytes) -> str:
    """Return the sha256 of a file's content."""
    return hashlib.sha256(content).hexdigest()


@contextlib.contextmanager
def _explained(path: Path, size: int = 0) -> Iterator[None]:
    """Raise RunError for an OSError; `size` is how many bytes were asked for."""
    try:
        yield
    except OSError as error:
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        needed = f" ({size / 1e6:.1f} MB are needed)" if is_full and size else ""
        raise RunError(
            f"{path} cannot be written: {error.strerror}{needed}. "
            f"{'Free some space there' if is_full else 'Make the folder writable'}, or name a file "
            "in another folder with --output."
        ) from error


def _try_folder(path: Path) -> None:
    """Write, sync and remove a file beside `path`. Raises OSError."""
    attempt = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _write(attempt, b"\0" * 4096)
    finally:
        attempt.unlink(missing_ok=True)


def _lock(partial: Path) -> int:
    """Open and lock the file. Raises RunError where another run holds it."""
    while True:
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _flock(descriptor, partial)
            # The run that held it may have put it in its place in between: then it is another.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), partial.stat()):
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _flock(descriptor: int, partial: Path) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise RunError(
            f"Another run is writing {partial.with_suffix('')}. Wait for its end, or write to "
            "another folder with --output."
        ) from error
    except OSError:  # a file system without locks
        pass


def _allocate(descriptor: int, size: int) -> None:
    """Give a file its blocks, on the disk and not only in its length. Raises OSError."""
    allocate: Callable[[int, int, int], None] | None = getattr(os, "posix_fallocate", None)
    if allocate is not None:
        try:
            allocate(descriptor, 0, size)
            return
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                raise
    for start in range(0, size, BLOCK):
        os.pwrite(descriptor, b"\0" * min(BLOCK, size - start), start)
    _sync(descriptor)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        _sync(stream.fileno())


def _sync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):  # it has no such thing
            raise


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
