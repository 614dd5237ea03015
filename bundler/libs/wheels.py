"""Read a wheel: its metadata and its files, and whether they agree."""

import base64
import csv
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from bundler import bundle
from bundler.errors import InputError
from bundler.image import capture
from inference.boot.bundle import TARS, ZIPS
from inference.boot.manifest import Member

LARGEST_METADATA = 16 << 20  # bytes; real ones have kilobytes
LARGEST_RECORD = 64 << 20  # bytes; a hundred for each of half a million files
# What zipfile raises for damaged or hostile archives, and ValueError for names and digests.
UNREADABLE = (
    OSError,
    EOFError,
    KeyError,
    RuntimeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """What is known of a wheel; its file is opened once, and not again."""

    path: Path
    name: str  # normalised
    version: str
    headers: Mapping[str, Sequence[str]]  # METADATA's fields by lower-case name
    requires: tuple[Requirement, ...]
    modules: tuple[str, ...]  # what can be imported: the topmost packages and modules
    members: tuple[Member, ...] = ()  # its files, with their digests


def read(path: Path) -> Wheel:
    """Read a wheel and check that its name, metadata and RECORD agree. Raises InputError."""
    try:
        with zipfile.ZipFile(path) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
            names = [info.filename for info in infos]
            folder = _dist_info(path, names)
            text = read_metadata(archive, path)
            record = _read_member(archive, f"{folder}/RECORD", LARGEST_RECORD, path)
            _check_record(path, record, names, folder)
            members = _members(archive, infos, _digests(record))
    except UNREADABLE as error:
        raise _refused(path, f"it cannot be read as a wheel: {error}") from error
    name, version = parse_wheel_filename(path.name)[:2]
    wheel = parse(path, name, str(version), text, members)
    _check_metadata(wheel, version)
    return wheel


def metadata(path: Path) -> str:
    """Return the METADATA of a wheel. Raises InputError."""
    try:
        with zipfile.ZipFile(path) as archive:
            return read_metadata(archive, path)
    except UNREADABLE as error:
        raise _refused(path, f"it cannot be read as a wheel: {error}") from error


def read_metadata(archive: zipfile.ZipFile, path: Path) -> str:
    """Return the METADATA of an open wheel. Raises InputError, and zipfile's errors."""
    folder = _dist_info(path, archive.namelist())
    return _read_member(archive, f"{folder}/METADATA", LARGEST_METADATA, path)


def _read_member(archive: zipfile.ZipFile, name: str, largest: int, path: Path) -> str:
    """Return a text file of a wheel; a kilobyte may inflate to gigabytes, which is refused."""
    with archive.open(name) as stream:
        content = stream.read(largest + 1)
    if len(content) > largest:
        raise InputError(too_large(path.name, name.rpartition("/")[2], largest))
    return content.decode("utf-8", errors="replace")


def too_large(name: str, member: str = "METADATA", largest: int = LARGEST_METADATA) -> str:
    """Return what is wrong with a wheel whose METADATA or RECORD is a bomb."""
    return f"Refusing {name}: its {member} is larger than {largest >> 20} MB. Pin another release."


def check_contents(wheel: Wheel) -> None:
    """Check that a wheel's files are those that its RECORD lists. Raises InputError.

    All of the wheel is inflated for it; whoever kept a wheel that passed need not ask again.
    """
    try:
        with zipfile.ZipFile(wheel.path) as archive:
            for member in wheel.members:
                with archive.open(member.name) as stream:
                    if bundle.content(member.name, stream).sha256 != member.sha256:
                        reason = f"its file {member.name} is not the one that its RECORD lists"
                        raise _refused(wheel.path, reason)
    except UNREADABLE as error:
        raise _refused(wheel.path, f"it cannot be read as a wheel: {error}") from error


def parse(
    path: Path, name: str, version: str, metadata: str, members: Sequence[Member] = ()
) -> Wheel:
    """Return the wheel that a METADATA text describes. Raises InputError."""
    fields = headers(metadata)
    try:
        requires = tuple(Requirement(line) for line in fields.get("requires-dist", []))
    except InvalidRequirement as error:  # pip would stop at it on the notebook
        raise InputError(
            f"{path.name} has an invalid requirement in its metadata: {error}. Pin another release."
        ) from error
    return Wheel(
        path=path,
        name=name,
        version=version,
        headers=fields,
        requires=requires,
        modules=tuple(capture.importable(member.name for member in members)),
        members=tuple(members),
    )


def headers(metadata: str) -> dict[str, list[str]]:
    """Return the fields of METADATA, by lower-case name; each may occur several times."""
    fields: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in metadata.split("\n"):  # splitlines would break lines at a licence's form feeds
        line = line.removesuffix("\r")
        if not line:
            break  # the description follows; a line of blanks continues a folded field
        key, colon, value = line.partition(":")
        if line[0] in " \t":
            lines[-1:] = [f"{lines[-1]}\n{line.strip()}"] if lines else []
        elif colon:
            lines = fields.setdefault(key.strip().lower(), [])
            lines.append(value.strip())
    return fields


def _members(
    archive: zipfile.ZipFile, infos: Iterable[zipfile.ZipInfo], digests: Mapping[str, str]
) -> tuple[Member, ...]:
    """Return a wheel's files, as a manifest lists them, by the digests in its RECORD.

    That the digests are right is another question (`check_contents`).
    """
    members = []
    for info in infos:
        if info.filename in digests and not info.filename.endswith((*ZIPS, *TARS)):
            members.append(Member(name=info.filename, sha256=digests[info.filename]))
        else:  # RECORD itself; an archive in the archive, which an upload may unpack as well
            with archive.open(info) as stream:
                members.append(bundle.content(info.filename, stream).named(info.filename))
    return tuple(sorted(members, key=lambda member: member.name))


def _digests(record: str) -> dict[str, str]:
    """Return the sha256 of a RECORD's files in hexadecimal (PEP 427: base64, without padding)."""
    digests = {}
    for row in csv.reader(record.splitlines()):
        if len(row) > 1 and row[1].startswith("sha256="):
            text = row[1].removeprefix("sha256=")
            digests[row[0]] = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).hex()
    return digests


def _dist_info(path: Path, names: Iterable[str]) -> str:
    tops = {name.split("/")[0] for name in names if "/" in name}
    folders = sorted(folder for folder in tops if folder.endswith(".dist-info"))
    if len(folders) != 1:
        raise _refused(path, f"it has {len(folders)} .dist-info folders")
    if canonicalize_name(folders[0].split("-")[0]) != parse_wheel_filename(path.name)[0]:
        raise _refused(path, f"its metadata is in {folders[0]}")
    return folders[0]


def _check_metadata(wheel: Wheel, version: Version) -> None:
    """Check that METADATA names the package and the version of the file's name."""
    stated = [wheel.headers.get(key, [""])[0] for key in ("name", "version")]
    try:
        agrees = canonicalize_name(stated[0]) == wheel.name and Version(stated[1]) == version
    except InvalidVersion:
        agrees = False
    if not agrees:
        raise _refused(wheel.path, f"its metadata names {' '.join(stated)!r}")


def _check_record(path: Path, record: str, names: Iterable[str], folder: str) -> None:
    """Check that RECORD lists the wheel's files and no others (the contents: pip does)."""
    present = set(names)
    listed = {row[0] for row in csv.reader(record.splitlines()) if row}
    unlisted = {f"{folder}/RECORD", f"{folder}/RECORD.jws", f"{folder}/RECORD.p7s"}
    strangers = present - listed - unlisted
    absent = listed - present - unlisted
    if strangers:
        raise _refused(path, f"it contains {min(strangers)}, which its RECORD does not list")
    if absent:
        raise _refused(path, f"it lacks {min(absent)} of its RECORD")


def _refused(path: Path, reason: str) -> InputError:
    return InputError(
        f"Refusing {path.name}: {reason}. Such a wheel may install something else than its name "
        "says. Pin another release, and report this to the package's maintainers."
    )
