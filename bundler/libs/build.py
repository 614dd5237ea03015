"""wheelhouse.txt → lock → wheels → bundle: the flow of `rsna-bundle libs`, one pass.

read → resolve → fetch → check → pack → install test → place: each step takes what the ones before
returned, and changes none of it.
"""

from pathlib import Path

from bundler.errors import BundlerError
from bundler.libs import advisories, checks, inputs, install_test, locking, locks, packing, stamps
from bundler.libs.index import downloads
from bundler.libs.inputs import Inputs
from bundler.libs.install_test import InstallTest
from bundler.libs.locks import Lock
from bundler.libs.options import LibsOptions
from bundler.libs.resolve import builds
from bundler.libs.result import LibsResult
from bundler.libs.stamps import Finished


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
    lock = locking.lock(given)
    if options.audit:
        advisories.audit(lock, options.audit)
    if options.check:
        finished = Finished(lock=lock, install_test=InstallTest(skipped="--check"))
    elif unchanged := stamps.unchanged(lock, options):
        finished = unchanged
    else:
        finished = _make(lock, given)
    # After the bundle: a run that is killed in between resolves again, and finds it unchanged.
    changes = () if options.check else locks.write(finished.lock, given.lock, options.lock)
    return LibsResult(
        built=finished.built,
        lock=finished.lock,
        path=options.lock,
        install_test=finished.install_test,
        changes=changes,
        estimate=given.target.estimate,
    )


def _make(lock: Lock, given: Inputs) -> Finished:
    """Build a bundle of what was resolved, and put it in its place once it is known to work."""
    files = fetch(lock, given)
    checked = checks.check(lock, files, given)
    with packing.pack(checked, given) as candidate:
        tested = install_test.run(candidate.bundle.folder, checked, given)
        built = packing.place(candidate, given.options.out)
    finished = Finished(built=built, lock=checked.lock, install_test=tested)
    stamps.record(finished, lock)
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
