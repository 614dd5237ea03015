"""wheelhouse.txt → lock → wheels → bundle: the flow of `rsna-bundle libs`."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from bundler import atomic, bundle
from bundler.bundle import Built
from bundler.errors import BundlerError, CheckError, NetworkError, UsageError
from bundler.image import target
from bundler.image.target import Target
from bundler.libs import (
    advisories,
    closure,
    effects,
    install_test,
    locks,
    packing,
    requirements,
    sbom,
    stamps,
    wheels,
)
from bundler.libs.index import downloads, sources
from bundler.libs.index.sources import Sources
from bundler.libs.install_test import Proof
from bundler.libs.locks import Lock
from bundler.libs.options import LibsOptions
from bundler.libs.requirements import Requirements
from bundler.libs.resolve import sdists
from bundler.libs.resolve.resolution import Pin, UnresolvedError
from bundler.libs.resolve.solution import Problem, Solution, solve
from bundler.libs.wheels import Wheel
from inference.boot.manifest import Libs, LibsTarget

CAPTURE = "run what `rsna-bundle target capture --script` prints in a notebook to have its own"


@dataclass(frozen=True, kw_only=True)
class Wheelhouse:
    """What `rsna-bundle libs` made, or with `--check` found."""

    built: Built | None = None
    lock: Lock
    path: Path  # of the lock
    proof: Proof
    changes: tuple[str, ...] = ()  # from the lock that was there
    estimate: bool = False  # the target is one

    def summary(self) -> str:
        """Return some lines for people."""
        if self.built is None:
            return f"{self.path} is current: {self._count()} for {self.lock.target}"
        provided = f", {len(self.lock.provided)} from the image" if self.lock.provided else ""
        head = f"{self.built.summary()}\n  {self._count()}{provided}; {self.path}"
        notes = [f"note: {note}" for note in self.lock.notes]
        moved = [f"lock: {line}" for line in self.changes]
        if self.estimate:
            notes.append(f"note: {self.lock.target} is an estimate; {CAPTURE}")
        return "\n  ".join([head, *moved, *self.proof.lines(), *notes])

    def _count(self) -> str:
        number = len(self.lock.pins)
        return f"{number} package{'' if number == 1 else 's'}"

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        built = self.built.as_dict() if self.built else {"changed": False}
        return built | {
            "target": self.lock.target,
            "estimate": self.estimate,
            "lock": str(self.path),
            "packages": {pin.name: pin.version for pin in self.lock.pins},
            "provided": {item.name: item.version for item in self.lock.provided},
            "notes": list(self.lock.notes),
            "changes": list(self.changes),
            "proof": asdict(self.proof),
        }


def build(options: LibsOptions) -> Wheelhouse:
    """Write the libs bundle, resolving only where an input has changed. Raises BundlerError."""
    try:
        machine = target.load(options.target, options.requirements.parent)
        return replace(_build(options, machine), estimate=machine.estimate)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        raise BundlerError(
            f"The libs bundle cannot be built: {place}{error.strerror or error}. Its place is "
            "untouched. Mend the disk or the permissions, or name another cache folder with "
            "RSNA_BUNDLE_CACHE, and run it again."
        ) from error


def _build(options: LibsOptions, machine: Target) -> Wheelhouse:
    asked = requirements.read(options.requirements)
    inputs = digest_inputs(asked, machine, options)
    lock = locks.read(options.lock)
    if options.check:
        current = check(lock, inputs, machine, options.lock)
        audit(current, options)
        return Wheelhouse(lock=current, path=options.lock, proof=Proof(skipped="--check"))
    places = sources.configured(asked.sources)
    if lock is not None and lock.inputs == inputs and options.upgrade is None:
        audit(lock, options)
        if same := stamps.unchanged(options.out, lock.text(), options.proof):
            built, tried = same
            return Wheelhouse(built=built, lock=lock, path=options.lock, proof=tried)
    else:
        lock = resolve(asked, machine, places, inputs, lock, options)
    files = collect(lock, places, options)
    found = [wheels.read(path) for name, path in files.items() if name.endswith(".whl")]
    lock = examine(lock, asked, machine, files, found, options)
    audit(lock, options)
    if same := stamps.unchanged(options.out, lock.text(), options.proof):
        moved = write_lock(lock, options.lock)
        return Wheelhouse(built=same[0], lock=lock, path=options.lock, proof=same[1], changes=moved)
    with packing.candidate(options.out) as place:
        with packing.parcel(files, sbom.write(lock, found), packing.known(lock, files)) as parcel:
            made = bundle.write(place, parcel.files, part(lock, machine), parcel.known)
        packing.check_hashes(made, lock)
        tried = prove(made, machine, found, places, options)
        built = packing.put_in_place(made, options.out)
    moved = write_lock(lock, options.lock)
    stamps.record(built, lock.text(), tried)
    return Wheelhouse(built=built, lock=lock, path=options.lock, proof=tried, changes=moved)


def prove(
    made: Built, machine: Target, found: list[Wheel], places: Sources, options: LibsOptions
) -> Proof:
    """Install and import the bundle, where that can be done here."""
    if not options.proof:
        return Proof(skipped=install_test.NO_PROOF)
    return install_test.prove(made.bundle.folder, machine, found, places)


def audit(lock: Lock, options: LibsOptions) -> None:
    """Check the lock against the advisories that the user has, if any."""
    if options.audit:
        advisories.audit(lock, options.audit)


def write_lock(lock: Lock, path: Path) -> tuple[str, ...]:
    """Write the lock where it says anything new, and return what that is."""
    old = locks.read(path)
    if old != lock:
        atomic.write_text(path, lock.text())
    return tuple(locks.changes(old, lock))


def digest_inputs(asked: Requirements, machine: Target, options: LibsOptions) -> str:
    """Return the digest of all that decides what a resolution answers, but for the indexes."""
    return locks.inputs(
        lines=asked.lines(),
        target=machine.digest,
        delta=options.delta,
        allow_sdist=options.allow_sdist,
    )


def check(lock: Lock | None, inputs: str, machine: Target, path: Path) -> Lock:
    """Return the lock if it is what its inputs ask for. Raises CheckError."""
    if lock is not None and lock.inputs == inputs:
        return lock
    if lock is None:
        state = "is missing"
    elif lock.target_digest != machine.digest:
        state = f"is stale: it was made for another target than {machine.name} is now"
    else:
        state = "is stale: the requirements or options have changed"
    raise CheckError(f"{path} {state}. Run `rsna-bundle libs` and commit the lock.")


def resolve(
    asked: Requirements,
    machine: Target,
    places: Sources,
    inputs: str,
    old: Lock | None,
    options: LibsOptions,
) -> Lock:
    """Resolve anew; what an old lock pinned for the same target is kept unless it is upgraded."""
    problem = Problem(
        asked=asked,
        target=machine.without(asked.replaced),
        sources=places,
        resolver=options.resolver,
        delta=options.delta,
        allow_sdist=options.allow_sdist,
        upgrade=options.upgrade is not None,
        quiet=options.quiet,
        keep=kept_pins(old, asked, machine, options),
    )
    try:
        solution = solved(problem)
    except NetworkError as error:
        raise NetworkError(
            f"{asked.path.name} cannot be resolved: {error}\nConnect, and run `rsna-bundle libs` "
            "again; with a lock that is current and a warm cache it needs no network."
        ) from error
    return Lock(
        target=machine.name,
        target_digest=machine.digest,
        python=machine.python,
        inputs=inputs,
        resolver=options.resolver,
        pins=solution.pins,
        build=solution.build,
        notes=solution.notes,
    )


def solved(problem: Problem) -> Solution:
    """Return the solution of a problem, or say why there is none. Raises InputError."""
    try:
        return solve(problem)
    except UnresolvedError as error:
        from bundler.libs.resolve import explanations

        raise explanations.explained(problem, error) from error


def kept_pins(
    old: Lock | None, asked: Requirements, machine: Target, options: LibsOptions
) -> tuple[Pin, ...]:
    """Return what a new resolution should leave as it was. Raises UsageError."""
    if old is None:
        return ()
    moved = {canonicalize_name(name) for name in options.upgrade or ()}
    known = {pin.name for pin in old.pins}
    if strange := sorted(moved - known - {canonicalize_name(need.name) for need in asked.wanted}):
        raise UsageError(
            f"--upgrade {','.join(strange)}: {options.lock} locks no such package. It has "
            f"{', '.join(sorted(known))}."
        )
    if options.upgrade == () or old.target_digest != machine.digest:
        return ()
    return tuple(pin for pin in old.pins if pin.name not in moved)


def collect(lock: Lock, places: Sources, options: LibsOptions) -> dict[str, Path]:
    """Return where each file of the lock lies, by its name; what is not here is fetched."""
    wanted = [*lock.pins, *lock.build]
    built = [pin for pin in wanted if pin.built_from and downloads.cached(pin) is None]
    files = {pin.file: sdists.restore(pin, places, quiet=options.quiet) for pin in built}
    fetched = [pin for pin in wanted if pin not in built]
    return files | downloads.fetch(fetched, places, quiet=options.quiet)


def examine(
    lock: Lock,
    asked: Requirements,
    machine: Target,
    files: Mapping[str, Path],
    found: list[Wheel],
    options: LibsOptions,
) -> Lock:
    """Check that bundle and image close, and note what a user must know."""
    for_build = {pin.file for pin in lock.build}
    own = [wheel for wheel in found if wheel.path.name not in for_build]
    stand_ins = [sdists.as_wheel(files[pin.file], pin) for pin in lock.pins if not is_wheel(pin)]
    known = machine.without(asked.replaced if options.delta else machine.packages)
    reached = closure.examine(known, asked.wanted, [*own, *stand_ins], asked.path.name)
    closure.check(reached)
    return replace(
        lock,
        pins=tuple(
            replace(settled(pin, files), via=reached.via.get(pin.name, ())) for pin in lock.pins
        ),
        build=tuple(settled(pin, files) for pin in lock.build),
        provided=reached.provided,
        notes=tuple(dict.fromkeys([*lock.notes, *remarks(lock, machine, own, reached)])),
    )


def settled(pin: Pin, files: Mapping[str, Path]) -> Pin:
    """Return a pin as the lock holds it: with its file's size, without its URL."""
    return replace(pin, bytes=files[pin.file].stat().st_size, url=None)


def remarks(
    lock: Lock, machine: Target, own: list[Wheel], reached: closure.Closure
) -> Iterator[str]:
    """Yield what the bundle would do to the image, and what is odd."""
    for line in effects.shadowed(machine, lock.pins):
        yield f"Hides the image's own version from the runner: {line}."
    for line in effects.broken(machine, lock.pins):
        yield f"May break: {line}."
    for line in closure.overwritten(own):
        yield line
    for line in reached.image_gaps:
        yield f"The image itself lacks something: {line}."


def is_wheel(pin: Pin) -> bool:
    """Say whether a pin's file is a wheel; the rest are sdists that travel."""
    return pin.file.endswith(".whl")


def part(lock: Lock, machine: Target) -> Libs:
    """Return what the manifest of a libs bundle says."""
    made = LibsTarget(
        name=lock.target,
        digest=lock.target_digest,
        python=machine.python,
        lock=tuple(pin.line for pin in lock.pins),
        excluded=tuple(f"{item.name}=={item.version}" for item in lock.provided),
        shadowed=tuple(effects.shadowed(machine, lock.pins)),
    )
    return Libs(targets=(made,))
