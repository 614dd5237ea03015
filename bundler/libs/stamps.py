"""What the last build of a bundle left, so that an unchanged one need not be hashed again.

A stamp lies in the cache, not in the bundle: it holds what only this machine knows, the times of
the bundle's files and what came of the install test. The lock's digest in the bundle could not
replace it: it would not show that a file was changed since, nor whether anything was tested.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from bundler import atomic, cache
from bundler.bundle import Built
from bundler.errors import InputError
from bundler.libs import locks
from bundler.libs.install_test import NOT_TESTED, InstallTest
from bundler.libs.locks import Lock
from bundler.libs.options import LibsOptions
from inference.boot import bundle as reader
from inference.boot.fields import parse_as
from inference.boot.manifest import MANIFEST
from inference.errors import BundleError


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A bundle that was built, from which lock, and what the install test said."""

    built: Built | None = None
    lock: Lock
    install_test: InstallTest


@dataclass(frozen=True, kw_only=True)
class Stamp:
    """The file in the cache: `files` holds size, time and inode by name."""

    resolved: str  # the digest of the lock as it was resolved, before the wheels were read
    lock: str  # the text of the finished lock
    files: Mapping[str, tuple[int, int, int]]
    install_test: InstallTest


def record(finished: Finished, resolved: Lock) -> None:
    """Remember a bundle's files, its lock, and what came of its install test."""
    assert finished.built is not None
    folder = finished.built.bundle.folder
    stamp = Stamp(
        resolved=_digest(resolved.text()),
        lock=finished.lock.text(),
        files=_seen(folder),
        install_test=finished.install_test,
    )
    atomic.write_text(_path(folder), json.dumps(asdict(stamp)))


def unchanged(lock: Lock, options: LibsOptions) -> Finished | None:
    """Return the bundle that is there where neither it nor its lock has changed since.

    `lock` may be the finished one, read again, or the same resolution once more. Where a test is
    wanted, a bundle does not count that was built without one, or allowed to fail it.
    """
    folder = options.out
    allowed = {canonicalize_name(name) for name in options.allow_import_failure}
    try:
        stamp = parse_as(Stamp, json.loads(_path(folder).read_bytes()))
        digests = (stamp.resolved, _digest(stamp.lock))
        if _digest(lock.text()) not in digests or stamp.files != _seen(folder):
            return None
        test = stamp.install_test
        if options.install_test and (test.skipped == NOT_TESTED or test.allowed.keys() - allowed):
            return None
        bundle = reader.read(folder)
        finished = locks.parse(stamp.lock, _path(folder))
    except (OSError, ValueError, BundleError, InputError):
        return None  # no stamp, or none that this version reads: the bundle is built again
    size = sum(file.bytes for file in bundle.files)
    built = Built(bundle=bundle, bytes=size, changed=False)
    return Finished(built=built, lock=finished, install_test=stamp.install_test)


def _path(folder: Path) -> Path:
    name = hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:32]
    return cache.folder("stamps") / f"{name}.json"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _seen(folder: Path) -> dict[str, tuple[int, int, int]]:
    stats = {path.name: path.stat() for path in sorted(folder.iterdir())}
    if MANIFEST not in stats:
        raise FileNotFoundError(MANIFEST)
    return {name: (stat.st_size, stat.st_mtime_ns, stat.st_ino) for name, stat in stats.items()}
