"""The temporary folder of an export: with room for it, and free of what a kill left behind."""

import errno
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bundler.errors import BundlerError
from inference.boot import folders

PREFIX = "rsna-bundle-model-"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def folder(needed: int) -> Iterator[Path]:
    """Yield a new folder, in which about `needed` bytes will be written; it is removed at the end.

    Raises BundlerError where the disk is too full, now or while something is written.
    """
    parent = Path(tempfile.gettempdir())
    free = shutil.disk_usage(parent).free
    if needed > free:
        raise BundlerError(
            f"The export needs about {needed / 1e9:.1f} GB in {parent}, which has "
            f"{free / 1e9:.1f} GB free. {_ADVICE}"
        )
    try:
        with folders.unfinished(parent, PREFIX) as made:
            yield made
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise BundlerError(
            f"The temporary folder {parent} is full: {error.strerror}. Nothing was written. "
            f"{_ADVICE}"
        ) from error


_ADVICE = "Free some space there, or name another folder by the environment variable TMPDIR."
