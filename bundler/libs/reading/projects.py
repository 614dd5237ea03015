"""A project's pyproject.toml: its dependencies, extras and dependency groups, and uv's sources."""

import configparser
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from packaging.dependency_groups import resolve_dependency_groups
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bundler.errors import InputError
from bundler.image.target import Target
from bundler.libs import wheels
from bundler.libs.index import references, snapshots, sources
from bundler.libs.index.references import Reference
from bundler.libs.index.sources import Sources
from bundler.libs.reading import uv_settings
from bundler.libs.reading.selection import Selection
from bundler.libs.requirements import Requirements, holds
from bundler.libs.resolve.builds import Builder
from bundler.libs.resolve.resolution import Pin
from bundler.libs.resolve.sdists import Sdist


def name_of(reference: Reference) -> str | None:
    """Return the name of the package that a reference leads to, as far as no build is needed."""
    if reference.egg:
        return canonicalize_name(reference.egg)
    if reference.release is not None:
        return reference.release[0]
    if reference.path is None or not reference.is_folder:
        return None
    folder = reference.path / reference.subdirectory
    if (name := load(folder / "pyproject.toml").get("project", {}).get("name")) is None:
        old = configparser.ConfigParser(interpolation=None)
        old.read(folder / "setup.cfg", encoding="utf-8")
        name = old.get("metadata", "name", fallback=None)
    return canonicalize_name(name) if isinstance(name, str) else None


def load(path: Path) -> dict[str, Any]:
    """Return the content of a pyproject.toml, empty where there is none. Raises InputError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"Cannot read {path}: {error}.") from error


def read(selection: Selection, target: Target) -> Requirements:
    """Read what a project needs: its dependencies with extras, or a dependency group alone.

    Raises InputError; where the dependencies are dynamic the build tool is asked for them.
    """
    path = selection.path
    needs = lines(selection, target)
    document = load(path)
    names = {canonicalize_name(need.name) for need in needs}
    settings = uv_settings.read(document, path, selection, target, names)
    if settings.overrides:
        raise InputError(
            f"{path} has {settings.overrides} in [tool.uv], which only uv applies. Lock the "
            'project with `uv lock`, and use `requirements = "uv.lock"`.'
        )
    wanted, direct = [], dict[str, Reference]()
    for need in needs:
        if need.url is not None:
            try:
                direct[canonicalize_name(need.name)] = references.parse(need.url, path.parent)
            except ValueError as error:
                raise InputError(f"{path}: cannot use `{need.name} @ …`: {error}.") from error
            need.url = None
        wanted.append(need)
    places = replace(settings.sources, direct={**direct, **settings.sources.direct})
    return Requirements(
        path=path, wanted=tuple(wanted), constraints=settings.constraints, sources=places
    )


def lines(selection: Selection, target: Target) -> list[Requirement]:
    """Return what a project asks for, as it is written. Raises InputError."""
    document = load(selection.path)
    if not document:
        raise InputError(f"Cannot read {selection.path}: there is no such file, or it is empty.")
    project = document.get("project", {})
    name = canonicalize_name(str(project.get("name", "")))
    extras = _Extras(project, selection.path)
    try:
        if selection.group is not None:
            groups = document.get("dependency-groups", {})
            _check_group(groups, selection)
            needs = [*map(Requirement, resolve_dependency_groups(groups, selection.group))]
        elif not project or {"dependencies", "optional-dependencies"} & {
            *project.get("dynamic", ())
        }:
            return _built(selection, target)
        else:
            needs = [*map(Requirement, project.get("dependencies", ()))]
            needs += [need for extra in selection.extras for need in extras.of(extra)]
        return [*_without_itself(needs, name, extras)]
    except (ExceptionGroup, LookupError, TypeError, ValueError) as error:
        raise InputError(f"{selection.path}: {_reason(error)}.") from error


def _check_group(groups: Mapping[str, Any], selection: Selection) -> None:
    if selection.group not in {str(canonicalize_name(name)) for name in groups}:
        known = ", ".join(groups) or "none"
        raise InputError(
            f"{selection.path} has no dependency group {selection.group!r}; its groups: {known}."
        )


def _reason(error: Exception) -> str:
    """Return what is wrong with a group or a requirement; packaging collects such errors."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return str(error).splitlines()[0].rstrip(".")


class _Extras:
    """The extras of a project, by normalised name."""

    def __init__(self, project: Mapping[str, Any], path: Path) -> None:
        self._path = path
        table = project.get("optional-dependencies", {})
        self._lines = {canonicalize_name(name): lines for name, lines in table.items()}

    def of(self, name: str) -> list[Requirement]:
        """Return what an extra needs. Raises InputError where there is no such extra."""
        lines = self._lines.get(canonicalize_name(name))
        if lines is None:
            known = ", ".join(self._lines) or "none"
            raise InputError(f"{self._path} has no extra {name!r}; its extras: {known}.")
        return [*map(Requirement, lines)]


def _without_itself(
    needs: Iterable[Requirement], name: str, extras: _Extras, seen: frozenset[str] = frozenset()
) -> Iterable[Requirement]:
    """Yield requirements; for the project's own extras (`name[extra]`) what these need.

    The project itself travels in the code bundle.
    """
    for need in needs:
        if canonicalize_name(need.name) != name:
            yield need
            continue
        own = {canonicalize_name(extra) for extra in need.extras} - seen
        inner = [line for extra in sorted(own) for line in extras.of(extra)]
        yield from _without_itself(inner, name, extras, seen | own)


def _built(selection: Selection, target: Target) -> list[Requirement]:
    """Return the dependencies that a project's build tool says, asked in the sandbox."""
    folder = selection.path.parent
    taken = snapshots.local(references.parse(".", folder))
    assert taken.archive is not None
    pin = Pin(name="project", version="0", file=taken.archive.name, sha256=taken.sha256)
    builder = Builder(target=target, sources=sources.configured(Sources()))
    headers = wheels.headers(builder.metadata(Sdist(pin=pin, path=taken.archive)))
    missing = {*selection.extras} - {*map(canonicalize_name, headers.get("provides-extra", ()))}
    if missing:
        raise InputError(f"{selection.path} has no extra {', '.join(sorted(missing))!r}.")
    environment = target.environment
    kept = []
    for need in map(Requirement, headers.get("requires-dist", ())):
        if any(holds(need.marker, environment, extra) for extra in ("", *selection.extras)):
            need.marker = None
            kept.append(need)
    return kept
