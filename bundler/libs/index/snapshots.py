"""What a reference leads to, as one file with a sha256: of a folder or a commit an archive."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bundler import cache
from bundler.errors import InputError, NetworkError
from bundler.libs.index import repositories, trees, web
from bundler.libs.index.references import Reference
from bundler.progress import SILENT, Progress

PIECE = 1 << 20


def local(reference: Reference) -> Reference:
    """Return a reference to this machine's own file or folder with its archive.

    Raises InputError where there is no project, or another file than its sha256 says.
    """
    path = reference.path
    assert path is not None
    if reference.is_folder:
        return _archived(reference, trees.of_folder(path / reference.subdirectory))
    return _matching(reference, path, _digest(path))


def take(reference: Reference, progress: Progress = SILENT) -> Reference:
    """Return any reference with its archive, fetched where it is not on this machine.

    Of a repository the commit is taken that the reference has, else the one that its revision is
    now. Raises NetworkError, InputError.
    """
    if reference.archive is not None:
        return reference
    if reference.path is not None:
        return local(reference)
    progress.step(f"Fetching {reference.shown}")
    if not reference.is_git:
        return _downloaded(reference)
    commit = reference.commit or repositories.commit_of(reference)
    files = repositories.files(reference, commit)
    return replace(_archived(reference, files), commit=commit)


def _archived(reference: Reference, files: Mapping[str, bytes]) -> Reference:
    """Return a reference with an archive of files in the cache, named by its content."""
    with _new(cache.folder("trees")) as partial:
        trees.archive(files, partial)
        digest = _digest(partial)
        path = partial.replace(partial.with_name(f"{digest}.zip"))
    return replace(reference, archive=path, sha256=digest)


def _downloaded(reference: Reference) -> Reference:
    """Return a reference with the file of its URL in the cache."""
    with _new(cache.folder("downloads")) as partial:
        with web.opened(reference.location) as stream, partial.open("wb") as sink:
            shutil.copyfileobj(stream, sink, PIECE)
            promised = web.headers_of(stream).get("Content-Length")
        if promised and partial.stat().st_size < int(promised):
            raise NetworkError(
                f"The download of {reference.shown} broke off after {partial.stat().st_size} of "
                f"{promised} bytes."
            )
        digest = _digest(partial)
        folder = cache.folder(f"downloads/{digest}")  # its name says what it is: it stays
        path = partial.replace(folder / reference.filename)
    return _matching(reference, path, digest)


@contextmanager
def _new(folder: Path) -> Iterator[Path]:
    """Yield the path of an empty file in a folder, which is removed unless it was renamed."""
    handle, name = tempfile.mkstemp(prefix="new-", dir=folder)
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _matching(reference: Reference, path: Path, digest: str) -> Reference:
    if reference.sha256 not in ("", digest):
        raise InputError(
            f"{reference.shown} has the sha256 {digest}, not the one that is required of it "
            f"({reference.sha256[:12]}…). Require the right file, or its new sha256."
        )
    return replace(reference, archive=path, sha256=digest)
