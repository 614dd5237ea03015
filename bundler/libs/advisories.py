"""Check a lock against advisories in a local file, in the OSV format (openssf.org, OSV schema)."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from bundler.errors import CheckError, InputError
from bundler.libs.locks import Lock


@dataclass(frozen=True, kw_only=True)
class Affected:
    """One package of an advisory: single versions, and ranges of (kind of step, version)."""

    name: str  # normalised
    versions: tuple[str, ...]
    ranges: tuple[tuple[tuple[str, str], ...], ...]


@dataclass(frozen=True, kw_only=True)
class Advisory:
    """What one advisory says of packages for Python."""

    id: str
    summary: str
    affected: tuple[Affected, ...]


def audit(lock: Lock, path: Path) -> None:
    """Raise CheckError where an advisory names a package of the bundle. Raises InputError."""
    advisories = read(path)
    lines = [
        f"{pin.name} {pin.version}: {line}"
        for pin in (*lock.pins, *lock.build)
        for line in affecting(advisories, pin.name, pin.version)
    ]
    if lines:
        listed = "".join(f"\n  {line}" for line in lines)
        raise CheckError(
            f"{path.name} has advisories against packages of the bundle:{listed}\n"
            "Require a release that is not affected, or remove the advisory from the file."
        )


def read(path: Path) -> list[Advisory]:
    """Return the advisories of a file: one record, a list of them, or `{"vulns": [...]}`.

    Those that were withdrawn are left out. Raises InputError.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        entries = content.get("vulns", [content]) if isinstance(content, dict) else content
        return [_parse(entry) for entry in entries if not entry.get("withdrawn")]
    except KeyError as error:
        raise _malformed(path, f"{error} is missing") from error
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise _malformed(path, str(error)) from error


def _malformed(path: Path, reason: str) -> InputError:
    return InputError(
        f"{path} is not a file of advisories in the OSV format: {reason}. Export one from your "
        "advisory database as JSON."
    )


def _parse(entry: Any) -> Advisory:
    packages = [part for part in entry["affected"] if part.get("package", {}).get("name")]
    return Advisory(
        id=str(entry.get("id") or "an advisory without an id"),
        summary=str(entry.get("summary") or "").strip(),
        affected=tuple(
            Affected(
                name=canonicalize_name(str(part["package"]["name"])),
                versions=tuple(str(version) for version in part.get("versions") or []),
                ranges=tuple(
                    tuple(
                        (str(kind), str(at))
                        for event in one["events"]
                        for kind, at in event.items()
                    )
                    for one in part.get("ranges") or []
                    if one["type"] == "ECOSYSTEM"
                ),
            )
            for part in packages
            # Other ecosystems have packages of the same names.
            if part["package"].get("ecosystem") == "PyPI"
        ),
    )


def affecting(advisories: list[Advisory], name: str, version: str) -> Iterator[str]:
    """Yield a line for each advisory that affects a release."""
    release = Version(version)
    for advisory in advisories:
        if any(one.name == name and _affects(one, release) for one in advisory.affected):
            yield f"{advisory.id} {advisory.summary}".strip()


def _affects(affected: Affected, version: Version) -> bool:
    listed = any(_version(text) == version for text in affected.versions)
    return listed or any(_within(steps, version) for steps in affected.ranges)


def _within(steps: tuple[tuple[str, str], ...], version: Version) -> bool:
    """Follow a range's events in order of version, as the OSV schema evaluates them."""
    inside = False
    # Files list events in any order, and a version may be affected, fixed and affected again.
    for kind, text in sorted(steps, key=lambda step: _version(step[1]) or Version("0")):
        bound = _version(text) or Version("0")
        if kind == "introduced" and (text == "0" or version >= bound):
            inside = True
        elif (kind == "fixed" and version >= bound) or (
            kind == "last_affected" and version > bound
        ):
            inside = False
    return inside


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None
