"""Whether a wheel that was compiled on this machine runs on the target (ELF, PEP 600)."""

import re
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bundler.image.target import Target

# What each manylinux image has (PEP 600), and so the notebook's.
LIBRARIES = re.compile(
    r"(lib(c|m|dl|rt|pthread|util|nsl|gcc_s|stdc\+\+|atomic|z|expat|mvec)|ld-linux[-\w]*)\.so\.\d+"
)
GLIBC = re.compile(r"GLIBC_(\d+)\.(\d+)")
LOAD, DYNAMIC = 1, 2  # types of program headers
NEEDED, STRTAB, VERNEED, VERNEEDNUM = 1, 5, 0x6FFFFFFE, 0x6FFFFFFF  # tags of the dynamic section


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a shared library needs of the system that loads it."""

    libraries: tuple[str, ...]
    versions: tuple[str, ...]  # of symbols: GLIBC_2.17, GLIBCXX_3.4.21


def missing(wheel: Path, target: Target) -> str | None:
    """Return what a wheel's compiled files need and the target may lack, or None."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if re.search(r"\.so(\.\d+)*$", name)]
        own = {Path(name).name for name in names}
        for name in names:
            if reason := _missing(archive.read(name), own, target):
                return f"{name} needs {reason}"
    return None


def _missing(content: bytes, own: set[str], target: Target) -> str | None:
    if target.system != "linux":
        return None
    try:
        needs = read(content)
    except (ValueError, struct.error, IndexError) as error:
        return f"what cannot be read ({error})"
    for library in needs.libraries:
        if library not in own and not LIBRARIES.fullmatch(library):
            return f"{library}, which the image may lack"
    newest = max(
        (tuple(map(int, m.groups())) for m in map(GLIBC.match, needs.versions) if m), default=None
    )
    if newest and newest > tuple(int(part) for part in target.release.split(".")[:2]):
        return f"glibc {newest[0]}.{newest[1]}, and the image has {target.release}"
    return None


def read(content: bytes) -> Needs:
    """Return what a 64-bit little-endian ELF file needs. Raises ValueError, struct.error."""
    if content[:6] != b"\x7fELF\x02\x01":
        raise ValueError("not an ELF file of 64 bits")
    headers = list(_program_headers(content))
    entries = [
        entry for kind, *span in headers if kind == DYNAMIC for entry in _dynamic(content, *span)
    ]
    value = dict(reversed(entries))
    if STRTAB not in value:
        return Needs(libraries=(), versions=())  # statically linked
    strings = _offset(headers, value[STRTAB])
    libraries = tuple(_string(content, strings + at) for tag, at in entries if tag == NEEDED)
    versions = _versions(content, _offset(headers, value.get(VERNEED, 0)), value.get(VERNEEDNUM, 0))
    return Needs(
        libraries=libraries, versions=tuple(_string(content, strings + at) for at in versions)
    )


def _program_headers(content: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield (type, offset in the file, address in memory, size in the file)."""
    start, size, count = (
        *struct.unpack_from("<Q", content, 32),
        *struct.unpack_from("<HH", content, 54),
    )
    for number in range(count):
        kind, _, offset, address, _, length = struct.unpack_from(
            "<IIQQQQ", content, start + number * size
        )
        yield kind, offset, address, length


def _dynamic(content: bytes, offset: int, _: int, size: int) -> Iterator[tuple[int, int]]:
    for at in range(offset, offset + size, 16):
        tag, value = struct.unpack_from("<QQ", content, at)
        yield tag, value


def _offset(headers: list[tuple[int, int, int, int]], address: int) -> int:
    """Return where in the file an address in memory lies."""
    for kind, offset, start, size in headers:
        if kind == LOAD and start <= address < start + size:
            return offset + address - start
    return 0


def _versions(content: bytes, at: int, count: int) -> Iterator[int]:
    """Yield where in the string table the names of needed versions are (Elf64_Verneed)."""
    for _ in range(count):
        _version, entries, _file, first, following = struct.unpack_from("<HHIII", content, at)
        entry = at + first
        for _ in range(entries):
            _hash, _flags, _other, name, step = struct.unpack_from("<IHHII", content, entry)
            yield name
            entry += step
        at += following


def _string(content: bytes, at: int) -> str:
    return content[at : content.index(b"\0", at)].decode("utf-8", errors="replace")
