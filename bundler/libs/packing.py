"""Files → bundle: how a wheelhouse travels, and how it takes its place."""

import shutil
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bundler import atomic, bundle, cache
from bundler.bundle import Built, Content
from bundler.errors import BundlerError
from bundler.libs import sbom, wheels
from bundler.libs.index import downloads
from bundler.libs.locks import Lock
from inference.boot import bundle as reader
from inference.boot.install import WHEELS_ARCHIVE

STALE = 6 * 3600  # seconds; no run takes as long
MOST_WHEELS = 45  # more travel in one archive: Kaggle takes 50 files


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """The files of a bundle, and what is known of their content."""

    files: dict[str, Path]
    known: dict[str, Content]


def known(lock: Lock, files: Mapping[str, Path]) -> dict[str, Content]:
    """Return what the manifest says of each wheel; sdists are read when they are bundled."""
    pins = [pin for pin in (*lock.pins, *lock.build) if pin.file.endswith(".whl")]
    return {pin.file: wheels.content(files[pin.file], pin.sha256) for pin in pins}


@contextmanager
def parcel(files: Mapping[str, Path], bill: str, known: dict[str, Content]) -> Iterator[Parcel]:
    """Yield the files as they travel: many wheels in one archive, of equal bytes each time."""
    with tempfile.TemporaryDirectory(prefix="rsna-bundle-") as folder:
        bill_path = Path(folder) / sbom.NAME
        bill_path.write_text(bill, encoding="utf-8")
        if len(files) <= MOST_WHEELS:
            yield Parcel(files={**files, sbom.NAME: bill_path}, known=known)
            return
        archive = Path(folder) / WHEELS_ARCHIVE
        with tarfile.open(archive, "w", format=tarfile.USTAR_FORMAT) as tar:
            for name, path in sorted(files.items()):
                entry = tarfile.TarInfo(name)
                entry.size = path.stat().st_size
                with path.open("rb") as stream:
                    tar.addfile(entry, stream)
        members = tuple(known[name].named(name) for name in sorted(files) if name in known)
        content = Content(sha256=downloads.digest(archive), members=members)
        whole = {WHEELS_ARCHIVE: content} if len(members) == len(files) else {}
        yield Parcel(files={WHEELS_ARCHIVE: archive, sbom.NAME: bill_path}, known=whole)


@contextmanager
def candidate(out: Path) -> Iterator[Path]:
    """Yield a place beside `out` for a bundle that is yet to be tried."""
    out.parent.mkdir(parents=True, exist_ok=True)
    for left in out.parent.glob(f".{out.name}-*"):  # by a run that was killed
        if time.time() - left.stat().st_mtime > STALE:
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as folder:
        yield Path(folder) / out.name


def check_hashes(made: Built, lock: Lock) -> None:
    """Check that what was bundled is what was locked. Raises BundlerError.

    The cache's files were verified before they were copied; here, that nobody touched them since.
    """
    held = [part for file in made.bundle.files for part in (file, *file.members)]
    digests = {file.sha256 for file in held}
    for pin in (*lock.pins, *lock.build):
        if pin.sha256 not in digests or downloads.cached(pin) is None:
            raise BundlerError(
                f"{pin.file} was changed in the cache ({cache.root()}) while it was being bundled. "
                "Run `rsna-bundle libs` again: what is wrong there is fetched anew."
            )


def put_in_place(made: Built, out: Path) -> Built:
    """Move a bundle that was tried to its place, unless the same lies there already."""
    if bundle.is_whole(out, made.bundle.id):
        return replace(made, bundle=reader.read(out), changed=False)
    atomic.replace_folder(made.bundle.folder, out)
    return replace(made, bundle=reader.read(out))
