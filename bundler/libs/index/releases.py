"""Which releases of a package there are, and which of them a target can install."""

import functools
from collections.abc import Iterable, Sequence

from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from bundler.image.target import Target
from bundler.libs.index import simple_api
from bundler.libs.resolve.resolution import Pin, best, with_digest


def fitting(target: Target, files: Iterable[simple_api.File]) -> simple_api.File | None:
    """Return of one release's files the wheel that the target installs, if any."""
    return best(target, [(file.name, file) for file in files if python_allows(target, file)])


def python_allows(target: Target, file: simple_api.File) -> bool:
    """Say whether a file's Requires-Python allows the target's Python."""
    return _contains(file.requires_python or "", target.python)


@functools.cache  # a package has thousands of files, and a few spellings of this
def _contains(specifier: str, python: str) -> bool:
    try:
        return SpecifierSet(specifier).contains(python, prereleases=True)
    except InvalidSpecifier:
        return True


def by_version(
    files: Iterable[simple_api.File], wanted: Sequence[Requirement] = ()
) -> dict[Version, list[simple_api.File]]:
    """Return the releases that the requirements allow, newest first, without yanked files.

    Pre-releases count only where a package has nothing else.
    """
    groups: dict[Version, list[simple_api.File]] = {}
    for file in files:
        if file.yanked is None:
            groups.setdefault(Version(file.version), []).append(file)
    allowed = {
        version: group
        for version, group in groups.items()
        if all(need.specifier.contains(version, prereleases=True) for need in wanted)
    }
    released = {v: group for v, group in allowed.items() if not v.is_prerelease} or allowed
    return dict(sorted(released.items(), reverse=True))


def pin(name: str, version: str, file: simple_api.File) -> Pin:
    """Return the pin of a file that an index lists. Raises InputError where it has no digest."""
    return with_digest(
        Pin(
            name=name,
            version=version,
            file=file.name,
            sha256=file.sha256 or "",
            bytes=file.bytes,
            url=file.url,
            origin=file.origin,
            commit=file.commit,
        )
    )
