"""A bundle: read, verified, and restored under its files' true names.

Kaggle unpacks archives that are uploaded, so a bundle ships `x.whl` as `x.whl.tmp`; where the
content was looked at and unpacked all the same, the file's members are accepted instead. The
notebook's first cell carries this source, so that nothing unverified is ever executed: it
needs the standard library, `manifest` (with `card` and `fields`) and `errors` only.
"""

import gzip
import hashlib
import os
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, TypeVar

from inference.boot.manifest import (
    MANIFEST,
    MANIFEST_LIMIT,
    Cache,
    Code,
    File,
    Kind,
    Libs,
    Manifest,
    Member,
    Model,
    ModelFiles,
    Part,
)
from inference.boot.parsing import parse
from inference.errors import BundleError

SHIPPED_SUFFIX = ".tmp"
ZIPS = (".whl", ".zip")
TARS = (".tar", ".tar.gz", ".tgz")
ZIPPED = (".pth", ".pt", ".npz", ".egg")  # zips by their content, which an upload may unpack, too
THREADS = 2 * (os.cpu_count() or 1)  # mounted storage is slow to respond, so more than the cores
CHUNK = 1 << 20
Wanted = TypeVar("Wanted", bound=Part)


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A manifest that was read, and the folder it was read from."""

    folder: Path
    manifest: Manifest

    @property
    def kind(self) -> Kind:
        """Return the kind of bundle."""
        return self.manifest.kind

    @property
    def id(self) -> str:
        """Return the digest of all that the bundle holds."""
        return self.manifest.id

    @property
    def files(self) -> tuple[File, ...]:
        """Return the files that the manifest lists."""
        return self.manifest.files

    @property
    def libs(self) -> Libs:
        """Return what a libs bundle says of itself. Raises BundleError for another kind."""
        return self._part(Libs, "libs")

    @property
    def model(self) -> Model:
        """Return what a bundle of ONNX models says of itself. Raises BundleError for another."""
        if isinstance(self.manifest.part, ModelFiles):
            raise BundleError(
                f"{self.folder} holds a model bundle of files (`rsna-bundle model --files`), which "
                "inference.run cannot read. Set `run` to the command that reads them, or export "
                "checkpoints with `rsna-bundle model --ckpt`."
            )
        return self._part(Model, "model")

    @property
    def code(self) -> Code:
        """Return what a code bundle says of itself. Raises BundleError for another kind."""
        return self._part(Code, "code")

    @property
    def cache(self) -> Cache:
        """Return what a cache bundle says of itself. Raises BundleError for another kind."""
        return self._part(Cache, "cache")

    def _part(self, wanted: type[Wanted], kind: Kind) -> Wanted:
        if not isinstance(self.manifest.part, wanted):
            raise BundleError(
                f"{self.folder} holds a {self.kind} bundle, not a {kind} bundle. Name another "
                "folder."
            )
        return self.manifest.part

    def path(self, name: str) -> Path:
        """Return where the file of this true name lies (it is verified elsewhere)."""
        for file in self.files:
            if file.name == name:
                return self.folder / file.shipped
        raise BundleError(f"The {self.kind} bundle in {self.folder} has no {name}; build it again.")


@dataclass(frozen=True, kw_only=True)
class Restored:
    """A file under its true name; `sha256` differs from the manifest's where it was re-packed."""

    file: Member
    path: Path
    sha256: str


def read(folder: str | Path) -> Bundle:
    """Read a folder's manifest and check its format, fields and id, but not yet its files."""
    path = Path(folder) / MANIFEST
    try:
        if path.stat().st_size > MANIFEST_LIMIT:
            raise BundleError(f"{path} is larger than any manifest; build the bundle again.")
        content = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}.") from error
    return Bundle(folder=path.parent, manifest=parse(content, path))


# --- verifying and restoring ---


def verify(folder: str | Path) -> Bundle:
    """Check every file of a bundle against its manifest, unpacked archives included."""
    bundle = read(folder)
    located = [(locate(bundle.folder, file), file) for file in bundle.files]
    with ThreadPoolExecutor(THREADS) as pool:
        jobs = [pool.submit(_verify, path, file) for path, file in located]
        try:
            for job in jobs:
                job.result()
        finally:
            pool.shutdown(cancel_futures=True)
    return bundle


def restore(bundle: Bundle, destination: Path) -> list[Restored]:
    """Copy a bundle's files under their true names, each verified on its way.

    An archive that an upload unpacked is packed again, once all its members are verified.
    """
    destination.mkdir(parents=True, exist_ok=True)
    return [
        restore_file(locate(bundle.folder, file), file, destination / file.name)
        for file in bundle.files
    ]


def locate(root: Path, file: Member) -> Path:
    """Return the file in `root`, or the folder that an upload made of it."""
    for name in file.names:
        if (root / name).is_file():
            return root / name
    if file.members:
        for folder in (*_member_folders(root, file), *_flat_folders(root, file)):
            if folder.is_dir() and all(_exists(folder, member) for member in file.members):
                return folder
    raise BundleError(
        f"{root / file.names[0]} is missing (and was not found unpacked either). "
        "Upload the bundle again, and wait until Kaggle lists all its files."
    )


def _member_folders(root: Path, file: Member) -> Iterator[Path]:
    """Yield where an upload may have unpacked an archive: in a folder of its name, or in two."""
    flat = file.names[0].removesuffix(SHIPPED_SUFFIX)
    stems = [flat]
    for suffix in (*ZIPS, *sorted(TARS, key=len, reverse=True), *ZIPPED):
        stems.append(stems[-1].removesuffix(suffix))  # of a .pth.tar one ending may go, or both
    names = dict.fromkeys((*file.names, *stems))
    for name in names:
        yield root / name
        for inner in names:
            # An archive in a folder of the tree: the folder is above both, not between them.
            yield root / name / Path(inner).name


def _flat_folders(root: Path, file: Member) -> tuple[Path, Path]:
    """Return where an upload may have unpacked an archive without a folder: beside it, or above."""
    return (root / file.name).parent, root


def _exists(folder: Path, member: Member) -> bool:
    if (folder / member.name).is_file():
        return True
    if not member.members:
        return False
    if any(folder.is_dir() for folder in _member_folders(folder, member)):
        return True
    return any(
        all(_exists(folder, inner) for inner in member.members)
        for folder in _flat_folders(folder, member)
    )


def _verify(path: Path, file: Member) -> None:
    if path.is_dir():
        for member in file.members:
            _verify(locate(path, member), member)
        return
    with path.open("rb") as stream:
        check_content(stream, file, path)


def restore_file(source: Path, file: Member, target: Path) -> Restored:
    """Copy one file to its true name, verified; pack it again where an upload unpacked it."""
    partial = target.with_name(target.name + ".partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        _repack(source, file, partial)
        with partial.open("rb") as packed:
            sha256 = hashlib.file_digest(packed, "sha256").hexdigest()
    else:
        with source.open("rb") as stream, partial.open("wb") as sink:
            sha256 = check_content(stream, file, source, sink)
    partial.replace(target)
    return Restored(file=file, path=target, sha256=sha256)


def check_content(
    stream: IO[bytes],
    file: Member,
    path: Path,
    copy: BinaryIO | None = None,
    advance: Callable[[int], None] = lambda count: None,
) -> str:
    """Read a file to its end and return its digest. Raises BundleError where it was altered.

    What is read is written to `copy`, too; `advance` takes the size of each piece.
    """
    digest, size = hashlib.sha256(), 0
    while chunk := stream.read(CHUNK):
        digest.update(chunk)
        size += len(chunk)
        if copy:
            copy.write(chunk)
        advance(len(chunk))
    expected = file.bytes if isinstance(file, File) else size
    if digest.hexdigest() != file.sha256 or size != expected:
        raise BundleError(
            f"{path} was altered: it has {size} bytes and sha256 {digest.hexdigest()[:12]}…, the "
            f"manifest says {expected} bytes and "
            f"{file.sha256[:12]}…. Build and upload the bundle again."
        )
    return digest.hexdigest()


def _repack(folder: Path, file: Member, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        parts = [
            restore_file(locate(folder, member), member, Path(scratch) / member.name)
            for member in file.members
        ]
        if file.name.endswith(TARS):
            with tarfile.open(target, "w:gz" if file.name.endswith("gz") else "w") as tar:
                for part in parts:
                    tar.add(part.path, part.file.name)
            return
        with zipfile.ZipFile(target, "w") as archive:
            for part in parts:
                archive.write(part.path, part.file.name)


def code_folder(code: Bundle, scratch: Path) -> Path:
    """Return where the tree and the runner of a code bundle are, or will be, unpacked."""
    return scratch / f"code-{code.id[:16]}"


def unpack_code(code: Bundle, scratch: Path) -> Path:
    """Restore a code bundle; return the folder that holds `tree` and `runner`, side by side.

    They are never merged: the user's tree may have an `inference` of its own. Each archive's
    members lie in a folder of its name, so that even an upload that unpacks both into one folder
    leaves them apart.
    """
    folder = code_folder(code, scratch)
    with tempfile.TemporaryDirectory(prefix=".code-", dir=scratch) as temporary:
        parts = restore(code, Path(temporary) / "archives")
        whole = Path(temporary) / "whole"
        whole.mkdir()
        for part in parts:
            name = part.path.name.removesuffix(".zip")
            unpacked = unpack(part.path, Path(temporary) / name)
            if not (unpacked / name).is_dir():
                raise BundleError(
                    f"{code.folder}: {part.path.name} holds no folder {name}. Build the bundle "
                    "again with this version: `rsna-bundle code`."
                )
            (unpacked / name).replace(whole / name)
        shutil.rmtree(folder, ignore_errors=True)
        whole.replace(folder)
    return folder


def unpack(archive: Path, destination: Path) -> Path:
    """Unpack a verified zip or tar into `destination`, which appears whole or not at all."""
    partial = Path(tempfile.mkdtemp(prefix=".unpack-", dir=destination.parent))
    try:
        if archive.name.endswith(ZIPS):
            with zipfile.ZipFile(archive) as source:
                source.extractall(partial)
        else:
            with tarfile.open(archive) as tar:
                tar.extractall(partial, filter="data")
        shutil.rmtree(destination, ignore_errors=True)
        partial.replace(destination)
    except (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, EOFError) as error:
        raise BundleError(f"{archive} cannot be unpacked: {error}.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return destination
