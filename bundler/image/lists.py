"""What public lists say of an image: its base's `pip freeze`, and a Dockerfile that adds to it.

Kaggle builds its image from another one, whose packages are listed (googlecolab/backend-info), by
the Dockerfile and the requirements of its repository (Kaggle/docker-python).
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from bundler.errors import InputError

DOCKERFILE = "Dockerfile.tmpl"
REQUIREMENTS = "kaggle_requirements.txt"
CONDITION = re.compile(r"\{\{-?\s*(?:(if)\s+eq\s+\.Accelerator\s+\"(\w+)\"|(else)|(end))\s*-?\}\}")
INSTALLER = re.compile(r"(?:^|\s)(?:uv\s+)?pip3?\s+(install|uninstall)\s+(.*)$")
HELD = re.compile(r"pip freeze \| grep -E '([^']+)'")
BASE = re.compile(r"^FROM\s+(\S+)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One call of pip or uv in a Dockerfile."""

    install: bool  # else uninstall
    requirements: tuple[Requirement, ...]
    again: bool = False  # also what is installed and fits: at the newest version that fits


@dataclass(frozen=True, kw_only=True)
class Layer:
    """What a Dockerfile does to the packages of the image that it begins with."""

    base: str  # that image
    steps: tuple[Step, ...]
    held: str | None = None  # a pattern of the names that stay at the base's versions


def frozen(path: Path) -> dict[str, str | None]:
    """Return the version of each package of a `pip freeze`; None where its line does not say it.

    Raises InputError.
    """
    versions: dict[str, str | None] = {}
    for line in _lines(path):
        name, _, url = line.partition(" @ ")
        if not url:
            name, _, version = line.partition("==")
        else:
            version = _version_of(url) or ""
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise InputError(f"{path} is not the output of `pip freeze`: it has the line {line!r}.")
        versions[canonicalize_name(name)] = _normal(version)
    if not versions:
        raise InputError(f"{path} lists no package.")
    return versions


def layer(folder: Path, accelerator: str = "gpu") -> Layer:
    """Return what Kaggle's Dockerfile adds and removes. Raises InputError."""
    path = folder / DOCKERFILE
    text = _chosen(_read(path), accelerator)
    base = BASE.search(text)
    # The file of requirements is copied and joined before it is installed: it is the only one.
    file = folder / REQUIREMENTS
    listed = tuple(_requirement(line, file) for line in _lines(file))
    steps = tuple(_steps(text, path, listed))
    if base is None or not steps:
        raise InputError(f"{path} begins with no image, or installs nothing.")
    held = HELD.search(text)
    return Layer(base=base[1], steps=steps, held=held[1] if held else None)


def _chosen(text: str, accelerator: str) -> str:
    """Return the lines of a Go template that stand for an accelerator."""
    kept, inside = [], [True]
    for line in text.splitlines():
        if match := CONDITION.search(line):
            begins, wanted, otherwise, _ = match.groups()
            if begins:
                inside.append(wanted == accelerator)
            elif otherwise:
                inside[-1] = not inside[-1]
            else:
                inside.pop()
        elif all(inside) and not line.lstrip().startswith("#"):
            kept.append(line)
    return "\n".join(kept)


def _steps(text: str, path: Path, listed: tuple[Requirement, ...]) -> Iterator[Step]:
    for line in text.replace("\\\n", " ").splitlines():
        instruction, _, command = line.strip().partition(" ")
        if instruction != "RUN":
            continue
        for part in command.split("&&"):
            if match := INSTALLER.search(part.strip()):
                yield _step(match[1] == "install", match[2], path, listed)


def _step(install: bool, arguments: str, path: Path, listed: tuple[Requirement, ...]) -> Step:
    words = iter(shlex.split(arguments))
    requirements: list[Requirement] = []
    again = False
    for word in words:
        if word in ("-r", "--requirement"):
            next(words, None)
            requirements += listed
        elif word in ("--force-reinstall", "--reinstall", "--upgrade", "-U"):
            again = True
        elif not word.startswith("-"):
            requirements.append(_requirement(word, path))
    return Step(install=install, requirements=tuple(requirements), again=again)


def _requirement(line: str, path: Path) -> Requirement:
    """Return a requirement; one of an address alone is of the package that its last part names."""
    if line.startswith("git+"):
        return Requirement(PurePosixPath(urlsplit(line).path).stem)
    try:
        return Requirement(line)
    except InvalidRequirement as error:
        raise InputError(f"{path}: {line!r} is not a requirement: {error}") from error


def _version_of(url: str) -> str | None:
    """Return the version in the name of the file at an address, if it is a package's."""
    file = PurePosixPath(unquote(urlsplit(url).path)).name
    try:
        if file.endswith(".whl"):
            return str(parse_wheel_filename(file)[1])
        return str(parse_sdist_filename(file)[1])
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return None


def _normal(version: str) -> str | None:
    try:
        return str(Version(version))
    except InvalidVersion:
        return None


def _lines(path: Path) -> Iterator[str]:
    for line in _read(path).splitlines():
        content = re.sub(r"(^|\s)#.*$", "", line).strip()
        if content and not content.startswith("-"):
            yield content


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"Cannot read {path}: {reason}.") from error


def applied(
    base: Mapping[str, str | None], layer: Layer
) -> tuple[dict[str, str], dict[str, Requirement]]:
    """Return the versions after all steps, and what is installed in a version that is not known.

    What an installer does is followed as far as the lists say it: it leaves what is installed and
    fits, and takes a version that is named exactly. Which release it chose else, and what that
    needs in turn, only the image knows.
    """
    versions = {name: version for name, version in base.items() if version}
    unknown = {name: Requirement(name) for name, version in base.items() if not version}
    for step in layer.steps:
        for need in step.requirements:
            name = canonicalize_name(need.name)
            if not step.install:
                versions.pop(name, None)
                unknown.pop(name, None)
            elif not step.again and _fits(need, versions.get(name)):
                continue
            elif (exact := _exact(need)) and not _is_held(name, base, layer):
                unknown.pop(name, None)
                versions[name] = exact
            else:
                # A Dockerfile that asks for one version, and holds the package at another, does
                # not build: one of the two lists is older than the image.
                versions.pop(name, None)
                unknown[name] = Requirement(name if exact else f"{name}{need.specifier}")
    return versions, unknown


def _is_held(name: str, base: Mapping[str, str | None], layer: Layer) -> bool:
    """Say whether the Dockerfile leaves a package at the version that its base has."""
    return name in base and layer.held is not None and re.search(layer.held, name) is not None


def _exact(need: Requirement) -> str | None:
    """Return the only version that a requirement allows."""
    for one in need.specifier:
        if one.operator in ("==", "===") and not one.version.endswith(".*"):
            return str(Version(one.version))
    return None


def _fits(need: Requirement, version: str | None) -> bool:
    return version is not None and need.specifier.contains(version, prereleases=True)
