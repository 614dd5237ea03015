"""The fifth and the last step, pack and place: how wheels travel, and how a bundle is replaced."""

import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bundler import atomic, bundle, cache
from bundler.bundle import Built, Content
from bundler.errors import BundlerError
from bundler.image.target import Target
from bundler.libs import effects, sbom
from bundler.libs.checks import Checked
from bundler.libs.index import downloads
from bundler.libs.inputs import Inputs
from bundler.libs.locks import Lock
from bundler.secrets.check import FROM_WHEELS, check_paths
from inference.boot import bundle as reader
from inference.boot import folders
from inference.boot.install import WHEELS_ARCHIVE
from inference.boot.manifest import Libs, LibsTarget

MOST_WHEELS = 45  # more travel in one archive: Kaggle takes 50 files


@dataclass(frozen=True, kw_only=True)
class Packing:
    """The files of a bundle as they travel, and what is known of their content."""

    files: dict[str, Path]
    known: dict[str, Content]


@contextmanager
def pack(checked: Checked, inputs: Inputs) -> Iterator[Built]:
    """Yield a bundle beside its place, to be tested; unless it is placed, it is removed again."""
    inputs.options.progress.step("Packing the bundle")
    lock, files = checked.lock, checked.files
    check_packages(checked, inputs)
    bill = sbom.write(lock, checked.wheels)
    out = inputs.options.out
    # Beside its place, on the same disk, so that moving it there is one rename.
    with folders.unfinished(out.parent, f".{out.name}-candidate-") as folder:
        with packing(files, bill, _known(checked)) as packed:
            manifest = part(lock, inputs.target)
            built = bundle.write(folder / out.name, packed.files, manifest, packed.known)
        check_hashes(built, lock)
        yield built


def check_packages(checked: Checked, inputs: Inputs) -> None:
    """Raise InputError for this machine's credentials in a package, or a secret in one's own.

    A package of an index is public, with the keys that its tests may have; what comes from a
    folder of links or was built here is somebody's own.
    """
    folders = [Path(link.removeprefix("file://")) for link in inputs.sources.links]
    own = {
        pin.file
        for pin in (*checked.lock.pins, *checked.lock.build)
        if pin.built_from or any((folder / pin.file).is_file() for folder in folders)
    }
    for by_rules in (True, False):
        files = {name: path for name, path in checked.files.items() if (name in own) == by_rules}
        where, progress = "The wheels", inputs.options.progress
        check_paths(files, where, FROM_WHEELS, progress, by_rules=by_rules)


def place(candidate: Built, out: Path) -> Built:
    """Move a bundle that was tested to its place, unless the same lies there already."""
    if bundle.is_whole(out, candidate.bundle.id):
        return replace(candidate, bundle=reader.read(out), changed=False)
    atomic.replace_folder(candidate.bundle.folder, out)
    return replace(candidate, bundle=reader.read(out))


def part(lock: Lock, target: Target) -> Libs:
    """Return what the manifest of a libs bundle says."""
    one = LibsTarget(
        name=lock.target,
        digest=lock.target_digest,
        python=target.python,
        lock=tuple(pin.line for pin in lock.pins),
        excluded=tuple(f"{item.name}=={item.version}" for item in lock.provided),
        shadowed=tuple(effects.shadowed(target, lock.pins)),
    )
    return Libs(targets=(one,))


@contextmanager
def packing(files: Mapping[str, Path], bill: str, known: dict[str, Content]) -> Iterator[Packing]:
    """Yield the files as they travel: many wheels in one archive, of equal bytes each time."""
    with cache.scratch("packing") as folder:
        bill_path = folder / sbom.NAME
        bill_path.write_text(bill, encoding="utf-8")
        if len(files) <= MOST_WHEELS:
            yield Packing(files={**files, sbom.NAME: bill_path}, known=known)
            return
        archive = folder / WHEELS_ARCHIVE
        with tarfile.open(archive, "w", format=tarfile.USTAR_FORMAT) as tar:
            for name, path in sorted(files.items()):
                entry = tarfile.TarInfo(name)
                entry.size = path.stat().st_size
                with path.open("rb") as stream:
                    tar.addfile(entry, stream)
        members = tuple(known[name].named(name) for name in sorted(files) if name in known)
        content = Content(sha256=downloads.digest(archive), members=members)
        whole = {WHEELS_ARCHIVE: content} if len(members) == len(files) else {}
        yield Packing(files={WHEELS_ARCHIVE: archive, sbom.NAME: bill_path}, known=whole)


def _known(checked: Checked) -> dict[str, Content]:
    """Return what the manifest says of each wheel; sdists are read when they are bundled."""
    digests = {pin.file: pin.sha256 for pin in (*checked.lock.pins, *checked.lock.build)}
    return {
        wheel.path.name: Content(sha256=digests[wheel.path.name], members=wheel.members)
        for wheel in checked.wheels
    }


def check_hashes(built: Built, lock: Lock) -> None:
    """Check that what was bundled is what was locked. Raises BundlerError.

    The cache's files were verified before they were copied; here, that nobody touched them since.
    """
    entries = [entry for file in built.bundle.files for entry in (file, *file.members)]
    digests = {entry.sha256 for entry in entries}
    for pin in (*lock.pins, *lock.build):
        if pin.sha256 not in digests or downloads.cached(pin) is None:
            raise BundlerError(
                f"{pin.file} was changed in the cache ({cache.root()}) while it was being bundled. "
                "Run `rsna-bundle libs` again; it downloads the file anew."
            )
