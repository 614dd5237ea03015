"""Looks into folders of any size: a few entries of each are read, never a whole listing."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath

from bundler.errors import InputError

ENTRIES = 200  # read of one folder at most; a listing of 800,000 takes minutes on mounted storage


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One name in a folder."""

    name: str
    is_folder: bool

    @property
    def suffix(self) -> str:
        """Return the suffix of a file, with all its parts (.nii.gz); "" for a folder."""
        if self.is_folder:
            return ""
        last = PurePosixPath(self.name).suffix
        inner = PurePosixPath(self.name[: -len(last)]).suffix if last in (".gz", ".zip") else ""
        return inner + last

    @property
    def stem(self) -> str:
        """Return the name without its suffix."""
        return self.name[: len(self.name) - len(self.suffix)]


@dataclass(kw_only=True)
class Listing:
    """A competition's folder, and how much of it was read."""

    root: Path
    entries_read: int = 0
    _folders: dict[str, tuple[Entry, ...]] = field(default_factory=dict)

    def entries(self, folder: str = "") -> tuple[Entry, ...]:
        """Return some entries of a folder below the root, sorted by name; () if it is none."""
        if folder not in self._folders:
            try:
                self._folders[folder] = tuple(sorted(self._read(folder), key=lambda e: e.name))
            except NotADirectoryError:
                self._folders[folder] = ()
            except FileNotFoundError:
                self._folders[folder] = ()
            except OSError as error:
                raise InputError(
                    f"{self.root / folder} cannot be listed: {error.strerror}."
                ) from error
        return self._folders[folder]

    def is_whole(self, folder: str) -> bool:
        """Say whether all entries of a folder were read."""
        return len(self.entries(folder)) < ENTRIES

    def exists(self, path: str) -> bool:
        """Say whether a file or folder lies at a path below the root."""
        return os.path.exists(self.root / path)

    def _read(self, folder: str) -> Iterator[Entry]:
        with os.scandir(self.root / folder) as scan:
            for entry in islice(scan, ENTRIES):
                self.entries_read += 1
                if not entry.name.startswith("."):
                    yield Entry(name=entry.name, is_folder=entry.is_dir())


def join(*parts: str) -> str:
    """Join the parts of a path below the root."""
    return "/".join(part for part in parts if part)
