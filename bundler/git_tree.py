"""The files of a git commit, submodules' too; what git leaves out of an archive is named.

`git archive` alone writes an empty folder for a submodule and drops what `.gitattributes` marks
`export-ignore`, without a word; a notebook then lacks files that the laptop has.
"""

import os
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bundler import process
from bundler.errors import CommandError, InputError

FOLDER = "tree"  # in which the archive's members lie
SUBMODULE = "160000"  # the mode of a tree's entry that names a commit of another repository


@dataclass(frozen=True, kw_only=True)
class Tree:
    """What a commit holds, by path with slashes, and what of it could not be had."""

    files: Mapping[str, bytes]
    submodules: Mapping[str, str]  # path → the commit whose files are among `files`
    missing_submodules: tuple[str, ...]  # paths; not checked out here at their commit
    ignored: tuple[str, ...]  # marked export-ignore, so not among `files`


def read(root: Path, tree: str) -> Tree:
    """Return the files of a commit or tree of the repository at `root`. Raises InputError.

    Links become copies of what they point to.
    """
    entries = _entries(root, tree)
    files = _archive(root, tree)
    blobs = {path for path, (mode, _) in entries.items() if mode != SUBMODULE}
    ignored = blobs - files.keys()
    submodules, missing = {}, []
    for path, (mode, commit) in entries.items():
        if mode != SUBMODULE:
            continue
        if not _holds(root / path, commit):
            missing.append(path)
            continue
        part = read(root / path, commit)
        submodules[path] = commit
        submodules |= {f"{path}/{name}": inner for name, inner in part.submodules.items()}
        missing += [f"{path}/{name}" for name in part.missing_submodules]
        ignored |= {f"{path}/{name}" for name in part.ignored}
        files |= {f"{path}/{name}": content for name, content in part.files.items()}
    return Tree(
        files=files,
        submodules=submodules,
        missing_submodules=tuple(missing),
        ignored=tuple(sorted(ignored)),
    )


def git(root: Path, *arguments: str, env: Mapping[str, str] | None = None) -> str:
    """Return what a git command prints. Raises InputError."""
    try:
        return process.run(["git", *arguments], cwd=root, env=env).stdout.strip()
    except CommandError as error:
        raise InputError(f"git refuses in {root}: {error}") from error


def _entries(root: Path, tree: str) -> dict[str, tuple[str, str]]:
    """Return mode and object of each file and submodule by its path."""
    entries = {}
    for line in git(root, "ls-tree", "-r", "-z", "--full-tree", tree).split("\0"):
        if line:
            facts, _, path = line.partition("\t")
            mode, _, name = facts.split(" ")
            entries[path] = (mode, name)
    return entries


def _holds(folder: Path, commit: str) -> bool:
    """Say whether a submodule is checked out, and its repository has the commit."""
    # Without its own .git, git would answer for the repository around it.
    if not (folder / ".git").exists():
        return False
    try:
        process.run(["git", "cat-file", "-e", f"{commit}^{{commit}}"], cwd=folder)
    except CommandError:
        return False
    return True


def _archive(root: Path, tree: str) -> dict[str, bytes]:
    """Return the files of a tree by their path, as `git archive` gives them."""
    # The folder is a member always: Python takes a tar without any for no tar at all.
    prefix = f"--prefix={FOLDER}/"
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "tree.tar"
        git(root, "archive", "--format=tar", prefix, f"--output={path}", tree)
        with tarfile.open(path) as tar:
            members = {member.name.removeprefix(f"{FOLDER}/"): member for member in tar}
            return {
                name: _content(tar, name, members)
                for name, member in members.items()
                if not member.isdir()
            }


def _content(tar: tarfile.TarFile, name: str, members: Mapping[str, tarfile.TarInfo]) -> bytes:
    """Return a file's bytes; a link becomes a copy of what it points to inside the tree."""
    path, seen = name, set()
    while (member := members[path]).issym():
        seen.add(path)
        path = os.path.normpath(os.path.join(os.path.dirname(path), member.linkname))
        if path in seen or path not in members or members[path].isdir():
            raise InputError(
                f"{name} is a link to {member.linkname}, which is no file of the commit; "
                "the notebook would not have it. Commit the file itself instead."
            )
    stream = tar.extractfile(member)
    assert stream is not None  # git archives hold files, folders and links only
    return stream.read()
