"""Read a wheel: what it says of itself, and whether its parts agree."""

import csv
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from bundler.errors import InputError


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
        """Return the names that can be imported from the wheel, without private ones."""
        found = set()
        for member in self.members:
            parts = PurePosixPath(member).parts
            if len(parts) > 2 and parts[0].endswith(".data") and parts[1] in ("purelib", "platlib"):
                parts = parts[2:]
            stem = parts[0].split(".")[0]
            is_module = len(parts) == 1 and parts[0].endswith((".py", ".so", ".pyd"))
            is_package = len(parts) == 2 and parts[1].startswith("__init__.")
            if (is_module or is_package) and stem.isidentifier() and not stem.startswith("_"):
                found.add(stem)
        return tuple(sorted(found))


def read(path: Path) -> Wheel:
    """Read a wheel and check that its name, metadata and RECORD agree. Raises InputError."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = tuple(info.filename for info in archive.infolist() if not info.is_dir())
            folder = _dist_info(path, members)
            metadata = archive.read(f"{folder}/METADATA").decode("utf-8", errors="replace")
            record = archive.read(f"{folder}/RECORD").decode("utf-8", errors="replace")
    except (OSError, zipfile.BadZipFile, KeyError, NotImplementedError) as error:
        raise _refused(path, f"it cannot be read as a wheel: {error}") from error
    wheel = _checked(path, metadata, members)
    _check_record(path, record, members, folder)
    return wheel


def _dist_info(path: Path, members: tuple[str, ...]) -> str:
    folders = {member.split("/")[0] for member in members if "/" in member}
    found = sorted(folder for folder in folders if folder.endswith(".dist-info"))
    if len(found) != 1:
        raise _refused(path, f"it has {len(found)} .dist-info folders")
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
