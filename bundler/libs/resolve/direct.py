"""Packages that are required from one place, as files that a resolver may choose."""

from collections.abc import Mapping

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from bundler.errors import InputError
from bundler.libs import wheels
from bundler.libs.index import snapshots
from bundler.libs.index.references import Reference
from bundler.libs.index.simple_api import File
from bundler.libs.resolve import sdists
from bundler.libs.resolve.builds import Builder
from bundler.libs.resolve.resolution import Pin
from bundler.libs.resolve.sdists import Sdist


def files(
    references: Mapping[str, Reference], builder: Builder, locked: Mapping[str, Pin]
) -> dict[str, File]:
    """Return the file of each package that is required from one place.

    What lies elsewhere and was `locked` stays what it was: neither a branch that has moved nor
    another file under a URL changes a lock that is not upgraded. Raises InputError, NetworkError.
    """
    chosen = {}
    for name, reference in references.items():
        file = _of_lock(locked[name], reference) if name in locked else None
        if file is None:
            file = _file(name, snapshots.take(reference, builder.progress), builder)
        chosen[name] = file
    return chosen


def _of_lock(pin: Pin, reference: Reference) -> File | None:
    """Return the file that a lock names; where its bytes are is looked up if they are needed.

    None where the lock is of another place, or of another file than the requirements name.
    """
    if pin.origin != reference.shown or reference.path is not None:
        return None
    name, _, sha256 = (pin.built_from or f"{pin.file} {pin.sha256}").partition(" ")
    if reference.sha256 not in ("", sha256):
        return None
    return File(
        name=name,
        url="",
        version=pin.version,
        sha256=sha256,
        origin=pin.origin,
        commit=pin.commit,
    )


def _file(name: str, reference: Reference, builder: Builder) -> File:
    """Return the file of a reference whose archive is here, named by the project's own version."""
    assert reference.archive is not None
    release = reference.release or _built_release(name, reference, builder)
    if release[0] != name:
        raise InputError(
            f"{reference.shown} is required as {name}, and its project is named {release[0]}. "
            f"Require it as `{release[0]} @ {reference.shown}`."
        )
    is_named = reference.release is not None
    return File(
        name=reference.filename if is_named else _archive_name(release, reference),
        url=reference.archive.as_uri(),
        version=release[1],
        sha256=reference.sha256,
        bytes=reference.archive.stat().st_size,
        requires_python=_requires_python(reference),
        origin=reference.shown,
        commit=reference.commit,
    )


def _archive_name(release: tuple[str, str], reference: Reference) -> str:
    """Return the name of an archive that is none of a release, as sdists are named."""
    assert reference.archive is not None
    suffix = ".zip" if reference.archive.name.endswith(".zip") else ".tar.gz"
    return f"{release[0].replace('-', '_')}-{release[1]}{suffix}"


def _built_release(name: str, reference: Reference, builder: Builder) -> tuple[str, str]:
    """Return the name and version that a project states, or that its build tool says."""
    assert reference.archive is not None
    if (stated := sdists.stated_release(reference.archive)) is not None:
        return stated
    # Its version is not known yet, and nothing of the build depends on what it is called here.
    pin = Pin(name=name, version="0", file=reference.archive.name, sha256=reference.sha256)
    headers = wheels.headers(builder.built_metadata(Sdist(pin=pin, path=reference.archive)))
    stated_name, version = (headers.get(key, [""])[0] for key in ("name", "version"))
    try:
        return canonicalize_name(stated_name), str(Version(version))
    except InvalidVersion as error:
        raise InputError(f"{reference.shown} has no valid version: {version!r}.") from error


def _requires_python(reference: Reference) -> str | None:
    assert reference.archive is not None
    if reference.archive.name.endswith(".whl"):
        return wheels.headers(wheels.metadata(reference.archive)).get("requires-python", [None])[0]
    return sdists.stated_python(reference.archive)
