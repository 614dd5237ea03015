"""A model bundle of files on the notebook: every byte verified, every file under its true name.

Files that travel alone are linked to where the dataset is mounted, so that 20 GB of weights take
no space of the notebook's; volumes, tars of small files, are unpacked. Verifying and restoring is
one pass in threads. The standard library only: nothing is installed yet.
"""

import functools
import os
import shutil
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from inference.boot import bundle as bundles
from inference.boot import folders, parallel
from inference.boot.bundle import Bundle
from inference.boot.manifest import File, Member, ModelFiles
from inference.boot.parallel import Meter
from inference.errors import BundleError, InputError

PREFIX = ".model-"  # of folders that are not finished
SWAPS = 3  # times that a damaged folder is replaced, should another process do so, too


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What a bundle of files holds: those that travel alone, the volumes, the empty folders."""

    alone: tuple[File, ...]
    volumes: tuple[File, ...]
    folders: tuple[str, ...]

    @property
    def files(self) -> Mapping[str, Member]:
        """Return the user's files by their true name."""
        members = [*self.alone, *(member for volume in self.volumes for member in volume.members)]
        return {member.name: member for member in members}

    @property
    def every_folder(self) -> set[str]:
        """Return the folders that a restored bundle has, those between included."""
        named = [*self.folders, *(str(PurePosixPath(name).parent) for name in self.files)]
        paths = [PurePosixPath(name) for name in named]
        return {str(folder) for path in paths for folder in (path, *path.parents)} - {"."}


def restore(bundle: Bundle, scratch: Path) -> Path:
    """Return a folder that holds a model bundle's files under their true names, verified.

    A folder that an earlier start restored is verified anew and used again. Of an ONNX bundle,
    whose names are their own, it is the bundle's folder. Raises BundleError, and InputError where
    the scratch folder is too small.
    """
    if not isinstance(bundle.manifest.part, ModelFiles):
        return bundles.verify(bundle.folder).folder
    held = contents(bundle)
    target = place(bundle, scratch)
    total = sum(file.bytes for file in bundle.files)
    meter = Meter(parallel.lines(total, "verifying the model"))
    if is_restored(target, held):
        return target
    check_space(held, scratch)
    try:
        with folders.unfinished(scratch, PREFIX) as folder:
            notes = _restore_into(folder / "files", bundle, held, meter)
            _put_in_place(folder / "files", target, held)
    except OSError as error:
        raise InputError(
            f"The model's files cannot be restored to {scratch}: {error.strerror or error}. "
            f"{_unpacked(held) / 1e6:.1f} MB are unpacked there; free some space, or name another "
            "folder with --scratch."
        ) from error
    print(*notes, _summary(bundle, held, meter), sep="\n", flush=True)
    return target


def place(bundle: Bundle, scratch: Path) -> Path:
    """Return where a model bundle's files lie, or will lie, under their true names."""
    if not isinstance(bundle.manifest.part, ModelFiles):
        return bundle.folder
    return scratch.absolute() / f"model-{bundle.id[:16]}"


def contents(bundle: Bundle) -> Contents:
    """Return what a bundle of files holds. Raises BundleError where its names clash."""
    part = bundle.manifest.part
    assert isinstance(part, ModelFiles)
    volumes = tuple(file for file in bundle.files if file.name in part.volumes)
    alone = tuple(file for file in bundle.files if file.name not in part.volumes)
    if len(volumes) != len(part.volumes):
        raise BundleError(f"{bundle.folder}: a volume that it names is none of its files.")
    held = Contents(alone=alone, volumes=volumes, folders=part.folders)
    count = len(alone) + sum(len(volume.members) for volume in volumes)
    if len(held.files) != count or held.files.keys() & held.every_folder:
        raise BundleError(
            f"The manifest in {bundle.folder} gives two files one name, or a file the name of a "
            "folder. Build the bundle again with `rsna-bundle model --files`."
        )
    return held


def is_restored(target: Path, held: Contents) -> bool:
    """Say whether a folder holds exactly a bundle's files and folders, with the right bytes."""
    if target.is_symlink() or not target.is_dir():
        return False
    files, inner = set(), set()
    for folder, names, others in os.walk(target):
        place = Path(folder).relative_to(target)
        inner |= {(place / name).as_posix() for name in names}
        files |= {(place / name).as_posix() for name in others}
    if files != held.files.keys() or inner != held.every_folder:
        return False
    meter = Meter()
    jobs = [
        functools.partial(_verify, target / name, member, meter)
        for name, member in held.files.items()
    ]
    try:
        parallel.run(jobs, meter)
    except (BundleError, OSError):
        return False
    return True


def check_space(held: Contents, scratch: Path) -> None:
    """Raise InputError where what is unpacked does not fit the scratch folder."""
    scratch.mkdir(parents=True, exist_ok=True)
    needed, free = _unpacked(held), shutil.disk_usage(scratch).free
    if needed > free:
        raise InputError(
            f"The model's small files take {needed / 1e9:.1f} GB in {scratch}, which has "
            f"{free / 1e9:.1f} GB free. Name another folder with --scratch, or bundle fewer files: "
            "only the 40 largest are linked and take no space."
        )


# --- the steps ---


def _restore_into(folder: Path, bundle: Bundle, held: Contents, meter: Meter) -> list[str]:
    """Link and unpack everything below `folder`; return notes on what an upload had changed."""
    folder.mkdir()
    for name in sorted(held.every_folder):
        (folder / name).mkdir()
    jobs: list[Callable[[], str | None]] = [
        functools.partial(_unpack, bundle.folder, volume, folder, meter) for volume in held.volumes
    ]
    # The largest first: no thread should begin with it when the others are done.
    for file in sorted(held.alone, key=lambda file: -file.bytes):
        jobs.append(functools.partial(_link, bundle.folder, file, folder, meter))
    return [note for note in parallel.run(jobs, meter) if note]


def _link(root: Path, file: File, folder: Path, meter: Meter) -> str | None:
    """Verify a file that travelled alone and link it to its true name."""
    source, target = bundles.locate(root.absolute(), file), folder / file.name
    if source.is_dir():
        packed = folder.with_name("packed") / file.shipped  # beside, so that no name is taken
        bundles.restore_file(source, file, packed).path.rename(target)
        meter.advance(file.bytes)
        return (
            f"note: the upload unpacked {file.shipped}; it was packed again as {file.name}: the "
            "same members, in another archive."
        )
    _verify(source, file, meter)
    _symlink(source, target)
    return None


def _symlink(source: Path, target: Path) -> None:
    try:
        target.symlink_to(source)
    except OSError:  # a file system without links
        shutil.copyfile(source, target)


def _verify(path: Path, member: Member, meter: Meter) -> None:
    with path.open("rb") as stream:
        bundles.check_content(stream, member, path, advance=meter.advance)


def _unpack(root: Path, volume: File, folder: Path, meter: Meter) -> None:
    """Write the members of a volume below `folder`, each verified on its way."""
    source = bundles.locate(root.absolute(), volume)
    if source.is_dir():  # the upload unpacked it: link what lies there
        for member in volume.members:
            path = bundles.locate(source, member)
            if path.is_dir():
                raise BundleError(
                    f"{path} is a folder: the upload unpacked the archive {member.name}, which "
                    "cannot be restored byte for byte. Upload the bundle again."
                )
            _verify(path, member, meter)
            _symlink(path, folder / member.name)
        return
    try:
        with tarfile.open(source, "r:") as tar:
            _extract(tar, source, volume, folder, meter)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise BundleError(
            f"{source} was altered: it is not the volume that the manifest describes ({error}). "
            "Build and upload the bundle again."
        ) from error


def _extract(tar: tarfile.TarFile, source: Path, volume: File, folder: Path, meter: Meter) -> None:
    # The names are the manifest's, which were checked; the tar's are only looked up in them.
    wanted = {member.name: member for member in volume.members}
    for entry in tar:
        member = wanted.pop(entry.name, None)
        stream = tar.extractfile(entry) if entry.isreg() else None
        if member is None or stream is None:
            raise BundleError(
                f"{source} was altered: it holds {entry.name!r}, which the manifest does not list "
                "there. Build and upload the bundle again."
            )
        label = Path(f"{source}/{member.name}")
        with (folder / member.name).open("xb") as sink:
            bundles.check_content(stream, member, label, sink, meter.advance)
    if wanted:
        raise BundleError(
            f"{source} was altered: it lacks {min(wanted)} and {len(wanted) - 1} other files. "
            "Build and upload the bundle again."
        )


def _put_in_place(folder: Path, target: Path, held: Contents) -> None:
    """Move what was restored to its place, where another process may do the same."""
    for _ in range(SWAPS):
        try:
            folder.rename(target)
            return
        except OSError:
            if not target.is_symlink() and not target.exists():
                raise
        if is_restored(target, held):
            return  # another start was faster
        _remove(target)
    folder.rename(target)


def _remove(target: Path) -> None:
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    else:
        target.unlink()


def _unpacked(held: Contents) -> int:
    return sum(volume.bytes for volume in held.volumes)


def _summary(bundle: Bundle, held: Contents, meter: Meter) -> str:
    members = sum(len(volume.members) for volume in held.volumes)
    return (
        f"model {bundle.id[:12]}: verified {meter.throughput()} in {parallel.default_threads()} "
        f"threads; {len(held.alone)} files linked, {members} unpacked "
        f"({_unpacked(held) / 1e6:.1f} MB of scratch)"
    )
