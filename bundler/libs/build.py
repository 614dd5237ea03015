"""wheelhouse.txt → locks → wheels → bundle: the flow of `rsna-bundle libs`, one pass.

read → resolve → fetch → check → pack → install test → place: each step takes what the ones before
returned, and changes none of it. With several targets the bundle holds a lock for each and the
wheels of all.
"""

from collections.abc import Sequence
from pathlib import Path

from bundler.errors import BundlerError
from bundler.libs import (
    advisories,
    checks,
    inputs,
    install_test,
    lock_changes,
    locking,
    packing,
    stamps,
)
from bundler.libs.index import downloads
from bundler.libs.inputs import Inputs
from bundler.libs.install_test import InstallTest
from bundler.libs.locks import Lock
from bundler.libs.options import LibsOptions
from bundler.libs.resolve import builds
from bundler.libs.result import LibsResult, TargetResult
from bundler.libs.stamps import Finished, Tested


def build(options: LibsOptions) -> LibsResult:
    """Write the libs bundle, resolving only where an input has changed. Raises BundlerError."""
    try:
        return _build(options)
    except OSError as error:
        path = f"{error.filename}: " if error.filename else ""
        raise BundlerError(
            f"Cannot build the libs bundle: {path}{error.strerror or error}. An earlier bundle in "
            f"{options.out} was not harmed. Free disk space or correct the permissions, or choose "
            "another cache folder with RSNA_BUNDLE_CACHE, and run `rsna-bundle libs` again."
        ) from error


def _build(options: LibsOptions) -> LibsResult:
    given = inputs.read(options)
    locked = tuple(locking.lock(one) for one in given)
    if options.audit:
        for lock in locked:
            advisories.audit(lock, options.audit)
    if options.check:
        skipped = InstallTest(skipped="--check")
        finished = Finished(tested=tuple(Tested(lock=lock, test=skipped) for lock in locked))
    elif unchanged := stamps.unchanged(locked, options):
        finished = unchanged
    else:
        finished = _make(locked, given)
    # After the bundle: a run that is killed in between resolves again, and finds it unchanged.
    return LibsResult(
        built=finished.built,
        targets=tuple(map(_result, finished.tested, given)),
    )


def _result(tested: Tested, given: Inputs) -> TargetResult:
    """Write a target's lock where it has changed, and return what came of the target."""
    write = not given.options.check
    return TargetResult(
        target=given.target,
        lock=tested.lock,
        path=given.lock_path,
        install_test=tested.test,
        changes=lock_changes.write(tested.lock, given.lock, given.lock_path) if write else (),
    )


def _make(locked: Sequence[Lock], given: Sequence[Inputs]) -> Finished:
    """Build a bundle of what was resolved, and put it in its place once it is known to work."""
    options = given[0].options
    pairs = list(zip(locked, given, strict=True))
    checked = [checks.check(lock, fetch(lock, one), one) for lock, one in pairs]
    with packing.pack(checked, given) as candidate:
        tests = [
            install_test.run(candidate.bundle.folder, each, one)
            for each, one in zip(checked, given, strict=True)
        ]
        built = packing.place(candidate, options.out)
    tested = tuple(
        Tested(lock=each.lock, test=test) for each, test in zip(checked, tests, strict=True)
    )
    finished = Finished(built=built, tested=tested)
    stamps.record(finished, locked)
    return finished


def fetch(lock: Lock, given: Inputs) -> dict[str, Path]:
    """Return where each file of the lock lies, by its name; what the cache lacks is downloaded.

    Raises InputError, NetworkError, BundlerError.
    """
    progress = given.options.progress
    progress.step("Fetching the wheels")
    pins = [*lock.pins, *lock.build]
    built = [pin for pin in pins if pin.built_from and downloads.cached(pin) is None]
    rebuilt = {pin.file: builds.restore(pin, given.builder) for pin in built}
    published = [pin for pin in pins if pin.file not in rebuilt]
    return rebuilt | downloads.fetch(published, given.sources, progress)
