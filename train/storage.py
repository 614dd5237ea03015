"""Files on a disk or in a bucket, by one set of names: a local path, or any fsspec URL.

Whole or absent: a local file is written beside its place, flushed to the disk and renamed; a
bucket's objects are whole by nature.
"""

from __future__ import annotations

import os
from pathlib import Path

from train.errors import StorageError


def write_atomically(path: Path, content: bytes | memoryview) -> None:
    """Write a file that takes its place only when it is whole and on the disk.

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
            f"{path} could not be written: {error}. What was there before is untouched; "
            "free some space and start again with the same command, which goes on."
        ) from error
    finally:
        beside.unlink(missing_ok=True)


def is_remote(place: str | Path) -> bool:
    """Tell whether a place is a URL rather than a path."""
    return "://" in str(place) and not str(place).startswith("file://")


def local(place: str | Path) -> Path:
    """Return the path of a local place."""
    return Path(str(place).removeprefix("file://"))


def write(place: str, content: bytes) -> None:
    """Write a whole file to a path or a URL."""
    if not is_remote(place):
        write_atomically(local(place), content)
        return
    import fsspec

    filesystem, path = fsspec.core.url_to_fs(place)
    filesystem.pipe_file(path, content)


def read(place: str) -> bytes:
    """Read a whole file from a path or a URL; FileNotFoundError where there is none."""
    if not is_remote(place):
        return local(place).read_bytes()
    import fsspec

    filesystem, path = fsspec.core.url_to_fs(place)
    content = filesystem.cat_file(path)
    assert isinstance(content, bytes)
    return content


def names(place: str) -> set[str]:
    """Return the names of the files directly in a folder or below a URL; none if it is absent."""
    if not is_remote(place):
        folder = local(place)
        return {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    import fsspec

    filesystem, path = fsspec.core.url_to_fs(place)
    try:
        found = filesystem.ls(path, detail=False, refresh=True)
    except FileNotFoundError:
        return set()
    return {str(name).rstrip("/").rsplit("/", 1)[-1] for name in found}


def fetch(url: str, folder: Path) -> None:
    """Copy the files of a bucket's folder that `folder` lacks."""
    for name in sorted(names(url) - names(str(folder))):
        try:
            write_atomically(folder / name, read(f"{url.rstrip('/')}/{name}"))
        except (IsADirectoryError, FileNotFoundError):
            continue  # a folder within: a cache has only its contact sheets there
