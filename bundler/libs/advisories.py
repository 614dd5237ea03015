"""Check a lock against advisories in a local file, in the OSV format (openssf.org, OSV schema)."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from bundler.errors import CheckError, InputError
from bundler.libs.locks import Lock


def audit(lock: Lock, path: Path) -> None:
    """Raise CheckError where an advisory names a package of the bundle. Raises InputError."""
    advisories = read(path)
    found = [
        f"{pin.name} {pin.version}: {line}"
        for pin in (*lock.pins, *lock.build)
        for line in affecting(advisories, pin.name, pin.version)
    ]
    if found:
        said = "".join(f"\n  {line}" for line in found)
        raise CheckError(
            f"{path.name} has advisories against what the bundle holds:{said}\n"
            "Ask for a release that is not affected, or take the advisory out of the file."
        )


def read(path: Path) -> list[Mapping[str, Any]]:
    """Return the advisories of a file: one record, a list of them, or `{"vulns": [...]}`."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        entries = content.get("vulns", [content]) if isinstance(content, dict) else content
        if not all(isinstance(entry, dict) and "affected" in entry for entry in entries):
            raise ValueError("an entry has no `affected`")
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{path} is no list of advisories in the OSV format ({error}). Export one from your "
            "advisory database as JSON."
        ) from error
    return [entry for entry in entries if not entry.get("withdrawn")]


def affecting(advisories: list[Mapping[str, Any]], name: str, version: str) -> Iterator[str]:
    """Yield a line for each advisory that affects a release."""
    for advisory in advisories:
        for affected in advisory["affected"]:
            package = affected.get("package", {})
            is_it = canonicalize_name(str(package.get("name", ""))) == name
            if (
                package.get("ecosystem") == "PyPI"
                and is_it
                and _affects(affected, Version(version))
            ):
                summary = str(advisory.get("summary") or "").strip()
                yield f"{advisory.get('id', 'an advisory')} {summary}".strip()
                break


def _affects(affected: Mapping[str, Any], version: Version) -> bool:
    listed = (_version(text) for text in affected.get("versions", ()))
    if version in listed:
        return True
    ranges = affected.get("ranges", ())
    return any(
        _within(entry["events"], version) for entry in ranges if entry["type"] == "ECOSYSTEM"
    )


def _within(events: list[Mapping[str, str]], version: Version) -> bool:
    """Follow a range's events in order of version, as the OSV schema evaluates them."""
    inside = False
    steps = [(key, value) for event in events for key, value in event.items()]
    for key, value in sorted(steps, key=lambda step: _version(step[1]) or Version("0")):
        bound = _version(value) or Version("0")
        if key == "introduced" and (value == "0" or version >= bound):
            inside = True
        elif (key == "fixed" and version >= bound) or (key == "last_affected" and version > bound):
            inside = False
    return inside


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None
