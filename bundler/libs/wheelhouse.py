"""wheelhouse.txt → lock → wheels → bundle: the flow of `rsna-bundle libs`."""

import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bundler import atomic, bundle, target
from bundler.bundle import Built
from bundler.errors import CheckError
from bundler.libs import downloads, locks, requirements, sources, uv, wheels
from bundler.libs.locks import Lock
from bundler.libs.options import LibsOptions
from bundler.libs.requirements import Requirements
from bundler.libs.sources import Sources
from bundler.target import Target
from inference.boot.install import WHEELS_ARCHIVE

MOST_WHEELS = 45  # more travel in one archive: Kaggle takes 50 files


def build(options: LibsOptions) -> Built:
    """Write the libs bundle, resolving only where an input has changed. Raises BundlerError."""
    machine = target.load(options.target, options.requirements.parent)
    asked = requirements.read(options.requirements)
    inputs = locks.inputs(lines=asked.lines(), target=machine.digest, delta=options.delta)
    lock = locks.read(options.lock)
    if options.check:
        check(lock, inputs, options.lock)
    places = sources.configured(asked.sources)
    if lock is None or lock.inputs != inputs or options.upgrade is not None:
        lock = resolve(asked, machine, places, inputs, options)
    files = downloads.fetch(lock.pins, places, quiet=options.quiet)
    for path in files.values():
        wheels.read(path)
    atomic.write_text(options.lock, lock.text())
    with parcel(files) as parcelled:
        return bundle.write(options.out, "libs", parcelled, details(lock, machine))


def check(lock: Lock | None, inputs: str, path: Path) -> None:
    """Raise CheckError where the lock is not what its inputs ask for."""
    if lock is None or lock.inputs != inputs:
        state = "is missing" if lock is None else "is stale: its inputs have changed"
        raise CheckError(f"{path} {state}. Run `rsna-bundle libs` and commit the lock.")


def resolve(
    asked: Requirements, machine: Target, places: Sources, inputs: str, options: LibsOptions
) -> Lock:
    """Ask the resolver for one wheel of each package."""
    environment = machine.environment
    wanted = list(requirements.applying(asked.wanted, environment))
    constraints = list(requirements.applying(asked.constraints, environment))
    try:
        pins = uv.resolve(machine, wanted, constraints, places)
    except uv.UnresolvedError as error:
        raise uv.UnresolvedError(
            f"{asked.path.name} cannot be resolved for {machine.name} (Python {machine.python}):\n"
            f"{error.said}"
        ) from error
    return Lock(
        target=machine.name,
        target_digest=machine.digest,
        python=machine.python,
        inputs=inputs,
        resolver=options.resolver,
        pins=tuple(sorted(pins, key=lambda pin: pin.name)),
    )


@contextmanager
def parcel(files: Mapping[str, Path]) -> Iterator[dict[str, Path]]:
    """Yield the files as they travel: many wheels in one archive, of equal bytes each time."""
    if len(files) <= MOST_WHEELS:
        yield dict(files)
        return
    with tempfile.TemporaryDirectory(prefix="rsna-bundle-") as folder:
        archive = Path(folder) / WHEELS_ARCHIVE
        with tarfile.open(archive, "w", format=tarfile.USTAR_FORMAT) as tar:
            for name, path in sorted(files.items()):
                entry = tarfile.TarInfo(name)
                entry.size = path.stat().st_size
                with path.open("rb") as stream:
                    tar.addfile(entry, stream)
        yield {WHEELS_ARCHIVE: archive}


def details(lock: Lock, machine: Target) -> dict[str, Any]:
    """Return what the manifest of a libs bundle says."""
    return {
        "target": {"name": lock.target, "digest": lock.target_digest, "python": machine.python},
        "lock": [pin.line for pin in lock.pins],
        "excluded": [f"{item.name}=={item.version}" for item in lock.provided],
        "shadowed": [],
    }
