"""Files → a bundle's folder, in threads: each is read once, hashed and written on its way.

They are copied, never hard-linked: training that writes to the same file later would change the
bundle, too. Where the file system can clone (btrfs, XFS, ZFS), a clone costs neither time nor
space, and is hashed afterwards; so what was hashed is always what lies in the bundle.
"""

import functools
import hashlib
import lzma
import os
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from bundler.errors import BundlerError
from bundler.model.tree import SourceFile, stamp
from bundler.model.volumes import Alone, Layout, Volume, is_archive
from inference.boot import parallel
from inference.boot.bundle import CHUNK, TARS
from inference.boot.manifest import File, Member
from inference.boot.parallel import Meter

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

FICLONE = 0x40049409  # <linux/fs.h>: let one file share another's blocks until one is written to
ZIPPED = 10  # times its size that an archive's members may have, or 1 GB, to be listed
MOST_MEMBERS = 10_000  # of an archive that are listed
FILE_MODE = 0o644
UNREADABLE = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError),
    *(ValueError, RuntimeError),  # a name that leaves the folder; an archive with a password
)


def write(layout: Layout, folder: Path, meter: Meter) -> tuple[File, ...]:
    """Write all files of a bundle to `folder` and describe them, sorted by name.

    Raises BundlerError for a file that changes meanwhile, OSError where the folder cannot hold it.
    """
    jobs: list[Callable[[], File]] = [
        functools.partial(_write_volume, volume, folder, meter) for volume in layout.volumes
    ]
    for one in sorted(layout.alone, key=lambda one: -one.file.stamp.bytes):
        jobs.append(functools.partial(_write_alone, one, folder, meter))
    return tuple(sorted(parallel.run(jobs, meter), key=lambda file: file.name))


def digests(files: Sequence[SourceFile], advance: Callable[[int], None]) -> dict[str, str]:
    """Return the sha256 of each file by its name, without writing anything."""
    meter = Meter(advance)
    jobs = [functools.partial(_digest, file, meter) for file in files]
    return dict(zip((file.name for file in files), parallel.run(jobs, meter), strict=True))


def _digest(file: SourceFile, meter: Meter) -> str:
    with _opened(file) as stream:
        return _read(file, stream, meter)


# --- a file by itself ---


def _write_alone(one: Alone, folder: Path, meter: Meter) -> File:
    target = folder / one.shipped
    with _opened(one.file) as stream, target.open("w+b") as sink:
        cloned = _clone(stream, sink)
        digest = _read(one.file, sink if cloned else stream, meter, None if cloned else sink)
        _check_unchanged(one.file, stream)
    target.chmod(FILE_MODE)
    return File(
        name=one.file.name,
        shipped=one.shipped,
        sha256=digest,
        bytes=one.file.stamp.bytes,
        members=members(target, one.file.name),
    )


def can_clone(file: SourceFile, folder: Path) -> bool:
    """Say whether a copy of a file in `folder` takes no space, since it shares the file's."""
    with file.path.open("rb") as source, tempfile.TemporaryFile(dir=folder) as target:
        return _clone(source, target)


def _clone(source: IO[bytes], target: IO[bytes]) -> bool:
    if fcntl is None or not hasattr(os, "copy_file_range"):  # Linux alone has this call
        return False
    try:
        fcntl.ioctl(target.fileno(), FICLONE, source.fileno())
    except OSError:  # another file system, or one that cannot
        return False
    return True


def members(path: Path, name: str) -> tuple[Member, ...]:
    """Return what lies in an archive, by which it is known should an upload unpack it.

    Nothing of a broken, encrypted or hostile archive, which travels as any other file and must
    arrive whole.
    """
    if not is_archive(path):
        return ()
    try:
        listed = _zip_members(path) if zipfile.is_zipfile(path) else _tar_members(path, name)
    except UNREADABLE:
        return ()
    unique = {member.name: member for member in listed}
    return tuple(unique[key] for key in sorted(unique)) if len(unique) == len(listed) else ()


def _zip_members(path: Path) -> list[Member]:
    with zipfile.ZipFile(path) as archive:
        infos = [info for info in archive.infolist() if not info.is_dir()]
        _check_size(path, [info.file_size for info in infos])
        return [Member(name=i.filename, sha256=_sum(archive.open(i))) for i in infos]


def _tar_members(path: Path, name: str) -> list[Member]:
    if not name.lower().endswith(TARS):
        return []
    with tarfile.open(path) as tar:
        infos = [info for info in tar if info.isfile()]
        _check_size(path, [info.size for info in infos])
        streams = ((info.name, tar.extractfile(info)) for info in infos)
        return [Member(name=inner, sha256=_sum(stream)) for inner, stream in streams if stream]


def _check_size(path: Path, sizes: Sequence[int]) -> None:
    if len(sizes) > MOST_MEMBERS or sum(sizes) > max(10**9, ZIPPED * path.stat().st_size):
        raise ValueError("too many, or too large")


def _sum(stream: IO[bytes]) -> str:
    digest = hashlib.sha256()
    with stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


# --- volumes ---


class _Hashed:
    """A file that is hashed as it is written."""

    def __init__(self, sink: IO[bytes]) -> None:
        self._sink, self._digest, self.bytes = sink, hashlib.sha256(), 0

    def write(self, data: bytes) -> None:
        self._digest.update(data)
        self.bytes += len(data)
        self._sink.write(data)

    def pad(self, block: int) -> None:
        """Fill the last block with zeros."""
        self.write(b"\0" * (-self.bytes % block))

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


def _write_volume(volume: Volume, folder: Path, meter: Meter) -> File:
    """Write small files as a tar of equal bytes each time: fixed times, owners and modes."""
    target = folder / volume.shipped
    with target.open("wb") as sink:
        tar = _Hashed(sink)
        listed = tuple(_add(tar, file, meter) for file in volume.files)
        tar.write(b"\0" * 2 * tarfile.BLOCKSIZE)  # how a tar ends
        tar.pad(tarfile.RECORDSIZE)
    target.chmod(FILE_MODE)
    return File(
        name=volume.name,
        shipped=volume.shipped,
        sha256=tar.hexdigest(),
        bytes=tar.bytes,
        members=listed,
    )


def _add(tar: _Hashed, file: SourceFile, meter: Meter) -> Member:
    """Append a file to a tar; by hand, so that it is read once, and hashed on its way."""
    info = tarfile.TarInfo(file.name)
    info.size, info.mode = file.stamp.bytes, FILE_MODE
    with _opened(file) as stream:
        tar.write(info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict"))
        digest = _read(file, stream, meter, tar)
        _check_unchanged(file, stream)
    tar.pad(tarfile.BLOCKSIZE)
    return Member(name=file.name, sha256=digest)


# --- reading ---


def _opened(file: SourceFile) -> IO[bytes]:
    try:
        stream = file.path.open("rb")
    except OSError as error:  # it was there, and readable, when the tree was listed
        raise _changed(file) from error
    try:
        _check_unchanged(file, stream)
    except BundlerError:
        stream.close()
        raise
    return stream


def _read(
    file: SourceFile, stream: IO[bytes], meter: Meter, sink: IO[bytes] | _Hashed | None = None
) -> str:
    """Read a file to its end, write it to `sink`, and return its digest."""
    digest, size = hashlib.sha256(), 0
    while chunk := stream.read(CHUNK):
        size += len(chunk)
        if size > file.stamp.bytes:
            break  # it grows: endlessly, if it is a log
        digest.update(chunk)
        if sink is not None:
            sink.write(chunk)
        meter.advance(len(chunk))
    if size != file.stamp.bytes:
        raise _changed(file)
    return digest.hexdigest()


def _check_unchanged(file: SourceFile, stream: IO[bytes]) -> None:
    """Raise BundlerError where a file was written to, or another took its name."""
    try:
        named = stamp(file.path.stat())
    except OSError as error:
        raise _changed(file) from error
    if stamp(os.fstat(stream.fileno())) != file.stamp or named != file.stamp:
        raise _changed(file)


def _changed(file: SourceFile) -> BundlerError:
    return BundlerError(
        f"{file.path} changed while it was being bundled. Wait until training has written it, and "
        "bundle again. What lay there before is untouched."
    )
