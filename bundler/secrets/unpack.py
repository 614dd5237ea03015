"""The bytes of a file in chunks and, where it is an archive, of its members in turn.

Nothing is written but to temporary files. What cannot be opened, or unpacks to more than anyone
would want to read, is named: a file that was not looked into does not count as one without secrets.
"""

import bz2
import gzip
import lzma
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, cast

CHUNK = 8 << 20
OVERLAP = 64 << 10  # bytes that two chunks share, so that no secret is cut in two
HEAD = 1 << 10  # bytes by which an archive is recognised
DEEPEST = 5  # archives in archives
MOST_UNPACKED = 8 << 30  # bytes of one file's members
MOST_MEMBERS = 200_000
IN_MEMORY = 32 << 20  # bytes of an archive in an archive, before a temporary file is taken
COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0")  # gzip, bzip2, xz
# Formats that the standard library cannot open.
FOREIGN = {
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!\x1a\x07": "rar",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
}
DAMAGED = (
    EOFError,
    KeyError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Some bytes of a file; `line` is the number of the first line in them."""

    path: str  # of a member: archive.zip!folder/name
    data: bytes
    line: int = 1


@dataclass(frozen=True, kw_only=True)
class Unread:
    """What was not looked into, and why; `is_refused` where it must not travel so."""

    path: str
    reason: str
    is_refused: bool = False

    def __str__(self) -> str:
        return f"{self.path} {self.reason}"


class _Excess(Exception):
    """An archive unpacks to more than the limits."""


class _Budget:
    """How much may still be unpacked of one file."""

    def __init__(self) -> None:
        self.bytes, self.members = MOST_UNPACKED, MOST_MEMBERS

    def take(self, size: int) -> None:
        self.bytes -= size
        if self.bytes < 0:
            raise _Excess(f"unpacks to more than {MOST_UNPACKED >> 30} GB")

    def count(self) -> None:
        self.members -= 1
        if self.members < 0:
            raise _Excess(f"has more than {MOST_MEMBERS} files in it")


def chunks(path: str, stream: IO[bytes]) -> Iterator[Chunk | Unread]:
    """Yield the bytes of a file that can be sought in, then those of its members."""
    try:
        yield from _all(path, stream, _Budget(), 0)
    except _Excess as error:
        yield Unread(path=path, reason=str(error), is_refused=True)


def _all(path: str, stream: IO[bytes], budget: _Budget, depth: int) -> Iterator[Chunk | Unread]:
    # The raw bytes as well: names, comments, members that are stored, and what only looks like
    # an archive.
    yield from _cut(path, stream)
    stream.seek(0)
    head = stream.read(HEAD)
    foreign = next((name for magic, name in FOREIGN.items() if head.startswith(magic)), None)
    if foreign:
        yield Unread(path=path, reason=f"is a {foreign} archive, which cannot be opened here")
        return
    stream.seek(0)
    try:
        for name, member in _members(path, stream, head, budget):
            if isinstance(member, Unread):
                yield member
            else:
                yield from _member(f"{path}!{name}", member, budget, depth + 1)
    except DAMAGED as error:
        yield Unread(path=path, reason=f"is damaged ({type(error).__name__})")
    except OSError as error:
        if error.errno is not None:  # the disk's, and no matter of the archive
            raise
        yield Unread(path=path, reason="is damaged")


def _cut(path: str, stream: IO[bytes], budget: _Budget | None = None) -> Iterator[Chunk]:
    """Yield a stream's bytes in chunks that overlap."""
    kept, line = b"", 1
    while block := stream.read(CHUNK):
        if budget:
            budget.take(len(block))
        data = kept + block
        yield Chunk(path=path, data=data, line=line)
        if len(block) < CHUNK:
            return
        kept = data[-OVERLAP:]
        line += data.count(b"\n", 0, len(data) - len(kept))


def _members(
    path: str, stream: IO[bytes], head: bytes, budget: _Budget
) -> Iterator[tuple[str, IO[bytes] | Unread]]:
    """Yield an archive's members by their content, whatever its name; nothing for other files."""
    compressed = head.startswith(COMPRESSED)
    # First: a tar that ends with a wheel passes for a zip.
    if (compressed or head[257:262] == b"ustar") and _is_tar(stream):
        with tarfile.open(fileobj=stream) as tar:
            for entry in tar:
                budget.count()
                if entry.isfile() and (member := tar.extractfile(entry)):
                    yield entry.name, member
    elif compressed:
        with _decompressed(head, stream) as inner:
            yield path.rpartition("/")[2].rpartition(".")[0] or "content", inner
    elif zipfile.is_zipfile(stream):
        yield from _zip_members(path, stream, budget)


def _decompressed(head: bytes, stream: IO[bytes]) -> IO[bytes]:
    opened = {b"\x1f": gzip.open, b"B": bz2.open, b"\xfd": lzma.open}[head[:1]]
    return cast(IO[bytes], opened(stream))  # type: ignore[operator]


def _is_tar(stream: IO[bytes]) -> bool:
    try:
        return tarfile.is_tarfile(stream)
    except (*DAMAGED, OSError):
        return False
    finally:
        stream.seek(0)


def _zip_members(
    path: str, stream: IO[bytes], budget: _Budget
) -> Iterator[tuple[str, IO[bytes] | Unread]]:
    with zipfile.ZipFile(stream) as archive:
        for info in archive.infolist():
            budget.count()
            if info.is_dir():
                continue
            name = f"{path}!{info.filename}"
            if info.flag_bits & 1:
                yield info.filename, Unread(path=name, reason="is encrypted")
                continue
            try:
                member = archive.open(info)
            except NotImplementedError:
                yield info.filename, Unread(path=name, reason="is packed in an unknown way")
                continue
            with member:
                yield info.filename, member


def _member(path: str, stream: IO[bytes], budget: _Budget, depth: int) -> Iterator[Chunk | Unread]:
    """Yield a member's bytes and, where it is an archive itself, those of its members."""
    head = stream.read(HEAD)
    if not (head.startswith((b"PK\x03\x04", *COMPRESSED, *FOREIGN)) or head[257:262] == b"ustar"):
        yield from _cut(path, cast(IO[bytes], _Joined(head, stream)), budget)
        return
    if depth >= DEEPEST:
        raise _Excess(f"has archives in archives, {depth} deep")
    with tempfile.SpooledTemporaryFile(IN_MEMORY) as copy:
        copy.write(head)
        while block := stream.read(CHUNK):
            budget.take(len(block))
            copy.write(block)
        copy.seek(0)
        yield from _all(path, cast(IO[bytes], copy), budget, depth)


class _Joined:
    """Bytes that were read ahead, and the stream that goes on after them."""

    def __init__(self, head: bytes, stream: IO[bytes]) -> None:
        self.head, self.stream = head, stream

    def read(self, size: int) -> bytes:
        head, self.head = self.head, b""
        return head + self.stream.read(size - len(head))
