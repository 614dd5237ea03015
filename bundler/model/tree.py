"""The files and folders that the user named → what is bundled, each under its name in the bundle.

Each PATH keeps its own name: `results/nnUNet` and `best.pth` become `nnUNet/…` and `best.pth`.
Links are followed, as Hugging Face's cache is made of them: what travels is what they point to.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bundler.errors import InputError
from inference.boot.manifest import check_name

HEAD = 512  # bytes that show what a file is: a tar's sign stands at its 257th


@dataclass(frozen=True, kw_only=True)
class Stamp:
    """What shows that a file was written to, without its being read."""

    bytes: int
    modified: int  # nanoseconds
    inode: int


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """A file as it lies on the laptop."""

    name: str  # in the bundle, with its folders
    path: Path
    stamp: Stamp


@dataclass(frozen=True, kw_only=True)
class Tree:
    """What is bundled: files by name, folders that hold nothing, and the paths they come from."""

    files: tuple[SourceFile, ...]
    folders: tuple[str, ...]
    roots: tuple[Path, ...]

    @property
    def bytes(self) -> int:
        """Return the size of all files."""
        return sum(file.stamp.bytes for file in self.files)


def scan(paths: Sequence[Path]) -> Tree:
    """Return what lies at `paths`, sorted by name. Raises InputError for what cannot travel."""
    roots = [Path(os.path.abspath(path)) for path in paths]
    _check_apart(roots)
    files: list[SourceFile] = []
    folders: list[str] = []
    for root in roots:
        for entry in _walk(root, root.name, frozenset()):
            if isinstance(entry, SourceFile):
                files.append(entry)
            else:
                folders.append(entry)
    if not files:
        raise InputError(f"{', '.join(map(str, paths))} holds no file, so there is no model in it.")
    return Tree(
        files=tuple(sorted(files, key=lambda file: file.name)),
        folders=tuple(sorted(folders)),
        roots=tuple(roots),
    )


def stamp(status: os.stat_result) -> Stamp:
    """Return what a file's status says of its having been written to."""
    return Stamp(bytes=status.st_size, modified=status.st_mtime_ns, inode=status.st_ino)


def _check_apart(roots: Sequence[Path]) -> None:
    known: dict[str, Path] = {}
    for root in roots:
        if not root.name:
            raise InputError(f"{root} has no name that it could keep. Name files or folders in it.")
        other = known.setdefault(root.name, root)
        if other == root and other is not root:
            raise InputError(f"{root} is named twice. Name it once.")
        if other is not root:
            raise InputError(
                f"{other} and {root} would both be {root.name} in the bundle. Rename one, or name "
                "the folders that they lie in."
            )


def _walk(path: Path, name: str, above: frozenset[tuple[int, int]]) -> Iterator[SourceFile | str]:
    """Yield the files at and below `path`, and the names of empty folders.

    `above` are the folders that lead to it, by device and inode: a link to one never ends.
    """
    _check_name(path, name)
    try:
        status = path.stat()
        if stat.S_ISREG(status.st_mode):
            _check_readable(path)
            yield SourceFile(name=name, path=path, stamp=stamp(status))
            return
        if not stat.S_ISDIR(status.st_mode):
            raise InputError(
                f"{path} is neither a file nor a folder, but {_kind(status.st_mode)}, which cannot "
                "be bundled. Remove it, or name the files beside it one by one."
            )
        itself = (status.st_dev, status.st_ino)
        if itself in above:
            raise InputError(f"{path} is a link to a folder that it lies in. Remove the link.")
        inner = sorted(os.listdir(path))
    except OSError as error:
        raise InputError(_why_not(path, error)) from error
    if not inner:
        yield name
    for child in inner:
        yield from _walk(path / child, f"{name}/{child}", above | {itself})


def _check_name(path: Path, name: str) -> None:
    try:
        check_name(name)
        name.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"The name of {str(path)!r} is not UTF-8, so a manifest cannot hold it. Rename it."
        ) from error
    except ValueError as error:
        raise InputError(
            f"{str(path)!r} cannot keep its name in a bundle ({error}): control characters, line "
            "breaks and backslashes do not travel safely. Rename it."
        ) from error


def _check_readable(path: Path) -> None:
    with path.open("rb"):
        pass


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return kinds.get(stat.S_IFMT(mode), "something else")


def _why_not(path: Path, error: OSError) -> str:
    if path.is_symlink() and not path.exists():
        return (
            f"{path} is a link to {os.readlink(path)}, which does not exist. Remove the link, or "
            "restore the file."
        )
    if isinstance(error, FileNotFoundError):
        return f"{path} does not exist."
    return f"{path} cannot be read: {error.strerror}. Change its permissions, or leave it out."
