"""[tool.uv] of a pyproject.toml: indexes by name, and where single packages come from.

uv's words for it (`[[tool.uv.index]]`, `[tool.uv.sources]`), which projects have already.
"""

import os
import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from packaging.markers import InvalidMarker, Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from bundler.errors import InputError
from bundler.image.target import Target
from bundler.libs.index import references
from bundler.libs.index.references import Reference
from bundler.libs.index.sources import Sources
from bundler.libs.reading.selection import Selection
from bundler.libs.reading.variables import expanded
from bundler.libs.requirements import holds

ONLY_UV = ("override-dependencies", "exclude-dependencies")


@dataclass(frozen=True, kw_only=True)
class UvSettings:
    """What [tool.uv] says of a resolution."""

    sources: Sources
    indexes: tuple[str, ...] = ()  # all, also those that are for pinned packages alone
    constraints: tuple[Requirement, ...] = ()
    overrides: str = ""  # the first key that nobody but uv applies


@dataclass(frozen=True, kw_only=True)
class _Index:
    name: str
    url: str
    is_default: bool
    is_explicit: bool  # for the packages that are pinned to it, and no others


def read(
    document: Mapping[str, Any],
    path: Path,
    selection: Selection,
    target: Target,
    names: Container[str],
) -> UvSettings:
    """Return the uv settings of a pyproject.toml at `path`. Raises InputError.

    As uv has it, only packages that are asked for, `names`, can come from a folder, a URL or a
    repository; an index may be pinned for any.
    """
    table = document.get("tool", {}).get("uv", {})
    try:
        return _parse(table, path, selection, target, names)
    except (TypeError, AttributeError, KeyError, ValueError) as error:
        raise InputError(f"{path}: [tool.uv] cannot be read: {error}.") from error


def _parse(
    table: Mapping[str, Any],
    path: Path,
    selection: Selection,
    target: Target,
    names: Container[str],
) -> UvSettings:
    base = path.parent
    indexes = [
        _index(entry, base, f"{path}: [[tool.uv.index]]") for entry in table.get("index", ())
    ]
    default = next((one.url for one in indexes if one.is_default), None)
    extra = [one.url for one in indexes if not one.is_default and not one.is_explicit]
    pinned, direct = dict[str, str](), dict[str, Reference]()
    for name, source in _sources(table, selection, target):
        where = f"{path}: [tool.uv.sources] {name}"
        if "index" in source:
            pinned[name] = _url_of(source["index"], indexes, where)
        elif name in names:
            direct[name] = _reference(source, base, where)
    lines = table.get("constraint-dependencies", ())
    try:
        constraints = tuple(map(Requirement, lines))
    except InvalidRequirement as error:
        raise InputError(f"{path}: [tool.uv] constraint-dependencies: {error}.") from error
    return UvSettings(
        sources=Sources(
            index=default or table.get("index-url"),
            extra=(*extra, *table.get("extra-index-url", ())),
            links=tuple(_located(link, base) for link in table.get("find-links", ())),
            base=base.resolve(),
            pinned=pinned,
            direct=direct,
        ),
        indexes=tuple(one.url for one in indexes),
        constraints=constraints,
        overrides=next((key for key in ONLY_UV if table.get(key)), ""),
    )


def _index(entry: Mapping[str, Any], base: Path, where: str) -> _Index:
    name = str(entry.get("name", ""))
    url = _located(expanded(str(entry["url"]), where), base)
    return _Index(
        name=name,
        url=_with_credentials(url, name),
        is_default=entry.get("default") is True,
        is_explicit=entry.get("explicit") is True,
    )


def _with_credentials(url: str, name: str) -> str:
    """Return an index's URL with what UV_INDEX_NAME_USERNAME and …_PASSWORD say."""
    prefix = "UV_INDEX_" + re.sub(r"[^A-Z0-9]", "_", name.upper())
    user, password = (os.environ.get(f"{prefix}_{key}", "") for key in ("USERNAME", "PASSWORD"))
    if not name or not (user or password):
        return url
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    given = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return urlunsplit(parts._replace(netloc=f"{given}@{host}"))


def _sources(
    table: Mapping[str, Any], selection: Selection, target: Target
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (package, source) of those that count on the target and for what was selected."""
    for name, entry in table.get("sources", {}).items():
        for source in entry if isinstance(entry, list) else [entry]:
            try:
                marker = Marker(source["marker"]) if "marker" in source else None
            except InvalidMarker as error:
                raise ValueError(f"the marker of {name} is invalid ({error})") from error
            if (
                holds(marker, target.environment)
                and source.get("extra", "") in ("", *selection.extras)
                and source.get("group", "") in ("", selection.group)
            ):
                yield canonicalize_name(name), source
                break


def _url_of(name: str, indexes: list[_Index], where: str) -> str:
    for index in indexes:
        if index.name == name:
            return index.url
    known = ", ".join(index.name for index in indexes if index.name) or "none"
    raise InputError(
        f"{where}: there is no index {name!r}; [[tool.uv.index]] has {known}. Add one of this name."
    )


def _reference(source: Mapping[str, Any], base: Path, where: str) -> Reference:
    subdirectory = str(source.get("subdirectory", ""))
    try:
        if "git" in source:
            revision = next((source[key] for key in ("rev", "tag", "branch") if key in source), "")
            url = expanded(str(source["git"]), where).removeprefix(references.GIT)
            return references.of_git(url, revision, subdirectory)
        if "url" in source or "path" in source:
            text = expanded(str(source.get("url") or source["path"]), where)
            fragment = f"#subdirectory={subdirectory}" if subdirectory else ""
            return references.parse(text + fragment, base)
    except ValueError as error:
        raise InputError(f"{where}: {error}.") from error
    if "workspace" in source:
        raise InputError(
            f"{where} is a member of a workspace, which only uv knows. Lock the project with `uv "
            'lock`, and use `requirements = "uv.lock"`.'
        )
    raise InputError(f"{where}: use one of index, git, url and path.")


def _located(value: str, base: Path) -> str:
    return value if "://" in value else str((base / value).resolve())
