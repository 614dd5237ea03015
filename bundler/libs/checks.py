"""The fourth step, check: the wheels agree with themselves, with each other and with the image."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from bundler import atomic
from bundler.image.target import Target
from bundler.libs import closure, effects, wheels
from bundler.libs.closure import Closure
from bundler.libs.index import downloads
from bundler.libs.inputs import Inputs
from bundler.libs.locks import Lock
from bundler.libs.resolve import sdists
from bundler.libs.resolve.resolution import Pin
from bundler.libs.resolve.sdists import Sdist
from bundler.libs.wheels import Wheel

PARALLEL = 4  # wheels that are inflated at once


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What goes into the bundle: the finished lock, its files by name, and the wheels as read."""

    lock: Lock
    files: Mapping[str, Path]
    wheels: tuple[Wheel, ...]


def check(lock: Lock, files: Mapping[str, Path], inputs: Inputs) -> Checked:
    """Check that bundle and image meet every requirement, and finish the lock.

    The finished lock says how large each file is, who requires it, and what a user must know.
    Raises InputError for a wheel that contradicts itself, BundlerError where something is missing.
    """
    inputs.options.progress.step("Checking the wheels")
    with ThreadPoolExecutor(PARALLEL) as pool:
        read = [*pool.map(_read, (path for path in files.values() if path.suffix == ".whl"))]
    for_builds = {pin.file for pin in lock.build}  # what builds an sdist is not imported there
    installed = [wheel for wheel in read if wheel.path.name not in for_builds]
    shipped = [Sdist(pin=pin, path=files[pin.file]) for pin in lock.pins if not pin.is_wheel]
    builder = inputs.builder
    from_sdists = [sdists.as_wheel(sdist, builder.metadata(sdist)) for sdist in shipped]
    wanted = inputs.requirements
    reached = closure.follow(
        inputs.image, wanted.wanted, [*installed, *from_sdists], wanted.path.name
    )
    closure.check(reached)
    remarks = _remarks(lock, inputs.target, installed, reached)
    finished = replace(
        lock,
        pins=tuple(
            replace(_sized(pin, files), via=reached.via.get(pin.name, ())) for pin in lock.pins
        ),
        build=tuple(_sized(pin, files) for pin in lock.build),
        provided=reached.provided,
        notes=tuple(dict.fromkeys([*lock.notes, *remarks])),
    )
    return Checked(lock=finished, files=files, wheels=tuple(read))


def _read(path: Path) -> Wheel:
    """Read a wheel of the cache, and check its contents the first time."""
    wheel = wheels.read(path)
    mark = path.with_name(f"{path.name}.checked")
    state = downloads.state(path)
    if not mark.is_file() or mark.read_text(encoding="utf-8") != state:
        wheels.check_contents(wheel)
        atomic.write_text(mark, state)
    return wheel


def _sized(pin: Pin, files: Mapping[str, Path]) -> Pin:
    """Return a pin as the lock holds it: with its file's size, without its URL."""
    return replace(pin, bytes=files[pin.file].stat().st_size, url=None)


def _remarks(lock: Lock, target: Target, installed: list[Wheel], reached: Closure) -> Iterator[str]:
    """Yield what the bundle would do to the image, and what is odd."""
    for line in effects.shadowed(target, lock.pins):
        yield f"Hides the image's own version from the runner: {line}."
    for line in effects.in_unknown_version(target, lock.pins):
        yield f"Brings {line}."
    for line in effects.hidden_modules(target, installed):
        yield f"{line}. Remove it from the requirements if the image's will do."
    for line in effects.broken(target, lock.pins):
        yield f"May break: {line}."
    yield from closure.overwritten(installed)
    for line in reached.unknown:
        yield f"Not known: {line}."
    for line in reached.image_gaps:
        yield f"The image itself lacks something: {line}."
