"""Files on a disk or in a bucket, by one set of names: a local path, or any fsspec URL.

Whole or absent: a local file is written under another name, flushed to the disk and renamed; a
bucket's objects are whole by nature.
"""

from __future__ import annotations

import os
from pathlib import Path

from train.errors import StorageError


def write_atomically(path: Path, content: bytes | memoryview) -> None:
    """Write a file that appears under its name only when it is whole and on the disk.

    Whatever was there stays if anything fails. Raises StorageError when the disk refuses.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        raise StorageError(
            f"{path} could not be written: {error}. What was there before is untouched. "
            "Free some space and run the same command again: it goes on where it stopped."
        ) from error
    finally:
        beside.unlink(missing_ok=True)


def is_remote(location: str | Path) -> bool:
    """Return whether a location is a URL rather than a path."""
    return "://" in str(location) and not str(location).startswith("file://")


def local(location: str | Path) -> Path:
    """Return the path of a local location."""
    return Path(str(location).removeprefix("file://"))


def write(location: str, content: bytes) -> None:
    """Write a whole file to a path or a URL."""
    if not is_remote(location):
        write_atomically(local(location), content)
        return
    import fsspec

    filesystem, path = fsspec.core.url_to_fs(location)
    filesystem.pipe_file(path, content)


def read(location: str) -> bytes:
    """Read a whole file from a path or a URL; FileNotFoundError if it is absent."""
    if not is_remote(location):
        return local(location).read_bytes()
    import fsspec

    filesystem, path = fsspec.core.url_to_fs(location)
    content = filesystem.cat_file(path)
    assert isinstance(content, bytes)
    return content


def names(location: str) -> set[str]:
    """Return the names of the files directly in a folder or below a URL; none if it is absent."""
    if not is_remote(location):
        folder = local(location)
        return {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    import fsspec

    filesystem, path = fsspec.core.url_to_fs(location)
    try:
        listed = filesystem.ls(path, detail=False, refresh=True)
    except FileNotFoundError:
        return set()
    return {str(name).rstrip("/").rsplit("/", 1)[-1] for name in listed}


def fetch(url: str, folder: Path) -> None:
    """Copy the files of a bucket's folder that `folder` lacks."""
    for name in sorted(names(url) - names(str(folder))):
        try:
            write_atomically(folder / name, read(f"{url.rstrip('/')}/{name}"))
        except (IsADirectoryError, FileNotFoundError):
            continue  # a folder: of a cache only its contact sheets, which nothing reads
