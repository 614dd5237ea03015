"""What this machine keeps for an upload: a folder the client can send, and unfinished uploads."""

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bundler import atomic, cache
from bundler.publish.failures import LostUploadError
from bundler.publish.slugs import Ref
from inference.boot.bundle import Bundle
from inference.boot.manifest import MANIFEST

VERIFIED = "proven"  # the file with the id of the version that was verified last


def folder(ref: Ref) -> Path:
    """Return (and make) where this machine keeps what it knows of a dataset."""
    return cache.folder(f"publish/{ref.owner}-{ref.slug}")


def verified_id(ref: Ref) -> str | None:
    """Return the id that this machine verified last: read back, with every file listed."""
    path = folder(ref) / VERIFIED
    return path.read_text(encoding="utf-8") if path.is_file() else None


def remember(ref: Ref, identity: str) -> None:
    """Record that a dataset holds this bundle, verified."""
    atomic.write_text(folder(ref) / VERIFIED, identity)


@contextlib.contextmanager
def staged(bundle: Bundle, ref: Ref) -> Iterator[Path]:
    """Yield a folder that the client can upload: the bundle's files, and its metadata beside.

    Its path contains the bundle's id: the client recognizes an unfinished upload by a file's path,
    size and time, and must never continue one bundle's upload with another's file.
    """
    files = folder(ref) / bundle.id[:16] / "files"
    shutil.rmtree(files, ignore_errors=True)
    files.mkdir(parents=True)
    for name in (*(file.shipped for file in bundle.files), MANIFEST):
        source = (bundle.folder / name).resolve()
        try:
            (files / name).symlink_to(source)
        except OSError:  # Windows, without the right to make links
            shutil.copy2(source, files / name)
    metadata = {"id": str(ref), "title": ref.title, "licenses": [{"name": "other"}]}
    (files / "dataset-metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    yield files  # after a failure the folder stays, so that the next attempt resumes
    shutil.rmtree(files.parent, ignore_errors=True)


@contextlib.contextmanager
def upload_state(state: Path) -> Iterator[None]:
    """Keep the client's records of unfinished uploads in a folder of ours.

    Otherwise they lie in the system's temporary folder, shared by all users; and the client never
    recovers from an upload that has expired unless its record is deleted.
    """
    state.mkdir(parents=True, exist_ok=True)
    before, tempfile.tempdir = tempfile.tempdir, str(state)
    try:
        yield
    except LostUploadError:
        shutil.rmtree(state, ignore_errors=True)
        raise
    finally:
        tempfile.tempdir = before
