"""The user's cache folder: wheels by their hash, and pages of indexes. Safe to delete."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from inference.boot import folders


def folder(part: str = "") -> Path:
    """Return (and make) a part of the cache; `RSNA_BUNDLE_CACHE` names another folder."""
    path = root() / part
    path.mkdir(parents=True, exist_ok=True)
    return path


def root() -> Path:
    """Return where the cache lies on this system."""
    if own := os.environ.get("RSNA_BUNDLE_CACHE"):
        return Path(own).absolute()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "rsna-bundle"


def wheel(sha256: str, name: str) -> Path:
    """Return where a file of this hash is kept."""
    return folder("files") / sha256[:2] / sha256 / name


@contextlib.contextmanager
def scratch(purpose: str) -> Iterator[Path]:
    """Yield an empty folder among the system's temporary files, and remove it at the end.

    What runs of the same purpose left that were killed is removed first.
    """
    with folders.unfinished(Path(tempfile.gettempdir()), f"rsna-bundle-{purpose}-") as folder:
        yield folder
