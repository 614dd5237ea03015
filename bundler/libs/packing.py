"""The fifth and the last step, pack and place: how wheels travel, and how a bundle is replaced."""

import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bundler import atomic, bundle, cache
from bundler.bundle import Built, Content
from bundler.errors import BundlerError
from bundler.image.target import Target
from bundler.libs import effects, sbom, secrets
from bundler.libs.checks import Checked
from bundler.libs.index import downloads
from bundler.libs.inputs import Inputs
from bundler.libs.locks import Lock
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
def pack(checked: Sequence[Checked], inputs: Sequence[Inputs]) -> Iterator[Built]:
    """Yield a bundle beside its place, to be tested; unless it is placed, it is removed again.

    Each target has a `Checked` and its `Inputs`; a wheel that several have in common is there once.
    """
    options = inputs[0].options
    options.progress.step("Packing the bundle")
    for one, given in zip(checked, inputs, strict=True):
        secrets.check(one, given)
    bills = {_bill_name(one.lock, checked): sbom.write(one.lock, one.wheels) for one in checked}
    parts = zip(checked, inputs, strict=True)
    manifest = Libs(targets=tuple(part(one.lock, given.target) for one, given in parts))
    out = options.out
    # Beside its place, on the same disk, so that moving it there is one rename.
    with folders.unfinished(out.parent, f".{out.name}-candidate-") as folder:
        with packing(union(checked), bills) as packed:
            built = bundle.write(folder / out.name, packed.files, manifest, packed.known)
        for one in checked:
            check_hashes(built, one.lock)
        yield built


def _bill_name(lock: Lock, checked: Sequence[Checked]) -> str:
    """Return the name of a target's bill of materials: a target's name may be any text."""
    if len(checked) == 1:
        return sbom.NAME
    return f"sbom-{re.sub(r'[^A-Za-z0-9_.-]', '-', lock.target)}.json"


def place(candidate: Built, out: Path) -> Built:
    """Move a bundle that was tested to its place, unless the same lies there already."""
    if bundle.is_whole(out, candidate.bundle.id):
        return replace(candidate, bundle=reader.read(out), changed=False)
    atomic.replace_folder(candidate.bundle.folder, out)
    return replace(candidate, bundle=reader.read(out))


def part(lock: Lock, target: Target) -> LibsTarget:
    """Return what the manifest of a libs bundle says of one target."""
    return LibsTarget(
        name=lock.target,
        digest=lock.target_digest,
        python=target.python,
        glibc=target.glibc,
        image=target.image,
        lock=tuple(pin.line for pin in lock.pins),
        excluded=tuple(f"{item.name}=={item.version}" for item in lock.provided),
        shadowed=tuple(effects.shadowed(target, lock.pins)),
    )


def union(checked: Sequence[Checked]) -> Packing:
    """Return the files of all targets; one of a name that is taken lies in its target's folder.

    Two targets may have different files of one name: wheels that their Pythons built of one sdist.
    """
    files: dict[str, Path] = {}
    known: dict[str, Content] = {}
    digests: dict[str, str] = {}
    for one in checked:
        contents = _known(one)
        pins = {pin.file: pin.sha256 for pin in (*one.lock.pins, *one.lock.build)}
        for file, path in one.files.items():
            taken = digests.setdefault(file, pins[file]) != pins[file]
            name = f"{one.lock.target_digest[:16]}/{file}" if taken else file
            files[name] = path
            if file in contents:
                known[name] = contents[file]
    return Packing(files=files, known=known)


@contextmanager
def packing(wheels: Packing, bills: Mapping[str, str]) -> Iterator[Packing]:
    """Yield the files as they travel: many wheels in one archive, of equal bytes each time."""
    files, known = wheels.files, wheels.known
    with cache.scratch("packing") as folder:
        texts = {name: folder / name for name in bills}
        for name, path in texts.items():
            path.write_text(bills[name], encoding="utf-8")
        # A dataset is flat, so what lies in a folder travels in the archive, too.
        if len(files) + len(bills) <= MOST_WHEELS + 1 and not any("/" in name for name in files):
            yield Packing(files={**files, **texts}, known=known)
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
        yield Packing(files={WHEELS_ARCHIVE: archive, **texts}, known=whole)


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
