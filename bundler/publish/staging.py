"""What this machine keeps for an upload: a folder the client can send, and what is unfinished."""

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bundler import atomic, cache
from bundler.publish.client import LostUploadError
from bundler.publish.slugs import Ref
from inference.boot.bundle import Bundle
from inference.boot.manifest import MANIFEST

PROVEN = "proven"  # a file with the id of the version that was read back and listed last


def folder(ref: Ref) -> Path:
    """Return (and make) where this machine keeps what it knows of a dataset."""
    return cache.folder(f"publish/{ref.owner}-{ref.slug}")


def proven_id(ref: Ref) -> str | None:
    """Return the id that this machine has last read back, with every file listed."""
    path = folder(ref) / PROVEN
    return path.read_text(encoding="utf-8") if path.is_file() else None


def remember(ref: Ref, identity: str) -> None:
    """Note that a dataset was seen to hold this bundle whole."""
    atomic.write_text(folder(ref) / PROVEN, identity)


@contextlib.contextmanager
def staged(bundle: Bundle, ref: Ref) -> Iterator[Path]:
    """Yield a folder that the client can upload: the bundle's files, and its metadata beside.

    Its path holds the bundle's id, since the client resumes an upload by a file's path, size and
    time: two bundles must never be taken for one another.
    """
    place = folder(ref) / bundle.id[:16] / "files"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for name in (*(file.shipped for file in bundle.files), MANIFEST):
        source = (bundle.folder / name).resolve()
        try:
            (place / name).symlink_to(source)
        except OSError:  # Windows without the right to
            shutil.copy2(source, place / name)
    metadata = {"id": str(ref), "title": ref.title, "licenses": [{"name": "other"}]}
    (place / "dataset-metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    yield place  # where it fails it stays: the next attempt resumes
    shutil.rmtree(place.parent, ignore_errors=True)


@contextlib.contextmanager
def upload_state(place: Path) -> Iterator[None]:
    """Keep the client's notes on unfinished uploads in a folder of ours.

    They lie in the system's temporary folder otherwise, for all users; and the client never
    recovers from an upload that has expired, unless its note is deleted.
    """
    place.mkdir(parents=True, exist_ok=True)
    before, tempfile.tempdir = tempfile.tempdir, str(place)
    try:
        yield
    except LostUploadError:
        shutil.rmtree(place, ignore_errors=True)
        raise
    finally:
        tempfile.tempdir = before
