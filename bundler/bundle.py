"""Write a bundle: name its files so that Kaggle leaves them alone, and describe them.

The other half, reading, is `inference.boot.bundle`; the schema of both, `inference.boot.manifest`.
"""

import contextlib
import hashlib
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import inference
from bundler import atomic
from bundler.errors import BundlerError, InputError
from bundler.secrets.check import FROM_BUNDLE, check_files
from inference.boot import bundle as reader
from inference.boot.bundle import CHUNK, SHIPPED_SUFFIX, TARS, ZIPS, Bundle
from inference.boot.manifest import MANIFEST, File, Member, Part, compose, kind_of
from inference.errors import BundleError

MOST_FILES = 50  # Kaggle's limit of files at a dataset's top level
# What Kaggle unpacks, by the end of the name (facts: Kaggle: datasets).
UNPACKED = (*ZIPS, *TARS, ".gz", ".bz2", ".xz", ".7z", ".rar", ".pth", ".pt", ".npz", ".egg")


@dataclass(frozen=True, kw_only=True)
class Content:
    """The digest of a file and, where it is an archive, its members."""

    sha256: str
    members: tuple[Member, ...] = ()

    def named(self, name: str) -> Member:
        """Return the content as that of an archive's member."""
        return Member(name=name, sha256=self.sha256, members=self.members)


@dataclass(frozen=True, kw_only=True)
class Built:
    """What a command made: where it lies, its id, how much it is, and whether it is new."""

    bundle: Bundle
    bytes: int
    changed: bool

    def summary(self) -> str:
        """Return one line for people."""
        state = "written" if self.changed else "unchanged"
        return (
            f"{self.bundle.kind} {self.bundle.id[:12]} {state}: {self.bundle.folder} "
            f"({len(self.bundle.files) + 1} files, {self.bytes / 1e6:.1f} MB)"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "kind": self.bundle.kind,
            "id": self.bundle.id,
            "folder": str(self.bundle.folder),
            "files": len(self.bundle.files) + 1,
            "bytes": self.bytes,
            "changed": self.changed,
        }


def write(
    out: Path,
    files: Mapping[str, Path],
    part: Part,
    known: Mapping[str, Content] | None = None,
) -> Built:
    """Write the bundle `out` from `files` (true name → its path), whole or not at all.

    The files are copied. A bundle of the same id that is already in it is left alone, and a
    folder that is no bundle is refused. `known` holds the content of files that need not be read
    to be described: who gives it answers for it, and the system copies such a file without its
    being hashed again.
    """
    kind = kind_of(part)
    if len(files) >= MOST_FILES:
        raise BundlerError(
            f"A {kind} bundle of {len(files)} files is more than Kaggle takes ({MOST_FILES} at "
            "the top level, the manifest among them)."
        )
    check_out(out)
    known = known or {}
    entries = tuple(describe(name, path, known.get(name)) for name, path in sorted(files.items()))
    identity, text = compose(entries, part, inference.__version__)
    check_files({MANIFEST: text.encode()}, f"The manifest of the {kind} bundle", FROM_BUNDLE)
    size = sum(entry.bytes for entry in entries)
    if is_whole(out, identity):
        return Built(bundle=reader.read(out), bytes=size, changed=False)
    try:
        with atomic.new_folder(out) as folder:
            for entry in entries:
                source, target = files[entry.name], folder / entry.shipped
                if entry.name in known:
                    shutil.copyfile(source, target)
                else:
                    _copy(source, target, entry.sha256)
            (folder / MANIFEST).write_text(text, encoding="utf-8")
    except OSError as error:
        raise BundlerError(
            f"The {kind} bundle cannot be written to {out}: {error.strerror}. What it held "
            "before is untouched."
        ) from error
    return Built(bundle=reader.read(out), bytes=size, changed=True)


def check_out(out: Path) -> None:
    """Refuse a folder with files in it that is no bundle: a bundle would replace them."""
    try:
        foreign = out.is_dir() and any(out.iterdir()) and not (out / MANIFEST).is_file()
    except OSError as error:
        raise BundlerError(f"The folder {out} cannot be read: {error.strerror}.") from error
    if foreign:
        raise BundlerError(
            f"{out} holds files and is no bundle; a bundle would replace all of them. "
            "Name another folder with --out, or empty this one yourself."
        )


def check_writable(out: Path) -> None:
    """Raise BundlerError where no bundle can be written at `out`: now, before it is made."""
    parent = next(one for one in (out.absolute().parent, *out.absolute().parents) if one.exists())
    try:
        Path(tempfile.mkdtemp(prefix=f".{out.name}-new-", dir=parent)).rmdir()
    except OSError as error:
        raise BundlerError(
            f"No bundle can be written to {out}: {parent} takes no new files ({error.strerror}). "
            "Name another folder with --out."
        ) from error


def read(folder: Path, kind: str) -> Bundle:
    """Read the manifest of the bundle of this kind in a folder.

    Raises InputError where there is none, or one of another kind, and BundleError for a manifest
    that is damaged or of another format.
    """
    if not (folder / MANIFEST).is_file():
        raise InputError(
            f"There is no {kind} bundle in {folder}. Build it with `rsna-bundle {kind}` first."
        )
    held = reader.read(folder)
    if held.kind != kind:
        raise InputError(
            f"{folder} holds a {held.kind} bundle, not a {kind} bundle. Build it with "
            f"`rsna-bundle {kind}`, or name another folder."
        )
    return held


def is_whole(out: Path, bundle_id: str) -> bool:
    """Say whether the bundle of this id lies at `out`, every file as it should be."""
    try:
        return reader.verify(out).id == bundle_id
    except BundleError:
        return False


def shipped_name(name: str) -> str:
    """Return the name under which a file travels: `.tmp` hides an archive from Kaggle."""
    return name + SHIPPED_SUFFIX if name.lower().endswith(UNPACKED) else name


def describe(name: str, path: Path, known: Content | None = None) -> File:
    """Return a file's entry in the manifest; it is read unless its content is `known`."""
    size = path.stat().st_size
    if known is None:
        with path.open("rb") as stream:
            known = content(name, stream)
    return File(
        name=name,
        shipped=shipped_name(name),
        bytes=size,
        sha256=known.sha256,
        members=known.members,
    )


def content(name: str, stream: IO[bytes]) -> Content:
    """Return the digest of a file and, where it is an archive, of its members in turn."""
    digest = hashlib.sha256()
    while chunk := stream.read(CHUNK):
        digest.update(chunk)
    members: tuple[Member, ...] = ()
    if name.endswith((*ZIPS, *TARS)):
        stream.seek(0)
        # A broken one is not unpacked by an upload either: it travels, and is verified whole.
        with contextlib.suppress(tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error):
            members = tuple(sorted(_members(stream), key=lambda member: member.name))
    return Content(sha256=digest.hexdigest(), members=members)


def _members(stream: IO[bytes]) -> Iterator[Member]:
    """Describe an archive's members; by its content, as an upload does: a .pth.tar may be a zip."""
    if not tarfile.is_tarfile(stream):  # first: a tar that ends with a wheel passes for a zip
        with zipfile.ZipFile(stream) as archive:
            for info in archive.infolist():
                if not info.is_dir():
                    with archive.open(info) as member:
                        yield content(info.filename, member).named(info.filename)
        return
    stream.seek(0)
    with tarfile.open(fileobj=stream) as tar:
        for entry in tar:
            if entry.isfile() and (inner := tar.extractfile(entry)):
                yield content(entry.name, inner).named(entry.name)


def _copy(source: Path, target: Path, sha256: str) -> None:
    digest = hashlib.sha256()
    with source.open("rb") as stream, target.open("wb") as sink:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
            sink.write(chunk)
    if digest.hexdigest() != sha256:
        raise BundlerError(f"{source} changed while it was being bundled; try again.")
