"""What the last build of a bundle left, so that an unchanged one need not be hashed again.

A stamp lies in the cache, not in the bundle: it holds what only this machine knows, the times of
the bundle's files and what came of the install test. The lock's digest in the bundle could not
replace it: it would not show that a file was changed since, nor whether anything was tested.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
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
class Tested:
    """A target's finished lock, and the result of the install test on its Python."""

    lock: Lock
    test: InstallTest


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A bundle that was built, from which locks, and how each was tested."""

    built: Built | None = None
    tested: tuple[Tested, ...]


@dataclass(frozen=True, kw_only=True)
class Stamp:
    """The file in the cache: `files` holds size, time and inode by name.

    The others hold one entry for each target.
    """

    resolved: tuple[str, ...]  # the digests of the locks as resolved, before the wheels were read
    locks: tuple[str, ...]  # the texts of the finished locks
    files: Mapping[str, tuple[int, int, int]]
    install_tests: tuple[InstallTest, ...]


def record(finished: Finished, resolved: Sequence[Lock]) -> None:
    """Remember a bundle's files, its locks, and what came of its install tests."""
    assert finished.built is not None
    folder = finished.built.bundle.folder
    stamp = Stamp(
        resolved=tuple(_digest(lock.text()) for lock in resolved),
        locks=tuple(one.lock.text() for one in finished.tested),
        files=_seen(folder),
        install_tests=tuple(one.test for one in finished.tested),
    )
    atomic.write_text(_path(folder), json.dumps(asdict(stamp)))


def unchanged(locked: Sequence[Lock], options: LibsOptions) -> Finished | None:
    """Return the bundle that is there where neither it nor its locks have changed since.

    A lock may be the finished one, read again, or the same resolution once more. Where a test is
    wanted, a bundle does not count that was built without one, or allowed to fail it.
    """
    folder = options.out
    allowed = {canonicalize_name(name) for name in options.allow_import_failure}
    try:
        stamp = parse_as(Stamp, json.loads(_path(folder).read_bytes()))
        if not _same_locks(locked, stamp) or stamp.files != _seen(folder):
            return None
        tests = stamp.install_tests if options.install_test else ()
        if any(test.skipped == NOT_TESTED or test.allowed.keys() - allowed for test in tests):
            return None
        bundle = reader.read(folder)
        finished = [locks.parse(text, _path(folder)) for text in stamp.locks]
    except (OSError, ValueError, BundleError, InputError):
        return None  # no stamp, or none that this version reads: the bundle is built again
    size = sum(file.bytes for file in bundle.files)
    built = Built(bundle=bundle, bytes=size, changed=False)
    pairs = zip(finished, stamp.install_tests, strict=True)
    tested = tuple(Tested(lock=lock, test=test) for lock, test in pairs)
    return Finished(built=built, tested=tested)


def _same_locks(locked: Sequence[Lock], stamp: Stamp) -> bool:
    """Say whether the locks are those of a stamp, in their order: as resolved, or finished."""
    known = list(zip(stamp.resolved, map(_digest, stamp.locks), strict=True))
    return len(known) == len(locked) and all(
        _digest(lock.text()) in digests for lock, digests in zip(locked, known, strict=True)
    )


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
