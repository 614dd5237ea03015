"""An sdist as it lies on an index: what it needs to be built, and what it says without a build."""

import contextlib
import tarfile
import tomllib
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from bundler.errors import InputError
from bundler.image import stub_packages
from bundler.image.distribution import Distribution
from bundler.libs import wheels
from bundler.libs.index import downloads, releases
from bundler.libs.index.simple_api import File
from bundler.libs.index.sources import Sources
from bundler.libs.resolve.resolution import Pin
from bundler.libs.wheels import Wheel
from bundler.progress import SILENT, Progress

COMPILED = (".c", ".cc", ".cpp", ".cu", ".cxx", ".f", ".f90", ".pyx", ".rs")
STATIC = Version("2.2")  # of Metadata: from here on PKG-INFO says which fields a build may change
SETUPTOOLS = "setuptools.build_meta:__legacy__"  # what builds a project that does not say (PEP 517)
LARGEST_FILE = 16 << 20  # bytes of pyproject.toml or PKG-INFO


@dataclass(frozen=True, kw_only=True)
class Sdist:
    """An sdist that was downloaded, as a pin of its own file."""

    pin: Pin
    path: Path

    @property
    def origin(self) -> str:
        """Return how a lock names it."""
        return f"{self.pin.file} {self.pin.sha256}"

    @property
    def release(self) -> str:
        """Return its name and version."""
        return f"{self.pin.name} {self.pin.version}"


@dataclass(frozen=True, kw_only=True)
class BuildSystem:
    """What builds a project (PEP 518)."""

    requires: tuple[str, ...] = ("setuptools", "wheel")
    backend: str = SETUPTOOLS
    path: tuple[str, ...] = (".",)  # where a backend of the project's own lies


def fetch(file: File, name: str, sources: Sources, progress: Progress = SILENT) -> Sdist:
    """Download an sdist into the cache."""
    pin = releases.pin(name, file.version, file)
    return Sdist(pin=pin, path=downloads.fetch([pin], sources, progress)[pin.file])


def as_wheel(sdist: Sdist, metadata: str) -> Wheel:
    """Return what the wheel that an sdist becomes will ask for."""
    return wheels.parse(sdist.path, sdist.pin.name, sdist.pin.version, metadata)


def compiles(path: Path) -> bool:
    """Say whether an sdist holds sources of a compiled language."""
    return any(name.endswith(COMPILED) for name in _names(path))


def build_system(path: Path) -> BuildSystem:
    """Return what an sdist's build needs; setuptools where it does not say. Raises InputError."""
    declared = _project(path).get("build-system", {})
    if "requires" not in declared:
        return BuildSystem()
    return BuildSystem(
        requires=tuple(str(line) for line in declared["requires"]),
        backend=str(declared.get("build-backend", SETUPTOOLS)),
        path=tuple(str(part) for part in declared.get("backend-path", ())),
    )


def build_requirements(path: Path) -> list[str]:
    """Return what an sdist's build needs (PEP 518)."""
    return list(build_system(path).requires)


def static_metadata(sdist: Sdist) -> str | None:
    """Return what the wheel of an sdist will need, where that holds whatever builds it, or None."""
    with contextlib.suppress(InvalidRequirement, InvalidVersion, InputError):
        lines = _stated_needs(sdist.path)
        if lines is not None:
            return _described(sdist, lines)
    return None


def stated_metadata(sdist: Sdist) -> str | None:
    """Return what PKG-INFO says, which a build may yet change; None where it cannot be read."""
    with contextlib.suppress(InvalidRequirement, InputError):
        lines = wheels.headers(_read(sdist.path, "PKG-INFO") or "").get("requires-dist", ())
        return _described(sdist, lines)
    return None


def described(name: str, version: str, needs: list[Requirement]) -> str:
    """Return the METADATA of a release that needs these."""
    package = Distribution(name=canonicalize_name(name), version=version)
    return stub_packages.describe(package, needs)


def _described(sdist: Sdist, lines: Iterable[str]) -> str:
    needs = [*map(Requirement, lines)]
    text = described(sdist.pin.name, sdist.pin.version, needs)
    # A stub shows none of these; here they are to be refused.
    return text + "".join(f"Requires-Dist: {need}\n" for need in needs if need.url)


def stated_release(path: Path) -> tuple[str, str] | None:
    """Return (normalised name, version) where an archive states both for good, or None."""
    headers = wheels.headers(_read(path, "PKG-INFO") or "")
    project = _project(path).get("project", {})
    stated = [headers.get(key, [project.get(key)])[0] for key in ("name", "version")]
    if not all(isinstance(text, str) for text in stated):
        return None
    with contextlib.suppress(InvalidVersion):
        return canonicalize_name(str(stated[0])), str(Version(str(stated[1])))
    return None


def stated_python(path: Path) -> str | None:
    """Return the Requires-Python that an archive states, if any."""
    headers = wheels.headers(_read(path, "PKG-INFO") or "")
    stated = headers.get("requires-python", [None])[0]
    project = _project(path).get("project", {}).get("requires-python")
    return stated or (project if isinstance(project, str) else None)


def _stated_needs(path: Path) -> list[str] | None:
    """Return what PKG-INFO (PEP 643) or pyproject.toml (PEP 621) says for good."""
    headers = wheels.headers(_read(path, "PKG-INFO") or "")
    dynamic = {field.lower() for field in headers.get("dynamic", ())}
    stated = Version(headers.get("metadata-version", ["1.0"])[0])
    if stated >= STATIC and not dynamic & {"requires-dist", "provides-extra"}:
        return list(headers.get("requires-dist", ()))
    project = _project(path).get("project")
    if project is None or {"dependencies", "optional-dependencies"} & {*project.get("dynamic", ())}:
        return None
    return list(_project_needs(project))


def _project_needs(project: Mapping[str, Any]) -> Iterator[str]:
    yield from project.get("dependencies", ())
    for extra, lines in project.get("optional-dependencies", {}).items():
        for line in lines:
            need = Requirement(line)
            marker = f"({need.marker}) and " if need.marker else ""
            need.marker = None
            yield f'{need} ; {marker}extra == "{canonicalize_name(extra)}"'


def _project(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_read(path, "pyproject.toml") or "")
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"The pyproject.toml of {path.name} cannot be read: {error}.") from error


# --- the archive ---


def unpack(path: Path, folder: Path) -> Path:
    """Unpack an sdist, and return the folder of its project. Raises InputError."""
    try:
        if path.name.endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                archive.extractall(folder)
        else:
            with tarfile.open(path) as tar:
                tar.extractall(folder, filter="data")  # nothing outside the folder, no devices
    except (tarfile.TarError, *wheels.UNREADABLE) as error:
        raise InputError(f"{path.name} cannot be unpacked: {error}.") from error
    tops = [entry for entry in folder.iterdir() if entry.is_dir()]
    if len(tops) != 1:
        raise InputError(f"{path.name} has {len(tops)} folders at its top, and needs one.")
    return tops[0]


def _names(path: Path) -> list[str]:
    if path.name.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    with tarfile.open(path) as tar:
        return tar.getnames()


def _read(path: Path, name: str) -> str | None:
    """Return a file of the sdist's top folder. Raises InputError."""
    try:
        wanted = [entry for entry in _names(path) if entry.count("/") == 1]
        wanted = [entry for entry in wanted if entry.endswith(f"/{name}")]
        if not wanted:
            return None
        if path.name.endswith(".zip"):
            with zipfile.ZipFile(path) as archive, archive.open(wanted[0]) as stream:
                content = stream.read(LARGEST_FILE + 1)
        else:
            with tarfile.open(path) as tar:
                member = tar.extractfile(wanted[0])
                content = member.read(LARGEST_FILE + 1) if member else b""
    except (tarfile.TarError, *wheels.UNREADABLE) as error:
        raise InputError(f"{path.name} cannot be read as an sdist: {error}.") from error
    if len(content) > LARGEST_FILE:
        raise InputError(f"{name} of {path.name} is larger than {LARGEST_FILE >> 20} MB.")
    return content.decode("utf-8", errors="replace")
