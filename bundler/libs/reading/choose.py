"""Read requirements, whatever file they are in."""

from dataclasses import replace
from pathlib import Path

from packaging.utils import canonicalize_name

from bundler.image.target import Target
from bundler.libs.index import snapshots, web
from bundler.libs.index.sources import Sources
from bundler.libs.reading import lock_files, pip_file, projects, uv_settings
from bundler.libs.reading.selection import Selection, parse
from bundler.libs.requirements import Requirements


def read(path: Path, target: Target) -> Requirements:
    """Return the requirements of a file for a target; each local package is read for it, once.

    `path` may end with what is selected of a project or a lock: `[EXTRA]`, `:GROUP`. Raises
    InputError.
    """
    selection = parse(path)
    if selection.is_project:
        found = projects.read(selection, target)
    elif selection.is_uv_lock or selection.is_pylock:
        found = lock_files.read(selection, target)
    else:
        found = pip_file.read(path)
    if not selection.is_project:
        found = replace(found, sources=_beside(found, selection, target))
    # A local package is an input like a line of the file: the lock is stale where it changes.
    direct = {
        name: reference if reference.path is None else snapshots.local(reference)
        for name, reference in found.sources.direct.items()
    }
    return replace(found, sources=replace(found.sources, direct=direct))


def _beside(found: Requirements, selection: Selection, target: Target) -> Sources:
    """Complete a file's sources by the uv settings of the project that it lies in."""
    path = selection.path.parent / "pyproject.toml"
    names = {canonicalize_name(need.name) for need in (*found.wanted, *found.constraints)}
    settings = uv_settings.read(projects.load(path), path, selection, target, names)
    own, other = found.sources, settings.sources
    pinned, direct = {**other.pinned, **own.pinned}, {**other.direct, **own.direct}
    if found.locked is not None:
        # A lock says itself where its packages are of, but holds no passwords.
        known = {web.shown(url).rstrip("/"): url for url in settings.indexes}
        pinned = {name: known.get(url.rstrip("/"), url) for name, url in own.pinned.items()}
        direct = {**own.direct}
    return replace(
        own,
        index=own.index or other.index,
        extra=(*own.extra, *other.extra),
        links=(*own.links, *other.links),
        base=selection.path.parent.resolve(),
        pinned=pinned,
        direct=direct,
    )
