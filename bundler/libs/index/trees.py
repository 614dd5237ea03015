"""A project's folder as one archive: equal files, equal bytes, on every machine."""

import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from bundler import process
from bundler.errors import CommandError, InputError

EPOCH = (1980, 1, 1, 0, 0, 0)  # the first time that a zip can hold
LARGEST = 256 << 20  # bytes of a project's files; more is data that no wheel should hold
# What lies in a project's folder and is none of it, where no .gitignore says so.
ASIDE = {"__pycache__", "build", "dist", "node_modules", "venv"}
ARCHIVAL = ".git_archival.txt"
# These take the version from git's tags; without a repository, from the file ARCHIVAL.
OF_TAGS = re.compile(rb"setuptools[-_]scm|hatch[-_]vcs")


def archive(files: Mapping[str, bytes], path: Path) -> None:
    """Write files as an archive with one folder at its top, as an sdist has it."""
    with zipfile.ZipFile(path, "w") as out:
        # Stored, not deflated: what zlib makes of the same bytes depends on its version.
        for name in sorted(files):
            info = zipfile.ZipInfo(f"project/{name}", EPOCH)
            info.external_attr = 0o644 << 16
            out.writestr(info, files[name], zipfile.ZIP_STORED)


def of_folder(folder: Path) -> dict[str, bytes]:
    """Return the files of a project's folder: of a git repository what git does not ignore.

    Raises InputError where the folder holds more than a project does.
    """
    names = _tracked(folder)
    files: dict[str, bytes] = {}
    size = 0
    for name in sorted(_walked(folder)) if names is None else names:
        path = folder / name
        if not path.is_file():
            continue  # removed, but not yet from git's index; or a submodule
        size += path.stat().st_size
        if size > LARGEST:
            raise InputError(
                f"{folder} holds more than {LARGEST >> 20} MB of files, too much for a package. "
                "Move its data elsewhere, or list them in .gitignore."
            )
        files[name] = path.read_bytes()
    if "pyproject.toml" not in files and "setup.py" not in files:
        raise InputError(f"{folder} is no project: it has neither pyproject.toml nor setup.py.")
    return with_version(files, folder)


def with_version(
    files: dict[str, bytes], repository: Path, commit: str = "HEAD"
) -> dict[str, bytes]:
    """Return a project's files with what git's tags say of its version, if it asks them."""
    if not OF_TAGS.search(files.get("pyproject.toml", b"") + files.get("setup.py", b"")):
        return files
    if b"$Format" not in files.get(ARCHIVAL, b"$Format"):
        return files  # `git archive` has written it
    tags = ["describe", "--tags", "--long", "--match", "*[0-9]*", commit]
    described, node = _git(repository, *tags), _git(repository, "rev-parse", commit)
    if not described or not node:
        return files
    text = f"node: {node.strip()}\ndescribe-name: {described.strip()}\n"
    return {**files, ARCHIVAL: text.encode()}


def _tracked(folder: Path) -> list[str] | None:
    """Return the files that git tracks or would track, None where it knows nothing of them."""
    listed = _git(folder, "ls-files", "-z", "--cached", "--others", "--exclude-standard", ".")
    names = [name for name in (listed or "").split("\0") if name]
    return sorted(set(names)) or None


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        result = process.run(["git", *arguments], cwd=folder, check=False)
    except CommandError:  # git is not installed
        return None
    return result.stdout if result.returncode == 0 else None


def _walked(folder: Path) -> Iterator[str]:
    for top, folders, names in os.walk(folder):
        folders[:] = [
            name
            for name in folders
            if name not in ASIDE and not name.startswith(".") and not name.endswith(".egg-info")
        ]
        for name in names:
            yield (Path(top) / name).relative_to(folder).as_posix()
