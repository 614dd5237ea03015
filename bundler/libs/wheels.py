"""Read a wheel: what it says of itself, and whether its parts agree."""

import base64
import csv
import zipfile
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from bundler import bundle
from bundler.bundle import Content
from bundler.errors import InputError
from inference.boot.bundle import TARS, ZIPS
from inference.boot.manifest import Member

ASIDE = {"tests", "test", "testing", "examples", "docs", "benchmarks", "scripts", "tools"}


@dataclass(frozen=True)
class Wheel:
    """A wheel's metadata and the names of its files."""

    path: Path
    name: str  # normalised
    version: str
    metadata: str
    members: tuple[str, ...]

    @cached_property
    def headers(self) -> dict[str, list[str]]:
        """Return the fields of METADATA, by lower-case name; each may occur several times."""
        fields: dict[str, list[str]] = {}
        lines: list[str] = []
        for line in self.metadata.splitlines():
            if not line.strip():
                break  # the description follows
            key, colon, value = line.partition(":")
            if line[0] in " \t":
                lines[-1:] = [f"{lines[-1]}\n{line.strip()}"] if lines else []
            elif colon:
                lines = fields.setdefault(key.strip().lower(), [])
                lines.append(value.strip())
        return fields

    @cached_property
    def requires(self) -> tuple[Requirement, ...]:
        """Return what the wheel needs; what cannot be read is an error, since pip would stop."""
        try:
            return tuple(Requirement(line) for line in self.headers.get("requires-dist", ()))
        except InvalidRequirement as error:
            raise InputError(f"{self.path.name} asks for something unreadable: {error}.") from error

    @cached_property
    def modules(self) -> tuple[str, ...]:
        """Return what can be imported: the topmost packages and modules, of namespaces, too.

        Private ones and tests count where there is nothing else.
        """
        homes = {home for home in map(_home, self.members) if home}
        packages = {home for home, is_package in homes if is_package}
        top = {
            home
            for home, is_package in homes
            if (is_package or len(home) == 1)
            and not any(home[:depth] in packages for depth in range(1, len(home)))
        }
        public = {home for home in top if not home[-1].startswith("_") and home[0] not in ASIDE}
        return tuple(sorted(".".join(home) for home in public or top))


def _home(member: str) -> tuple[tuple[str, ...], bool] | None:
    """Return a member's dotted name in parts and whether it is a package; None for other files."""
    parts = PurePosixPath(member).parts
    if parts[0].endswith(".data"):
        parts = parts[2:] if parts[1:2] in (("purelib",), ("platlib",)) else ()
    if not parts or not parts[-1].endswith((".py", ".so", ".pyd")):
        return None
    stem = parts[-1].split(".")[0]
    home = parts[:-1] if stem == "__init__" else (*parts[:-1], stem)
    if not home or not all(part.isidentifier() for part in home):
        return None
    return home, stem == "__init__"


def read(path: Path) -> Wheel:
    """Read a wheel and check that its name, metadata and RECORD agree. Raises InputError."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = tuple(info.filename for info in archive.infolist() if not info.is_dir())
            folder = _dist_info(path, members)
            metadata = archive.read(f"{folder}/METADATA").decode("utf-8", errors="replace")
            record = archive.read(f"{folder}/RECORD").decode("utf-8", errors="replace")
    except (OSError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise _refused(path, f"it cannot be read as a wheel: {error}") from error
    wheel = _checked(path, metadata, members)
    _check_record(path, record, members, folder)
    return wheel


def content(path: Path, sha256: str) -> Content:
    """Return what a manifest says of a wheel, its members by the digests in its RECORD.

    The wheel itself is pinned by `sha256`, so its RECORD is, too; to inflate gigabytes in order
    to hash them again would say nothing new.
    """
    with zipfile.ZipFile(path) as archive:
        infos = [info for info in archive.infolist() if not info.is_dir()]
        folder = _dist_info(path, tuple(info.filename for info in infos))
        record = archive.read(f"{folder}/RECORD").decode("utf-8", errors="replace")
        digests = _digests(record)
        members = []
        for info in infos:
            if info.filename in digests and not info.filename.endswith((*ZIPS, *TARS)):
                members.append(Member(name=info.filename, sha256=digests[info.filename]))
            else:  # RECORD itself; an archive in the archive, which an upload may unpack as well
                with archive.open(info) as stream:
                    members.append(bundle.content(info.filename, stream).named(info.filename))
    return Content(sha256=sha256, members=tuple(sorted(members, key=lambda member: member.name)))


def _digests(record: str) -> dict[str, str]:
    """Return the sha256 of a RECORD's files in hexadecimal (PEP 427: base64, without padding)."""
    found = {}
    for row in csv.reader(record.splitlines()):
        if len(row) > 1 and row[1].startswith("sha256="):
            text = row[1].removeprefix("sha256=")
            found[row[0]] = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).hex()
    return found


def _dist_info(path: Path, members: tuple[str, ...]) -> str:
    folders = {member.split("/")[0] for member in members if "/" in member}
    found = sorted(folder for folder in folders if folder.endswith(".dist-info"))
    if len(found) != 1:
        raise _refused(path, f"it has {len(found)} .dist-info folders")
    if canonicalize_name(found[0].split("-")[0]) != parse_wheel_filename(path.name)[0]:
        raise _refused(path, f"its metadata lie in {found[0]}")
    return found[0]


def _checked(path: Path, metadata: str, members: tuple[str, ...]) -> Wheel:
    name, version = parse_wheel_filename(path.name)[:2]
    wheel = Wheel(path, name, str(version), metadata, members)
    said = [wheel.headers.get(key, [""])[0] for key in ("name", "version")]
    try:
        agrees = canonicalize_name(said[0]) == name and Version(said[1]) == version
    except InvalidVersion:
        agrees = False
    if not agrees:
        raise _refused(path, f"its metadata say {' '.join(said)!r}")
    return wheel


def _check_record(path: Path, record: str, members: tuple[str, ...], folder: str) -> None:
    """Check that RECORD lists the wheel's files and no others (the contents: pip does)."""
    listed = {row[0] for row in csv.reader(record.splitlines()) if row}
    unlisted = {f"{folder}/RECORD", f"{folder}/RECORD.jws", f"{folder}/RECORD.p7s"}
    strangers = {name for name in members if name not in listed} - unlisted
    absent = listed - set(members) - unlisted
    if strangers or absent:
        odd = sorted(strangers or absent)[0]
        said = "holds {}, which its RECORD does not list" if strangers else "lacks {} of its RECORD"
        raise _refused(path, f"it {said.format(odd)}")


def _refused(path: Path, reason: str) -> InputError:
    return InputError(
        f"{path.name} is refused: {reason}. Such a wheel may install something else than it "
        "claims; pin another release, and tell the project."
    )
