"""Locks of other tools: pylock.toml by packaging's reader, uv.lock as uv exports it.

Their versions and hashes are kept; which of their packages the notebook's image has decides the
image.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from packaging.pylock import (
    Package,
    PackageArchive,
    PackageDirectory,
    PackageSdist,
    PackageVcs,
    PackageWheel,
    Pylock,
    PylockSelectError,
    PylockUnsupportedVersionError,
    PylockValidationError,
)
from packaging.requirements import Requirement

from bundler import process
from bundler.errors import CommandError, InputError
from bundler.image.target import Target
from bundler.libs.index import references
from bundler.libs.index.references import Reference
from bundler.libs.index.sources import Sources, default_index
from bundler.libs.reading import projects
from bundler.libs.reading.selection import Selection
from bundler.libs.requirements import Requirements
from bundler.libs.resolve import uv

AGAIN = "Write it again with the tool that made it."


def read(selection: Selection, target: Target) -> Requirements:
    """Read what a lock pins for a target: versions, hashes, indexes and other places.

    Raises InputError where the lock is wrong or has nothing for the target.
    """
    path = selection.path
    text = _exported(selection) if selection.is_uv_lock else _content(path)
    # What uv exports was selected by uv.
    extras = () if selection.is_uv_lock else selection.extras
    groups = None if selection.is_uv_lock or selection.group is None else [selection.group]
    try:
        lock = Pylock.from_dict(tomllib.loads(text))
        _check_selected(lock, extras, groups, path)
        chosen = [
            *lock.select(
                environment=target.environment,  # type: ignore[arg-type]
                tags=target.tags,
                extras=extras,
                dependency_groups=groups,
            )
        ]
    except PylockSelectError as error:
        raise InputError(
            f"{path} does not fit {target.name} (Python {target.python}): {error}. Lock it for "
            "this Python and platform, too."
        ) from error
    except (PylockValidationError, PylockUnsupportedVersionError, ValueError) as error:
        raise InputError(f"Cannot read {path}: {error}. {AGAIN}") from error
    found = _requirements(chosen, path)
    return _of_project(found, selection, target) if selection.is_uv_lock else found


def _of_project(found: Requirements, selection: Selection, target: Target) -> Requirements:
    """Return what the project of a uv.lock itself asks for, held at the lock's pins.

    Not all that is locked: of what torch needs, say, nothing is brought where the image has torch.
    """
    own = replace(selection, path=selection.path.with_name("pyproject.toml"))
    wanted = projects.lines(own, target)
    for need in wanted:
        need.url = None  # the lock says where it is of
    return replace(found, wanted=tuple(wanted))


Source = PackageVcs | PackageDirectory | PackageArchive | PackageWheel | PackageSdist


@dataclass(kw_only=True)
class _Collected:
    """What the packages of a lock come to, one after the other."""

    locked: list[Requirement] = field(default_factory=list)
    hashes: dict[str, frozenset[str]] = field(default_factory=dict)
    pinned: dict[str, str] = field(default_factory=dict)
    direct: dict[str, Reference] = field(default_factory=dict)


def _requirements(chosen: list[tuple[Package, Source]], path: Path) -> Requirements:
    collected = _Collected()
    for package, source in chosen:
        try:
            _collect(collected, package, source, path.parent)
        except ValueError as error:
            raise InputError(f"{path}: {package.name}: {error}. {AGAIN}") from error
    return Requirements(
        path=path,
        wanted=tuple(Requirement(pin.name) for pin in collected.locked),
        constraints=(),
        sources=Sources(
            base=path.parent.resolve(), pinned=collected.pinned, direct=collected.direct
        ),
        hashes=collected.hashes,
        locked=tuple(collected.locked),
    )


def _collect(collected: _Collected, package: Package, source: Source, base: Path) -> None:
    name = package.name
    if isinstance(source, PackageDirectory):
        reference = references.parse(source.path, base)
        if reference.path == base.resolve():
            return  # the project itself travels in the code bundle
        collected.direct[name] = reference
    elif isinstance(source, PackageVcs):
        if source.type != "git":
            raise ValueError(f"the version control system {source.type} is not supported")
        url = source.url or (base / (source.path or "")).resolve().as_uri()
        collected.direct[name] = references.of_git(url, source.commit_id, source.subdirectory or "")
    elif isinstance(source, PackageArchive) or _is_file(source):
        collected.direct[name] = _of_file(source, base)
    else:
        collected.hashes[name] = _hashes(package)
        if package.index and package.index.rstrip("/") != default_index():
            collected.pinned[name] = package.index
    exact = "" if name in collected.direct or not package.version else f"=={package.version}"
    collected.locked.append(Requirement(f"{name}{exact}"))


def _is_file(source: Source) -> bool:
    """Say whether a wheel or an sdist is a file of this machine, of no index."""
    assert isinstance(source, PackageWheel | PackageSdist)
    return source.path is not None or (source.url or "").startswith("file:")


def _of_file(source: Source, base: Path) -> Reference:
    """Return the reference to a file, which must have the lock's sha256."""
    assert isinstance(source, PackageArchive | PackageWheel | PackageSdist)
    digest = source.hashes.get("sha256")
    if digest is None:
        raise ValueError("it has no sha256")
    parts = [f"sha256={digest}"]
    if isinstance(source, PackageArchive) and source.subdirectory:
        parts.append(f"subdirectory={source.subdirectory}")
    return references.parse(f"{source.url or source.path}#{'&'.join(parts)}", base)


def _hashes(package: Package) -> frozenset[str]:
    files: list[PackageWheel | PackageSdist] = [*(package.wheels or ())]
    files += [package.sdist] if package.sdist else []
    digests = {file.hashes["sha256"] for file in files if "sha256" in file.hashes}
    if not digests:
        raise ValueError("none of its files has a sha256")
    return frozenset(digests)


def _check_selected(
    lock: Pylock, extras: tuple[str, ...], groups: list[str] | None, path: Path
) -> None:
    """Raise InputError for an extra or a group that a lock does not have."""
    for kind, wanted, known in (
        ("extra", extras, lock.extras or ()),
        ("dependency group", groups or (), lock.dependency_groups or ()),
    ):
        for name in wanted:
            if name not in known:
                listed = ", ".join(known) or "none"
                raise InputError(f"{path} has no {kind} {name!r}; it has {listed}.")


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"Cannot read {path}: {reason}. Choose another with --requirements."
        ) from error


def _exported(selection: Selection) -> str:
    """Return a uv.lock in the standard format, without the project itself."""
    path = selection.path
    if not path.is_file():
        raise InputError(f"There is no {path}. Make it with `uv lock`.")
    command = ["export", "--format", "pylock.toml", "--frozen", "--offline", "--quiet"]
    command += ["--no-emit-project", "--no-header", "--no-python-downloads", "--color=never"]
    if selection.group is not None:
        command += ["--only-group", selection.group]
    else:
        command += ["--no-default-groups"]
        command += [part for extra in selection.extras for part in ("--extra", extra)]
    try:
        return process.run([uv.executable(), *command], cwd=path.parent, env=_environment()).stdout
    except CommandError as error:
        output = " ".join(str(error).splitlines()[1:]).strip()
        raise InputError(f"uv cannot export {path}: {output}") from error


def _environment() -> Mapping[str, str]:
    """Return an environment in which no setting of uv's decides, but for where its cache is."""
    kept = ("UV_CACHE_DIR",)
    return {k: v for k, v in os.environ.items() if not k.startswith("UV_") or k in kept}
