"""What a reference leads to, as one file with a sha256: of a folder or a commit an archive."""

import contextlib
import hashlib
import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from bundler import cache
from bundler.errors import InputError, NetworkError
from bundler.libs.index import repositories, trees, web
from bundler.libs.index.references import Reference
from bundler.progress import SILENT, Progress
from inference.boot import folders

PIECE = 1 << 20
KEPT = 24 * 3600  # seconds that an archive stays which its folder has no longer


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
    location = web.shown(reference.location)
    folder = cache.folder(f"trees/{hashlib.sha256(location.encode()).hexdigest()[:32]}")
    with folders.unfinished(folder, "new-") as scratch:
        partial = scratch / "archive"
        trees.archive(files, partial)
        digest = _digest(partial)
        path = partial.replace(folder / f"{digest}.zip")
    _forget(folder, path)
    return replace(reference, archive=path, sha256=digest)


def _forget(folder: Path, newest: Path) -> None:
    """Remove archives of what a folder held long ago; another run may still use yesterday's."""
    for path in folder.glob("*.zip"):
        with contextlib.suppress(OSError):
            if path != newest and time.time() - path.stat().st_mtime > KEPT:
                path.unlink()


def _downloaded(reference: Reference) -> Reference:
    """Return a reference with the file of its URL, where the cache keeps files by their hash."""
    with folders.unfinished(cache.folder("downloads"), "new-") as scratch:
        partial = scratch / "file"
        with web.opened(reference.location) as stream, partial.open("wb") as sink:
            shutil.copyfileobj(stream, sink, PIECE)
            promised = web.headers_of(stream).get("Content-Length")
        if promised and partial.stat().st_size < int(promised):
            raise NetworkError(
                f"The download of {reference.shown} broke off after {partial.stat().st_size} of "
                f"{promised} bytes."
            )
        digest = _digest(partial)
        path = cache.wheel(digest, reference.filename)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.replace(path)
    return _matching(reference, path, digest)


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
